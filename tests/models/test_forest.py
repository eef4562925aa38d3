"""The trees as arrays against CatBoost's own prediction."""

import numpy as np
import polars as pl
import pytest
from catboost import CatBoost, Pool

from recsys_cli.models.forest import as_json, as_numbers, bind_forest, hash_of_code, read_forest

USERS, ITEMS = 40, 30
COLUMNS = ["user_age", "user_city", "item_price", "item_kind", "lightfm_score", "lightfm_rank"]
CATEGORIES = ["user_city", "item_kind"]


def sides(rng: np.random.Generator) -> tuple[pl.DataFrame, pl.DataFrame]:
    age, price = rng.normal(40, 10, USERS), rng.exponential(5, ITEMS)
    age[::7] = np.nan
    users = pl.DataFrame({"user_age": age, "user_city": rng.integers(0, 200, USERS)})
    items = pl.DataFrame({"item_price": price, "item_kind": rng.integers(0, 4, ITEMS)})
    kinds = {"user_age": pl.Float32, "item_price": pl.Float32, "user_city": pl.Int32, "item_kind": pl.Int32}
    return users.cast({k: v for k, v in kinds.items() if k in users.columns}), items.cast(
        {k: v for k, v in kinds.items() if k in items.columns}
    )


@pytest.mark.parametrize(("loss", "depth"), [("Logloss", 6), ("QuerySoftMax", 3), ("RMSE", 10)])
def test_scores_are_those_of_catboost_bit_for_bit_and_contributions_its_shap_values(
    loss: str, depth: int
) -> None:
    rng = np.random.default_rng(depth)
    users, items = sides(rng)
    counts = rng.integers(0, 20, USERS)
    counts[3] = 0
    own = np.concatenate([np.sort(rng.choice(ITEMS, n, replace=False)) for n in counts]).astype(np.int32)
    rank = rng.integers(1, 100, len(own)).astype(np.float32)
    rank[::3] = np.nan
    pairs = {"lightfm_score": rng.normal(size=len(own)).astype(np.float32), "lightfm_rank": rank}
    rows = np.repeat(np.arange(USERS), counts)
    frame = pl.concat([users[rows], items[own], pl.DataFrame(pairs)], how="horizontal").select(COLUMNS)
    label = (frame["user_city"] % 3 == 0).to_numpy() & (rng.random(len(own)) < 0.7) | (
        pairs["lightfm_score"] > 1
    )
    model = CatBoost(
        {"loss_function": loss, "iterations": 60, "depth": depth, "one_hot_max_size": 255, "random_seed": 1}
        | {"allow_writing_files": False, "logging_level": "Silent"}
    )
    model.fit(Pool(frame, label=label.astype(int), group_id=rows, cat_features=CATEGORIES))

    told = as_json(model)
    bound = bind_forest(read_forest(told), items)
    raw = bound.raw_scores(as_numbers(users), rows, own, pairs)

    expected = model.predict(Pool(frame, cat_features=CATEGORIES), prediction_type="RawFormulaVal")
    asked = {slot.column.split("_")[0] for slot in bound.forest.slots}
    assert asked == {"user", "item", "lightfm"}
    np.testing.assert_array_equal(raw, expected.astype(np.float32))

    contributions = bound.forest.contributions(as_numbers(frame))
    shap = model.get_feature_importance(Pool(frame, cat_features=CATEGORIES), type="ShapValues")
    assert depth < 6 or any(
        0.0 in tree["leaf_weights"] for tree in told["oblivious_trees"]
    )  # nodes that no row reached
    np.testing.assert_allclose(contributions, shap, rtol=0, atol=1e-9)
    np.testing.assert_allclose(contributions.sum(axis=1), expected, rtol=0, atol=1e-9)


def test_contributions_by_hand() -> None:
    """Two splits: rows of weight 1, 3 | 2, 2 lie in the leaves 0, 4 | 2, 10; the root is the last split."""
    names = [{"feature_id": name, "borders": [0.5]} for name in ("a", "b")]
    splits = [{"split_index": column} for column in (0, 1)]
    tree = {"splits": splits, "leaf_values": [0, 4, 2, 10], "leaf_weights": [1.0, 3.0, 2.0, 2.0]}
    forest = read_forest(
        {"features_info": {"float_features": names}, "oblivious_trees": [tree], "scale_and_bias": [1, [5.5]]}
    )
    one, none = np.ones(1, np.float32), np.zeros(1, np.float32)
    # Nothing is known: (0 + 12 + 4 + 20) / 8 = 4.5; a = 1: (4 x 4 + 10 x 4) / 8 = 7; b = 1: (2 + 10) / 2 = 6.
    np.testing.assert_allclose(
        forest.contributions({"a": one, "c": none, "b": one}), [[(2.5 + 4) / 2, 0, (1.5 + 3) / 2, 10]]
    )


def test_every_code_has_a_hash_of_its_own() -> None:
    assert len({hash_of_code(code) for code in range(1_000)}) == 1_000


def test_a_tree_of_one_leaf_adds_its_value() -> None:
    """CatBoost grows such trees where it looks at no column, as with a small rsm."""
    frame = pl.DataFrame({"lightfm_rank": np.arange(8, dtype=np.float32)})
    label = [0, 1, 0, 1, 1, 1, 0, 1]
    model = CatBoost({"loss_function": "Logloss", "iterations": 3, "rsm": 0.001, "logging_level": "Silent"})
    model.set_params(allow_writing_files=False)
    model.fit(Pool(frame, label=label))
    bound = bind_forest(read_forest(as_json(model)), pl.DataFrame({"item_kind": [1]}))

    columns = {"lightfm_rank": frame["lightfm_rank"].to_numpy()}
    raw = bound.raw_scores(
        {"user_age": np.ones(1, np.float32)}, np.zeros(8, int), np.zeros(8, np.int32), columns
    )
    assert not all(tree["splits"] for tree in as_json(model)["oblivious_trees"])

    np.testing.assert_array_equal(raw, model.predict(frame).astype(np.float32))
    shap = model.get_feature_importance(Pool(frame, label=label), type="ShapValues")
    np.testing.assert_allclose(bound.forest.contributions(columns), shap, rtol=0, atol=1e-12)
