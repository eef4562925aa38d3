"""Rules through the real program: what lists hold, the same bytes however a run is cut, and what is shown."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from recsys_cli.cli.app import main
from recsys_cli.pipelines.scoring import batches, incremental, local_engine
from recsys_cli.utils.errors import ExitCode

DAYS = FIRST, SECOND, DAY = "2026-03-02", "2026-03-03", "2026-03-04"
LOOSE = """
[default.gates]
max_fallback_rows = 1
max_top_item_share = 1
min_full_lists = 0
min_catalogue_coverage = 0
min_overlap = 0
[default.scoring]
list_columns = ["rule", "placed_by"]
"""
RULES = """
[[default.rules]]
name = "no news for the old"
when = "age > 50"
items = "genre = 'news'"
block = true
[[default.rules]]
name = "own taste or cheap"
require = "items.price < 40 or items.genre = users.favourite_genre"
[[default.rules]]
name = "crime up"
items = "genre = 'crime'"
boost = 2.0
[[default.rules]]
name = "dear down"
items = "price > 25"
bury = 0.5
[[default.rules]]
name = "comedy second"
when = "city = 'Oslo'"
items = "genre = 'comedy'"
pin = { places = [2] }
[[default.rules]]
name = "three of a genre"
limit = { by = "genre", at_most = 3 }
[[default.rules]]
name = "a cheap drama"
items = "genre = 'drama' and price < 30"
at_least = 1
[[default.rules]]
name = "one of a last letter"
one_of = "title"
"""
COOLDOWN = """
[[default.rules]]
name = "rest"
items = "genre <> 'crime'"
cooldown = { times = 2, days = 7 }
"""
VARIETY = ("--set", "scoring.diversity=0.3")
EXPLORE = ("--set", "scoring.explore=0.1")


class Run:
    """Runs the program over a workspace; returns the object that it shows and keeps its messages in `err`."""

    def __init__(self, workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.workspace, self.capsys, self.err = workspace, capsys, ""

    def __call__(self, *args: str) -> dict[str, Any]:
        self.capsys.readouterr()
        assert main(["-C", str(self.workspace), "--json", *args]) == ExitCode.OK
        out, self.err = self.capsys.readouterr()
        return dict(json.loads(out))


@pytest.fixture
def run(workspace: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """The program over the workspace with rules."""
    (workspace / "settings/settings.local.toml").write_text(LOOSE)
    (workspace / "settings/rules.toml").write_text(RULES)
    return Run(workspace, capsys)


@pytest.fixture
def shown_twice(workspace: Path, run: Run) -> Run:
    """The same, where the lists of two dates were published and what both showed rests."""
    for day in (FIRST, SECOND):
        run("--set", "rules=[]", "score", "--date", day, "--force")
    with (workspace / "settings/rules.toml").open("a") as file:
        file.write(COOLDOWN)
    return run


def lists(workspace: Path, day: str = DAY) -> pl.DataFrame:
    return pl.read_parquet(workspace / f"recommendations/date={day}/recommendations.parquet")


def file(workspace: Path, day: str = DAY) -> bytes:
    return (workspace / f"recommendations/date={day}/recommendations.parquet").read_bytes()


def favourites(workspace: Path) -> dict[str, set[str]]:
    """Return the genres that each user has had most often before the day, from the source itself."""
    events = pl.read_parquet(workspace / "data/interactions.parquet")
    genres = pl.read_parquet(workspace / "data/items.parquet")["item_id", "genre"]
    found: dict[str, Counter[str]] = {}
    past = events.filter(pl.col("timestamp").dt.date().cast(pl.String) < DAY).join(genres, on="item_id")
    for user, genre in past.select("user_id", "genre").iter_rows():
        found.setdefault(user, Counter())[genre] += 1
    return {
        user: {genre for genre, count in counts.items() if count == max(counts.values())}
        for user, counts in found.items()
    }


def test_every_list_keeps_the_rules_also_those_of_cold_users(workspace: Path, shown_twice: Run) -> None:
    facts = shown_twice(*VARIETY, "score", "--date", DAY)
    users = {row["user_id"]: row for row in pl.read_parquet(workspace / "data/users.parquet").to_dicts()}
    items = {row["item_id"]: row for row in pl.read_parquet(workspace / "data/items.parquet").to_dicts()}
    earlier = [lists(workspace, day)["user_id", "item_id"].rows() for day in (FIRST, SECOND)]
    shown = Counter(row for rows in earlier for row in rows)
    taken = pl.read_parquet(workspace / "data/interactions.parquet").filter(
        pl.col("timestamp").dt.date().cast(pl.String).is_between(pl.lit(FIRST), pl.lit(SECOND))
    )
    tastes, rows, unmet = favourites(workspace), lists(workspace), Counter[str]()
    for user, one in users.items():
        mine = rows.filter(pl.col("user_id") == user).sort("rank")
        listed = [items[item] for item in mine["item_id"]]
        assert mine["rank"].to_list() == list(range(1, len(mine) + 1)) and listed
        assert one["age"] <= 50 or all(item["genre"] != "news" for item in listed)
        assert all(item["price"] < 40 or item["genre"] in tastes.get(user, ()) for item in listed)
        assert max(Counter(item["genre"] for item in listed).values()) <= 3
        assert len({item["title"] for item in listed}) == len(listed)
        resting = {item for (who, item), times in shown.items() if who == user and times == 2}
        resting -= set(taken.filter(pl.col("user_id") == user)["item_id"])
        assert all(item["genre"] == "crime" for item in listed if item["item_id"] in resting)
        unmet["a cheap drama"] += not any(it["genre"] == "drama" and it["price"] < 30 for it in listed)
        if one["city"] == "Oslo":
            has_pin = len(listed) > 1 and listed[1]["genre"] == "comedy"
            unmet["comedy second"] += not has_pin or mine["placed_by"][1] != "pin"
    figures = {rule["name"]: rule for rule in facts["lists"]["rules"]}
    assert {name: figures[name]["unmet"] for name in unmet} == dict(unmet) and facts["cold_users"] == 2
    counted = Counter(rows.filter(pl.col("rule") != "")["rule"])
    assert {name: one["rows"] for name, one in figures.items() if one["rows"]} == counted
    assert len(counted) > 1 and figures["rest"]["changed_lists"] > 0.5
    for name in sorted(name for name in unmet if unmet[name]):
        assert f"rule {name!r}" in shown_twice.err


@pytest.mark.parametrize("options", [VARIETY, (*VARIETY, *EXPLORE)], ids=["rules", "explored"])
def test_explain_equals_the_published_list(
    workspace: Path, shown_twice: Run, options: tuple[str, ...]
) -> None:
    shown_twice(*options, "score", "--date", DAY)
    rows = lists(workspace)
    assert ("propensity" in rows.columns) == (options != VARIETY)
    for user in [f"u{number:02}" for number in range(0, 60, 3)]:  # u57 is warm
        found = shown_twice(*options, "explain", user if user != "u57" else "u58", "--date", DAY)
        mine = rows.filter(pl.col("user_id") == found["user_id"]).sort("rank")
        assert found["differences"] == []
        why = [(one["item_id"], one["rule"], one["placed_by"]) for one in found["recommendations"]]
        assert why == mine["item_id", "rule", "placed_by"].rows()
        if "propensity" in rows.columns:
            drawn = [one["propensity"] for one in found["recommendations"]]
            assert drawn == pytest.approx(mine["propensity"].to_list())


def test_the_bytes_do_not_depend_on_how_a_run_is_cut(
    workspace: Path, shown_twice: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    score = ("score", "--date", DAY, "--force")
    options = (*VARIETY, *EXPLORE)
    shown_twice(*options, *score)
    whole = file(workspace)
    for users, threads in ((7, 1), (64, 2)):
        sets = ("--set", f"scoring.chunk_users={users}", "--set", f"runtime.threads={threads}")
        shown_twice(*options, *sets, *score)
        assert file(workspace) == whole
    monkeypatch.setattr(batches, "_CHUNKS", 1)
    cut = ("--set", "scoring.chunk_users=7")
    failing = ["-q", "-C", str(workspace), *options, *cut, "--set", "gates.min_users=61", *score]
    assert main(failing) == ExitCode.CHECK
    ranked = sorted((workspace / f".recommendations.staged/date={DAY}").glob("part-*.json"))
    assert len(ranked) == 9
    for one in ranked[4:]:  # as if it had been killed before
        one.unlink()
    shown_twice(*options, *cut, *score)
    assert "Scoring users: 32 users in" in shown_twice.err
    assert file(workspace) == whole


def test_some_users_get_the_lists_that_they_have_among_all(workspace: Path, shown_twice: Run) -> None:
    shown_twice(*EXPLORE, "score", "--date", DAY)
    own = pl.col("user_id").is_in(["u07", "u31", "u59"])
    among_all = lists(workspace).filter(own)
    shown_twice(*EXPLORE, "score", "--date", DAY, "--users", "u07,u31,u59", "--force")
    assert_frame_equal(lists(workspace), among_all)


def test_shorter_lists_keep_the_rules_and_are_explained(workspace: Path, shown_twice: Run) -> None:
    facts = shown_twice("score", "--date", DAY, "--top-k", "5")
    genres = pl.read_parquet(workspace / "data/items.parquet")["item_id", "genre"]
    rows = lists(workspace)
    counts = rows.join(genres, on="item_id").group_by("user_id", "genre").len()
    assert facts["top_k"] == rows["rank"].max() == 5 and counts["len"].max() == 3
    for user in ("u00", "u10", "u59"):
        found = shown_twice("explain", user, "--date", DAY)
        mine = rows.filter(pl.col("user_id") == user)["item_id"].to_list()
        assert [one["item_id"] for one in found["recommendations"]] == mine and not found["differences"]


SINCE = ("--set", "scoring.max_stale_lists=1", "score", "--date", SECOND, "--changed-since", FIRST)


def with_events(workspace: Path, day: str) -> set[str]:
    events = pl.read_parquet(workspace / "data/interactions.parquet")
    return set(events.filter(pl.col("timestamp").dt.date().cast(pl.String) == day)["user_id"])


def test_reused_lists_are_those_that_the_same_rules_made(workspace: Path, run: Run) -> None:
    run("score", "--date", FIRST, "--force")
    run("score", "--date", SECOND)
    full, before, changed = lists(workspace, SECOND), lists(workspace, FIRST), with_events(workspace, FIRST)
    facts = run(*SINCE, "--force")
    found = lists(workspace, SECOND)
    ranked = facts["changed_since"]["changed"]
    assert facts["changed_since"]["all_ranked_because"] is None and len(changed) <= ranked < 60
    one_of_both = pl.col("user_id").is_in(changed)
    assert_frame_equal(found.filter(one_of_both), full.filter(one_of_both))
    for user in set(found["user_id"]) - changed:
        own = pl.col("user_id") == user
        assert found.filter(own).equals(before.filter(own)) or found.filter(own).equals(full.filter(own))
    counted = Counter(found.filter(pl.col("rule") != "")["rule"])
    assert {one["name"]: one["rows"] for one in facts["lists"]["rules"] if one["rows"]} == counted


def test_without_its_column_the_rows_of_reused_lists_have_no_rule(workspace: Path, run: Run) -> None:
    plain = ("--set", "scoring.list_columns=[]")
    run(*plain, "score", "--date", FIRST, "--force")
    facts = run(*plain, *SINCE)
    assert facts["changed_since"]["all_ranked_because"] is None
    assert lists(workspace, SECOND).columns == ["user_id", "item_id", "rank", "score", "sources"]
    boosted = next(one for one in facts["lists"]["rules"] if one["name"] == "crime up")
    assert 0 <= boosted["rows"] <= 10 * facts["changed_since"]["changed"]


def test_no_reused_list_holds_what_a_rule_removes_now(workspace: Path, run: Run) -> None:
    """An item's column changes under the same rule: its holders are ranked anew."""
    (workspace / "settings/rules.toml").write_text(
        """[[default.rules]]\nname = "gone"\nitems = "title = 'Sold out'"\nblock = true\n"""
    )
    run("score", "--date", FIRST, "--force")
    before = lists(workspace, FIRST)
    item = before["item_id"].mode().sort()[0]
    holders = set(before.filter(pl.col("item_id") == item)["user_id"])
    items = pl.read_parquet(workspace / "data/items.parquet")
    title = pl.when(pl.col("item_id") == item).then(pl.lit("Sold out")).otherwise(pl.col("title"))
    items.with_columns(title.alias("title")).write_parquet(workspace / "data/items.parquet")
    facts = run(*SINCE)
    assert facts["changed_since"]["changed"] == len(holders | with_events(workspace, FIRST)) < 60
    assert item not in lists(workspace, SECOND)["item_id"]


