"""The ten rules of `recsys guide rule-recipes`, each on a small shop: the pairs that it meets, by hand."""

import re
import tomllib
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from recsys_cli.configs.rule_sections import Rule
from recsys_cli.data_preparation.features.feature_tables import FeatureTables
from recsys_cli.models.candidates.protocol import Pairs
from recsys_cli.models.postprocessing.rule_binding import bind_rules

GUIDE = Path(__file__).parents[3] / "recsys_cli/guide/rule-recipes.md"
RECIPES = {
    rule["name"]: Rule.model_validate(rule)
    for block in re.findall(r"```toml\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    for rule in tomllib.loads(block)["default"]["rules"]
}
ITEMS = pl.DataFrame(
    [
        # item_id, stock, brand, country, age_rating, item_age_days, supplier, product
        ("a", 0, "Own", "DE", 0, 3.0, "Nordwind", "shirt"),
        ("b", 5, "Own", "FR", 18, 14.0, "Other", "shirt"),
        ("c", None, "Acme", None, None, 400.0, "Nordwind", None),
        ("d", 7, None, "DE", 12, 15.0, None, "shoe"),
    ],
    schema=["item_id", "stock", "brand", "country", "age_rating", "item_age_days", "supplier", "product"],
    orient="row",
)
USERS = pl.DataFrame(
    [("u0", "DE", 30, False), ("u1", "FR", 12, True), ("u2", None, None, False)],
    schema=["user_id", "country", "age", "in_holdout"],
    orient="row",
)
CAMPAIGN = pl.DataFrame({"item_id": ["b", "d"]})
RESTING = pl.DataFrame({"rule": [0], "user": [1], "item": [3]}).cast(
    {"rule": pl.Int8, "user": pl.UInt32, "item": pl.UInt32}
)


def features(day: date) -> FeatureTables:
    pairs = pl.DataFrame(schema={"user": pl.UInt32, "item": pl.UInt32, "days_ago": pl.Float32})
    affinity = {"user": pl.UInt32, "feature": pl.String, "value": pl.String, "share": pl.Float32}
    names = tuple(USERS.columns[1:]), tuple(ITEMS.columns[1:])
    return FeatureTables(day, *names, USERS, ITEMS, pairs, pl.DataFrame(schema=affinity))


def met(rule: Rule, day: date = date(2026, 11, 15)) -> list[str]:
    """Return the items that each user meets the rule with."""
    tables = features(day)
    bound = bind_rules([rule], tables, 3, {"data/campaign.parquet": CAMPAIGN}, list_length=10)
    own = bound.of_users(tables, RESTING)
    users, count = np.arange(3, dtype=np.uint32), len(ITEMS)
    pairs = Pairs(np.arange(4, dtype=np.int64) * count, np.tile(np.arange(count, dtype=np.int32), 3))
    marks = own.marks(users, pairs).reshape(3, count)
    return ["".join(np.array(ITEMS["item_id"].to_list())[row != 0]) for row in marks]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("out of stock", ["a", "a", "a"]),
        ("two of a brand", ["abcd"] * 3),
        ("autumn campaign", ["bd"] * 3),
        ("own country", ["bc", "acd", "abcd"]),  # what breaks it
        ("grown-ups only", ["", "b", "abd"]),  # what breaks it
        ("one new item", ["ab"] * 3),
        ("contract with Nordwind", ["ac"] * 3),
        ("one size", ["abcd"] * 3),
        ("shown in vain", ["", "d", ""]),
        ("promotion outside of the holdout", ["ab", "", "ab"]),
    ],
)
def test_a_recipe_meets_the_pairs_that_it_says(name: str, expected: list[str]) -> None:
    assert met(RECIPES[name]) == expected


def test_every_recipe_is_tried() -> None:
    assert len(RECIPES) == 10


def test_a_campaign_ends() -> None:
    assert met(RECIPES["autumn campaign"], date(2026, 12, 1)) == ["", "", ""]


@pytest.mark.parametrize(
    ("name", "groups"),
    [
        ("two of a brand", [["Own"], ["Own"], ["Acme"], []]),
        ("one size", [["shirt"], ["shirt"], [], ["shoe"]]),
    ],
)
def test_what_counts_together(name: str, groups: list[list[str]]) -> None:
    (limit,) = bind_rules([RECIPES[name]], features(date(2026, 11, 15)), 3, {}, list_length=10).tables.limits
    found = limit.groups
    ends = zip(found.indptr, found.indptr[1:], strict=False)
    assert [[found.names[code] for code in found.codes[first:last]] for first, last in ends] == groups
    assert limit.at_most == (2 if name == "two of a brand" else 1)


def test_the_minimum_of_a_supplier_is_of_its_rows_alone() -> None:
    rules = [RECIPES["contract with Nordwind"]]
    (quota,) = bind_rules(rules, features(date(2026, 11, 15)), 100, {}, list_length=10).tables.quotas
    least = dict(zip(quota.groups.names, quota.at_least.tolist(), strict=True))
    assert least == {"Nordwind": 5, "Other": 0}
