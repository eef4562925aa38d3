"""`recsys report`: its figures against the tables and files, and a page that loads and runs nothing."""

import json
import math
import os
import re
import subprocess
import sys
from datetime import datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys_cli.cli.app import main
from recsys_cli.pipelines.monitoring.drift import drift_of, stability_index
from recsys_cli.pipelines.publication.statistics import item_counts, popularity_curve, score_histogram
from recsys_cli.utils.errors import ExitCode

DAY, NEXT = "2026-03-02", "2026-03-03"
K = 10


def output(workspace: Path, capsys: pytest.CaptureFixture[str], *args: str) -> dict[str, Any]:
    capsys.readouterr()
    assert main(["-C", str(workspace), "--json", "report", *args]) == ExitCode.OK
    return dict(json.loads(capsys.readouterr().out))


def lists_of(workspace: Path, day: str = DAY) -> pl.DataFrame:
    return pl.read_parquet(workspace / f"recommendations/date={day}/recommendations.parquet")


def taken(workspace: Path, day: str, days: int) -> tuple[dict[str, set[int]], dict[str, set[int]]]:
    """Return by user what was had before a day, and what was new in the days from it on."""
    start = datetime.fromisoformat(day)
    had: dict[str, set[int]] = {}
    after: dict[str, set[int]] = {}
    for user, item, when in (
        pl.read_parquet(workspace / "data/interactions.parquet")
        .select("user_id", "item_id", "timestamp")
        .rows()
    ):
        if when < start:
            had.setdefault(user, set()).add(item)
        elif when < start + timedelta(days=days):
            after.setdefault(user, set()).add(item)
    new = {user: items - had[user] for user, items in after.items() if user in had}
    return had, {user: items for user, items in new.items() if items}


def ndcg(items: list[int], relevant: set[int], best: int) -> float:
    gains = [1 / math.log2(place + 1) for place, item in enumerate(items, 1) if item in relevant]
    return sum(gains) / sum(1 / math.log2(place + 1) for place in range(1, best + 1))


def popular(workspace: Path, day: str, days: int) -> list[int]:
    """Return the items by events of the last days, then by all, then by the id."""
    start = datetime.fromisoformat(day)
    events = pl.read_parquet(workspace / "data/interactions.parquet").filter(pl.col("timestamp") < start)
    recent = events.filter(pl.col("timestamp") >= start - timedelta(days=days))["item_id"].to_list()
    ever = events["item_id"].to_list()
    return sorted(set(range(100, 140)), key=lambda item: (-recent.count(item), -ever.count(item), item))