@pytest.mark.parametrize("span", [1, 60])
def test_reused_lists_do_not_depend_on_how_users_are_cut(
    workspace: Path, run: Run, monkeypatch: pytest.MonkeyPatch, span: int
) -> None:
    run("score", "--date", FIRST, "--force")
    run(*SINCE)
    whole = lists(workspace, SECOND)
    for module in (incremental, local_engine):
        monkeypatch.setattr(module, "SPAN", span)
    run(*SINCE, "--force")
    assert_frame_equal(lists(workspace, SECOND), whole)


@pytest.mark.parametrize(
    ("rule", "options", "reason"),
    [
        (COOLDOWN, (), "a rule has a cooldown"),
        (
            '\n[[default.rules]]\nname = "scarce"\nquota = { at_most_lists = 30 }\n',
            (),
            "a rule has a quota",
        ),
        ("", EXPLORE, "scoring.explore draws anew each day"),
    ],
    ids=["cooldown", "quota", "explore"],
)
def test_what_differs_daily_is_never_reused(
    workspace: Path, run: Run, rule: str, options: tuple[str, ...], reason: str
) -> None:
    with (workspace / "settings/rules.toml").open("a") as rules:
        rules.write(rule)
    run(*options, "score", "--date", FIRST, "--force")
    facts = run(*options, *SINCE)
    assert facts["changed_since"]["all_ranked_because"] == reason and "carried" not in facts
    reused = file(workspace, SECOND)
    run(*options, "score", "--date", SECOND, "--force")
    assert file(workspace, SECOND) == reused


