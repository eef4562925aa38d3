"""Threads that work through a family's cases, each with a kit of its own."""

import time
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import LifoQueue

from tests.torture.case import Case, Family
from tests.torture.lab import Kit, Lab, Programs, make_lab
from tests.torture.report import Row

_WAITING = 3  # cases of a worker at a time where they wait more than they work


@dataclass(frozen=True)
class Workers:
    """Kits that are free, and the threads that take them."""

    lab: Lab
    kits: "LifoQueue[Kit]"
    count: int

    @classmethod
    @contextmanager
    def open(cls, root: Path, count: int) -> Iterator["Workers"]:
        """Make the lab and the kits of `count` workers under `root` for a block."""
        kits: LifoQueue[Kit] = LifoQueue()  # the same few where few are needed: each starts two servers
        folders = [root / f"worker-{number}" for number in range(_WAITING * count)]
        opened = [Programs.open(folder / "said") for folder in folders]
        try:
            lab = make_lab(root / "lab", opened[0])
            for folder, programs in zip(folders, opened, strict=True):
                kits.put(Kit(lab, folder, programs))
            yield cls(lab, kits, count)
        finally:
            for programs in opened:
                programs.close()

    def torture(self, family: Family, quick: bool) -> Row:
        """Run the cases of a family."""
        row = Row(family, obstacle=family.obstacle())
        if row.obstacle:
            return row
        started = time.monotonic()
        more = _WAITING if family.waits and not quick else 1  # each kit makes what its cases begin with
        at_once = 1 if family.alone else self.count * more
        with ThreadPoolExecutor(at_once) as pool:
            for name, problems in pool.map(self._met, family.cases(self.lab, quick)):
                row.cases += 1
                if problems:
                    row.failures.append((name, problems))
        row.seconds = time.monotonic() - started
        return row

    def _met(self, case: Case) -> tuple[str, list[str]]:
        kit = self.kits.get()
        try:
            return case.name, case.run(kit)
        except Exception as error:  # pylint: disable=broad-exception-caught
            last = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{Path(last.filename).name}:{last.lineno}"
            return case.name, [f"the harness failed: {type(error).__name__}: {error} ({where})"]
        finally:
            self.kits.put(kit)
