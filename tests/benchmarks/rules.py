"""What rules take: nights with and without them, one after the other, over one workspace of demo data.

Usage: python -m tests.benchmarks.rules [--users 500000] [--items 15706] [--rounds 3] [--only rules|quota]
Five rules and variety; and a quota with a stock for every item. Each pair of nights is run one after the
other: the figures are ratios of its seconds. The workspace is made and trained once, in .bench.
"""

import argparse
import json
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np
import polars as pl

from tests.benchmarks.workspaces import DAY, FOLDER, Bench

DIVERSITY = {"scoring.diversity": 0.3, "scoring.diversity_by": "lightfm"}
FIVE = """
[[default.rules]]
name = "not for children"
when = "kids_flg = 1"
items = "age_rating >= 18"
block = true

[[default.rules]]
name = "four of a genre"
limit = { by = "genres", at_most = 4 }

[[default.rules]]
name = "one new"
items = "item_age_days <= 60"
at_least = 1

[[default.rules]]
name = "series"
items = "content_type = 'series'"
boost = 1.3

[[default.rules]]
name = "one of the favourite kind"
items = "items.content_type = users.favourite_content_type"
pin = { places = [3] }
"""
STOCK = """
[[default.rules]]
name = "stock"
quota = { at_most_lists = "stock" }
"""


def main() -> None:
    """Measure what is asked for and print the figures."""
    asked = _asked()
    bench = _workspace(asked.users, asked.items)
    kinds: dict[str, Callable[[], dict[str, Any]]] = {
        "rules": lambda: _night(bench, FIVE, DIVERSITY),
        "quota": lambda: _night(bench, STOCK, {}),
    }
    for name, night in kinds.items():
        if asked.only in ("", name):
            pairs = [(_night(bench, "", {}), night()) for _ in range(asked.rounds)]
            _show(name, pairs)
    broken = _rows_above_the_stock(bench) if asked.only in ("", "quota") else 0
    print(f"rows above the stock: {broken}")


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--users", type=int, default=500_000)
    parser.add_argument("--items", type=int, default=15_706)
    parser.add_argument("--rounds", type=int, default=3, help="pairs of nights")
    parser.add_argument("--only", choices=("rules", "quota"), default="")
    return parser.parse_args()


def _workspace(users: int, items: int) -> Bench:
    """Return a workspace whose items have a stock, made and trained if it is not there."""
    bench = Bench.open(FOLDER / "rules", users, items)
    file, settings = bench.root / "data/items.parquet", bench.root / "settings/settings.toml"
    catalogue = pl.read_parquet(file)
    if "stock" not in catalogue.columns:
        most = 2 * round(1.65 * 10 * users / items)
        stock = np.random.default_rng(1).integers(most // 20, most, len(catalogue))
        catalogue.with_columns(stock=pl.Series(stock)).write_parquet(file)
        text = settings.read_text()
        settings.write_text(text.replace('"age_rating"]', '"age_rating"]\nrule_columns = ["stock"]', 1))
    bench.version("default")
    return bench


def _night(bench: Bench, rules: str, settings: dict[str, object]) -> dict[str, Any]:
    """Score everybody by these rules, in a process of its own."""
    (bench.root / "settings/rules.toml").write_text(rules)
    return bench.score("default", settings)


def _show(name: str, pairs: list[tuple[dict[str, Any], dict[str, Any]]]) -> None:
    ratios = [night["seconds"] / plain["seconds"] for plain, night in pairs]
    rounded = ", ".join(f"{ratio:.3f}" for ratio in ratios)
    peaks = max(night["peak_rss_gb"] for _, night in pairs)
    print(f"{name}: {median(ratios):.3f} times the seconds without ({rounded}), peak {peaks:.2f} GB")
    print(json.dumps({"without": pairs[-1][0], "with": pairs[-1][1]}, indent=2))


def _rows_above_the_stock(bench: Bench) -> int:
    """Return the rows of the published lists beyond what there is of their items."""
    lists = pl.scan_parquet(bench.root / f"recommendations/date={DAY}/recommendations.parquet")
    counts = lists.group_by("item_id").agg(rows=pl.len().cast(pl.Int64)).collect()
    stock = pl.read_parquet(bench.root / "data/items.parquet", columns=["item_id", "stock"])
    above = counts.join(stock, on="item_id").select((pl.col("rows") - pl.col("stock")).clip(lower_bound=0))
    return int(above.sum().item())


if __name__ == "__main__":
    main()
