import json
import subprocess
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from recsys_cli.configs.data_sections import DataSettings, InteractionsSettings
from recsys_cli.configs.sections import RankerSettings, ScoringSettings
from recsys_cli.models.evaluation.metrics import NDCG, PER_USER, user_metrics
from recsys_cli.models.settings_tree import settings_tree
from recsys_cli.models.versions.registry import promote
from recsys_cli.pipelines.evaluate import (
    EvaluationRequest,
    HoldoutWindow,
    evaluate_holdout,
    read_holdout,
    report_of,
)
from recsys_cli.pipelines.score import score_users
from recsys_cli.pipelines.scoring.job import ScoreRequest
from recsys_cli.pipelines.train import train_model
from recsys_cli.pipelines.workspace.layout import Workspace
from recsys_cli.pipelines.workspace.run_record import Run, begin_run
from recsys_cli.pipelines.workspace.scoring_day import ScoringDay
from recsys_cli.utils.columns import ITEM, ITEM_ID, RANK, TIMESTAMP, USER, USER_ID
from recsys_cli.utils.errors import ExitCode, InputError, UsageError

DAY = date(2010, 11, 26)
REQUEST = EvaluationRequest(DAY, days=14, k=10)
Event = tuple[str, str, str]


@pytest.fixture(scope="module")
def purchases(retail: Path) -> pl.DataFrame:
    """The last months of every eighth customer."""
    recent = (pl.col(TIMESTAMP) >= datetime(2010, 9, 1)) & (pl.col(USER_ID) % 8 == 0)
    return pl.read_parquet(retail / "interactions.parquet", columns=[USER_ID, ITEM_ID, TIMESTAMP]).filter(
        recent
    )


def workspace_of(events: pl.DataFrame, root: Path, *, filter_viewed: bool = True) -> Workspace:
    root.mkdir(parents=True, exist_ok=True)
    events.write_parquet(root / "events.parquet")
    settings = settings_tree()(
        data=DataSettings(interactions=InteractionsSettings(path="events.parquet")),
        candidates={"lightfm": {"no_components": 16, "epochs": 3}},
        ranker=RankerSettings(iterations=60, depth=4, learning_rate=0.1, label_windows=2),
        scoring=ScoringSettings(filter_viewed=filter_viewed, chunk_users=64),
    )
    return Workspace(root, settings)


def events_of(*rows: Event) -> pl.DataFrame:
    schema = {USER_ID: pl.String, ITEM_ID: pl.String, TIMESTAMP: pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row").with_columns(
        pl.col(TIMESTAMP).str.to_datetime("%Y-%m-%d %H:%M")
    )


BEFORE = (
    ("ann", "tea", "2010-11-01 09:00"),
    ("ann", "jam", "2010-11-02 09:00"),
    ("bob", "jam", "2010-11-25 23:59"),
)
WITHIN = (
    ("ann", "tea", "2010-11-26 00:00"),  # seen before
    ("ann", "egg", "2010-11-26 00:00"),  # unknown before
    ("ann", "egg", "2010-11-28 10:00"),
    ("bob", "tea", "2010-12-09 23:59"),
    ("cat", "tea", "2010-12-01 10:00"),  # unknown before
)
BEYOND = (("bob", "egg", "2010-12-10 00:00"),)


def holdout_of(events: pl.DataFrame, root: Path, *, filter_viewed: bool = True) -> HoldoutWindow:
    workspace = workspace_of(events, root, filter_viewed=filter_viewed)
    return read_holdout(workspace, REQUEST, begin_run(workspace, "evaluate"))


def truth_ids(holdout: HoldoutWindow) -> list[tuple[str, str | None]]:
    """The ground truth under its ids; None for an item that was unknown before the day."""
    items = holdout.tables.items[ITEM_ID].to_list()
    users = holdout.tables.users[USER_ID].to_list()
    known = [*items, *[None] * 10]
    return [(users[user], known[item]) for user, item in holdout.ground_truth.select(USER, ITEM).iter_rows()]


def begin(workspace: Workspace) -> Run:
    return begin_run(workspace, "test")


def test_truth_is_what_known_users_did_anew_in_the_window(tmp_path: Path) -> None:
    holdout = holdout_of(events_of(*BEFORE, *WITHIN, *BEYOND), tmp_path)

    assert truth_ids(holdout) == [("ann", None), ("bob", "tea")]
    assert holdout.covered_days == 14


def test_truth_keeps_repeats_where_they_may_be_recommended(tmp_path: Path) -> None:
    holdout = holdout_of(events_of(*BEFORE, *WITHIN, *BEYOND), tmp_path, filter_viewed=False)

    assert truth_ids(holdout) == [("ann", "tea"), ("ann", None), ("bob", "tea")]


def test_nothing_from_the_day_on_is_there_to_learn_from(tmp_path: Path) -> None:
    one = holdout_of(events_of(*BEFORE, *WITHIN, *BEYOND), tmp_path / "one").tables
    other = holdout_of(events_of(*BEFORE, ("bob", "oil", "2010-12-01 10:00")), tmp_path / "other").tables

    assert_frame_equal(one.events, other.events)
    assert one.users[USER_ID].to_list() == other.users[USER_ID].to_list() == ["ann", "bob"]
    assert one.items[ITEM_ID].to_list() == other.items[ITEM_ID].to_list() == ["jam", "tea"]


