"""Rules that are malformed, unusable or contradict one another: `check` names each by file and line."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.cli.conftest import DAY, write_inputs

_FILE = "settings/rules.toml"


@dataclass(frozen=True)
class Wrong:
    """A rule, and the one message about it; an empty message: it is as it should be."""

    rule: str
    key: str = ""
    what: str = ""
    fix: str = ""
    severity: str = "warning"


# what the settings refuse: the key as it is shown, and the reason
MALFORMED = (
    Wrong("block = true", "", "blocks every item for every user"),
    Wrong("items = 'price > 3'", "", "has no action: add one of block, require"),
    Wrong("block = true\nboost = 2.0\nitems = 'price > 3'", "", "has 2 actions, block and boost"),
    Wrong("boost = 0.5\nitems = 'price > 3'", "boost = 0.5", "should be greater than 1"),
    Wrong("blok = true", "blok = true", "no such key of a rule; did you mean block?"),
    Wrong("pin = { places = [0] }\nitems = 'price > 3'", "pin.places.1 = 0", "greater than or equal to 1"),
    Wrong("from = 2026-02-01\nuntil = 2026-01-01\none_of = 'genre'", "", "is before from"),
    Wrong("limit = { by = 'genre' }", "limit.at_most", "is missing"),
    Wrong('block = true\nitems = "genre = \'news"', "items = ", "a quotation mark is not closed"),
    Wrong("quota = { at_most_lists = -5 }", "quota.at_most_lists = -5", "a whole number from 0"),
    Wrong("cooldown = { times = 0, days = 14 }", "cooldown.times = 0", "greater than or equal to 1"),
)
# what does not fit the tables
UNUSABLE = (
    Wrong("block = true\nitems = 'prise > 3'", "items", "did you mean 'price'?", "such as price"),
    Wrong("block = true\nwhen = 'agee > 3'", "when", "did you mean 'age'?", "such as age"),
    Wrong("block = true\nitems = 'price >'", "items", "cannot be used", "such as: price > 10"),
    Wrong("block = true\nwhen = 'age + 1'", "when", "is not a condition", "such as: age > 10"),
    Wrong("require = 'items.genre = users.genre'", "require", "'genre' of users", "data.users.rule_columns"),
    Wrong("one_of = 'size'", "one_of", "it names the column 'size' of items", "data.items.rule_columns"),
    Wrong("quota = { by = 'gnre', at_most_lists = 3 }", "quota", "did you mean 'genre'?", "such as genre"),
    Wrong("quota = { at_most_lists = 'genre' }", "quota", "holds String", "a column of numbers"),
    Wrong("pin = { places = [1], campaign = 'data/gone.csv' }", "pin", "no such file", "the `campaign` of"),
)
# what can be used, and changes nothing or cannot be fulfilled
CONTRADICTORY = (
    Wrong("block = true\nitems = \"genre = 'opera'\"", "items", "none of the 41 items matches", "correct"),
    Wrong("boost = 2.0\nitems = 'price > 1'\nwhen = \"city = 'Rome'\"", "when", "none of the 60 users meets"),
    Wrong("boost = 2.0\nitems = 'price > 1'\nuntil = 2025-01-01", "until", "it ended on", "remove", "note"),
    Wrong("block = true\nitems = \"genre = 'news'\""),
    Wrong(
        "pin = { places = [2] }\nitems = \"genre = 'news'\"", "pin", "rule 4, rule 4, removes all", "narrow"
    ),
    Wrong("pin = { places = [1] }\nitems = \"genre = 'drama'\""),
    Wrong(
        "pin = { places = [1] }\nitems = \"genre = 'crime'\"", "pin", "rule 6, rule 6, pins place 1 too for"
    ),
    Wrong(
        "pin = { places = [12] }\nitems = \"genre = 'crime'\"", "pin", "place 12 is never filled", "up to 10"
    ),
    Wrong("at_least = 11\nitems = \"genre = 'drama'\"", "at_least", "more than the 10 places of a list"),
    Wrong("limit = { by = 'genre', at_most = 2 }"),
    Wrong(
        "at_least = 3\nitems = \"genre = 'crime'\"",
        "at_least",
        "rule 10, rule 10, allows 2",
        "raise at_most of",
    ),
    Wrong("one_of = 'colour'", "one_of", "the column 'colour' of items has no value", "that has values"),
    Wrong("quota = { at_most_lists = 'sold_out' }", "quota", "is below 1 for all 30 items", "'sold_out'"),
    Wrong("quota = { at_most_lists = 'unknown' }", "quota", "has no number for all 30 items", "'unknown'"),
    Wrong("quota = { at_most_lists = 5 }", "quota", "600 places: 450 stay empty", "raise the maxima"),
    Wrong("quota = { by = 'genre', at_least_share = 0.5 }", "quota", "news has 0 items", "lower at_least"),
    Wrong("boost = 2.0\nitems = 'items.price > users.age + 999'", "items", "no item matches for any of 60"),
)
TOGETHER = (
    Wrong("at_least = 6\nitems = \"genre = 'drama'\""),
    Wrong(
        "at_least = 6\nitems = \"genre = 'crime'\"", "at_least", "with rule 1, rule 1, at_least adds up to 12"
    ),
    Wrong("quota = { by = 'genre', at_least_share = 1.0 }"),
    Wrong("quota = { at_least_share = 0.5 }", "quota", "1,200 rows of all together; the lists have 600"),
    Wrong("pin = { places = [3], campaign = 'data/over.csv' }", "pin", "no row of the campaign runs on"),
    Wrong(
        "boost = 2.0\nitems = 'price > 999'", "items", "items that match: 1; none of them may be recommended"
    ),
)
WITHOUT_LISTS = (
    Wrong("require = 'price < 12'", "require", "fewer than 10 items to recommend", "narrow the rules"),
    Wrong(
        "block = true\nwhen = \"city = 'Oslo'\"",
        "block",
        "no item to recommend; this one",
        "narrow the rules",
    ),
)


def with_names(rules: Sequence[Wrong]) -> str:
    return "".join(
        f"[[default.rules]]\nname = 'rule {number}'\n{one.rule}\n\n" for number, one in enumerate(rules, 1)
    )


def lines_of(text: str) -> list[int]:
    return [number for number, line in enumerate(text.split("\n"), 1) if line == "[[default.rules]]"]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace without a model; one of its 41 items is excluded."""
    root = tmp_path_factory.mktemp("rules")
    write_inputs(root)
    items = pl.read_parquet(root / "data/items.parquet")
    dear = pl.DataFrame({"item_id": [900], "title": ["Gold Watch"], "price": [2_000.0], "genre": ["drama"]})
    columns = {"colour": pl.lit(None, pl.String), "sold_out": pl.lit(-1), "unknown": pl.lit(None, pl.Float64)}
    pl.concat([items, dear]).with_columns(**columns).write_parquet(root / "data/items.parquet")
    (root / "data/over.csv").write_text("item_id,until\n101,2025-01-01\n")
    file = root / "settings/settings.toml"
    text = file.read_text().replace('"genre"]', '"genre", "colour", "sold_out", "unknown"]')
    file.write_text(text + '[default.scoring]\nexclude = "price > 1000"\n')
    return root


