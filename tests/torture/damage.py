"""Bits that flip and files that end early, in every kind of file that a run reads.

Where a hash or checksum guards a byte, an error names the file, or it is made anew. A flip that no check can
see must be harmless: the lists equal a clean run's.
"""

import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pyarrow.parquet as pq

from recsys_cli.utils.errors import ExitCode
from tests.torture.case import Case, Family, some
from tests.torture.checks import spoken
from tests.torture.lab import DAY, PUBLISHED, SCORE, Kit, Lab, in_workspace

_FEW = 2
_SPARSE = 64
_OWN = ("features", "models", "recommendations")  # what a run must leave, or make, as it was


@dataclass(frozen=True)
class Kind:
    """A kind of file: where it lies, what is run to read it, and how that may end.

    Attributes:
        mends: whether the run puts right what it can; else it only tells.
        flips: how many bits flip, one at a time; step: how finely files are cut.
    """

    name: str
    patterns: tuple[str, ...]
    command: tuple[str, ...]
    codes: frozenset[int]
    mends: bool = True
    flips: int = 100
    step: int = 5

    def files(self, workspace: Path) -> list[str]:
        """Return the files of this kind in a workspace, by name."""
        found = {path for pattern in self.patterns for path in workspace.glob(pattern) if path.is_file()}
        return sorted(str(path.relative_to(workspace)) for path in found)


_BUILD = ("features", "--date", DAY)
_LISTS = (f"{PUBLISHED.parent}/*",)
_KINDS = (
    Kind("inputs", ("data/*.parquet",), _BUILD, frozenset({ExitCode.OK, ExitCode.INPUT}), step=6),
    Kind("features", (f"features/date={DAY}/*",), _BUILD, frozenset({ExitCode.OK}), step=6),
    Kind(
        "model",
        ("models/*/*", "models/promoted.json"),
        SCORE,
        frozenset({ExitCode.OK, ExitCode.MODEL}),
        mends=False,
    ),
    Kind("published", _LISTS, ("verify", DAY), frozenset({ExitCode.CHECK}), mends=False, step=8),
    Kind("republished", _LISTS, SCORE, frozenset({ExitCode.OK}), flips=100, step=64),  # each scores
)


def flips(kind: Kind, lab: Lab, quick: bool) -> Iterator[Case]:
    """Yield a flip of one bit in turn in each file, at a place drawn over its length."""
    rng = random.Random(kind.name)
    files = {name: size for name in kind.files(lab.ready) if (size := (lab.ready / name).stat().st_size)}
    names = list(files)
    for number in range(_FEW if quick else kind.flips):
        name = names[number % len(names)]
        share, bit = rng.random(), rng.randrange(8)  # the inputs are written anew: another length
        yield Case(f"bit {bit} at {share:.5f} of {name}", partial(_damaged, kind, name, _flip(share, bit)))


def truncations(kind: Kind, lab: Lab, quick: bool) -> Iterator[Case]:
    """Yield files that end early.

    The smallest parquet file of a kind is cut at every `step` bytes of its footer, the others, which the same
    code reads, at every 64th; those that are no parquet at some lengths.
    """
    files = {name: size for name in kind.files(lab.ready) if (size := (lab.ready / name).stat().st_size)}
    tables = sorted((name for name in files if name.endswith(".parquet")), key=lambda name: files[name])
    cuts = {name: range(1, _footer(lab.ready / name) + 1, _SPARSE) for name in tables}
    cuts[tables[0]] = range(1, _footer(lab.ready / tables[0]) + 1, kind.step)
    cases = [
        Case(f"{name} without its last {count} bytes", partial(_damaged, kind, name, _cut(count)))
        for name, size in files.items()
        for count in cuts.get(name, sorted({2, (size + 1) // 2, size}))  # the last byte ends a line
    ]
    yield from some(cases, quick, _FEW)


def _flip(share: float, bit: int) -> Callable[[bytes], bytes]:
    def change(data: bytes) -> bytes:
        place = int(share * len(data))
        return data[:place] + bytes([data[place] ^ 1 << bit]) + data[place + 1 :]

    return change


def _cut(count: int) -> Callable[[bytes], bytes]:
    return lambda data: data[:-count]


def _footer(file: Path) -> int:
    """Return the length of a parquet file's footer, its own length and the magic word included."""
    with file.open("rb") as opened:
        opened.seek(-8, 2)
        return int.from_bytes(opened.read(4), "little") + 8


def _damaged(kind: Kind, name: str, change: Callable[[bytes], bytes], kit: Kit) -> list[str]:
    workspace, before = _kept(kit, kind)
    file = workspace / name
    sound = file.read_bytes()
    file.write_bytes(change(sound))
    outcome = kit.in_place.run("-q", *in_workspace(workspace, *kind.command))
    problems = spoken(outcome, kind.codes)
    if outcome.code and file.name not in outcome.err:
        problems.append(f"the error does not name the file: {outcome.err.splitlines()[:1]}")
    if not kind.mends:
        file.write_bytes(sound)
    now = _snapshot(workspace)
    if now != before:
        changed = sorted(one for one in before.keys() | now.keys() if before.get(one) != now.get(one))
        problems.append(f"exit code {outcome.code} and other results: {', '.join(changed)}")
    file.write_bytes(sound)
    shutil.rmtree(workspace / "runs", ignore_errors=True)
    if problems:
        shutil.rmtree(workspace)
    return problems


def _kept(kit: Kit, kind: Kind) -> tuple[Path, dict[str, bytes]]:
    """Return this worker's workspace of a kind, made where it is not there, and what a run leaves there."""
    workspace = kit.scratch / f"damage-{kind.name}"
    if not workspace.exists():
        kit.workspace(kit.lab.ready, workspace)
        if kind.name == "inputs":
            for table in (workspace / "data").glob("*.parquet"):
                pq.write_table(pq.read_table(table), table, write_page_checksum=True)
        outcome = kit.in_place.run("-q", *in_workspace(workspace, *SCORE))
        assert outcome.code == ExitCode.OK, outcome
        shutil.rmtree(workspace / "runs")
    return workspace, kit.known.setdefault(kind.name, _snapshot(workspace))


def _snapshot(workspace: Path) -> dict[str, bytes]:
    """Return what the program owns, the manifests that tell times and the inputs' state aside."""
    files = (path for folder in _OWN for path in (workspace / folder).rglob("*") if path.is_file())
    return {
        str(path.relative_to(workspace)): path.read_bytes()
        for path in files
        if path.suffix != ".json" or "models" in path.parts
    }


def _family(kind: Kind, what: str, cases: Callable[[Kind, Lab, bool], Iterator[Case]], fault: str) -> Family:
    promise = {
        "inputs": "an error names the file, or the features are the same",
        "features": "they are built again, the same",
        "model": "exit 4 names the file, or the lists are the same",
        "published": "`recsys verify` exits 1 and names the file",
        "republished": "they are published again, the same",
    }[kind.name]
    return Family(f"{what}-{kind.name}", f"{kind.name}: {fault}", promise, partial(cases, kind))


FAMILIES = tuple(
    family
    for kind in _KINDS
    for family in (
        _family(kind, "flips", flips, "a bit flips"),
        _family(kind, "cuts", truncations, "files cut, footers every few bytes"),
    )
)
