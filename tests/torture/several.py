"""A workspace that several commands work in at once, and what must hold of it afterwards."""

import json
import os
import re
import shutil
from hashlib import sha256
from pathlib import Path
from threading import Lock

from recsys_cli.utils.errors import ExitCode
from tests.torture.checks import spoken, whole
from tests.torture.lab import DAY, NEXT_DAY, SCORE, Kit, Lab, in_workspace
from tests.torture.program import Outcome, Program

SCORE_NEXT = ("score", "--date", NEXT_DAY)
FEATURES, FEATURES_NEXT = ("features", "--date", DAY), ("features", "--date", NEXT_DAY)
REPAIR = ("verify", DAY, "--repair")
ROLLBACK = ("models", "rollback")
TRAIN = ("--set", "ranker.iterations=2", "train", "--date", DAY, "--no-promote")
_STRAY = re.compile(r"\.(part|old|tmp|holder)$|/\.[^/]*\.lock$|/\.recommendations\.staged/|/\.training/")
_LISTS = "recommendations.parquet"
_LEFT = (
    f".recommendations.staged/date={NEXT_DAY}",
    ".recommendations.staged/date=2026-06-01",
    "features/.0123456789abcdef.part",
)
_MAKING = Lock()


def base(lab: Lab, program: Program) -> Path:
    """Return a workspace with two models, stale features, and old lists that have lost their manifest.

    In it lies what killed runs have left: each of the next ones may find it, and remove it or go on with it.
    """
    made = lab.ready.parent / "several"
    with _MAKING:
        if not made.exists():
            staged = made.with_name("several.new")
            _make(staged, lab, program)
            staged.rename(made)
    return made


def _make(workspace: Path, lab: Lab, program: Program) -> None:
    shutil.copytree(lab.stale, workspace)
    _well(program.run("-q", *in_workspace(workspace, *TRAIN)))
    (first,) = versions(lab.ready)
    (second,) = set(versions(workspace)) - {first}
    for version in (second, first):  # a rollback finds one before
        _well(program.run("-q", *in_workspace(workspace, *promotion(version))))
    (workspace / f"recommendations/date={DAY}/manifest.json").unlink()
    for name in _LEFT:
        left = workspace / name
        left.mkdir(parents=True)
        (left / "file").touch()
        os.utime(left, (0, 0))


def versions(workspace: Path) -> list[str]:
    """Return the model versions of a workspace."""
    return sorted(file.parent.name for file in (workspace / "models").glob("*/manifest.json"))


def promotion(version: str) -> tuple[str, ...]:
    """Return the command that promotes a version."""
    return ("models", "promote", version, "--force")


def whole_lists(workspace: Path) -> list[str]:
    """Return what is wrong with the published lists of all dates, and with the manifests that they have."""
    problems: list[str] = []
    for folder in sorted((workspace / "recommendations").glob("date=*")):
        problems += [
            f"{folder.name}: {one}" for one in [*whole(folder / _LISTS), *_manifest_problems(folder)]
        ]
    return problems


def settled(kit: Kit, workspace: Path, *commands: tuple[str, ...]) -> list[str]:
    """Run commands without a fault, one after the other; return what is wrong with lists and leftovers."""
    problems = whole_lists(workspace)
    for command in (*commands, SCORE):
        outcome = kit.in_place.run("-q", *in_workspace(workspace, *command))
        problems += [f"next {said(command)}: {one}" for one in spoken(outcome, {ExitCode.OK})]
    problems += [f"next run: {one}" for one in whole_lists(workspace)]
    if not (workspace / f"recommendations/date={DAY}/manifest.json").exists():
        problems.append("next run: the manifest is gone")
    return problems + [f"next run: it leaves {one}" for one in _strays(workspace)]


def said(command: tuple[str, ...]) -> str:
    """Return a command in a few words."""
    return " ".join(word for word in command if word != "--set" and "=" not in word)


def _manifest_problems(folder: Path) -> list[str]:
    manifest = folder / "manifest.json"
    if not manifest.exists():
        return []
    told = json.loads(manifest.read_text())["sha256"]
    is_own = told == sha256((folder / _LISTS).read_bytes()).hexdigest()
    return [] if is_own else ["the manifest is of other lists"]


def _strays(workspace: Path) -> list[str]:
    names = sorted(f"/{path.relative_to(workspace)}" for path in workspace.rglob("*"))
    return sorted({re.sub(r"[0-9a-f]{8,}", "N", name) for name in names if _STRAY.search(name)})


def _well(outcome: Outcome) -> None:
    assert outcome.code == ExitCode.OK, outcome.err