def test_a_window_with_less_data_than_days_is_reported(tmp_path: Path) -> None:
    events = events_of(*BEFORE, ("bob", "tea", "2010-11-28 10:00"))

    assert holdout_of(events, tmp_path).covered_days == 3


@pytest.mark.parametrize(
    ("rows", "what"),
    [
        (BEFORE, "the interactions end before 2010-11-26"),
        ((*BEFORE, ("cat", "tea", "2010-12-01 10:00")), "no user known before 2010-11-26"),
        ((*BEFORE, ("ann", "tea", "2010-12-01 10:00")), "no user known before 2010-11-26"),
    ],
)
def test_a_window_with_nothing_to_judge_by_is_refused(
    rows: tuple[Event, ...], what: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=what):
        holdout_of(events_of(*rows), tmp_path)


@pytest.mark.parametrize("request_", [EvaluationRequest(DAY, 14, 101), EvaluationRequest(DAY, 10**7, 10)])
def test_a_request_that_cannot_be_evaluated_is_refused(request_: EvaluationRequest, tmp_path: Path) -> None:
    workspace = workspace_of(events_of(*BEFORE, *WITHIN), tmp_path)

    with pytest.raises(UsageError):
        read_holdout(workspace, request_, begin(workspace))


def test_the_evaluated_lists_are_those_that_score_publishes(purchases: pl.DataFrame, tmp_path: Path) -> None:
    workspace = workspace_of(purchases, tmp_path)
    run = begin(workspace)
    holdout = read_holdout(workspace, REQUEST, run)

    summary = report_of([holdout], [evaluate_holdout(holdout, workspace, run)], []).summary
    trained = train_model(ScoringDay(workspace, DAY), run, promoted=False)
    promote(workspace.models, trained.version, force=True)  # so few customers teach little
    published = pl.read_parquet(score_users(workspace, ScoreRequest(DAY, 10), run).path)

    after = pl.col(TIMESTAMP).is_between(datetime(2010, 11, 26), datetime(2010, 12, 10), closed="left")
    before = purchases.filter(pl.col(TIMESTAMP) < datetime(2010, 11, 26))
    truth = (
        purchases.filter(after)
        .select(USER_ID, ITEM_ID)
        .unique()
        .join(before, on=USER_ID, how="semi")
        .join(before, on=[USER_ID, ITEM_ID], how="anti")
    )
    by_names = {USER_ID: USER, ITEM_ID: ITEM}
    measured = user_metrics(
        published.select(USER_ID, ITEM_ID, RANK).rename(by_names), truth.rename(by_names), 10
    )
    assert (summary.users, summary.budget.relevant_pairs) == (len(measured), len(truth))
    ours = summary.models["two stages"]
    for name in PER_USER:
        assert ours[f"{name}@10"] == pytest.approx(measured[name].mean())
    assert ours["NDCG@10"] > 0


def test_the_program_compares_and_publishes_nothing(
    purchases: pl.DataFrame, tmp_path: Path, recsys: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    workspace_of(purchases, tmp_path)
    (tmp_path / "settings").mkdir()
    (tmp_path / "settings/settings.toml").write_text(
        '[default.data.interactions]\npath = "events.parquet"\n'
        "[default.candidates.lightfm]\nno_components = 16\nepochs = 3\n"
        "[default.ranker]\niterations = 20\ndepth = 4\nlabel_windows = 2\n"
    )

    done = recsys("evaluate", "--date", DAY.isoformat(), "--days", "20", "--k", "5", "--json")

    assert done.returncode == 0, done.stderr
    assert "the interactions cover 14 of the 20 days" in done.stderr
    output = json.loads(done.stdout)
    assert output["schema_version"] == 2
    assert (output["date"], output["days"], output["covered_days"], output["k"]) == ("2010-11-26", 20, 14, 5)
    sources = set(output["budget"]["by_source"])
    assert {"lightfm", "bm25", "ease_recent", "popular_7d"} <= sources
    assert set(output["models"]) == sources | {"blend", "two stages"}
    best = max(measures["NDCG@5"] for name, measures in output["models"].items() if name != "two stages")
    compared = {one["metric"]: one for one in output["comparisons"]}[f"{NDCG}@5"]
    assert compared["difference"] == pytest.approx(output["models"]["two stages"]["NDCG@5"] - best)
    assert compared["low"] <= compared["difference"] <= compared["high"]
    recalls = [one["recall"] for one in output["budget"]["by_source"].values()]
    assert 0 < max(recalls) <= output["budget"]["candidate_recall"] <= 1
    assert {path.name for path in tmp_path.iterdir()} == {"events.parquet", "settings", "runs", "models"}
    assert [path.name for path in (tmp_path / "models").iterdir()] == [".fits"]


def test_the_program_says_that_a_date_is_missing_or_has_no_future(
    tmp_path: Path, recsys: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    workspace_of(events_of(*BEFORE), tmp_path)
    (tmp_path / "settings").mkdir()
    (tmp_path / "settings/settings.toml").write_text('[default.data.interactions]\npath = "events.parquet"\n')

    assert recsys("evaluate").returncode == ExitCode.USAGE
    done = recsys("evaluate", "--date", "2010-11-26")
    assert done.returncode == ExitCode.INPUT
    assert done.stderr.startswith("error: the interactions end before 2010-11-26")
    assert done.stdout == ""