def test_other_rules_rank_all_and_say_so(workspace: Path, run: Run) -> None:
    run("score", "--date", FIRST, "--force")
    (workspace / "settings/rules.toml").write_text(RULES.replace("boost = 2.0", "boost = 3.0"))
    facts = run(*SINCE)
    assert f"the run of {FIRST} had other rules" in facts["changed_since"]["all_ranked_because"]
    run("--set", "rules=[]", *SINCE, "--force")
    reused = file(workspace, SECOND)
    run("--set", "rules=[]", "score", "--date", SECOND, "--force")
    assert file(workspace, SECOND) == reused


def test_lists_that_rules_empty_are_told_as_theirs(workspace: Path, run: Run) -> None:
    (workspace / "settings/rules.toml").write_text(
        '[[default.rules]]\nname = "not for Oslo"\nwhen = "city = \'Oslo\'"\nblock = true\n'
    )
    facts = run("score", "--date", DAY)
    away = set(pl.read_parquet(workspace / "data/users.parquet").filter(pl.col("city") == "Oslo")["user_id"])
    assert facts["empty_lists"] == len(away) and not away & set(lists(workspace)["user_id"])
    assert (
        f"{len(away)} of 60 users have no list: rules leave them no item that is new to them: "
        "'not for Oslo' (block)" in run.err
    )


