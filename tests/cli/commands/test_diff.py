"""`recsys diff`: against values worked out by hand and by the definition, and what it says of causes."""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys_cli.cli.app import main
from recsys_cli.pipelines.publication.comparison import PERSISTENCE, changes_between, compared_lists
from recsys_cli.utils.errors import ExitCode

DAY, NEXT = "2026-03-02", "2026-03-03"
Lists = dict[str, Sequence[int]]


def frame(lists: Lists) -> pl.DataFrame:
    rows = [(user, item, rank) for user, items in sorted(lists.items()) for rank, item in enumerate(items, 1)]
    schema = {"user_id": pl.String, "item_id": pl.Int64, "rank": pl.UInt16}
    return pl.DataFrame(rows, schema, orient="row")


def by_definition(one: Sequence[int], other: Sequence[int]) -> float:
    """Return RBO_EXT as equation 32 of Webber, Moffat and Zobel (2010) writes it."""
    short, long = sorted((list(one), list(other)), key=len)
    s, l, p = len(short), len(long), PERSISTENCE

    def agreement(depth: int) -> int:
        return len(set(short[:depth]) & set(long[:depth]))

    first = sum(agreement(d) / d * p**d for d in range(1, l + 1))
    second = sum(agreement(s) * (d - s) / (s * d) * p**d for d in range(s + 1, l + 1))
    last = ((agreement(l) - agreement(s)) / l + agreement(s) / s) * p**l
    return (1 - p) / p * (first + second) + last


def test_three_pairs_by_hand() -> None:
    """Of two lists of two places that swap their items X is 0, 2: .1 / .9 * 2 / 2 * .81 + .81 = .9."""
    a: Lists = {"same": [1, 2], "swap": [1, 2], "other": [1, 2], "half": [1, 2]}
    b: Lists = {"same": [1, 2], "swap": [2, 1], "other": [3, 4], "half": [1, 3]}
    output = {row["user_id"]: row for row in compared_lists(frame(a), frame(b)).to_dicts()}
    assert {user: row["overlap"] for user, row in output.items()} == {
        "same": 1,
        "swap": 1,
        "other": 0,
        "half": 0.5,
    }
    # "half" has X = 1, 1: .1 / .9 * (.9 + .81 / 2) + .81 / 2.
    expected = {"same": 1.0, "swap": 0.9, "other": 0.0, "half": 0.1 / 0.9 * 1.305 + 0.405}
    assert {user: row["rbo"] for user, row in output.items()} == pytest.approx(expected)


@given(
    st.lists(st.integers(0, 12), min_size=1, unique=True),
    st.lists(st.integers(0, 12), min_size=1, unique=True),
)
def test_rank_biased_overlap_is_that_of_the_definition(one: list[int], other: list[int]) -> None:
    output = compared_lists(frame({"u": one}), frame({"u": other})).row(0, named=True)
    assert output["rbo"] == pytest.approx(by_definition(one, other))
    assert output["overlap"] == len(set(one) & set(other)) / max(len(one), len(other))


@settings(max_examples=30)
@given(
    st.dictionaries(st.sampled_from("abcdefgh"), st.lists(st.integers(0, 5), min_size=1, unique=True)),
    st.dictionaries(st.sampled_from("abcdefgh"), st.lists(st.integers(0, 5), min_size=1, unique=True)),
    st.integers(1, 4),
)
def test_ranges_of_users_change_no_figure(a: Lists, b: Lists, users: int) -> None:
    with pytest.MonkeyPatch.context() as patch, TemporaryDirectory() as name:
        files = Path(name, "a.parquet"), Path(name, "b.parquet")
        for file, lists in zip(files, (a, b), strict=True):
            frame(lists).write_parquet(file)
        patch.setattr("recsys_cli.pipelines.publication.comparison._USERS", users)
        output = changes_between(*files, 3)
    both = a.keys() & b.keys()
    assert (output.users, output.only_a, output.only_b) == (len(both), len(a) - len(both), len(b) - len(both))
    assert output.unchanged == sum(a[user] == b[user] for user in both)
    if both:
        overlaps = [len(set(a[u]) & set(b[u])) / max(len(a[u]), len(b[u])) for u in both]
        assert output.mean("overlap") == pytest.approx(sum(overlaps) / len(both))
        assert output.mean("rbo") == pytest.approx(sum(by_definition(a[u], b[u]) for u in both) / len(both))
    counts = {
        row["item_id"]: (row["a"], row["b"])
        for row in (output.items.to_dicts() if output.items is not None else [])
    }
    assert counts == {
        item: tuple(sum(item in items for items in lists.values()) for lists in (a, b))
        for item in {item for lists in (a, b) for items in lists.values() for item in items}
    }


