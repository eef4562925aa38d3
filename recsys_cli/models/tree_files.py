"""The ranker's trees as a file, judged as a whole before numpy or CatBoost sees a number of it.

It is the JSON that CatBoost exports. Its own binary format is not read: damaged bytes end the process there.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt

from recsys_cli.utils.files import read_json
from recsys_cli.utils.judged import judged

if TYPE_CHECKING:
    from catboost import CatBoost

_MOST = 3.4028234663852886e38  # of f32: CatBoost has a border there

Border = Annotated[float, Field(ge=-_MOST, le=_MOST, allow_inf_nan=False)]
Leaf = Annotated[float, Field(ge=-1e30, le=1e30, allow_inf_nan=False)]  # sums of them stay within f32
Weight = Annotated[float, Field(ge=0.0, le=1e30, allow_inf_nan=False)]
Scale = Annotated[float, Field(gt=0.0, le=1e6, allow_inf_nan=False)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class _Feature(_Part):
    feature_id: str
    feature_index: NonNegativeInt
    flat_feature_index: NonNegativeInt


class _Number(_Feature):
    borders: list[Border] | None = None
    has_nans: bool
    nan_value_treatment: Literal["AsIs", "AsFalse"]  # NaN exceeds no border


class _Category(_Feature):
    values: list[int] | None = None


class _Features(_Part):
    float_features: list[_Number] = []
    categorical_features: list[_Category] = []


class _NumberSplit(_Part):
    split_type: Literal["FloatFeature"]
    float_feature_index: NonNegativeInt
    border: Border
    split_index: NonNegativeInt


class _CategorySplit(_Part):
    split_type: Literal["OneHotFeature"]
    cat_feature_index: NonNegativeInt
    value: int
    split_index: NonNegativeInt


Split = Annotated[_NumberSplit | _CategorySplit, Field(discriminator="split_type")]


class _Tree(_Part):
    splits: list[Split] | None = Field(max_length=16)  # null: a tree of one leaf
    leaf_values: list[Leaf]
    leaf_weights: list[Weight]


class _Trees(_Part):
    features_info: _Features
    oblivious_trees: list[_Tree] = Field(min_length=1)
    scale_and_bias: tuple[Scale, Annotated[list[Leaf], Field(min_length=1, max_length=1)]]


def read_trees(path: Path) -> dict[str, Any]:
    """Return the trees in a file as CatBoost has exported them.

    Raises: OSError; ValueError for a file that holds anything else.
    """
    told = read_json(path)
    trees = judged(_as_tuples(told), _Trees)
    _check_features(trees.features_info)
    _check_splits(trees)
    return dict(told)


def columns_of(told: Mapping[str, Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the columns that the trees were learnt from, in order, and those of them that are categories."""
    numbers, categories = (
        told["features_info"].get(side, []) for side in ("float_features", "categorical_features")
    )
    places = {one["flat_feature_index"]: one["feature_id"] for one in [*numbers, *categories]}
    return tuple(places[place] for place in sorted(places)), tuple(one["feature_id"] for one in categories)


def open_trees(path: Path) -> "CatBoost":
    """Return the trees in a file that `read_trees` has judged as a model of CatBoost.

    Raises: CatBoostError.
    """
    from catboost import CatBoost

    return CatBoost().load_model(str(path), format="json")


def _as_tuples(told: Any) -> Any:
    """Return the JSON value with a tuple where a strict schema wants one."""
    pair = told.get("scale_and_bias") if isinstance(told, dict) else None
    return {**told, "scale_and_bias": tuple(pair)} if isinstance(pair, list) else told


def _check_features(features: _Features) -> None:
    """Raises: ValueError unless each feature has the place that it says."""
    sides: tuple[Sequence[_Feature], ...] = (features.float_features, features.categorical_features)
    places = [feature.flat_feature_index for side in sides for feature in side]
    if sorted(places) != list(range(len(places))) or any(
        feature.feature_index != number for side in sides for number, feature in enumerate(side)
    ):
        raise ValueError("the features of the trees are in no order")
    for number in features.float_features:
        if not _ascend(np.array(number.borders or [], np.float64).astype(np.float32)):
            raise ValueError(f"the borders of {number.feature_id!r} do not ascend")


def _check_splits(trees: _Trees) -> None:
    """Raises: ValueError unless each split asks for what the features have, and each way has its leaf."""
    asked = dict(enumerate(_questions(trees.features_info)))
    for tree in trees.oblivious_trees:
        leaves = 1 << len(tree.splits or [])
        if len(tree.leaf_values) != leaves or len(tree.leaf_weights) != leaves:
            raise ValueError("the trees have splits without leaves")
        for split in tree.splits or []:
            if asked.get(split.split_index) != _question(split):
                raise ValueError("a split asks for what the features do not have")


def _questions(features: _Features) -> list[tuple[str, int, float]]:
    """Return what can be asked, in CatBoost's order."""
    numbers = [
        ("number", feature.feature_index, border)
        for feature in features.float_features
        for border in feature.borders or []
    ]
    categories = [
        ("category", feature.feature_index, float(value))
        for feature in features.categorical_features
        for value in feature.values or []
    ]
    return numbers + categories


def _question(split: _NumberSplit | _CategorySplit) -> tuple[str, int, float]:
    if isinstance(split, _NumberSplit):
        return "number", split.float_feature_index, split.border
    return "category", split.cat_feature_index, float(split.value)


def _ascend(values: np.ndarray) -> bool:
    return bool(np.isfinite(values).all() and (np.diff(values) > 0).all())
