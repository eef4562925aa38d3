"""What people look at, put into the cart, buy and return at the demo's made-up retailer."""

from datetime import date

import numpy as np
import pyarrow as pa

from recsys_cli.data_preparation.demo_data.catalogue import first_day
from recsys_cli.data_preparation.demo_data.events import Audience
from recsys_cli.data_preparation.demo_data.goods import Goods
from recsys_cli.data_preparation.demo_data.weighted_draws import Flags, Integers, WeightedRows
from recsys_cli.utils.columns import ITEM_ID, TIMESTAMP, USER_ID

VIEW, CART, PURCHASE, RETURN = "view", "cart", "purchase", "return"
_LURED = 0.55  # share of the looks that say nothing about taste
_LURED_BUYS = 0.01  # of these end in a purchase
_CART = 0.6  # share of the purchases that lay in the cart before, and
_LEFT_IN_CART = 0.04  # share of the looks that stay there
_RETURNED = 0.08  # share of the purchases
_THINKING_DAYS, _RETURN_DAYS = 5.0, 8.0  # mean days from the look to the purchase, from there to the return
_SPREAD = 1.6  # of the tastes for niches
_A_DAY = 86_400


def purchases_table(
    audience: Audience, goods: Goods, days: int, events_per_user: float, rng: np.random.Generator
) -> pa.Table:
    """Return the audience's looks and what came of them, by user and time; about so many events a user.

    A look at an item of a niche that the user likes ends in a purchase some days later with the item's own
    chance; more than half of all looks go to what draws the eye, and end in hardly any.
    """
    user = np.repeat(np.arange(len(audience.ids)), _looks(len(audience.ids), events_per_user, rng))
    begin = rng.integers(0, days * _A_DAY, len(user))
    lured = rng.random(len(user)) < _LURED
    liked = _tastes(audience, goods, rng).draw(user, rng) % goods.niches
    item = np.where(lured, goods.striking(len(user), rng), goods.wanted(liked, rng))
    bought = rng.random(len(user)) < np.where(lured, _LURED_BUYS, goods.conversion[item])
    paid = begin + 60 + (rng.exponential(_THINKING_DAYS, len(user)) * _A_DAY).astype(np.int64)
    in_cart = np.where(bought, rng.random(len(user)) < _CART, rng.random(len(user)) < _LEFT_IN_CART)
    back = bought & (rng.random(len(user)) < _RETURNED)
    home = paid + _A_DAY + (rng.exponential(_RETURN_DAYS, len(user)) * _A_DAY).astype(np.int64)
    amount = np.where(bought, 1 + rng.poisson(0.3, len(user)), 1)
    everyone = np.ones(len(user), dtype=bool)
    steps = (
        (VIEW, everyone, begin),
        (CART, in_cart, begin + 30),
        (PURCHASE, bought, paid),
        (RETURN, back, home),
    )
    return _as_table(audience, goods, days, (user, item, amount), steps)


def _looks(users: int, events_per_user: float, rng: np.random.Generator) -> Integers:
    """Return the looks of each user: heavy-tailed; about two in ten end in something else, too."""
    spread = 0.8
    rates = events_per_user / 1.35 * np.exp(spread * rng.standard_normal(users) - spread**2 / 2)
    return np.minimum(rng.poisson(rates), 2_000)


def _tastes(audience: Audience, goods: Goods, rng: np.random.Generator) -> WeightedRows:
    """Return each user's weights of niches; some depend on age."""
    weights = rng.standard_normal((len(audience.ids), goods.niches)) * _SPREAD
    by_age = np.cos(np.arange(goods.niches) + audience.age[:, None])
    return WeightedRows.of(np.exp(weights + by_age).ravel(), np.full(len(audience.ids), goods.niches))


def _as_table(
    audience: Audience,
    goods: Goods,
    days: int,
    looks: tuple[Integers, Integers, Integers],
    steps: tuple[tuple[str, Flags, Integers], ...],
) -> pa.Table:
    """Return a row for each step that happened before the span's end, by user and time."""
    user, item, amount = looks
    rows = [np.flatnonzero(happened & (second < days * _A_DAY)) for _, happened, second in steps]
    kind = np.repeat(np.arange(len(steps)), [len(one) for one in rows])
    look = np.concatenate(rows)
    second = np.concatenate([when[own] for (_, _, when), own in zip(steps, rows, strict=True)])
    order = np.lexsort((kind, second, user[look]))
    look, kind, second = look[order], kind[order], second[order]
    start = (first_day(days) - date(1970, 1, 1)).days * _A_DAY
    names = np.array([name for name, _, _ in steps], dtype=object)
    counted = np.where(kind >= 2, amount[look], 1)
    return pa.table(
        {
            USER_ID: audience.ids[user[look]],
            ITEM_ID: goods.ids[item[look]],
            TIMESTAMP: pa.array((second + start) * 1_000_000).cast(pa.timestamp("us")),
            "kind": pa.array(names[kind], type=pa.string()),
            "quantity": counted.astype(np.int32),
            "price": goods.price[item[look]],
        }
    )
