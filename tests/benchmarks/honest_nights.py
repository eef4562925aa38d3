"""Every honest night of a shop through the input gates: none may be stopped.

    python -m tests.benchmarks.honest_nights [--data FOLDER] [--first DATE] [--nights N]

FOLDER has interactions.parquet, users.parquet and items.parquet; by default those of tests/data. Each night
reads the events before its date, and is compared with the seven nights before it.
"""

import argparse
from datetime import date, timedelta
from pathlib import Path

from recsys_cli.configs.data_sections import DataSettings
from recsys_cli.data_preparation.readers.remote_copies import InputFolder
from recsys_cli.data_preparation.tables.contract import Tables, read_tables
from recsys_cli.data_preparation.tables.input_figures import InputFigures, figures_of
from recsys_cli.pipelines.monitoring.input_gates import input_gates

SAMPLE = Path(__file__).parents[1] / "data" / "online-retail-2009"
DATA = DataSettings.model_validate(
    {name: {"path": f"{name}.parquet"} for name in ("interactions", "users", "items")}
)


def stopped_nights(tables: Tables, first: date, nights: int) -> dict[date, list[str]]:
    """Return what would stop a run, by night."""
    past: list[InputFigures] = []
    stopped = {}
    for day in (first + timedelta(days=after) for after in range(nights)):
        figures = figures_of(tables.as_of(day), "same", {})
        gates = input_gates(figures, past[:7], None, DATA.gates)
        wrong = [gate.what for gate in gates if not gate.holds and gate.severity == "error"]
        if figures.newest_event_age_days > DATA.stale_after_days:
            wrong.append("age of the newest event")
        if wrong:
            stopped[day] = wrong
        past.insert(0, figures)
    return stopped


def main() -> None:
    """Print each night that is stopped, and how many there are."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=SAMPLE)
    parser.add_argument("--first", type=date.fromisoformat, default=date(2010, 10, 11))
    parser.add_argument("--nights", type=int, default=60)
    given = parser.parse_args()
    end = given.first + timedelta(days=given.nights)
    tables = read_tables(DATA, InputFolder(given.data), end, "Europe/London")
    stopped = stopped_nights(tables, given.first, given.nights)
    for day, wrong in stopped.items():
        print(f"{day}: {', '.join(wrong)}")
    print(f"{len(stopped)} of {given.nights} nights are stopped")


if __name__ == "__main__":
    main()
