"""The file of the ranker's trees, CatBoost's JSON; validated completely before numpy or CatBoost reads it.

CatBoost's own binary format is not used: reading a damaged file ends the process.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple, NotRequired

import numpy as np
from pydantic import ConfigDict, Field, NonNegativeInt, TypeAdapter, with_config
from typing_extensions import TypedDict  # pydantic takes that of Python itself from 3.12 on

from recsys_cli.utils.json_schema import validated_json
from recsys_cli.utils.storage.regular_files import MODEL_JSON_BYTES, read_regular

if TYPE_CHECKING:
    from catboost import CatBoost

_MOST = 3.4028234663852886e38  # the largest f32: CatBoost may use it as a border

Border = Annotated[float, Field(ge=-_MOST, le=_MOST, allow_inf_nan=False)]
Leaf = Annotated[float, Field(ge=-1e30, le=1e30, allow_inf_nan=False)]  # sums of them stay within f32
Weight = Annotated[float, Field(ge=0.0, le=1e30, allow_inf_nan=False)]
Scale = Annotated[float, Field(gt=0.0, le=1e6, allow_inf_nan=False)]

_strict = with_config(ConfigDict(extra="forbid", strict=True))


@_strict
class Number(TypedDict):
    """A column of numbers; NaN exceeds no border."""

    feature_id: str
    feature_index: NonNegativeInt
    flat_feature_index: NonNegativeInt
    borders: NotRequired[list[Border] | None]
    has_nans: bool
    nan_value_treatment: Literal["AsIs", "AsFalse"]


@_strict
class Category(TypedDict):
    """A column of category codes: `values` are the hashes of the codes that splits test."""

    feature_id: str
    feature_index: NonNegativeInt
    flat_feature_index: NonNegativeInt
    values: NotRequired[list[int] | None]


@_strict
class Features(TypedDict):
    """The columns that the trees were trained on."""

    float_features: NotRequired[list[Number]]
    categorical_features: NotRequired[list[Category]]


@_strict
class NumberSplit(TypedDict):
    """A split that tests whether the number exceeds the border."""

    split_type: Literal["FloatFeature"]
    float_feature_index: NonNegativeInt
    border: Border
    split_index: NonNegativeInt


@_strict
class CategorySplit(TypedDict):
    """A split that tests whether the category has the code with this hash."""

    split_type: Literal["OneHotFeature"]
    cat_feature_index: NonNegativeInt
    value: int
    split_index: NonNegativeInt


Split = NumberSplit | CategorySplit


@_strict
class Tree(TypedDict):
    """An oblivious tree: one split per level; null for a tree of a single leaf."""

    splits: Annotated[list[Annotated[Split, Field(discriminator="split_type")]] | None, Field(max_length=16)]
    leaf_values: list[Leaf]
    leaf_weights: list[Weight]


@_strict
class Trees(TypedDict):
    """The content of a file."""

    features_info: Features
    oblivious_trees: Annotated[list[Tree], Field(min_length=1)]
    scale_and_bias: tuple[Scale, Annotated[list[Leaf], Field(min_length=1, max_length=1)]]


_TREES = TypeAdapter(Trees)


class SplitTest(NamedTuple):
    """What a split tests: whether a number exceeds `border`, or a category's code has the hash `value`."""

    column: str
    value: int | None
    border: float


def read_trees(path: Path) -> Trees:
    """Return the validated trees of a file that CatBoost has exported.

    Raises: OSError; ValueError or LookupError for any other content.
    """
    trees = validated_json(read_regular(path, MODEL_JSON_BYTES), _TREES)
    _check_features(trees["features_info"])
    _check_splits(trees)
    return trees


def columns_of(features: Features) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the columns that the trees were trained on, in order, and those of them that are categories."""
    numbers, categories = _sides(features)
    places = {one["flat_feature_index"]: one["feature_id"] for one in [*numbers, *categories]}
    return tuple(places[place] for place in sorted(places)), tuple(one["feature_id"] for one in categories)


def split_tests(features: Features) -> list[SplitTest]:
    """Return all possible tests; a split's `split_index` is an index into them."""
    numbers, categories = _sides(features)
    return [
        *(
            SplitTest(one["feature_id"], None, border)
            for one in numbers
            for border in one.get("borders") or []
        ),
        *(
            SplitTest(one["feature_id"], value, 0.0)
            for one in categories
            for value in one.get("values") or []
        ),
    ]


def open_trees(path: Path) -> "CatBoost":
    """Return the trees of a file, which `read_trees` has validated before, as a CatBoost model.

    Raises: CatBoostError.
    """
    from catboost import CatBoost

    return CatBoost().load_model(str(path), format="json")


def _sides(features: Features) -> tuple[list[Number], list[Category]]:
    return features.get("float_features", []), features.get("categorical_features", [])


def _check_features(features: Features) -> None:
    """Raise: ValueError unless the features are numbered consistently and have distinct names."""
    sides: tuple[Sequence[Number | Category], ...] = _sides(features)
    places = [feature["flat_feature_index"] for side in sides for feature in side]
    if sorted(places) != list(range(len(places))) or any(
        feature["feature_index"] != number for side in sides for number, feature in enumerate(side)
    ):
        raise ValueError("the features of the trees are not numbered in order")
    names = [feature["feature_id"] for side in sides for feature in side]
    if len(set(names)) != len(names):
        raise ValueError("two features of the trees have the same name")
    for number in features.get("float_features", []):
        if not _ascend(np.array(number.get("borders") or [], np.float64).astype(np.float32)):
            raise ValueError(f"the borders of {number['feature_id']!r} do not ascend")


def _check_splits(trees: Trees) -> None:
    """Raise: ValueError or LookupError unless every split tests an existing feature and every leaf exists."""
    asked = dict(enumerate(split_tests(trees["features_info"])))
    numbers, categories = ([one["feature_id"] for one in side] for side in _sides(trees["features_info"]))
    for tree in trees["oblivious_trees"]:
        leaves = 1 << len(tree["splits"] or [])
        if len(tree["leaf_values"]) != leaves or len(tree["leaf_weights"]) != leaves:
            raise ValueError("a tree has splits without leaves")
        for split in tree["splits"] or []:
            if asked.get(split["split_index"]) != _split_test(split, numbers, categories):
                raise ValueError("a split tests what the features do not have")


def _split_test(
    split: Split, numbers: Sequence[str], categories: Sequence[str]
) -> tuple[str, int | None, float]:
    if split["split_type"] == "FloatFeature":
        return numbers[split["float_feature_index"]], None, split["border"]
    return categories[split["cat_feature_index"]], split["value"], 0.0


def _ascend(values: np.ndarray) -> bool:
    return bool(np.isfinite(values).all() and (np.diff(values) > 0).all())