def output(workspace: Path, capsys: pytest.CaptureFixture[str], *what: str) -> dict[str, Any]:
    capsys.readouterr()
    assert main(["-C", str(workspace), "--json", "diff", *what]) == ExitCode.OK
    return dict(json.loads(capsys.readouterr().out))


def test_a_run_differs_in_nothing_from_itself(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    same = output(workspace, capsys, DAY, DAY)
    assert (same["users"], same["unchanged"], same["only_a"], same["only_b"]) == (60, 60, 0, 0)
    assert not (same["won"] or same["lost"] or same["most_changed"] or same["causes"] or same["settings"])
    assert same["overlap"]["mean"] == same["rbo"]["mean"] == 1.0
    assert main(["-C", str(workspace), "diff", DAY, DAY]) == ExitCode.OK
    assert capsys.readouterr().out == "No list differs: 60 users have the same items in the same order.\n"


def test_the_setting_that_was_changed_is_named(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-q", "-C", str(workspace), "score", "--date", DAY, "--force"]) == ExitCode.OK
    rule = "scoring.exclude=price > 25"
    assert main(["-q", "-C", str(workspace), "--set", rule, "score", "--date", NEXT]) == ExitCode.OK
    found = output(workspace, capsys, DAY, NEXT)
    assert found["settings"] == {"scoring.exclude": ["", "price > 25"]}
    assert found["causes"]["date"] == [DAY, NEXT] and "features_content_hash" in found["causes"]
    prices = dict(pl.read_parquet(workspace / "data/items.parquet")["item_id", "price"].iter_rows())
    assert all(prices[row["item_id"]] > 25 for row in found["lost"][:3]) and found["overlap"]["mean"] < 0.9
    assert main(["-C", str(workspace), "diff", DAY, NEXT]) == ExitCode.OK
    out = capsys.readouterr().out
    assert "scoring.exclude" in out and "Items that lost most" in out and found["lost"][0]["title"] in out


def test_what_cannot_be_compared_is_refused(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for what, code, words in (
        ("2020-01-01", ExitCode.USAGE, "there is no such file of recommendations"),
        ("yesterday", ExitCode.USAGE, "'yesterday' is no date, no run and no path\n  where: DATE|RUN|PATH"),
        (str(workspace / "settings/settings.toml"), ExitCode.INPUT, "it cannot be read"),
        (str(workspace / "data/items.parquet"), ExitCode.INPUT, "it is no file of recommendations"),
    ):
        assert main(["-C", str(workspace), "diff", DAY, what]) == code
        assert words in capsys.readouterr().err


def test_a_run_whose_lists_are_gone_is_not_compared(
    workspace: Path, capsys: pytest.CaptureFixture[str], refused: Callable[..., str]
) -> None:
    runs = []
    for arguments in (("--top-k", "10", "--force"), ("--top-k", "5")):
        assert main(["-q", "-C", str(workspace), "score", "--date", DAY, *arguments]) == ExitCode.OK
        manifest = workspace / f"recommendations/date={DAY}/manifest.json"
        runs.append(json.loads(manifest.read_text())["run_id"])
    assert f"those of {DAY} are of run {runs[1]}" in refused(ExitCode.USAGE, "diff", runs[0], DAY)
    assert output(workspace, capsys, runs[1], DAY)["unchanged"] == 60
    failing = ("-q", "-C", str(workspace), "--set", "gates.min_users=61", "score", "--date", NEXT)
    assert main(failing) == ExitCode.CHECK
    (rejected,) = (workspace / "runs").glob("*/rejected.parquet")
    message = refused(ExitCode.USAGE, "diff", rejected.parent.name, DAY)
    assert "this run has published nothing" in message and f"fix: look at {rejected}" in message
    found = output(workspace, capsys, str(rejected), DAY)
    assert found["without_settings"] == [] and "gates.min_users" not in found["settings"]
    shutil.rmtree(workspace / "runs")
    assert output(workspace, capsys, DAY, str(workspace / "data/../recommendations/date=2026-03-02"))[
        "without_settings"
    ]


def test_another_choice_of_users_is_a_cause(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-q", "-C", str(workspace), "score", "--date", NEXT, "--users", "u01,u02"]) == ExitCode.OK
    assert output(workspace, capsys, DAY, NEXT)["causes"]["all_users"] == [True, False]
    assert main(["-C", str(workspace), "explain", "u03", "--date", NEXT]) == ExitCode.OK
    assert "was over chosen users, not this one: the list is as of now" in capsys.readouterr().err
