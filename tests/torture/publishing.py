"""Publishing where two folders cannot be exchanged: NFS, FUSE, a container's volumes, an overlay."""

import errno
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path

from recsys_cli.utils.errors import ExitCode
from recsys_cli.utils.storage.folder_exchange import RENAME_PROBE
from tests.torture.case import Case, Family, some
from tests.torture.checks import after, intact, recovered, spoken
from tests.torture.lab import DAY, PUBLISHED, SCORE, Kit, Lab, in_workspace, refused_exchange
from tests.torture.mounts import cannot_mount, mounted_overlay, mounted_volume, overlaid_disk
from tests.torture.syscalls import EXCHANGE, REMOVE, RENAME, Call, Verdict
from tests.torture.watched import cannot_watch, named

_READERS = (("verify", DAY), ("explain", "--date", DAY), ("check", "--date", DAY), ("diff", DAY, DAY))
_ERRORS = (errno.EIO, errno.ENOSPC)
_OVERLAY_CALLS = 82  # more than replace folders there: the last of them is not reached
_INSIDE = ("recommendations/.staged",)  # where unfinished lists lie if the folder is a volume


def killed_without_exchange(lab: Lab, quick: bool) -> Iterator[Case]:
    """Yield a kill before each call that replaces a folder while every exchange is refused."""
    replacements = Replacements()
    calls = [call for call in lab.without_exchange if replacements.has(call)]
    cases = [
        Case(f"kill before {named(call)}", partial(_killed, call.number, _READERS[place % len(_READERS)]))
        for place, call in enumerate(calls)
    ]
    yield from some(cases, quick, 3)


def failing_renames(lab: Lab, quick: bool) -> Iterator[Case]:
    """Yield errors of the disk at, and from, each rename of a run without exchange; at each exchange."""
    renames = [call for call in lab.without_exchange if call.kind == RENAME and RENAME_PROBE not in call.path]
    cases = [
        Case(
            f"{errno.errorcode[error]} {'from' if lasting else 'at'} {named(call)}",
            partial(_failing_rename, error, call.nth, lasting),
        )
        for call, error, lasting in product(renames, _ERRORS, (False, True))
    ]
    exchanges = [call for call in lab.calls if call.kind == EXCHANGE]
    cases += [
        Case(f"{errno.errorcode[error]} at {named(call)}", partial(_failing_exchange, error, call.nth))
        for call, error in product(exchanges, _ERRORS)
    ]
    yield from some(cases, quick, 3)


def on_volumes(_lab: Lab, quick: bool) -> Iterator[Case]:
    """Yield folders that are volumes, and a workspace on an overlay, killed before each call."""
    folders = ("recommendations", "features", "models", ".recommendations.staged")
    cases = [Case(f"{folder} is a volume of the same disk", partial(_volume, folder)) for folder in folders]
    cases += [
        Case("the day's folder is a volume", _volume_of_the_day),
        Case("the workspace is on an overlay", partial(_on_overlay, lambda call: 0, 0)),
    ]
    kills = [
        Case(
            f"on an overlay, kill before call {nth} of replacing folders",
            partial(_killed_on_overlay, nth),
        )
        for nth in range(1, _OVERLAY_CALLS + 1)
    ]
    yield from cases[:1] + cases[-1:] + some(kills, True, 2) if quick else cases + kills


@dataclass
class Replacements:
    """Finds the calls that replace a folder: from an exchange that is refused to the journal's end."""

    is_on: bool = False
    is_last: bool = False

    def has(self, call: Call) -> bool:
        """Return whether the next call is one of them."""
        self.is_on = call.kind == EXCHANGE or (self.is_on and not self.is_last)
        self.is_last = call.kind == REMOVE and call.path.endswith(".journal")
        return self.is_on


def _killed(number: int, reader: tuple[str, ...], kit: Kit) -> list[str]:
    def verdict(call: Call) -> int:
        return signal.SIGKILL if call.number == number else refused_exchange(call)

    workspace = kit.workspace()
    outcome = kit.forked.run(*in_workspace(workspace, *SCORE), watched=workspace, verdict=verdict)
    was_reached = len(outcome.calls) >= number
    problems = _some_lists(kit, workspace) + _read(kit, workspace, reader)
    return problems + after(
        kit, workspace, outcome, {-signal.SIGKILL if was_reached else ExitCode.OK}, kit.lab.old
    )


def _failing_rename(error: int, nth: int, lasting: bool, kit: Kit) -> list[str]:
    met: list[Call] = []

    def verdict(call: Call) -> int:
        if call.kind != RENAME or not (call.nth == nth or lasting and call.nth > nth):
            return refused_exchange(call)
        met.append(call)
        return -error

    workspace = kit.workspace()
    outcome = kit.forked.run(*in_workspace(workspace, *SCORE), watched=workspace, verdict=verdict)
    problems = _some_lists(kit, workspace)
    if lasting:  # the roll-back failed, too
        problems += _read(kit, workspace, _READERS[nth % len(_READERS)])
    codes = {ExitCode.OUTPUT if met else ExitCode.OK}
    return problems + after(kit, workspace, outcome, codes, kit.lab.old)