def test_the_report_card_is_that_of_a_count_by_hand(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (card,) = output(workspace, capsys, DAY)["cards"]
    had, relevant = taken(workspace, DAY, 14)
    rows = lists_of(workspace).sort("user_id", "rank")
    mine = {user: rows.filter(pl.col("user_id") == user)["item_id"].to_list() for user in relevant}
    users = len(relevant)
    assert (card["date"], card["days"], card["covered_days"], card["users"]) == (DAY, 14, 3, users)
    hit = [bool(set(mine[user]) & items) for user, items in relevant.items()]
    assert card["measures"][f"HitRate@{K}"]["mean"] == pytest.approx(sum(hit) / users)
    for name, best in ((card["measures"][f"NDCG@{K}"]["mean"], None), (card["rectools"][f"NDCG@{K}"], K)):
        values = [ndcg(mine[user], items, best or min(len(items), K)) for user, items in relevant.items()]
        assert name == pytest.approx(sum(values) / users)
    recall = [len(set(mine[user]) & items) / len(items) for user, items in relevant.items()]
    assert card["rectools"][f"Recall@{K}"] == pytest.approx(sum(recall) / users)
    rivals = {}
    for days in (7, 14, 30):
        order = popular(workspace, DAY, days)
        values = [
            ndcg([item for item in order if item not in had[user]][:K], items, min(len(items), K))
            for user, items in relevant.items()
        ]
        rivals[f"popular_{days}d"] = sum(values) / users
    assert card["popularity"][f"NDCG@{K}"] == pytest.approx(max(rivals.values()))
    assert rivals[card["popularity"]["name"]] == pytest.approx(max(rivals.values()))
    one, spread = card["measures"][f"NDCG@{K}"], card["difference"]
    assert spread["mean"] == pytest.approx(one["mean"] - max(rivals.values()))
    assert one["low"] < one["mean"] < one["high"] and spread["low"] < spread["mean"] < spread["high"]


def test_whole_windows_are_evaluated_before_others(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for day in (NEXT, "2026-03-04"):
        assert main(["-q", "-C", str(workspace), "score", "--date", day]) == ExitCode.OK
    cards = output(workspace, capsys, "--days", "2", "--past", "2")["cards"]
    assert [(card["date"], card["covered_days"]) for card in cards] == [(DAY, 2), (NEXT, 2)]
    cards = output(workspace, capsys, "--days", "2", "--past", "3")["cards"]
    assert [(card["date"], card["covered_days"]) for card in cards] == [
        (DAY, 2),
        (NEXT, 2),
        ("2026-03-04", 1),
    ]


def test_figures_are_those_of_the_file(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-q", "-C", str(workspace), "score", "--date", NEXT]) == ExitCode.OK
    found, rows = output(workspace, capsys), lists_of(workspace, NEXT)
    assert (found["date"], found["lists"]["users"], found["lists"]["rows"]) == (NEXT, 60, len(rows))
    counts = rows["item_id"].to_list()
    top = [(row["item_id"], row["lists"]) for row in found["top_items"]]
    assert (
        top
        == sorted(((item, counts.count(item)) for item in set(counts)), key=lambda one: (-one[1], one[0]))[
            :10
        ]
    )
    titles = dict(pl.read_parquet(workspace / "data/items.parquet").select("item_id", "title").iter_rows())
    assert [row["title"] for row in found["top_items"]] == [titles[item] for item, _ in top]
    by_source = {
        name: sum(name in sources.split(",") for sources in rows["sources"]) / len(rows)
        for name in found["sources"]
    }
    assert found["sources"] == pytest.approx(by_source, abs=1e-4)
    assert found["scores"]["quantiles"]["p50"] == pytest.approx(rows["score"].quantile(0.5))
    assert [row["date"] for row in found["history"]] == [DAY, NEXT]
    assert found["history"][1]["median_score"] == pytest.approx(rows["score"].median())
    manifest = json.loads((workspace / f"recommendations/date={NEXT}/manifest.json").read_text())
    assert found["run"]["run_id"] == manifest["run_id"] and found["drift_against"] == DAY
    assert [stage["name"] for stage in found["run"]["stages"]][-1] == "publish"
    assert {gate["setting"] for gate in found["gates"]} == {"min_users"}
    age = next(row for row in found["drift"] if row["name"] == "age")
    assert age == {"table": "users", "name": "age", "psi": 0.0, "before": age["now"], "now": age["now"]}


def test_runs_that_published_nothing_are_reported(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    failing = ("--set", "gates.min_users=61", "score", "--date", NEXT)
    assert main(["-q", "-C", str(workspace), *failing]) == ExitCode.CHECK
    (run,) = output(workspace, capsys, DAY)["unfinished"]
    assert (run["status"], run["date"]) == ("failed", NEXT)
    assert "the lists fail the publish gates" in run["error"]
    assert main(["-C", str(workspace), "report", DAY]) == ExitCode.OK
    out = capsys.readouterr().out
    assert run["run_id"] in out and "Runs since that published nothing" in out


def test_a_run_of_some_users_is_told_as_such_and_has_no_card(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    some = ("score", "--date", NEXT, "--users", "u01,u02")
    assert main(["-q", "-C", str(workspace), *some]) == ExitCode.OK
    found = output(workspace, capsys)
    assert (found["date"], found["lists"]["all_users"], found["lists"]["users"]) == (NEXT, False, 2)
    assert [card["date"] for card in found["cards"]] == [DAY]


def test_lists_without_their_manifest_are_reported(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["-q", "-C", str(workspace), "score", "--date", NEXT]) == ExitCode.OK
    (workspace / f"recommendations/date={NEXT}/manifest.json").write_text("{")
    capsys.readouterr()
    assert main(["-C", str(workspace), "--json", "report"]) == ExitCode.OK
    out, err = capsys.readouterr()
    assert json.loads(out)["date"] == DAY
    assert f"date={NEXT} are not complete: `recsys verify {NEXT}` shows why" in err


def test_numbers_that_are_none_have_a_drift(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Infinite ones are missing, as NaN is; the model was trained on the whole column."""
    users = pl.read_parquet(workspace / "data/users.parquet").with_columns(pl.col("age").cast(pl.Float64))
    ages = users["age"].to_list()
    ages[0], ages[1], ages[2] = math.nan, math.inf, None
    users.with_columns(age=pl.Series(ages)).write_parquet(workspace / "data/users.parquet")
    assert main(["-C", str(workspace), "score", "--date", NEXT]) == ExitCode.OK
    assert "1 values of 'age' are infinite or too large: they count as missing" in capsys.readouterr().err
    age = next(row for row in output(workspace, capsys)["drift"] if row["name"] == "age")
    assert age["now"] == pytest.approx(sum(ages[3:]) / 57) and age["psi"] > 0


@pytest.mark.parametrize(
    "name", ["", "data", "recommendations/date=2026-03-02/recommendations.parquet", "models/x.html", "runs/x"]
)
@pytest.mark.parametrize("command", [("report", "--html"), ("runs", "list", "--to")])
def test_no_result_takes_the_place_of_something_else(
    workspace: Path, refused: Any, name: str, command: tuple[str, ...]
) -> None:
    target = name and str(workspace / name)
    assert f"where: {command[-1]}\n" in refused(ExitCode.USAGE, *command, target)
    assert f"where: {command[-1]}\n" in refused(ExitCode.USAGE, *command, "/dev/null")


def test_features_that_are_gone_are_told_and_the_rest_is_there(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = output(workspace, capsys, DAY)["cards"]
    assert main(["-q", "-C", str(workspace), "score", "--date", NEXT]) == ExitCode.OK
    for file in (workspace / f"features/date={DAY}").iterdir():
        file.unlink()
    found = output(workspace, capsys, NEXT)
    assert found["drift_problem"] == f"the features that the lists of {DAY} were made of are gone"
    assert [row["table"] for row in found["drift"]] == ["scores"]
    assert found["cards"][0] == before[0]


def test_inputs_that_are_gone_leave_the_report_without_its_card(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (workspace / "data/interactions.parquet").unlink()
    found = output(workspace, capsys)
    assert found["cards"] == [] and "interactions.parquet" in found["cards_problem"]
    assert found["lists"]["users"] == 60


@pytest.mark.parametrize("day", [(), ("2026-01-01",)], ids=["no list at all", "a day without lists"])
def test_there_must_be_lists(workspace: Path, refused: Any, day: tuple[str, ...]) -> None:
    if not day:
        (workspace / f"recommendations/date={DAY}").rename(workspace / "elsewhere")
    assert "nothing is published" in refused(ExitCode.USAGE, "report", *day)


class _Page(HTMLParser):
    """What a browser would load or run, and the texts it would show."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.loaded: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.loaded += [
            value or "" for name, value in attrs if name in ("src", "href", "xlink:href", "srcset")
        ]
        assert not [name for name, _ in attrs if name.startswith("on")]

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_the_page_shows_the_figures_and_loads_nothing(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hostile = "<script>alert(1)</script> {{ 7*7 }} \x1b[31m"
    items = pl.read_parquet(workspace / "data/items.parquet")
    items.with_columns(title=pl.col("title") + hostile).write_parquet(workspace / "data/items.parquet")
    for day in (DAY, NEXT):
        assert main(["-q", "-C", str(workspace), "score", "--date", day, "--force"]) == ExitCode.OK
    file = workspace / "report.html"
    assert main(["-q", "-C", str(workspace), "report", "--html", str(file)]) == ExitCode.OK
    found, page, text = output(workspace, capsys), _Page(), file.read_text()
    page.feed(text)
    shown = " ".join(page.text)
    assert "script" not in page.tags and {"svg", "table", "figure"} <= set(page.tags)
    assert [one for one in page.loaded if not one.startswith(("#", "data:,"))] == []
    assert "url(http" not in text and "@import" not in text and "\x1b" not in text
    assert "<script>alert(1)</script> {{ 7*7 }} \\x1b[31m" in shown
    card = found["cards"][0]["measures"][f"NDCG@{K}"]
    figures = [
        *(f"{card[name]:.4f}" for name in ("mean", "low", "high")),
        *(f"{value:.4f}" for value in found["cards"][0]["rectools"].values()),
        f"{found['history'][-1]['median_score']:.4f}",
        *(f"{row['lists']:,}" for row in found["top_items"]),
        *(f"{stage['seconds']:.2f}" for stage in found["run"]["stages"]),
        *(f"{gate['figure']:.4g}" for gate in found["gates"]),
        *(f"{row['psi']:.4f}" for row in found["drift"][:15]),
        *(f"{share:.0%}" for share in found["sources"].values()),
    ]
    assert [figure for figure in figures if figure not in shown] == []
    labels = re.findall(r'<figure role="img" aria-label="([^"]+)"', text)
    assert len(labels) == page.tags.count("svg") == 5


def test_a_page_that_cannot_be_written_is_an_output_error(workspace: Path, refused: Any) -> None:
    message = refused(ExitCode.OUTPUT, "report", "--html", str(workspace / "data/items.parquet/report.html"))
    assert "report.html" in message


def test_nothing_but_the_result_is_said_where_the_home_cannot_be_written(workspace: Path) -> None:
    command = [sys.executable, "-m", "recsys_cli", "-C", str(workspace), "report", "--html", "report.html"]
    homeless = os.environ | {"MPLCONFIGDIR": str(workspace / "data/items.parquet")}
    run = subprocess.run(command, env=homeless, cwd=workspace, capture_output=True, text=True, check=True)
    assert (run.stdout, run.stderr) == ("", f"the report of {DAY} → report.html\n")


def test_stability_by_hand() -> None:
    """Half before against a quarter now: (.25 - .5) ln(.25 / .5) + (.75 - .5) ln(.75 / .5)."""
    before, now = pl.Series(["a", "b"]), pl.Series(["a", "b", "b", "b"])
    assert stability_index(before, now) == pytest.approx(0.25 * math.log(2) + 0.25 * math.log(1.5))
    drift = drift_of("users", "city", before, now)
    assert (drift.before, drift.now) == (0.5, 0.25)
    numbers = pl.Series([1.0, 2.0]), pl.Series([1.0, 2.0, 2.0, 2.0])
    assert stability_index(*numbers) == pytest.approx(0.25 * math.log(2) + 0.25 * math.log(1.5))
    assert drift_of("users", "age", *numbers).now == 1.75
    gone = stability_index(pl.Series([1.0, 2.0]), pl.Series([None, None], dtype=pl.Float64))
    assert gone == pytest.approx(2 * 0.4999 * math.log(5_000) + 0.9999 * math.log(10_000))


@given(st.lists(st.none() | st.floats(-1e6, 1e6) | st.just(0.0), min_size=1), st.randoms())
def test_what_stays_the_same_in_another_order_has_no_drift(values: list[float | None], random: Any) -> None:
    before = pl.Series(values, dtype=pl.Float64)
    mixed = list(values)
    random.shuffle(mixed)
    assert stability_index(before, pl.Series(mixed, dtype=pl.Float64)) == pytest.approx(0)
    text = [str(value) for value in values]
    assert stability_index(pl.Series(text), pl.Series([str(value) for value in mixed])) == pytest.approx(0)


def test_the_popularity_curve_by_hand(tmp_path: Path) -> None:
    """Ten items may be recommended, one has 3 of 5 rows, another 2: a tenth of them has .6, a fifth all."""
    pl.DataFrame({"item_id": [7, 7, 7, 5, 5]}).write_parquet(tmp_path / "lists.parquet")
    counts = item_counts(tmp_path / "lists.parquet")
    assert counts.rows() == [(7, 3), (5, 2)]
    curve = {point.items: point.rows for point in popularity_curve(counts, 10)}
    assert (curve[0.0], curve[0.1], curve[0.2], curve[1.0]) == (0, 0.6, 1, 1)


@given(st.lists(st.floats(2**-20, 1, width=32), min_size=1), st.lists(st.floats(-5, 1, width=32)))
def test_the_histogram_holds_every_score(now: list[float], before: list[float]) -> None:
    found = score_histogram(pl.Series(now, dtype=pl.Float32), pl.Series(before, dtype=pl.Float32))
    assert sum(found.shares) == pytest.approx(1)
    assert (found.shares_before is None) == (not before)
    if before:
        assert sum(found.shares_before) == pytest.approx(1)
