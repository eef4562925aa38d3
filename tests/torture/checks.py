"""What must hold after every case: old or new and nothing between, plain words, a clean next run."""

import json
import re
from collections.abc import Collection
from hashlib import sha256
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from recsys_cli.utils.columns import RANK, SCORE, USER_ID
from tests.torture.lab import PUBLISHED
from tests.torture.lab import SCORE as SCORE_DAY
from tests.torture.lab import Kit, in_workspace, listing
from tests.torture.program import HUNG, Outcome

_UGLY = re.compile(
    r"Traceback|this is a bug|panicked|Segmentation|core dumped|Exception ignored", re.IGNORECASE
)


def after(
    kit: Kit,
    workspace: Path,
    outcome: Outcome,
    codes: Collection[int],
    old: bytes | None,
    *,
    more: Collection[str] = (),
) -> list[str]:
    """Return all that is wrong after a run that a fault met; the next run, without a fault, included.

    Args:
        more: as `recovered` takes it.
    """
    return [*spoken(outcome, codes), *intact(workspace, old, kit.lab.new), *recovered(kit, workspace, more)]


def spoken(outcome: Outcome, codes: Collection[int]) -> list[str]:
    """Return what is wrong with the exit code and the words of a run."""
    said = outcome.out + outcome.err
    problems = []
    if outcome.code == HUNG:
        problems.append("it hangs")
    elif outcome.code not in codes:
        told = (said.strip().splitlines() or ["no word"])[0]
        problems.append(f"exit code {outcome.code}, not {' or '.join(map(str, sorted(codes)))}: {told}")
    if found := _UGLY.search(said):
        line = next(line for line in said.splitlines() if found.group() in line)
        problems.append(f"not for a user's eyes: {line}")
    return problems


def intact(workspace: Path, old: bytes | None, new: bytes | None = None) -> list[str]:
    """Return what is wrong with the published lists: they are the old ones, or new ones that are whole.

    Args:
        old: None where none were published before.
        new: the bytes that are expected; None: whatever is whole.
    """
    file = workspace / PUBLISHED
    if not file.exists():
        return [] if old is None else ["the old lists are gone"]
    found = file.read_bytes()
    if found == old:
        return []
    if new is not None and found != new:
        return ["the published lists are neither the old nor the new ones"]
    return [*whole(file), *_sidecar_problems(file, found, old)]


def whole(file: Path) -> list[str]:
    """Return what is wrong with a file of lists, taken alone."""
    try:
        table = pq.read_table(file)
    except (pa.ArrowException, OSError) as error:
        return [f"the published lists cannot be read: {error}"]
    if not table.num_rows:
        return []
    problems = []
    if not np.isfinite(table[SCORE].to_numpy()).all():
        problems.append("scores are not finite")
    users = table.group_by(USER_ID).aggregate([(RANK, "max"), (RANK, "count"), (RANK, "count_distinct")])
    most, rows, ranks = (users[f"{RANK}_{name}"].to_pylist() for name in ("max", "count", "count_distinct"))
    if not most == rows == ranks:
        problems.append("ranks do not count from 1 on")
    return problems


def recovered(kit: Kit, workspace: Path, more: Collection[str] = ()) -> list[str]:
    """Run once more without a fault; return what then differs from a clean run's work.

    Args:
        more: names of files and folders that a run may leave here.
    """
    outcome = kit.in_place.run("-q", *in_workspace(workspace, *SCORE_DAY))
    problems = [f"next run: {problem}" for problem in spoken(outcome, {0})]
    file = workspace / PUBLISHED
    if not file.exists() or file.read_bytes() != kit.lab.new:
        problems.append("next run: its lists are not a clean run's")
    elif not _is_told_of(file):
        problems.append("next run: the manifest is not of these lists")
    now = listing(workspace)
    stray = now - kit.lab.files - set(more)
    if topmost := sorted(name for name in stray if str(Path(name).parent) not in stray):
        problems.append(f"next run: it leaves {', '.join(map(_without_numbers, topmost))}")
    if gone := sorted(kit.lab.files - now):
        problems.append(f"next run: {', '.join(gone)} is gone")
    return problems


def _sidecar_problems(file: Path, found: bytes, old: bytes | None) -> list[str]:
    try:
        told = json.loads(file.with_name("manifest.json").read_text())["sha256"]
    except FileNotFoundError:
        return [] if old is None else ["the manifest is gone"]
    except (ValueError, KeyError, TypeError):
        return ["the manifest cannot be read"]
    known = {sha256(data).hexdigest() for data in (found, old) if data is not None}
    return [] if told in known else ["the manifest is of neither the old nor the new lists"]


def _is_told_of(file: Path) -> bool:
    manifest = json.loads(file.with_name("manifest.json").read_text())
    return bool(manifest["sha256"] == sha256(file.read_bytes()).hexdigest())


def _without_numbers(name: str) -> str:
    """Return a name as it is in every run: process ids and random parts are left out."""
    return re.sub(r"\.\d+-[0-9a-f]{8}\.|\.\d+\.(?=part|old)", ".N.", name)
