"""The goods of the demo's made-up retailer: some are looked at, others are bought, and that is known."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from recsys_cli.data_preparation.demo_data.weighted_draws import Floats, Integers, WeightedRows
from recsys_cli.utils.columns import ITEM_ID, TITLE

_NOUNS = {
    "kitchen": ("Pan", "Kettle", "Bowl", "Knife", "Jar"),
    "living room": ("Shelf", "Lamp", "Cushion", "Rug", "Frame"),
    "bedroom": ("Pillow", "Blanket", "Mattress", "Sheet", "Clock"),
    "bathroom": ("Towel", "Mirror", "Soap", "Basket", "Mat"),
    "garden": ("Spade", "Planter", "Hose", "Bench", "Gloves"),
    "office": ("Desk", "Chair", "Pen", "Folder", "Stapler"),
    "sports": ("Ball", "Racket", "Bottle", "Weights", "Helmet"),
    "toys": ("Puzzle", "Blocks", "Doll", "Train", "Kite"),
}
_MATERIALS = ("Oak", "Linen", "Steel", "Glass", "Cotton", "Bamboo", "Clay", "Wool", "Cork", "Brass")
_BRANDS, _STYLES = 24, 4
CATEGORIES = tuple(_NOUNS)


@dataclass(frozen=True)
class Goods:
    """Everything that the events are drawn from; index n is row n of the items table.

    Attributes:
        niche: a category in one of its styles; niches: how many there are.
        tastes: items by how much those who like their niche want them, a row for each niche.
        members: items of all niches, one niche after the other.
        lure: cumulative shares of the looks that go to whatever draws the eye, whoever looks.
        conversion: chance that somebody who likes an item's niche buys it after a look.
    """

    ids: Integers
    niche: Integers
    niches: int
    tastes: WeightedRows
    members: Integers
    lure: Floats
    conversion: Floats
    price: Floats
    table: pa.Table

    def wanted(self, niches: Integers, rng: np.random.Generator) -> Integers:
        """Return an item of each niche, as those who like it want it."""
        return self.members[self.tastes.draw(niches, rng)]

    def striking(self, count: int, rng: np.random.Generator) -> Integers:
        """Return items that draw the eye."""
        return np.searchsorted(self.lure, rng.random(count)).clip(0, len(self.ids) - 1)


def invent_goods(items: int, rng: np.random.Generator) -> Goods:
    """Return so many items; what draws the eye has nothing to do with what is bought."""
    niches = max(1, min(len(CATEGORIES) * _STYLES, items // 10))
    niche = np.sort(np.arange(items) % niches)
    demand = 1.0 / (rng.permutation(items) % max(1, items // niches) + 2.0)
    lure = np.cumsum(1.0 / (rng.permutation(items) + 5.0))
    ids = rng.choice(max(10_000, items * 2), size=items, replace=False).astype(np.int64) + 100_000
    price = np.round(np.exp(rng.normal(2.8, 0.8, items)), 2)
    return Goods(
        ids=ids,
        niche=niche,
        niches=niches,
        tastes=WeightedRows.of(demand, np.bincount(niche, minlength=niches)),
        members=np.arange(items),
        lure=lure / lure[-1],
        conversion=rng.beta(2.0, 3.0, items),
        price=price,
        table=_items_table(ids, niche, price, rng),
    )


def _items_table(ids: Integers, niche: Integers, price: Floats, rng: np.random.Generator) -> pa.Table:
    categories = [CATEGORIES[one % len(CATEGORIES)] for one in niche]
    materials, nouns = rng.integers(len(_MATERIALS), size=len(ids)), rng.integers(5, size=len(ids))
    titles = [
        f"{_MATERIALS[material]} {_NOUNS[category][noun]}"
        for category, material, noun in zip(categories, materials, nouns, strict=True)
    ]
    brands = [f"brand {one:02}" for one in (niche * 7 + rng.integers(4, size=len(ids))) % _BRANDS]
    return pa.table(
        {ITEM_ID: ids, TITLE: titles, "category": categories, "brand": brands, "list_price": price}
    )
