"""The trees as arrays against CatBoost's own prediction."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from catboost import CatBoost, Pool, sum_models

from recsys_cli.models.reranking.tree_ensemble import (
    FIRST_TREES,
    Forests,
    as_json,
    as_numbers,
    bind_forest,
    count_borders,
    hash_of_code,
    read_forest,
    read_forests,
)

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

    exported = as_json(model)
    bound = bind_forest(read_forest(exported), items)
    raw = bound.raw_scores(as_numbers(users), rows, own, pairs)

    expected = model.predict(Pool(frame, cat_features=CATEGORIES), prediction_type="RawFormulaVal")
    asked = {slot.column.split("_")[0] for slot in bound.forest.slots}
    assert asked == {"user", "item", "lightfm"}
    np.testing.assert_array_equal(raw, expected.astype(np.float32))

    contributions = bound.forest.contributions(as_numbers(frame))
    shap = model.get_feature_importance(Pool(frame, cat_features=CATEGORIES), type="ShapValues")
    assert depth < 6 or any(
        0.0 in tree["leaf_weights"] for tree in exported["oblivious_trees"]
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


def noise(rng: np.random.Generator, size: int) -> pl.DataFrame:
    """Return real values: every sample of them has borders of its own."""
    age, score = rng.normal(40, 10, size), rng.normal(size=size)
    age[::11] = np.nan
    numbers = {"user_age": age, "item_price": rng.exponential(5, size), "lightfm_score": score}
    ranks = {"lightfm_rank": rng.integers(1, 50, size)}
    codes = {"user_city": rng.integers(0, 6, size), "item_kind": rng.integers(0, 4, size)}
    frames = [pl.DataFrame(numbers | ranks).cast(pl.Float32), pl.DataFrame(codes).cast(pl.Int32)]
    return pl.concat(frames, how="horizontal").select(COLUMNS)


def member(rng: np.random.Generator, **chosen: int | str) -> CatBoost:
    """Return a model of a sample of its own."""
    frame = noise(rng, 1_500)
    label = (
        np.sin(3 * frame["user_age"].fill_nan(0)) + np.sin(3 * frame["item_price"]) + frame["lightfm_score"]
    )
    model = CatBoost(
        {
            "loss_function": "RMSE",
            "one_hot_max_size": 255,
            "random_strength": 20,
            "rsm": 0.5,
            "thread_count": 1,
        }
        | {"random_seed": int(rng.integers(1_000)), "allow_writing_files": False, "logging_level": "Silent"}
        | chosen
    )
    return model.fit(Pool(frame, label=label.to_numpy(), cat_features=CATEGORIES))


def drawn_borders(rng: np.random.Generator, folder: Path) -> dict[str, str]:
    """Return where CatBoost is to read 2,000 ages as borders; it chooses those of the other columns."""
    path = folder / "borders.tsv"
    ages = np.unique(rng.normal(40, 10, 2_000).astype(np.float32)).tolist()
    path.write_text("".join(f"{COLUMNS.index('user_age')}\t{age}\tMin\n" for age in ages))
    return {"input_borders": str(path)}


def mean_of_members(seed: int, rng: np.random.Generator, folder: Path) -> CatBoost:
    """Return the mean of two to four members; those of odd seeds have drawn borders."""
    drawn, count = seed % 2, 2 + seed % 3
    size = {"iterations": 100 * count + 40 if drawn else 240, "depth": 6}
    if seed % 5 == 4:
        size = {"iterations": 100, "depth": 9}  # a leaf's number is more than a byte
    members = []
    for kind in ("MinEntropy", "Uniform", "Median", "GreedyLogSum")[:count]:
        chosen = {"border_count": 254, "feature_border_type": kind}
        members.append(member(rng, **size, **(drawn_borders(rng, folder) if drawn else chosen)))
    return sum_models(members, weights=[1 / count] * count)


def assert_as_catboost(
    forests: Forests, model: CatBoost, users: pl.DataFrame, rng: np.random.Generator
) -> None:
    own, rows = rng.integers(0, ITEMS, 150).astype(np.int32), np.sort(rng.integers(0, len(users), 150))
    items, pairs = (
        noise(rng, size).select(f"^{side}_.*$") for side, size in (("item", ITEMS), ("lightfm", 150))
    )
    frame = pl.concat([users[rows], items[own], pairs], how="horizontal").select(COLUMNS)
    for forest, trees in ((forests.all, 0), (forests.first, FIRST_TREES)):
        assert forest is not None
        raw = bind_forest(forest, items).raw_scores(as_numbers(users), rows, own, as_numbers(pairs))
        expected = model.predict(Pool(frame, cat_features=CATEGORIES), "RawFormulaVal", ntree_end=trees)
        np.testing.assert_array_equal(raw, expected.astype(np.float32))
    some = frame.head(40)
    shap = model.get_feature_importance(Pool(some, cat_features=CATEGORIES), type="ShapValues")
    np.testing.assert_allclose(forests.all.contributions(as_numbers(some)), shap, rtol=0, atol=1e-9)


@pytest.mark.parametrize("seed", range(10))
def test_members_of_different_borders_score_as_catboost_does(seed: int, tmp_path: Path) -> None:
    """Their mean has more borders in a column than a byte can count, and few in others."""
    rng = np.random.default_rng(seed)
    model = mean_of_members(seed, rng, tmp_path)
    forests = read_forests(as_json(model))
    borders = {slot.column: slot.borders for slot in forests.all.slots if not slot.is_category}
    assert 256 <= len(borders["user_age"]) <= 2_000 and len(borders["lightfm_rank"]) <= 255
    assert forests.all.border.dtype == np.uint16

    users = noise(rng, USERS).select("^user_.*$")
    at_borders = pl.Series(rng.choice(borders["user_age"], USERS // 2))
    users = users.with_columns(user_age=at_borders.append(users["user_age"][USERS // 2 :]))
    assert_as_catboost(forests, model, users, rng)


def trees_of_borders(count: int) -> dict[str, object]:
    """Return a tree for each of the borders 1, 2, ... of one column: it gives 1 above its border, else 0."""
    column = {"feature_id": "user_age", "borders": list(range(1, count + 1))}
    leaves = {"leaf_values": [0, 1], "leaf_weights": [1.0, 1.0]}
    trees = [{"splits": [{"split_index": place}], **leaves} for place in range(count)]
    info = {"float_features": [column]}
    return {"features_info": info, "oblivious_trees": trees, "scale_and_bias": [1, [0.0]]}


@pytest.mark.parametrize(("count", "kind"), [(255, np.uint8), (256, np.uint16), (65_535, np.uint16)])
def test_a_value_exceeds_the_borders_below_it(count: int, kind: type) -> None:
    bound = bind_forest(read_forest(trees_of_borders(count)), pl.DataFrame({"item_kind": [1]}))
    above = np.nextafter(np.float32(count), np.float32(np.inf))
    values = {np.nan: 0, -np.inf: 0, 1: 0, 1.5: 1, 2: 1, count: count - 1, above: count, np.inf: count}
    columns, expected = {"user_age": np.array(list(values), np.float32)}, list(values.values())
    size = len(expected)

    bins = bound.forest.bins(columns, size)
    raw = bound.raw_scores(columns, np.arange(size), np.zeros(size, np.int32), {})

    assert bins.dtype == bound.items.dtype == bound.forest.border.dtype == kind
    assert bins[:, 0].tolist() == raw.tolist() == expected
    shares = bound.forest.contributions(columns)  # a row in two is above a border
    assert shares.tolist() == [[score - count / 2, count / 2] for score in expected]


def test_more_borders_than_two_bytes_count_are_an_error() -> None:
    with pytest.raises(ValueError, match="'user_age' has 65,536 borders, more than 65,535"):
        read_forest(trees_of_borders(65_536))


@pytest.mark.parametrize("count", [1, 255, 256, 300, 2_000])
def test_borders_are_counted_as_numpy_finds_their_place(count: int) -> None:
    rng = np.random.default_rng(count)
    borders = np.sort(rng.choice(100_000, count, replace=False)).astype(np.float32)
    values = np.concatenate([borders, rng.uniform(-9, 100_009, 3_000).astype(np.float32)])
    values[::50] = np.nan
    places = np.where(np.isnan(values), 0, np.searchsorted(borders, values, side="left"))
    assert count_borders(values, borders).tolist() == places.tolist()
