"""`make torture`: every fault of the table, met by a real run, and whether the promise held.

    python -m tests.torture [--quick] [--only NAME ...] [--list]

After each case: the published lists are the old ones byte for byte or the new ones, whole; no traceback; the
documented exit code; and a next run's work equals a clean run's, with no stray file. Writes
.bench/torture.json.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.torture.case import Family
from tests.torture.families import FAMILIES
from tests.torture.report import Row, show, told
from tests.torture.workers import Workers

FOLDER = Path(".bench")


def main() -> int:
    """Run the families that are asked for; return the exit code."""
    args = _parser().parse_args()
    chosen = [family for family in FAMILIES if not args.only or family.name in args.only]
    if args.list:
        print("\n".join(f"{family.name:16s} {family.fault}" for family in chosen))
        return 0
    FOLDER.mkdir(exist_ok=True)
    started = time.monotonic()
    with TemporaryDirectory(prefix="recsys-torture-") as name:
        root = Path(name)
        root.chmod(0o755)  # another user runs the program there
        rows: list[Row] = []
        for row in _rows(root, chosen, args.quick, args.workers):
            rows.append(row)
            seconds = round(time.monotonic() - started)
            result = {"schema_version": 1, "quick": args.quick, "seconds": seconds, "rows": told(rows)}
            args.result.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    show(rows, time.monotonic() - started)
    return 0 if all(row.passed for row in rows) else 1


def _rows(root: Path, chosen: Sequence[Family], quick: bool, count: int) -> Iterator[Row]:
    with Workers.open(root, count) as workers:
        for family in chosen:
            row = workers.torture(family, quick)
            print(row.line(), file=sys.stderr, flush=True)
            yield row


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a few cases of each kind")
    names = [family.name for family in FAMILIES]
    parser.add_argument("--only", nargs="+", choices=names, metavar="NAME", help=", ".join(names))
    parser.add_argument("--list", action="store_true", help="only list the families")
    parser.add_argument("--workers", type=int, default=3, help="cases at a time (default: 3)")
    parser.add_argument("--result", type=Path, default=FOLDER / "torture.json", help="where the result goes")
    return parser


if __name__ == "__main__":
    sys.exit(main())
