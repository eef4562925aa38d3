"""The input gates through the program: what they stop, let through, record and show."""

import json
from datetime import datetime
from pathlib import Path

import polars as pl
import pytest

from recsys_cli.cli.app import main
from recsys_cli.utils.errors import ExitCode

FIRST, SECOND, THIRD = "2010-11-24", "2010-11-25", "2010-11-26"


@pytest.fixture
def shop(retail_sample: Path, tmp_path: Path) -> Path:
    """A workspace of a real shop; its data may be changed."""
    (tmp_path / "settings").mkdir()
    tables = {name: pl.read_parquet(retail_sample / f"{name}.parquet") for name in ("interactions", "items")}
    for name, frame in tables.items():
        frame.write_parquet(tmp_path / f"{name}.parquet")
    (tmp_path / "settings/settings.toml").write_text(
        '[default.data.interactions]\npath = "interactions.parquet"\n'
        '[default.data.items]\npath = "items.parquet"\nfeatures = ["range"]\n'
    )
    return tmp_path


def run(shop: Path, *words: str) -> int:
    return main(["-C", str(shop), *words])


def deliver(shop: Path, events: pl.DataFrame) -> pl.DataFrame:
    """Write other events, and return those before."""
    before = pl.read_parquet(shop / "interactions.parquet")
    events.write_parquet(shop / "interactions.parquet")
    return before


def inputs_of_last_run(shop: Path) -> dict[str, object]:
    files = sorted((shop / "runs").glob("*/run.json"), key=lambda file: file.stat().st_mtime_ns)
    return dict(json.loads(files[-1].read_text())["inputs"])


def test_a_cut_history_is_stopped_on_the_second_night_and_may_be_accepted(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(shop, "features", "--date", FIRST) == ExitCode.OK
    assert "events repeat the user, item and timestamp" in capsys.readouterr().err
    figures = inputs_of_last_run(shop)["figures"]
    whole = pl.read_parquet(shop / "interactions.parquet")
    assert isinstance(figures, dict)
    assert figures["events"] == len(whole.filter(pl.col("timestamp") < datetime(2010, 11, 24)))
    newest = whole.filter(pl.col("timestamp") >= datetime(2010, 11, 17))
    deliver(shop, newest)

    assert run(shop, "features", "--date", SECOND) == ExitCode.INPUT

    error = capsys.readouterr().err
    now = len(newest.filter(pl.col("timestamp") < datetime(2010, 11, 25)))
    assert f"events: {now:,}; expected from the run for {FIRST}: " in error
    assert "(data.gates.min_events)" in error and "--accept-inputs" in error
    assert not (shop / f"features/date={SECOND}").exists()
    assert run(shop, "features", "--date", SECOND, "--accept-inputs") == ExitCode.OK
    accepted = inputs_of_last_run(shop)["accepted"]
    assert isinstance(accepted, list) and "events" in accepted
    assert (
        run(shop, "features", "--date", SECOND) == ExitCode.OK
    )  # what was accepted of the same inputs stays so
    capsys.readouterr()
    assert run(shop, "features", "--date", THIRD) == ExitCode.OK  # and its figures are known by now
    assert "events repeat" not in capsys.readouterr().err
    deliver(shop, newest.filter(pl.col("timestamp") >= datetime(2010, 11, 25)))
    assert run(shop, "features", "--date", "2010-11-27") == ExitCode.INPUT


def test_the_check_shows_the_figures_side_by_side(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(shop, "features", "--date", FIRST) == ExitCode.OK
    events = pl.read_parquet(shop / "interactions.parquet")
    deliver(shop, pl.concat([events, events]))
    capsys.readouterr()

    assert run(shop, "check", "--date", SECOND, "--json") == ExitCode.CHECK

    shown = json.loads(capsys.readouterr().out)
    before = events.filter(pl.col("timestamp") < datetime(2010, 11, 25))
    gates = {gate["what"]: gate for gate in shown["gates"]}
    assert gates["events"]["today"] == 2 * len(before) == shown["inputs"]["events"]
    assert not gates["events"]["holds"] and gates["users with events"]["holds"]
    assert gates["share of events that are there more than once"]["today"] == 1
    assert run(shop, "check", "--date", SECOND, "--accept-inputs") == ExitCode.OK
    assert "data.gates.max_events" in capsys.readouterr().out


def test_a_dead_export_is_stopped_on_the_first_night(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in (("features",), ("train",), ("batch",), ("check",)):
        code = run(shop, *command, "--date", "2011-04-01")
        assert code == (ExitCode.CHECK if command == ("check",) else ExitCode.INPUT)
        assert "days old, the limit is 7" in "".join(capsys.readouterr())
    assert run(shop, "features", "--date", "2011-04-01", "--accept-inputs") == ExitCode.OK
    assert "accepted: the newest event before 2011-04-01" in capsys.readouterr().err


def test_a_quiet_run_tells_its_warnings_once_and_the_next_one_tells_none_of_them(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(shop, "-q", "features", "--date", FIRST) == ExitCode.OK
    told = capsys.readouterr().err
    assert told.count("warning:") == 1 and told.count("events repeat") == 1
    more = pl.col("user_id").cast(pl.String).alias("voucher")
    deliver(shop, pl.read_parquet(shop / "interactions.parquet").with_columns(more))

    assert run(shop, "-q", "features", "--date", SECOND) == ExitCode.OK
    assert f"columns of the interactions that are new since {FIRST}: voucher" in capsys.readouterr().err
    assert run(shop, "-q", "features", "--date", THIRD) == ExitCode.OK
    assert not capsys.readouterr().err