def run(root: Path, *args: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("RECSYS_")}
    program = [sys.executable, "-m", "recsys_cli", "-C", str(root), *args, "--date", str(DAY)]
    return subprocess.run(program, env=clean, capture_output=True, text=True, timeout=300, check=False)


def problems(root: Path, rules: Sequence[Wrong], *options: str) -> list[dict[str, Any]]:
    """Return the problems that `check` finds at each rule; the workspace itself has warnings of its own."""
    text = with_names(rules)
    (root / _FILE).write_text(text)
    found = json.loads(run(root, *options, "check", "--json").stdout)["problems"]
    return [one for one in found if one["where"].startswith(_FILE)]


def assert_found(found: Sequence[dict[str, Any]], rules: Sequence[Wrong]) -> None:
    lines = lines_of(with_names(rules))
    by_rule: dict[str, list[dict[str, Any]]] = {}
    for one in found:
        by_rule.setdefault(one["where"].partition(", rule ")[0], []).append(one)
    for number, (line, wrong) in enumerate(zip(lines, rules, strict=True), 1):
        own = by_rule.pop(f"{_FILE}, line {line}: rule {number}", [])
        assert len(own) == bool(wrong.what), (wrong, own)
        if own:
            assert own[0]["where"].endswith(f", rule {number}: {wrong.key}")
            assert wrong.what in own[0]["what"] and wrong.fix in own[0]["fix"], own
            assert own[0]["severity"] == wrong.severity and own[0]["fix"]
    assert not by_rule


