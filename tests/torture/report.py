"""The table of faults and promises, with the number of cases and a pass mark."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.torture.case import Family

_SHOWN = 5  # kinds of failure under the table, a family


@dataclass
class Row:
    """What became of a family."""

    family: Family
    cases: int = 0
    seconds: float = 0.0
    obstacle: str = ""
    failures: list[tuple[str, list[str]]] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether each promise held; what cannot run here breaks none."""
        return not self.failures

    @property
    def mark(self) -> str:
        """A pass mark."""
        if self.obstacle:
            return f"not run: {self.obstacle}"
        return f"✗ {len(self.failures)} failed" if self.failures else "✓"

    def line(self) -> str:
        """Return the row as a line of text."""
        return f"{self.family.name}: {self.cases} cases, {self.seconds:.0f} s, {self.mark}"

    def kinds(self) -> list[tuple[str, int, str]]:
        """Return each problem, how many cases have it and the first of them; the most frequent first."""
        counts = Counter(problem for _, problems in self.failures for problem in problems)
        first = {problem: name for name, problems in reversed(self.failures) for problem in problems}
        return [(problem, count, first[problem]) for problem, count in counts.most_common()]


def show(rows: list[Row], seconds: float) -> None:
    """Print the table, and under it what failed."""
    console = Console()
    table = Table(title=f"{sum(row.cases for row in rows):,} cases in {seconds:.0f} s")
    for name in ("fault", "promise", "cases", "s", ""):
        table.add_column(name, justify="right" if name in ("cases", "s") else "left")
    for row in rows:
        figures = f"{row.cases:,}", f"{row.seconds:.0f}"
        table.add_row(row.family.fault, row.family.promise, *figures, row.mark)
    console.print(table)
    for row in rows:
        for problem, count, name in row.kinds()[:_SHOWN]:
            console.print(f"{row.family.name}: {problem}", markup=False, highlight=False, soft_wrap=True)
            console.print(
                f"    {count} cases, the first: {name}", markup=False, highlight=False, soft_wrap=True
            )


def told(rows: list[Row]) -> list[dict[str, Any]]:
    """Return the rows as JSON objects."""
    return [
        {
            "name": row.family.name,
            "fault": row.family.fault,
            "promise": row.family.promise,
            "cases": row.cases,
            "seconds": round(row.seconds, 1),
            "passed": row.passed,
            "not_run": row.obstacle,
            "failures": [{"case": name, "problems": problems} for name, problems in row.failures],
        }
        for row in rows
    ]
