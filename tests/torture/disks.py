"""A disk that is full, at 20 fill levels and from the Nth write on; fails to sync; may not be written."""

import errno
import os
import shutil
from collections.abc import Iterator
from functools import partial

from recsys_cli.utils.errors import ExitCode
from tests.torture.case import Case, Family, some
from tests.torture.checks import after, recovered, spoken
from tests.torture.lab import PUBLISHED, SCORE, Kit, Lab, in_workspace
from tests.torture.mounts import mount, mounted_disk, needs_root
from tests.torture.syscalls import SYNC, WRITE, Call
from tests.torture.watched import cannot_watch, named

_LEVELS = 20
_PAGE = 4096
_SIZE = 32 << 20  # bytes of the small disk
_NEEDED = 80  # pages that a run fills, features and records included, and some more
_NOBODY = 65534


def at_fill_levels(_lab: Lab, quick: bool) -> Iterator[Case]:
    """Yield a disk with no free page, and so on until there is room for all that a run writes."""
    levels = [_NEEDED * level // (_LEVELS - 1) for level in range(_LEVELS)]
    cases = [Case(f"{pages} pages free", partial(_filled, pages)) for pages in levels]
    yield from some(cases, quick, 1)


def from_every_write(lab: Lab, quick: bool) -> Iterator[Case]:
    """Yield a disk that is full from the Nth write on, and one that is so at that write alone."""
    writes = [call for call in lab.calls if call.kind == WRITE]
    cases = [
        Case(f"no space {words} {named(call)}", partial(_failing, WRITE, errno.ENOSPC, call.nth, lasting))
        for call in writes
        for words, lasting in (("from", True), ("at", False))
    ]
    yield from some(cases, quick, 1)


def at_every_sync(lab: Lab, quick: bool) -> Iterator[Case]:
    """Yield an error of the disk at the Nth fsync alone: one that is tried again would go well."""
    syncs = [call for call in lab.calls if call.kind == SYNC]
    cases = [
        Case(f"I/O error at {named(call)}", partial(_failing, SYNC, errno.EIO, call.nth, False))
        for call in syncs
    ]
    yield from some(cases, quick, 1)


def read_only(_lab: Lab, quick: bool) -> Iterator[Case]:
    """Yield each folder that a run writes to, closed to the user; the whole workspace mounted read-only."""
    folders = (".", "runs", "features", "recommendations", PUBLISHED.parent.as_posix())
    cases = [Case(f"{folder} belongs to another user", partial(_not_owned, folder)) for folder in folders]
    cases.append(Case("the workspace is mounted read-only", _mounted_read_only))
    yield from some(cases, quick, 1)


def _filled(pages: int, kit: Kit) -> list[str]:
    with mounted_disk(kit.scratch / "disk", _SIZE) as disk:
        workspace = kit.workspace(at=disk / "workspace")
        filler = disk / "filler"
        free = os.statvfs(disk).f_bavail - pages
        with filler.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, free * _PAGE)
        outcome = kit.forked.run(*in_workspace(workspace, *SCORE))
        filler.unlink()
        return after(kit, workspace, outcome, {ExitCode.OK, ExitCode.OUTPUT}, kit.lab.old)


def _failing(kind: str, error: int, nth: int, lasting: bool, kit: Kit) -> list[str]:
    met: list[Call] = []

    def verdict(call: Call) -> int:
        if call.kind != kind or not (call.nth == nth or lasting and call.nth > nth):
            return 0
        met.append(call)
        return -error

    workspace = kit.workspace()
    outcome = kit.forked.run(*in_workspace(workspace, *SCORE), watched=workspace, verdict=verdict)
    return after(kit, workspace, outcome, {ExitCode.OUTPUT if met else ExitCode.OK}, kit.lab.old)


def _not_owned(name: str, kit: Kit) -> list[str]:
    workspace = kit.workspace()
    (workspace / "runs").mkdir()
    for path in (workspace, *workspace.rglob("*")):
        os.chown(path, _NOBODY, _NOBODY)
    closed = [path for path in (workspace / name).rglob("*") if name != "." and path.is_dir()]
    for path in (workspace / name, *closed):
        os.chown(path, 0, 0)
        path.chmod(0o755)
    if name == ".":  # what a first run would have to make
        shutil.rmtree(workspace / "runs")
    outcome = kit.forked.run(*in_workspace(workspace, *SCORE), user=_NOBODY)
    return after(kit, workspace, outcome, {ExitCode.OUTPUT}, kit.lab.old)


def _mounted_read_only(kit: Kit) -> list[str]:
    with mounted_disk(kit.scratch / "disk", _SIZE) as disk:
        workspace = kit.workspace(at=disk / "workspace")
        mount("-o", "remount,ro", str(disk))
        outcome = kit.forked.run(*in_workspace(workspace, *SCORE))
        problems = spoken(outcome, {ExitCode.OUTPUT})
        mount("-o", "remount,rw", str(disk))
        return problems + recovered(kit, workspace)


FAMILIES = (
    Family(
        "full-disk",
        "a small disk, full at 20 levels",
        "old or new; exit 5; the next run mends",
        at_fill_levels,
        needs_root,
    ),
    Family(
        "no-space",
        "no space at, and from, every write",
        "old or new; exit 5; the next run mends",
        from_every_write,
        cannot_watch,
    ),
    Family(
        "failed-sync",
        "an I/O error at every fsync",
        "exit 5, never tried again; old or new; the next run mends",
        at_every_sync,
        cannot_watch,
    ),
    Family(
        "read-only",
        "folders that may not be written",
        "old; exit 5; the next run mends",
        read_only,
        needs_root,
    ),
)
