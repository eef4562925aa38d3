"""A search goes on where it was stopped, keeps to its days and is never worse than what it began with."""

import json
import pickle
import shutil
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from recsys_cli.cli.app import main
from recsys_cli.cli.display.terminal import Terminal
from recsys_cli.configs.loader import load_settings
from recsys_cli.configs.sections import Settings
from recsys_cli.models.settings_tree import settings_tree
from recsys_cli.pipelines.tune import evaluate_winner
from recsys_cli.pipelines.tuning.search import (
    Objective,
    SearchProgress,
    TuneRequest,
    TuningPlan,
    Winner,
    plan_tuning,
    search,
)
from recsys_cli.pipelines.tuning.search_space import space_of, values_of, whole_space
from recsys_cli.pipelines.workspace.layout import Workspace
from recsys_cli.pipelines.workspace.run_record import begin_run
from recsys_cli.utils.dates import parse_duration
from recsys_cli.utils.errors import ExitCode, InputError, ModelError, UsageError
from recsys_cli.utils.storage.locks import locked

DAY = date(2026, 3, 2)
WEEK = timedelta(days=7)
SETTINGS = """
[default.data.interactions]
path = "interactions.parquet"
[default.candidates.lightfm]
epochs = 2
no_components = 8
[default.ranker]
iterations = 10
label_days = 7
label_windows = 2
[default.runtime]
threads = 1
"""


