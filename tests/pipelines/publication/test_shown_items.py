"""Cooldown: which items rest for whom, by lists that the real writer published."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest

from recsys_cli.configs.sections import Settings
from recsys_cli.data_preparation.features.feature_tables import FeatureTables
from recsys_cli.pipelines.publication import shown_items
from recsys_cli.pipelines.publication.manifest import FileFacts, RunFacts, ShownFacts
from recsys_cli.pipelines.publication.recommendations_file import RecommendationsWriter, publish
from recsys_cli.pipelines.publication.shown_items import ShownLists
from recsys_cli.pipelines.publication.shown_rows import Cooldown
from recsys_cli.pipelines.workspace.layout import RECOMMENDATIONS, Workspace
from recsys_cli.pipelines.workspace.scoring_day import ScoringDay
from recsys_cli.utils.errors import InputError

DAY = date(2026, 7, 10)
USERS, ITEMS = pl.Series("user_id", ["ann", "bob", "cid"]), pl.Series("item_id", [10, 11, 12])
Lists = Mapping[str, Sequence[int]]  # the items of each user


@pytest.fixture
def day(tmp_path: Path) -> ScoringDay:
    return ScoringDay(Workspace(tmp_path, Settings()), DAY)


def put(day: ScoringDay, days_ago: int, lists: Lists, *, all_users: bool = True) -> None:
    """Publish lists of a date before the day."""
    one, staged = day.date - timedelta(days=days_ago), day.workspace.root / f"staged-{days_ago}"
    staged.mkdir(exist_ok=True)
    users, items = sorted({*lists}), sorted({item for each in lists.values() for item in each})
    rows = [
        (users.index(user), items.index(item), rank)
        for user in users
        for rank, item in enumerate(lists[user], 1)
    ]
    top = pl.DataFrame(rows, {"user": pl.UInt32, "item": pl.UInt32, "rank": pl.UInt16}, orient="row")
    top = top.with_columns(pl.lit(0.5, pl.Float32).alias("score"), pl.lit("popular").alias("sources"))
    file = staged / RECOMMENDATIONS
    with RecommendationsWriter(file, pl.Series(users), pl.Series(items), {}) as writer:
        writer.write(top)
    run = RunFacts(run_id=f"run{days_ago}", started=None)
    publish(file, day.workspace.published, facts_of(one, len(rows), all_users=all_users), run)


def facts_of(day: date, rows: int, *, all_users: bool) -> FileFacts:
    counts = (
        "users",
        "warm_users",
        "cold_users",
        "candidates",
        "short_lists",
        "empty_lists",
        "fallback_rows",
    )
    more = {
        "eligible_items": 0,
        "items": 0,
        "top_item_lists": 0,
        "catalogue_coverage": 0.0,
        "share_by_source": {},
    }
    identity = {
        "schema_version": 1,
        "date": str(day),
        "key": "k",
        "features_content_hash": "f",
        "example_user": None,
    }
    terms = {"model_version": "m", "all_users": all_users, "top_k": 2, "index": "exact", "shortlist": 10}
    return FileFacts.read({**identity, **terms, **dict.fromkeys(counts, 0), "rows": rows, **more})


def features(
    events: Sequence[tuple[int, int, float]] = (), users: pl.Series = USERS, items: pl.Series = ITEMS
) -> FeatureTables:
    """Return features of the day with pairs of user, item, and the days since their last event."""
    pairs = pl.DataFrame(
        list(events), {"user": pl.UInt32, "item": pl.UInt32, "days_ago": pl.Float32}, orient="row"
    )
    nothing = pl.DataFrame()
    return FeatureTables(DAY, (), (), users.to_frame(), items.to_frame(), pairs, nothing)


def resting(day: ScoringDay, found: FeatureTables, *cooldowns: Cooldown) -> list[tuple[int, str, int, int]]:
    """Return rule, user_id, item_id, times."""
    rows = ShownLists.read(day, cooldowns).of_users(found)
    assert rows.schema == {"rule": pl.Int8, "user": pl.UInt32, "item": pl.UInt32, "times": pl.UInt32}
    users, items = found.user_ids, found.items["item_id"]
    return [(rule, users[user], items[item], times) for rule, user, item, times in rows.iter_rows()]


def test_what_was_shown_often_enough_rests(day: ScoringDay) -> None:
    put(day, 3, {"ann": [10, 11], "bob": [10]})
    put(day, 2, {"ann": [10, 12], "bob": [11]})
    put(day, 1, {"ann": [12, 10], "bob": [10]})
    assert resting(day, features(), Cooldown(5, times=2, days=7)) == [
        (5, "ann", 10, 3),
        (5, "ann", 12, 2),
        (5, "bob", 10, 2),
    ]


def test_each_rule_counts_its_own_days_from_the_day_before(day: ScoringDay) -> None:
    put(day, 9, {"ann": [10]})
    put(day, 4, {"ann": [10]})
    put(day, 3, {"ann": [11]})
    put(day, 0, {"ann": [11]})
    rules = Cooldown(0, times=1, days=3), Cooldown(1, times=2, days=9), Cooldown(2, times=2, days=8)
    assert resting(day, features(), *rules) == [(1, "ann", 10, 2), (0, "ann", 11, 1)]


def test_what_the_user_took_since_does_not_rest(day: ScoringDay) -> None:
    put(day, 5, {"ann": [10, 11], "bob": [10, 11]})
    put(day, 2, {"ann": [10, 11], "bob": [10, 11]})
    events = [(0, 0, 5.0), (0, 1, 5.1), (1, 0, 0.2)]  # the first with the first list, the second just before
    assert resting(day, features(events), Cooldown(0, times=2, days=7)) == [
        (0, "ann", 11, 2),
        (0, "bob", 11, 2),
    ]


def test_days_are_those_of_the_workspaces_clock(tmp_path: Path) -> None:
    spring = date(2026, 3, 30)  # the day after that of 23 hours
    workspace = Workspace(tmp_path, Settings(timezone="Europe/Berlin"))
    day = ScoringDay(workspace, spring)
    put(day, 1, {"ann": [10, 11]})
    events = [(0, 0, 22.9 / 24), (0, 1, 23.1 / 24)]
    assert resting(day, features(events), Cooldown(0, times=1, days=7)) == [(0, "ann", 11, 1)]


def test_lists_of_some_users_and_damaged_ones_do_not_count(day: ScoringDay) -> None:
    put(day, 3, {"ann": [10]}, all_users=False)
    put(day, 2, {"ann": [11]})
    put(day, 1, {"ann": [12]})
    with ScoringDay(day.workspace, DAY - timedelta(days=2)).file.open("ab") as file:
        file.write(b"more")
    assert resting(day, features(), Cooldown(0, times=1, days=7)) == [(0, "ann", 12, 1)]


def test_ids_that_are_gone_are_left_out_and_other_types_are_compared_by_value(day: ScoringDay) -> None:
    put(day, 1, {"ann": [10, 99], "zoe": [10]})
    assert resting(day, features(), Cooldown(0, times=1, days=7)) == [(0, "ann", 10, 1)]
    text = features(items=pl.Series("item_id", ["10", "11"]))
    assert resting(day, text, Cooldown(0, times=1, days=7)) == [(0, "ann", "10", 1)]


def test_without_lists_or_rules_nothing_rests(day: ScoringDay) -> None:
    assert resting(day, features(), Cooldown(0, times=1, days=7)) == []
    put(day, 1, {"ann": [10]})
    assert resting(day, features()) == [] and ShownLists.read(day, []).key == ""
    assert resting(ScoringDay(day.workspace, date.min), features(), Cooldown(0, times=1, days=7)) == []


def test_the_file_gives_each_span_what_its_users_have_alone(
    day: ScoringDay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shown_items, "_USERS", 2)
    users = pl.Series("user_id", [f"u{number}" for number in range(5)])
    put(day, 2, {user: [10, 11] for user in users[1:]})
    put(day, 1, {user: [11, 12] for user in users[:4]})
    found = features([(2, 0, 0.5), (3, 1, 0.5)], users=users)
    shown = ShownLists.read(day, [Cooldown(0, times=2, days=7), Cooldown(3, times=1, days=7)])
    written = shown.write(day.workspace.root / "resting.parquet", found)
    whole = shown.of_users(found)
    assert written.of_span(found).rows() == whole.rows() and (0, 1, 1, 2) in whole.rows()
    for first, last in ((0, 2), (2, 5), (3, 4)):
        span = replace(found, users=found.users[first:last], first=first)
        assert written.of_span(span).rows() == shown.of_users(found, first, last).rows()


def test_an_empty_file_is_one_too(day: ScoringDay) -> None:
    shown = ShownLists.read(day, [Cooldown(0, times=1, days=7)])
    nobody = features(users=USERS.clear())
    written = shown.write(day.workspace.root / "resting.parquet", nobody)
    assert written.of_span(nobody).rows() == written.of_span(features()).rows() == []


def test_the_key_names_the_files_and_they_are_found_again(day: ScoringDay) -> None:
    put(day, 2, {"ann": [10]})
    rules = [Cooldown(0, times=1, days=7)]
    before = ShownLists.read(day, rules)
    facts = ShownFacts.read(before.facts.as_json())
    assert before.key == ShownLists.read(day, rules).key and list(facts.lists) == [DAY - timedelta(days=2)]
    put(day, 1, {"ann": [11]})  # published later: not counted then
    assert ShownLists.again(day, rules, facts) == before
    assert ShownLists.read(day, rules).key != before.key
    put(day, 2, {"ann": [12]})
    assert ShownLists.again(day, rules, facts) == (
        "the lists of 2026-07-08, which were counted, are gone or were replaced"
    )


def test_lists_that_are_replaced_meanwhile_stop_the_run(day: ScoringDay) -> None:
    put(day, 1, {"ann": [10]})
    shown = ShownLists.read(day, [Cooldown(0, times=1, days=7)])
    put(day, 1, {"ann": [11, 12]})
    with pytest.raises(InputError, match="replaced while they were read"):
        shown.write(day.workspace.root / "resting.parquet", features())
    assert not (day.workspace.root / "resting.parquet").exists()


def test_a_long_window_reads_fewer_users_at_a_time(day: ScoringDay) -> None:
    put(day, 1, {"ann": [10]})
    shown = ShownLists.read(day, [Cooldown(0, times=1, days=7)])
    long = replace(shown, lists=tuple(replace(one, length=10_000) for one in shown.lists * 100))
    assert list(long._spans(9))[:3] == [(0, 4), (4, 8), (8, 9)]  # pylint: disable=protected-access
