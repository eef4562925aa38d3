"""Quotas over all lists through the real program: never exceeded, the same bytes, and explained."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from recsys_cli.cli.app import main
from recsys_cli.pipelines.scoring import batches
from recsys_cli.utils.errors import ExitCode

DAY = "2026-03-04"
SETTINGS = """
[default.gates]
max_fallback_rows = 1
max_top_item_share = 1
min_full_lists = 0
min_catalogue_coverage = 0
min_overlap = 0
[default.scoring]
top_k = 4
list_columns = ["rule", "placed_by"]
"""
RULES = """
[[default.rules]]
name = "two of a genre"
limit = { by = "genre", at_most = 2 }
[[default.rules]]
name = "stock"
quota = { at_most_lists = 15 }
[[default.rules]]
name = "news for a fifth"
items = "genre = 'news'"
quota = { by = "genre", at_most_share = 0.2 }
"""
SCORE = ("score", "--date", DAY, "--force")


class Run:
    """Runs the program over a workspace with quotas; returns the object that it shows."""

    def __init__(self, workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.workspace, self.capsys = workspace, capsys

    def __call__(self, *args: str, code: int = ExitCode.OK) -> dict[str, Any]:
        self.capsys.readouterr()
        assert main(["-C", str(self.workspace), "--json", *args]) == code
        out = self.capsys.readouterr().out
        return dict(json.loads(out)) if out else {}

    @property
    def folder(self) -> Path:
        """The published folder of the day."""
        return self.workspace / f"recommendations/date={DAY}"

    def lists(self) -> pl.DataFrame:
        """Return the published rows with their genres."""
        genres = pl.read_parquet(self.workspace / "data/items.parquet")["item_id", "genre"]
        rows = pl.read_parquet(self.folder / "recommendations.parquet")
        return rows.join(genres, on="item_id", how="left").sort("user_id", "rank")


@pytest.fixture
def run(workspace: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    (workspace / "settings/settings.local.toml").write_text(SETTINGS)
    (workspace / "settings/rules.toml").write_text(RULES)
    return Run(workspace, capsys)


def test_no_quota_is_exceeded_and_no_other_rule_broken(run: Run) -> None:
    facts, rows = run(*SCORE), run.lists()
    assert rows["item_id"].value_counts()["count"].max() == 15
    assert (rows["genre"] == "news").sum() <= 0.2 * facts["users"]
    assert rows.group_by("user_id", "genre").len()["len"].max() == 2
    assert rows.select("user_id", "item_id").is_unique().all()
    assert set(rows["placed_by"]) <= {"score", "quota"} and "quota" in set(rows["placed_by"])
    figures = {rule["name"]: rule for rule in facts["lists"]["rules"]}
    assert "cost" not in figures["stock"], "two quotas are known together alone"
    assert facts["lists"]["cost"] > 0 and facts["lists"]["changed_rows"] > 0


def test_without_scarcity_lists_are_as_good_as_those_without_quotas(run: Run) -> None:
    rules = run.workspace / "settings/rules.toml"
    rules.write_text(RULES.partition('[[default.rules]]\nname = "news')[0].replace("= 15", "= 1000"))
    run(*SCORE)
    free = run.lists()
    rules.write_text(RULES.partition('[[default.rules]]\nname = "stock"')[0])
    run(*SCORE)
    assert free["score"].sum() >= run.lists()["score"].sum() - 1e-6
    new = free.join(run.lists(), on=["user_id", "item_id"], how="anti")
    assert set(new["sources"]) <= {"rules"}, "nothing but the items of chance that quotas add"


def test_the_bytes_do_not_depend_on_how_a_run_is_cut(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def published() -> list[bytes]:
        names = ("recommendations.parquet", "quotas.parquet", "quota_changes.parquet")
        return [(run.folder / name).read_bytes() for name in names]

    run(*SCORE)
    whole = published()
    for users, threads in ((7, 1), (64, 2)):
        run("--set", f"scoring.chunk_users={users}", "--set", f"runtime.threads={threads}", *SCORE)
        assert published() == whole
    monkeypatch.setattr(batches, "_CHUNKS", 1)
    cut = ("--set", "scoring.chunk_users=7")
    run(*cut, "--set", "gates.min_users=61", *SCORE, code=ExitCode.CHECK)
    ranked = sorted((run.workspace / f".recommendations.staged/date={DAY}").glob("part-*.json"))
    for one in ranked[4:]:  # as if it had been killed before
        one.unlink()
    run(*cut, *SCORE)
    assert published() == whole


def test_explain_equals_every_published_list_and_names_what_was_sold_out(run: Run) -> None:
    run(*SCORE)
    rows, sold_out = run.lists(), list[tuple[str, str]]()
    users = pl.read_parquet(run.workspace / "data/users.parquet")["user_id"]
    for user in users.sort().gather_every(4):
        found = run("explain", user, "--date", DAY)
        mine = rows.filter(pl.col("user_id") == user)
        assert not found["differences"]
        assert [one["item_id"] for one in found["recommendations"]] == mine["item_id"].to_list()
        for one in found["before"]:
            if one["now"] is None and one["rule"] == "stock":
                item = run("explain", user, "--date", DAY, "--item", str(one["item_id"]))["item"]
                sold_out += [(user, str(one["item_id"]))] if item["stage"] == "sold out" else []
                if item["stage"] == "sold out":
                    assert item["sold_out"]["rows"] == (rows["item_id"] == one["item_id"]).sum()
    user, item_id = sold_out[0]
    run.capsys.readouterr()
    assert main(["-C", str(run.workspace), "explain", user, "--date", DAY, "--item", item_id]) == 0
    assert "sold out at rank" in run.capsys.readouterr().out


@pytest.mark.parametrize("pieces", [6, 7, 9])
def test_no_list_is_short_while_there_is_an_item_left_that_its_user_may_have(run: Run, pieces: int) -> None:
    """240 places for 40 items: with six pieces each, every one of them is wanted."""
    (run.workspace / "settings/rules.toml").write_text(
        f'[[default.rules]]\nname = "stock"\nquota = {{ at_most_lists = {pieces} }}\n'
    )
    run(*SCORE)
    rows = run.lists()
    had = pl.read_parquet(run.workspace / "data/interactions.parquet").select("user_id", "item_id")
    users = pl.read_parquet(run.workspace / "data/users.parquet").select("user_id")
    items = pl.read_parquet(run.workspace / "data/items.parquet").select("item_id")
    given = rows.group_by("item_id").len()
    left = items.join(given, on="item_id", how="left").filter(pl.col("len").fill_null(0) < pieces)
    sizes = users.join(rows.group_by("user_id").len(), on="user_id", how="left").fill_null(0)
    assert rows["item_id"].value_counts()["count"].max() == pieces
    open_pairs = sizes.filter(pl.col("len") < 4).join(left.select("item_id"), how="cross")
    for taken in (had, rows.select("user_id", "item_id")):
        open_pairs = open_pairs.join(taken, on=["user_id", "item_id"], how="anti")
    assert open_pairs.is_empty()
    for user in sizes.sort("len", "user_id")["user_id"].head(4):
        found = run("explain", user, "--date", DAY)
        mine = rows.filter(pl.col("user_id") == user)["item_id"].to_list()
        assert [one["item_id"] for one in found["recommendations"]] == mine and not found["differences"]


def test_some_users_share_what_there_is_among_themselves(run: Run) -> None:
    """Ten users, two pieces of each item, news for two of the ten: bounds hold for the lists of the run."""
    some = [f"u{number:02}" for number in range(0, 60, 6)]
    (run.workspace / "settings/rules.toml").write_text(RULES.replace("= 15", "= 2"))
    facts = run(*SCORE, *(word for user in some for word in ("--user", user)))
    rows = run.lists()
    assert facts["users"] == 10 and set(rows["user_id"]) <= set(some)
    assert rows["item_id"].value_counts()["count"].max() == 2
    assert (rows["genre"] == "news").sum() == 2
    for user in some[:3]:
        found = run("explain", user, "--date", DAY)
        mine = rows.filter(pl.col("user_id") == user)["item_id"].to_list()
        assert [one["item_id"] for one in found["recommendations"]] == mine and not found["differences"]


MUCH_NEWS = """
[[default.rules]]
name = "none for the young"
when = "age < 45"
items = "genre = 'news'"
block = true
[[default.rules]]
name = "one piece of news"
items = "genre = 'news'"
limit = { at_most = 1 }
[[default.rules]]
name = "much news"
items = "genre = 'news'"
quota = { by = "genre", at_least_share = 0.9 }
"""


def test_a_minimum_that_cannot_be_met_is_met_as_far_as_can_be_and_warned_of(run: Run) -> None:
    (run.workspace / "settings/rules.toml").write_text(MUCH_NEWS)
    users = pl.read_parquet(run.workspace / "data/users.parquet")
    old = set(users.filter(pl.col("age") >= 45)["user_id"])
    assert main(["-C", str(run.workspace), *SCORE]) == ExitCode.OK
    told = " ".join(run.capsys.readouterr().err.split())
    readers = run.lists().filter(genre="news")["user_id"]
    assert set(readers) <= old and readers.is_unique().all()
    assert 0.9 * len(old) <= len(readers) < 0.9 * len(users)
    assert "rule 'much news' (quota): 1 of 1 groups have fewer rows than at_least_share asks for" in told


def test_a_plan_is_made_with_quotas_too(run: Run) -> None:
    plan = run("score", "--date", DAY, "--plan")
    assert plan["users"] == 60 and plan["disk_bytes"] > 0 and not run.folder.exists()


def test_a_stock_of_zeros_publishes_nothing(run: Run) -> None:
    run(*SCORE)
    before = (run.folder / "recommendations.parquet").read_bytes()
    (run.workspace / "settings/rules.toml").write_text(RULES.replace("= 15", "= 0"))
    gates = ("--set", "gates.from_users=10", "--set", "gates.min_full_lists=0.5")
    run(*gates, *SCORE, code=ExitCode.CHECK)
    assert (run.folder / "recommendations.parquet").read_bytes() == before


@pytest.mark.parametrize("name", ["quotas.parquet", "quota_changes.parquet"])
def test_a_damaged_table_is_found_and_made_again(run: Run, name: str) -> None:
    run("score", "--date", DAY)
    whole = (run.folder / name).read_bytes()
    (run.folder / name).write_bytes(whole[:-1])
    found = run("verify", DAY, code=ExitCode.CHECK)
    assert any(name in one for one in found["problems"])
    assert run("score", "--date", DAY)["already_complete"] is False
    assert (run.folder / name).read_bytes() == whole
    assert run("score", "--date", DAY)["already_complete"] is True