def events() -> pl.DataFrame:
    """Six weeks before the day of 60 users, each fond of a quarter of 40 items, and three days more."""
    rng = np.random.default_rng(7)
    users, items, size = 60, 40, 2_400
    who = rng.integers(0, users, size)
    fond = who % 4 + 4 * rng.integers(0, items // 4, size)
    what = np.where(rng.random(size) < 0.7, fond, rng.integers(0, items, size))
    begin = datetime(DAY.year, DAY.month, DAY.day) - timedelta(days=42)
    seconds = rng.integers(0, 45 * 86_400, size)
    times = [begin + timedelta(seconds=int(one)) for one in seconds]
    return pl.DataFrame({"user_id": who, "item_id": 100 + what, "timestamp": times})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A workspace."""
    (tmp_path / "settings").mkdir()
    (tmp_path / "settings/settings.toml").write_text(SETTINGS)
    events().write_parquet(tmp_path / "interactions.parquet")
    return tmp_path


def plan_of(root: Path, budget: int = 1, windows: int = 1) -> TuningPlan:
    workspace = Workspace(root, load_settings(root, None, (), settings_tree()).settings)
    return plan_tuning(workspace, TuneRequest(DAY, budget, windows), begin_run(workspace, "tune"))


def silent(_: SearchProgress) -> None:
    """Look away."""


def depth_counts(_: TuningPlan, settings: Settings) -> float:
    """A value that deep trees and few of them have."""
    return settings.ranker.depth / (10 + settings.ranker.iterations / 1_000)


def search_until(plan: TuningPlan, trials: int, objective: Objective = depth_counts) -> Winner:
    """Search through this many trials; a Ctrl-C then comes before the next."""

    def stop(progress: SearchProgress) -> None:
        if progress.done == trials:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search(replace(plan, request=replace(plan.request, budget=3_600)), stop, objective)
    return search(plan, silent, objective)


def journal(plan: TuningPlan) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (plan.folder / "journal.jsonl").read_text().splitlines()]


def test_the_first_trial_is_todays_settings_and_the_winner_is_the_best(root: Path) -> None:
    tried = []

    def value(plan: TuningPlan, settings: Settings) -> float:
        tried.append(settings)
        return depth_counts(plan, settings)

    plan = plan_of(root)
    winner = search_until(plan, 12, value)
    values = [depth_counts(plan, settings) for settings in tried]
    assert tried[0] == plan.workspace.settings
    assert winner.progress.today == values[0]
    assert winner.progress.best == max(values) > values[0]
    assert values_of(tried[int(np.argmax(values))], winner.values) == winner.values
    lightfm = [settings.candidates.lightfm.model_copy(update={"num_candidates": 0}) for settings in tried]
    assert len(set(map(repr, lightfm))) <= 1 + len(tried) / 3 + 1  # each of them costs its fits


def test_an_interrupted_search_goes_on_from_its_trials(root: Path) -> None:
    first = search_until(plan_of(root), 4)
    assert (first.progress.earlier, first.progress.done >= 1) == (4, True)
    again = search(plan_of(root), silent, depth_counts)
    assert again.progress.earlier == 4 + first.progress.done
    assert again.progress.best is not None and first.progress.best is not None
    assert again.progress.best >= first.progress.best


def test_a_trial_that_was_cut_short_is_not_taken_for_one(root: Path) -> None:
    def interrupted(*_: object) -> float:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search(plan_of(root), silent, interrupted)
    winner = search(plan_of(root), silent, depth_counts)
    assert winner.progress.earlier == 0
    assert winner.progress.today == pytest.approx(6 / 10.01)


def test_trials_that_fail_are_recorded_and_the_search_goes_on(root: Path) -> None:
    plan = plan_of(root)

    def value(_: TuningPlan, settings: Settings) -> float:
        if settings != plan.workspace.settings:
            raise ModelError("the training diverged")
        return 0.5

    winner = search(replace(plan, request=replace(plan.request, budget=2)), silent, value)
    assert winner.progress.failed == winner.progress.done - 1 > 2
    assert (winner.progress.best, winner.changes()) == (0.5, {})
    report = evaluate_winner(plan, winner)
    assert (report.comparisons, report.better) == ([], "neither")
    assert "the training diverged" in (plan.folder / "journal.jsonl").read_text()


def test_settings_that_cannot_be_trained_today_end_the_search(root: Path) -> None:
    def fails(*_: object) -> float:
        raise InputError("no event before")

    with pytest.raises(InputError, match="no event before"):
        search(plan_of(root), silent, fails)


def test_no_trial_begins_that_does_not_fit_into_the_time_left(root: Path) -> None:
    now = [0.0]

    def takes_long(plan: TuningPlan, settings: Settings) -> float:
        now[0] += 100.0
        return depth_counts(plan, settings)

    seen: list[SearchProgress] = []
    plan = plan_of(root)
    plan = replace(plan, request=replace(plan.request, budget=1_050))
    search(plan, seen.append, takes_long, lambda: now[0])
    assert [one.done for one in seen] == [0, 1, 2, 3, 4, 5, 6, 7, 8]  # and 200 s for the evaluation
    assert [one.expected for one in seen][1:] == [8] * 8


def test_what_happens_in_the_untouched_days_changes_no_trial(root: Path) -> None:
    """The trials' values, and where they are kept, are the same for other events from D - label_days on."""
    untouched = DAY - WEEK
    inside = pl.col("timestamp") >= datetime(untouched.year, untouched.month, untouched.day)
    one = search(plan_of(root), silent)
    folder = root / "runs/tune"
    shutil.move(folder, root / "first")
    other = events().with_columns(
        pl.when(inside).then(pl.col("item_id").shuffle(seed=1) + 1_000).otherwise("item_id").alias("item_id")
    )
    pl.concat([other, other.filter(inside).with_columns(pl.col("user_id") % 9)]).write_parquet(
        root / "interactions.parquet"
    )
    plan = plan_of(root)
    two = search(plan, silent)
    assert one.progress.today is not None and one.progress.today > 0
    assert two.progress.today == one.progress.today
    assert [path.name for path in folder.iterdir()] == [path.name for path in (root / "first").iterdir()]
    events().filter(pl.col("user_id") != 3).write_parquet(root / "interactions.parquet")
    assert plan_of(root).folder != plan.folder


def test_as_many_later_windows_stay_untouched_as_judge_the_trials(root: Path) -> None:
    plan = plan_of(root, windows=2)
    assert [holdout.request.day for holdout in plan.holdouts] == [DAY - WEEK, DAY - 2 * WEEK]
    assert [tables.day for tables in plan.known] == [DAY - 2 * WEEK, DAY - 3 * WEEK]
    assert all(tables.events["timestamp"].max() < tables.cut for tables in plan.known)
    with pytest.raises(UsageError, match="beyond the calendar"):
        plan_tuning(plan.workspace, TuneRequest(date(1, 1, 20), 1), plan.run)


def test_the_trials_read_the_external_candidates_of_all_their_windows(root: Path) -> None:
    settings = (root / "settings/settings.toml").read_text()
    external = '[default.candidates.external]\npath = "external/{date}.parquet"\n'
    (root / "settings/settings.toml").write_text(settings + external)
    (root / "external").mkdir()
    liked = events().select("user_id", "item_id").unique(maintain_order=True)
    for weeks in range(1, 6):
        liked.head(100 * weeks).write_parquet(root / f"external/{DAY - weeks * WEEK}.parquet")
    plan = plan_of(root, windows=2)
    assert plan.known[-1].external is not None
    assert sorted(plan.known[-1].external) == [DAY - weeks * WEEK for weeks in (5, 4, 3)]
    assert (search(plan, silent).progress.today or 0) > 0
    liked.tail(300).write_parquet(root / f"external/{DAY - 5 * WEEK}.parquet")
    assert plan_of(root, windows=2).folder != plan.folder


def test_the_winners_file_is_adopted_by_copying_it(root: Path) -> None:
    (root / "settings/settings.toml").write_text(
        '[default.data.interactions]\npath = "interactions.parquet"\n'
    )
    plan = plan_of(root)
    winner = search_until(plan, 8)
    assert winner.changes()
    shutil.copy(winner.file, root / "settings/settings.local.toml")
    adopted = plan_of(root)
    assert values_of(adopted.workspace.settings, space_of(adopted.workspace.settings)) == winner.values
    assert adopted.folder == plan.folder  # the search goes on from the adopted settings
    assert search(adopted, silent, depth_counts).progress.today == winner.progress.best


def test_the_journal_is_text_and_loading_it_runs_nothing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("a pickle was loaded")

    plan = plan_of(root)
    search(plan, silent, depth_counts)
    assert all("op_code" in line for line in journal(plan))
    for name in ("loads", "load", "Unpickler"):
        monkeypatch.setattr(pickle, name, never)
    assert search(plan, silent, depth_counts).progress.earlier >= 1


def test_a_line_that_a_killed_run_left_half_written_is_dropped(root: Path) -> None:
    plan = plan_of(root)
    done = search(plan, silent, depth_counts).progress.done
    path = plan.folder / "journal.jsonl"
    path.write_bytes(path.read_bytes() + b'{"op_code":4,"worker')
    (plan.folder / "journal.jsonl.lock").symlink_to(path)
    assert search(plan, silent, depth_counts).progress.earlier == done
    assert journal(plan)


@pytest.mark.parametrize("text", ["no json\n", '{"op_code": 99}\n', "[1]\n"])
def test_a_damaged_journal_is_reported(root: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    folder = plan_of(root).folder
    folder.mkdir(parents=True)
    (folder / "journal.jsonl").write_text(text + '{"op_code": 0}\n')
    assert main(["-C", str(root), "tune", "--date", str(DAY), "--budget", "1s"]) == ExitCode.INPUT
    assert "error: the journal of the search cannot be read" in capsys.readouterr().err


def test_the_progress_line_shows_the_best_of_the_moment(capsys: pytest.CaptureFixture[str]) -> None:
    best = ["best 0.1"]
    with Terminal().progress(lambda: best[-1], "trials") as progress:
        best.append("best 0.2")
        progress(3, 3)
    assert capsys.readouterr().err.startswith("best 0.2: 3 trials in 0.")


def test_two_runs_of_a_search_exclude_each_other(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = plan_of(root)
    with locked(plan.workspace.lock(f"tune-{plan.folder.name}"), "a test"):
        assert main(["-C", str(root), "tune", "--date", str(DAY)]) == ExitCode.LOCKED
    assert "another run is busy with the search 2026-03-02-" in capsys.readouterr().err


def test_the_space_has_todays_values_and_no_source_that_is_off() -> None:
    today = settings_tree().model_validate(
        {
            "candidates": {
                "lightfm": {"num_candidates": 0},
                "bm25_recent": {"num_candidates": 0},
                "bm25": {"num_candidates": 900},
            },
            "ranker": {"depth": 2, "rsm": 0.01},
            "evaluation": {"k": 60},
        }
    )
    space = space_of(today)
    assert not [key for key in space if key.startswith("candidates.lightfm")]
    assert "candidates.bm25_recent.num_candidates" not in space
    assert "candidates.bm25.neighbours" in space
    bounds = space["candidates.bm25.num_candidates"]
    assert (bounds.low, bounds.high) == (60, 900)  # type: ignore[attr-defined]
    assert (space["ranker.depth"].low, space["ranker.rsm"].low) == (2, 0.01)  # type: ignore[attr-defined]
    assert set(space_of(settings_tree()())) == set(whole_space())


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("30m", 1_800), ("2h", 7_200)])
def test_a_budget_is_seconds_minutes_or_hours(text: str, seconds: int) -> None:
    assert parse_duration(text, "--budget") == seconds


@pytest.mark.parametrize("text", ["", "0m", "30", "1d", "-5m", "1.5h", "5 m", "5M", "٣m", "5m\n", "9999999h"])
def test_any_other_budget_is_refused(root: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-C", str(root), "tune", f"--budget={text}"]) == ExitCode.USAGE
    out, err = capsys.readouterr()
    assert out == "" and "is not a duration\n  where: --budget\n  fix: write it as 90s, 30m or 2h" in err


def test_the_program_searches_judges_and_goes_on(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["-C", str(root), "tune", "--date", str(DAY), "--budget", "1s"]
    assert main(command) == ExitCode.OK
    out, err = capsys.readouterr()
    assert "NDCG@10, today's settings" in out and "Optuna" not in out + err and "Warning" not in err
    assert "Tuning on events before 2026-02-23, best 0." in err
    assert main([*command, "--json"]) == ExitCode.OK
    out, err = capsys.readouterr()
    output = json.loads(out)
    assert "resuming after 1 trials" in err
    assert output["schema_version"] == 1
    assert output["trials"] == {"earlier": 1, "now": 1, "failed": 0}
    assert output["search"]["winner"] >= output["search"]["today"] > 0
    assert output["untouched"]["first_days"] == ["2026-02-23"] and output["untouched"]["days"] == 7
    assert output["untouched"]["better"] in ("winner", "today", "neither")
    for one in output["untouched"]["comparisons"]:
        assert one["low"] <= one["difference"] <= one["high"]
        name = one["metric"]
        gain = output["untouched"]["winner"][name] - output["untouched"]["today"][name]
        assert one["difference"] == pytest.approx(gain)
    assert Path(output["settings_file"]).is_file()
