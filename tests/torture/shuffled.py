"""Models whose vectors are random, or in another order than their ids; the manifest vouches for them."""

import hashlib
import json
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from recsys_cli.utils.errors import ExitCode
from recsys_cli.utils.files import write_sealed_json
from tests.torture.case import Case, Family, some
from tests.torture.checks import spoken
from tests.torture.lab import PUBLISHED, SCORE, Kit, Lab, in_workspace

Change = Callable[[np.ndarray], np.ndarray]


def models(_lab: Lab, quick: bool) -> Iterator[Case]:
    """Yield models whose users, items or both were replaced."""
    rng = np.random.default_rng(3)
    changes: dict[str, Change] = {
        "random": lambda array: rng.normal(size=array.shape).astype(array.dtype),
        "shuffled": rng.permutation,
    }
    cases = [
        Case(f"{what} vectors of {' and '.join(sides)}", partial(_replaced, change, sides))
        for what, change in changes.items()
        for sides in (("users",), ("items",), ("users", "items"))
    ]
    yield from some(cases, quick, 2)


def _replaced(change: Change, sides: tuple[str, ...], kit: Kit) -> list[str]:
    workspace = kit.workspace()
    (manifest,) = (workspace / "models").glob("*/manifest.json")
    told = json.loads(manifest.read_text())
    for side in sides:
        file = manifest.with_name(f"lightfm_{side}_vectors.npy")
        np.save(file, change(np.load(file)))
        told["files"][file.name] = hashlib.sha256(file.read_bytes()).hexdigest()
    del told["seal"]
    write_sealed_json(manifest, told)
    outcome = kit.forked.run(*in_workspace(workspace, *SCORE, "--force"))
    problems = spoken(outcome, {ExitCode.CHECK})
    if (workspace / PUBLISHED).read_bytes() != kit.lab.old:
        problems.append("the last lists are gone")
    if len(list((workspace / "runs").glob("*/rejected.parquet"))) != 1:
        problems.append("the rejected file is not in the run's folder")
    return problems


FAMILIES = (
    Family(
        "shuffled-models",
        "models with random or shuffled vectors",
        "exit 1; the gates keep the last lists; the rejected file is kept",
        models,
    ),
)
