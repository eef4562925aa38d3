"""What is said in words: commands that a shell takes, names that stay short."""

import shlex

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from recsys_cli.cli.app import app
from recsys_cli.cli.display.phrases import explain_command, item_label
from recsys_cli.cli.global_options import hoisted

IDS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1)


@given(IDS | st.sampled_from(["-5", "-;", "--json", "-C", "a b", "$x", "<b>", "--"]), IDS | st.none())
def test_the_next_command_asks_for_these_very_ids(user: str, item: str | None) -> None:
    words = hoisted(shlex.split(explain_command(user, "2026-07-01", item)))
    assert words[:2] == ["recsys", "explain"]
    group = typer.main.get_command(app)
    asked = group.commands["explain"].make_context("explain", words[2:]).params  # type: ignore[attr-defined]
    assert (asked["user_id"], asked["date"], asked["item"]) == (user, "2026-07-01", item)


@pytest.mark.parametrize(
    ("title", "expected"),
    [(None, "7"), ("", "7"), (" ", "7"), ("Fox", "Fox [7]"), ("x" * 101, f"{'x' * 99}… [7]")],
)
def test_an_item_is_named_by_its_title_and_its_id(title: str | None, expected: str) -> None:
    assert item_label(7, title) == expected
