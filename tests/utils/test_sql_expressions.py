"""From a SQL expression of the settings to polars."""

from pathlib import Path

import polars as pl
import pytest

import recsys_cli
from recsys_cli.utils.errors import SettingsError
from recsys_cli.utils.sql_expressions import sql_condition, sql_expression

_ITEMS = pl.DataFrame(
    {
        "item_id": ["a", "b", "c", "d"],
        "price": [1.5, 30.0, None, 4.0],
        "title": ["Mug, red", "it's", "Pen", None],
        "date": ["2026-01-05", "2026-11-23", None, "2025-07-01"],
        "tags": [["x", "y"], [], None, ["y"]],
        "sale": [True, False, None, True],
    }
).with_columns(pl.col("date").str.to_date())


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("price > 3", "bd"),
        ("price BETWEEN 1 AND 4.0", "ad"),
        ("title = 'it''s'", "b"),
        ("title LIKE '%red' OR title ILIKE 'pen'", "ac"),
        ("title ~ '^[A-M]'", "a"),
        ("title IS NULL", "d"),
        ("item_id NOT IN ('a', 'b')", "cd"),
        ("price IN (-1, 4)", "d"),
        ("date >= DATE '2026-01-05'", "ab"),
        ("EXTRACT(YEAR FROM date) = 2025", "d"),
        ("array_contains(tags, 'y')", "ad"),
        ("length(title) = 3", "c"),
        ("coalesce(price, 0) < 2", "ac"),
        ("CASE WHEN sale THEN price ELSE 0 END > 2", "d"),
        ("concat(item_id, '-', title) = 'c-Pen'", "c"),
        ("sale", "ad"),
        ("NOT sale AND price // 7 = 4", "b"),
        ("CAST(price AS INT) % 2 = 0", "bd"),
        ("price IS DISTINCT FROM 4", "abc"),
    ],
)
def test_condition_selects_the_rows_that_it_says(text, items):
    condition = sql_condition(text, _ITEMS.schema, where="scoring.exclude")
    assert "".join(_ITEMS.filter(condition)["item_id"]) == items


def test_expression_names_its_columns_and_its_type():
    found = sql_expression("price * 2 + length(title)", _ITEMS.schema, where="rules")
    assert found.columns == {"price", "title"}
    assert found.dtype == pl.Float64


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("prise > 3", "uses the column 'prise', which is missing; did you mean 'price'?"),
        ("price + 1", "is not a condition: it gives Float64"),
        ("title > 3", "cannot be used: "),
        ("title ~ '('", "cannot be used: regex error"),
        ("title ~ '(a{1000}){1000}'", "cannot be used: regex error: Compiled regex exceeds size limit"),
        ('"^.*$" = 1', "names columns by the pattern"),
        ("item_id IN (SELECT 1)", "contains SELECT"),
        ("a" * 300 + " (1)", "aaa…' calls aaa"),
    ],
)
def test_invalid_condition_is_a_settings_error(text, message):
    with pytest.raises(SettingsError) as caught:
        sql_condition(text, _ITEMS.schema, where="scoring.exclude")
    assert message in caught.value.what
    assert caught.value.where == "scoring.exclude"
    assert len(caught.value.what) < 900


@pytest.mark.parametrize(
    ("schema", "tables", "example"),
    [
        ({"item_id": pl.Int64, "title": pl.String, "price": pl.Float64}, (), ", such as: price > 10"),
        ({"item_id": pl.Int64, "title": pl.String}, (), ", such as: title = 'some text'"),
        ({"the title": pl.String}, (), """, such as: "the title" = 'some text'"""),
        ({"select": pl.Int8}, (), ', such as: "select" > 10'),
        ({"since": pl.Date, "new": pl.Boolean}, (), ", such as: since >= DATE '2026-11-23'"),
        ({"item_id": pl.Int64, "tags": pl.List(pl.String)}, (), ""),
        ({"items.price": pl.Int8, "users.age": pl.Int8}, ("users", "items"), ", such as: age > 10"),
    ],
)
def test_the_example_of_a_condition_is_of_a_column_that_is_there(schema, tables, example):
    with pytest.raises(SettingsError) as caught:
        sql_condition("1 + 1", pl.Schema(schema), where="rules", tables=tables)
    assert caught.value.fix == f"write a SQL condition over the table's own columns{example}"


def test_a_column_of_lists_that_is_compared_by_equality_says_how_it_is_searched():
    schema = {"genres": pl.List(pl.String()), "price": pl.Float64()}
    with pytest.raises(SettingsError) as caught:
        sql_condition("genres = 'news'", schema, where="scoring.exclude")
    assert caught.value.fix == "'genres' holds lists: write array_contains(genres, 'value')"
    assert sql_condition("array_contains(genres, 'news')", schema, where="scoring.exclude") is not None


def test_polars_parses_sql_in_one_place_alone():
    package = Path(recsys_cli.__file__).parent
    using = [file.name for file in package.rglob("*.py") if "sql_expr(" in file.read_text()]
    assert using == ["sql_expressions.py"]
    assert not [file for file in package.rglob("*.py") if "SQLContext" in file.read_text()]
