"""The workspaces that are tortured: small, with yesterday's lists, and what a clean run makes of them."""

import errno
import os
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.torture.program import Outcome, Program
from tests.torture.syscalls import EXCHANGE, Call, Verdict, can_watch

DAY, NEXT_DAY = "2026-07-01", "2026-07-02"
TOP_K, OLD_TOP_K = 5, 3
PUBLISHED = Path(f"recommendations/date={DAY}/recommendations.parquet")
SCORE = ("score", "--date", DAY)
USERS = 120
_SIZES = ("--users", str(USERS), "--items", "50", "--events-per-user", "10", "--days", "90")
_SETTINGS = f"""
[default.candidates.lightfm]
epochs = 20
no_components = 8
[default.ranker]
iterations = 8
members = 1
label_windows = 2
[default.scoring]
top_k = {TOP_K}
chunk_users = 32
"""


@dataclass(frozen=True)
class Lab:
    """What every case starts from and is compared with.

    Attributes:
        ready: a workspace with model, features and old lists, of 3 items a user where 5 are now asked for.
        stale: the same, where the features are to be built again, for an input was written since.
        old, new: the bytes of the old lists and of those that a clean run publishes.
        files: what is in the workspace after a clean run.
        calls: what a clean run on `stale` writes, syncs, renames and removes, in order.
        without_exchange: the same of a run that is refused every exchange of two folders.
        seconds: that a clean run takes in a fork.
    """

    ready: Path
    stale: Path
    old: bytes
    new: bytes
    files: frozenset[str]
    calls: tuple[Call, ...]
    without_exchange: tuple[Call, ...]
    seconds: float


@dataclass(frozen=True)
class Programs:
    """The program in both ways of running it; its servers start when they are first asked."""

    forked: Program
    in_place: Program

    @classmethod
    def open(cls, scratch: Path) -> "Programs":
        """Return both; what they say goes to files under `scratch`."""
        return cls(Program(scratch, forks=True), Program(scratch, forks=False))

    def close(self) -> None:
        """End the servers."""
        self.forked.close()
        self.in_place.close()


@dataclass(frozen=True)
class Kit:
    """What a case works with, one for each worker: the lab, a folder of its own and the program.

    Attributes:
        known: what the files of workspaces that are used again held at first, by the name of their use.
    """

    lab: Lab
    scratch: Path
    programs: Programs
    known: dict[str, dict[str, bytes]] = field(default_factory=dict)

    @property
    def forked(self) -> Program:
        """The program, each run a process of its own."""
        return self.programs.forked

    @property
    def in_place(self) -> Program:
        """The program, all runs in one process."""
        return self.programs.in_place

    def workspace(self, like: Path | None = None, at: Path | None = None) -> Path:
        """Return a fresh copy of a workspace, by default of the one with stale features."""
        copy = at or self.scratch / "workspace"
        shutil.rmtree(copy, ignore_errors=True)
        return Path(shutil.copytree(like or self.lab.stale, copy))


def in_workspace(workspace: Path, *args: str) -> tuple[str, ...]:
    """Return the arguments of a command in a workspace."""
    return ("-C", str(workspace), *args)


def make_lab(folder: Path, programs: Programs) -> Lab:
    """Generate data, train and score in `folder`."""
    ready, stale, clean = folder / "ready", folder / "stale", folder / "clean"
    _make_ready(ready, programs.in_place)
    shutil.copytree(ready, stale)
    now = time.time_ns()
    os.utime(stale / "data/users.parquet", ns=(now, now))
    calls = _recorded(stale, folder / "recorded", programs.forked, lambda call: 0)
    without_exchange = _recorded(stale, folder / "journal", programs.forked, refused_exchange)
    shutil.copytree(stale, clean)
    started = time.monotonic()
    _well(programs.forked.run(*in_workspace(clean, *SCORE)))
    seconds = time.monotonic() - started
    old, new = (ready / PUBLISHED).read_bytes(), (clean / PUBLISHED).read_bytes()
    assert old != new
    return Lab(ready, stale, old, new, listing(clean), calls, without_exchange, seconds)


def refused_exchange(call: Call) -> int:
    """Let every exchange of two folders fail as on a file system that has none."""
    return -errno.EINVAL if call.kind == EXCHANGE else 0


def _recorded(like: Path, folder: Path, program: Program, verdict: Verdict) -> tuple[Call, ...]:
    """Return the calls of a run that goes well on a copy of a workspace; none if they cannot be watched."""
    if not can_watch():
        return ()
    workspace = Path(shutil.copytree(like, folder / "workspace"))
    return _well(program.run(*in_workspace(workspace, *SCORE), watched=workspace, verdict=verdict)).calls


def _make_ready(ready: Path, program: Program) -> None:
    def done(*args: str) -> None:
        _well(program.run("-q", *args))

    done("init", str(ready), "--preset", "demo", *_SIZES)
    (ready / "settings/settings.local.toml").write_text(_SETTINGS)
    done(*in_workspace(ready, "train", "--date", DAY, "--no-promote"))
    (manifest,) = (ready / "models").glob("*/manifest.json")
    done(*in_workspace(ready, "models", "promote", manifest.parent.name, "--force"))
    shutil.rmtree(ready / "models/.fits", ignore_errors=True)
    done(*in_workspace(ready, *SCORE, "--top-k", str(OLD_TOP_K)))
    shutil.rmtree(ready / "runs")


def listing(workspace: Path) -> frozenset[str]:
    """Return the names of all files and folders, run records and their logs aside."""
    names = (str(path.relative_to(workspace)) for path in workspace.rglob("*"))
    return frozenset(name for name in names if not name.startswith("runs/2"))


def _well(outcome: Outcome) -> Outcome:
    assert outcome.code == 0, outcome
    return outcome
