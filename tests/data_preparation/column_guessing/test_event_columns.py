"""Columns that may be weights or types of events, and what types may count for by their names."""

import tomllib
from pathlib import Path

import polars as pl
import pytest

from recsys_cli.configs.event_sections import EventTypeSettings
from recsys_cli.configs.toml_templates import guessed_text
from recsys_cli.data_preparation.column_guessing.column_mapping import guess_data
from recsys_cli.data_preparation.column_guessing.event_columns import Hint, guess_event_types, hint_of
from recsys_cli.data_preparation.readers.remote_copies import InputFolder
from recsys_cli.models.settings_tree import settings_tree

LOOK = {"weight": 0.1, "label": False, "seen": False, "half_life_days": 7.0, "cap_per_day": 3}
INTEREST = {"weight": 0.3, "label": False, "seen": False, "half_life_days": 14.0}


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (
            pl.Series("kind", ["view", "view", "cart"]),
            Hint("kind", "event_type", "has 2 values: view, cart; may be the type of an event"),
        ),
        (
            pl.Series("what", ["click", "click", "order", "refund"]),
            Hint("what", "event_type", "has 3 values: click, order, refund; may be the type of an event"),
        ),
        (pl.Series("what", ["red", "blue"]), None),
        (pl.Series("kind", ["only one"] * 3), None),
        (
            pl.Series("action_type", [1, 2, 2]),
            Hint("action_type", "event_type", "has 2 values: 2, 1; may be the type of an event"),
        ),
        (pl.Series("kind", [f"text {number}" for number in range(21)]), None),
        (pl.Series("quantity", [1, 2, 3]), Hint("quantity", "weight", "may be a weight")),
        (
            pl.Series("quantity", [1, -2, 3]),
            Hint("quantity", "", "may be a weight; 1 values are below 0, such as returns"),
        ),
        (pl.Series("quantity", [1, None, 3]), None),
        (pl.Series("price", [1.0, 2.0]), None),
    ],
)
def test_hints(column: pl.Series, expected: Hint | None) -> None:
    assert hint_of(column, has_weight=False, has_type=False) == expected
    if expected is not None:
        assert hint_of(column, has_weight=True, has_type=True) is None


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["view", "cart", "purchase"], {"cart": INTEREST, "purchase": {}, "view": LOOK}),
        (["click", "order", "return"], {"click": LOOK, "order": {}, "return": {"cancels": "order"}}),
        (
            ["Purchase", "purchase", "purchase", " purchase", "return"],
            {" purchase": {}, "Purchase": {}, "purchase": {}, "return": {"cancels": "purchase"}},
        ),
        (["order", "sale", "refund"], {"order": {}, "refund": {"ignore": True}, "sale": {}}),
        (
            ["add_to_cart", "remove_from_cart", "buy"],
            {"add_to_cart": INTEREST, "buy": {}, "remove_from_cart": {"ignore": True}},
        ),
        (["view", "click"], {"click": {}, "view": {}}),  # nothing else to predict
        (["1", "2"], {"1": {}, "2": {}}),
    ],
)
def test_meanings_by_name(names: list[str], expected: dict[str, dict[str, object]]) -> None:
    guessed = guess_event_types(pl.Series(names))
    assert guessed == {name: EventTypeSettings.model_validate(one) for name, one in expected.items()}


def test_a_mapped_type_gets_its_sections(tmp_path: Path) -> None:
    pl.DataFrame(
        {"user_id": [1, 1], "item_id": [2, 2], "timestamp": [1_700_000_000] * 2, "kind": ["view", "buy"]}
    ).write_parquet(tmp_path / "events.parquet")

    data, guesses, unused = guess_data(
        {"interactions": {"path": "events.parquet"}}, InputFolder(tmp_path), [("event_type", "kind")]
    )

    assert not unused and data.interactions.columns["event_type"] == "kind"
    assert [one.value for one in guesses if one.table == "events"][0] == "weight = 1.0"
    read = settings_tree().model_validate(tomllib.loads(guessed_text(data))["default"])
    assert read.data == data and set(read.data.events) == {"buy", "view"}