def _failing_exchange(error: int, nth: int, kit: Kit) -> list[str]:
    def verdict(call: Call) -> int:
        return -error if call.kind == EXCHANGE and call.nth == nth else 0

    workspace = kit.workspace()
    outcome = kit.forked.run(*in_workspace(workspace, *SCORE), watched=workspace, verdict=verdict)
    return after(kit, workspace, outcome, {ExitCode.OUTPUT}, kit.lab.old)


def _volume(folder: str, kit: Kit) -> list[str]:
    workspace, volume = kit.workspace(), kit.scratch / "volume"
    with _as_volume(workspace / folder, volume):
        checked = kit.in_place.run("-q", *in_workspace(workspace, "check", "--date", DAY))
        outcome = kit.forked.run(*in_workspace(workspace, *SCORE))
        problems = spoken(checked, {ExitCode.OK})
        return problems + after(kit, workspace, outcome, {ExitCode.OK}, kit.lab.old, more=_INSIDE)


def _volume_of_the_day(kit: Kit) -> list[str]:
    workspace, volume = kit.workspace(), kit.scratch / "volume"
    with _as_volume((workspace / PUBLISHED).parent, volume):
        checked = kit.in_place.run("-q", *in_workspace(workspace, "check", "--date", DAY))
        outcome = kit.forked.run(*in_workspace(workspace, *SCORE))
        problems = spoken(checked, {ExitCode.CHECK}) + spoken(outcome, {ExitCode.OUTPUT})
        if "volume of its own" not in outcome.err:
            problems.append("it does not say that the folder is a volume")
        problems += intact(workspace, kit.lab.old, b"")
    return problems + recovered(kit, workspace)


def _as_volume(folder: Path, volume: Path) -> AbstractContextManager[None]:
    """Mount what a folder holds at this folder, under another name, for a block."""
    shutil.rmtree(volume, ignore_errors=True)
    shutil.copytree(folder, volume)
    return mounted_volume(volume, folder)


def _killed_on_overlay(nth: int, kit: Kit) -> list[str]:
    replacements, seen = Replacements(), []

    def verdict(call: Call) -> int:
        if replacements.has(call):
            seen.append(call)
        return signal.SIGKILL if len(seen) == nth else 0

    problems = _on_overlay(verdict, nth, kit, lambda: len(seen) >= nth)
    if len(seen) == _OVERLAY_CALLS:
        problems.append("more calls replace folders than are tried")
    return problems


def _on_overlay(
    verdict: Verdict, turn: int, kit: Kit, was_killed: Callable[[], bool] = lambda: False
) -> list[str]:
    with overlaid_disk(kit.scratch / "disk") as disk:
        kit.workspace(at=disk / "lower")
        with mounted_overlay(disk) as workspace:
            outcome = kit.forked.run(*in_workspace(workspace, *SCORE), watched=workspace, verdict=verdict)
            code = -signal.SIGKILL if was_killed() else ExitCode.OK
            problems = _some_lists(kit, workspace) + _read(kit, workspace, _READERS[turn % len(_READERS)])
            return problems + after(kit, workspace, outcome, {code}, kit.lab.old)


def _some_lists(kit: Kit, workspace: Path) -> list[str]:
    """Return what is wrong where neither the old nor the new lists are on the disk, under whatever name."""
    found = (file.read_bytes() for file in (workspace / "recommendations").rglob(PUBLISHED.name))
    return [] if any(held in (kit.lab.old, kit.lab.new) for held in found) else ["no lists are on the disk"]


def _read(kit: Kit, workspace: Path, reader: tuple[str, ...]) -> list[str]:
    """Run a command that reads the lists; return what is wrong with it."""
    outcome = kit.in_place.run("-q", *in_workspace(workspace, *reader))
    return [f"{reader[0]}: {problem}" for problem in spoken(outcome, {ExitCode.OK})]


FAMILIES = (
    Family(
        "journal-kills",
        "no exchange of folders: kill -9 at every call that replaces one",
        "old or new for the next reader; the next run repairs",
        killed_without_exchange,
        cannot_watch,
    ),
    Family(
        "journal-errors",
        "no exchange of folders: EIO and ENOSPC at, and from, every rename",
        "old or new; exit 5; the next run repairs",
        failing_renames,
        cannot_watch,
    ),
    Family(
        "volumes",
        "folders that are volumes; an overlay, kill -9 at every call that replaces one",
        "published, or reported beforehand; old or new for the next reader",
        on_volumes,
        lambda: cannot_watch() or cannot_mount(),
        alone=True,
    ),
)