def test_each_malformed_rule_is_one_line_of_the_message(root: Path) -> None:
    text = with_names(MALFORMED)
    (root / _FILE).write_text(text)
    done = run(root, "check")
    assert done.returncode == 2 and not done.stdout
    message = done.stderr.split("\n")
    assert f"{len(MALFORMED)} settings are not valid" in message[0]
    for number, (line, wrong) in enumerate(zip(lines_of(text), MALFORMED, strict=True), 1):
        own = [one.strip() for one in message if f"[default], line {line})" in one]
        assert len(own) == 1 and wrong.what in own[0], (wrong, own)
        assert own[0].startswith(f"rule {number}, rule ") and wrong.key in own[0]
    assert "fix: correct or remove these keys" in done.stderr


def test_each_rule_that_does_not_fit_the_tables_is_an_error(root: Path) -> None:
    found = problems(root, UNUSABLE)
    assert {one["severity"] for one in found} == {"error"}
    assert_found([one | {"severity": "warning"} for one in found], UNUSABLE)
    assert "total_dur" not in json.dumps(found)


def test_what_stops_score_names_the_same_files_and_lines(root: Path) -> None:
    text = with_names(UNUSABLE)
    (root / _FILE).write_text(text)
    done = run(root, "score")
    assert done.returncode > 0 and "Traceback" not in done.stderr
    for number, (line, wrong) in enumerate(zip(lines_of(text), UNUSABLE, strict=True), 1):
        assert f"{_FILE}, line {line}: rule {number}, rule {number}: {wrong.key}: " in done.stderr


def test_each_contradiction_is_one_problem(root: Path) -> None:
    assert_found(problems(root, CONTRADICTORY), CONTRADICTORY)


def test_rules_are_looked_at_together(root: Path) -> None:
    assert_found(problems(root, TOGETHER, "--set", "scoring.filter_viewed=false"), TOGETHER)


def test_users_without_a_list_are_counted(root: Path) -> None:
    assert_found(problems(root, WITHOUT_LISTS), WITHOUT_LISTS)


def test_rules_that_leave_nobody_a_list_are_an_error(root: Path) -> None:
    (found,) = problems(root, (Wrong("block = true\nitems = 'price > 0'", "block", "no item", "narrow"),))
    assert found["severity"] == "error" and "no item to recommend; this one" in found["what"]


def test_rules_in_both_files_are_refused(root: Path) -> None:
    settings = root / "settings/settings.toml"
    before = settings.read_text()
    rule = '[[default.rules]]\nname = "one"\none_of = "genre"\n'
    (root / _FILE).write_text(rule)
    settings.write_text(f"{before}\n{rule}")
    try:
        done = run(root, "check")
    finally:
        settings.write_text(before)
    assert done.returncode == 2 and not done.stdout
    assert (
        "rules are in settings/settings.toml [default] and in settings/rules.toml [default]: put them all "
        "into one of the two"
    ) in done.stderr
