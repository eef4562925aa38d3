"""Models whose vectors are random; the manifest vouches for them."""

import hashlib
import json
from collections.abc import Iterator
from functools import partial

import numpy as np

from recsys_cli.utils.errors import ExitCode
from recsys_cli.utils.storage.json_files import write_sealed_json
from tests.torture.case import Case, Family, some
from tests.torture.checks import spoken
from tests.torture.lab import PUBLISHED, SCORE, Kit, Lab, in_workspace


def models(_lab: Lab, quick: bool) -> Iterator[Case]:
    """Yield models whose vectors of users, items or both were replaced."""
    sides = (("users",), ("items",), ("users", "items"))
    cases = [Case(f"random vectors of {' and '.join(one)}", partial(_replaced, one)) for one in sides]
    yield from some(cases, quick, 2)


def _replaced(sides: tuple[str, ...], kit: Kit) -> list[str]:
    workspace, rng = kit.workspace(), np.random.default_rng(3)
    (manifest,) = (workspace / "models").glob("*/manifest.json")
    told = json.loads(manifest.read_text())
    for side in sides:
        file = manifest.with_name(f"lightfm_{side}_vectors.npy")
        np.save(file, rng.normal(size=np.load(file).shape).astype(np.float32))
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
        "models with random vectors",
        "exit 1; the gates keep the last lists; the rejected file is kept",
        models,
    ),
)
