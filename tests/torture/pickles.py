"""A pickle canary, an object that writes a file when loaded, in the place of every model file in turn."""

import hashlib
import io
import json
import pickle
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from recsys_cli.utils.errors import ExitCode
from recsys_cli.utils.storage.json_files import write_sealed_json
from tests.torture.case import Case, Family, some
from tests.torture.checks import intact, spoken
from tests.torture.lab import DAY, SCORE, Kit, Lab, in_workspace

_COMMANDS = (SCORE, ("explain", "--date", DAY), ("models", "show"))
_MANIFEST = "manifest.json"


class Canary:
    """An object whose loading leaves a file behind."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.touch, (self.marker,)


def canaries(lab: Lab, quick: bool) -> Iterator[Case]:
    """Yield the canary bare, or within an array, in each file, with a manifest that vouches for it or not."""
    (folder,) = (path.parent for path in (lab.ready / "models").glob(f"*/{_MANIFEST}"))
    cases = [
        Case(
            f"{'vouched for, ' if vouched else ''}{'in an array' if hidden else 'bare'}: {file.name}",
            partial(_met, file.name, hidden, vouched),
        )
        for file in sorted(folder.iterdir())
        for hidden in (False, True)
        for vouched in ((False, True) if file.name != _MANIFEST else (False,))
    ]
    yield from some(cases, quick, 2)


def _met(name: str, hidden: bool, vouched: bool, kit: Kit) -> list[str]:
    marker = kit.scratch / "marker"
    workspace = kit.workspace()
    (folder,) = (path.parent for path in (workspace / "models").glob(f"*/{_MANIFEST}"))
    file = folder / name
    file.write_bytes(_array(Canary(marker)) if hidden else pickle.dumps(Canary(marker)))
    if vouched:
        file = _vouched_for(workspace, folder, file) / name
    problems = []
    for command in _COMMANDS:
        outcome = kit.in_place.run(*in_workspace(workspace, *command))
        is_read = not vouched or command == SCORE
        codes = {ExitCode.MODEL} if is_read else {ExitCode.OK, ExitCode.MODEL, ExitCode.INPUT}
        problems += [f"{command[0]}: {problem}" for problem in spoken(outcome, codes | _also(command))]
        if marker.exists():
            problems.append(f"{command[0]}: the pickle was loaded")
            marker.unlink()
    return problems + intact(workspace, kit.lab.old, kit.lab.new)


def _also(command: tuple[str, ...]) -> set[int]:
    """Return the other codes of a command that need not open the model's files."""
    return {ExitCode.OK, ExitCode.INPUT} if command != SCORE else set()


def _vouched_for(workspace: Path, folder: Path, file: Path) -> Path:
    """Let the manifest and the pointer name the file's new hash; return the version's new folder."""
    manifest = json.loads((folder / _MANIFEST).read_text())
    manifest["files"][file.name] = hashlib.sha256(file.read_bytes()).hexdigest()
    manifest["version"] = f"{DAY}-forged"
    del manifest["seal"]
    write_sealed_json(folder / _MANIFEST, manifest)
    renamed = folder.with_name(manifest["version"])
    shutil.move(folder, renamed)
    pointer = {"schema_version": 1, "history": [renamed.name], "forced": []}
    write_sealed_json(workspace / "models/promoted.json", pointer)
    return renamed


def _array(canary: Canary) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.array([canary], dtype=object))
    return buffer.getvalue()


FAMILIES = (
    Family(
        "pickles", "a pickle in the place of each model file", "never loaded; exit 4; old lists", canaries
    ),
)