def test_summary_report_and_diff_show_the_rules(
    workspace: Path, shown_twice: Run, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    capsys.readouterr()
    assert main(["-C", str(workspace), *EXPLORE, "score", "--date", DAY]) == ExitCode.OK
    summary = capsys.readouterr().out
    assert main(["-C", str(workspace), "report", DAY]) == ExitCode.OK
    shown = capsys.readouterr().out
    for out in (summary, shown):
        assert "in a sample of 60 users" in out and "all together" in out and "60 drawn places" in out
        assert all(rule in out for rule in ("no news for the old", "rest", "cooldown"))
    page = tmp_path / "report.html"
    record = shown_twice("report", DAY, "--html", str(page))["rules"]
    assert "no news for the old" in page.read_text() and "all together" in page.read_text()
    manifest = workspace / f"recommendations/date={DAY}/manifest.json"
    assert record == json.loads(manifest.read_text())["lists"] and set(record["shown"]) == {FIRST, SECOND}
    assert record["rules"][-1]["name"] == "rest"


def test_diff_names_the_rules_that_changed(
    workspace: Path, shown_twice: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    shown_twice("score", "--date", DAY)
    rules = workspace / "settings/rules.toml"
    others = rules.read_text().replace("at_most = 3", "at_most = 4").replace('"crime up"', '"crime higher"')
    rules.write_text(others)
    shown_twice("score", "--date", "2026-03-05")
    found = shown_twice("diff", DAY, "2026-03-05")
    assert [(one["name"], one["change"]) for one in found["rules"]] == [
        ("crime up", "only in A"),
        ("three of a genre", "changed"),
        ("crime higher", "only in B"),
    ]
    assert found["rules"][1]["values"] == {
        "limit": [[{"by": "genre", "at_most": 3}], [{"by": "genre", "at_most": 4}]]
    }
    assert set(found["causes"]["shown"][1]) == {DAY} and found["causes"]["shown"][0] == {}
    assert "rules" in found["causes"] and "rules" not in found["settings"]
    assert shown_twice("diff", FIRST, DAY)["users"] == 60  # files with other columns
    capsys.readouterr()
    assert main(["-C", str(workspace), "diff", DAY, "2026-03-05"]) == ExitCode.OK
    out = capsys.readouterr().out
    assert "rule 'three of a genre', changed: limit" in out and "rule 'crime up', only in A" in out


def test_lists_of_another_length_do_not_count_as_other_rules(run: Run) -> None:
    run("score", "--date", FIRST, "--force")
    run("score", "--date", SECOND, "--top-k", "7")
    causes = run("diff", FIRST, SECOND)["causes"]
    assert "top_k" in causes and "rules" not in causes


def test_draws_that_are_in_few_lists_are_warned_of(workspace: Path, run: Run) -> None:
    """Nobody may have what is drawn; where a fourth of the users may not, nothing is warned of."""
    drawn = ("--set", "scoring.explore_items=genre = 'news'")
    rule = '[[default.rules]]\nname = "none"\n{}items = "genre = \'news\'"\nblock = true\n'
    for when, warned in (("", True), ("when = \"city = 'Oslo'\"\n", False)):
        (workspace / "settings/rules.toml").write_text(rule.format(when))
        facts = run(*EXPLORE, *drawn, "score", "--date", DAY, "--force")
        assert (facts["lists"]["explored"] == 0) == warned
        assert ("widen scoring.explore_items" in run.err) == warned


def test_variety_alone_shows_its_cost(workspace: Path, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    (workspace / "settings/rules.toml").unlink()
    varied = ("--set", "scoring.diversity=0.9")
    assert main(["-C", str(run.workspace), *varied, "score", "--date", DAY]) == ExitCode.OK
    out = " ".join(capsys.readouterr().out.split())
    assert "Variety and exploration: changes and cost in expected takes, in a sample of 60 users" in out
