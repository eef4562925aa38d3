"""The ranker's trees as a file, judged as a whole before numpy or CatBoost sees a number of it.

It is the JSON that CatBoost exports. Its own binary format is not read: damaged bytes end the process there.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple, NotRequired

import numpy as np
from pydantic import ConfigDict, Field, NonNegativeInt, TypeAdapter, with_config
from typing_extensions import TypedDict  # pydantic takes that of Python itself from 3.12 on

from recsys_cli.utils.json_schema import validated_json

if TYPE_CHECKING:
    from catboost import CatBoost

_MOST = 3.4028234663852886e38  # of f32: CatBoost has a border there

Border = Annotated[float, Field(ge=-_MOST, le=_MOST, allow_inf_nan=False)]
Leaf = Annotated[float, Field(ge=-1e30, le=1e30, allow_inf_nan=False)]  # sums of them stay within f32
Weight = Annotated[float, Field(ge=0.0, le=1e30, allow_inf_nan=False)]
Scale = Annotated[float, Field(gt=0.0, le=1e6, allow_inf_nan=False)]

_part = with_config(ConfigDict(extra="forbid", strict=True))


@_part
class Number(TypedDict):
    """A column of numbers; NaN exceeds no border."""

    feature_id: str
    feature_index: NonNegativeInt
    flat_feature_index: NonNegativeInt
    borders: NotRequired[list[Border] | None]
    has_nans: bool
    nan_value_treatment: Literal["AsIs", "AsFalse"]


@_part
class Category(TypedDict):
    """A column of codes: `values` are the hashes of those that the trees ask for."""

    feature_id: str
    feature_index: NonNegativeInt
    flat_feature_index: NonNegativeInt
    values: NotRequired[list[int] | None]


@_part
class Features(TypedDict):
    """The columns that the trees were learnt from."""

    float_features: NotRequired[list[Number]]
    categorical_features: NotRequired[list[Category]]


@_part
class NumberSplit(TypedDict):
    """Does the number exceed the border?"""

    split_type: Literal["FloatFeature"]
    float_feature_index: NonNegativeInt
    border: Border
    split_index: NonNegativeInt


@_part
class CategorySplit(TypedDict):
    """Is the code that of the hash?"""

    split_type: Literal["OneHotFeature"]
    cat_feature_index: NonNegativeInt
    value: int
    split_index: NonNegativeInt


Split = NumberSplit | CategorySplit


@_part
class Tree(TypedDict):
    """An oblivious tree: of each level one split, null where there is a single leaf."""

    splits: Annotated[list[Annotated[Split, Field(discriminator="split_type")]] | None, Field(max_length=16)]
    leaf_values: list[Leaf]
    leaf_weights: list[Weight]


@_part
class Trees(TypedDict):
    """What a file holds."""

    features_info: Features
    oblivious_trees: Annotated[list[Tree], Field(min_length=1)]
    scale_and_bias: tuple[Scale, Annotated[list[Leaf], Field(min_length=1, max_length=1)]]


_TREES = TypeAdapter(Trees)


class Question(NamedTuple):
    """What a split asks of a column: is it above the border; of a category, is its code that of the hash?"""

    column: str
    value: int | None
    border: float


def read_trees(path: Path) -> Trees:
    """Return the trees in a file as CatBoost has exported them.

    Raises: OSError; ValueError or LookupError for a file that holds anything else.
    """
    trees = validated_json(path.read_bytes(), _TREES)
    _check_features(trees["features_info"])
    _check_splits(trees)
    return trees


def columns_of(features: Features) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the columns that the trees were learnt from, in order, and those of them that are categories."""
    numbers, categories = _sides(features)
    places = {one["flat_feature_index"]: one["feature_id"] for one in [*numbers, *categories]}
    return tuple(places[place] for place in sorted(places)), tuple(one["feature_id"] for one in categories)


def questions_of(features: Features) -> list[Question]:
    """Return what can be asked; a split's `split_index` is a place in it."""
    numbers, categories = _sides(features)
    return [
        *(
            Question(one["feature_id"], None, border)
            for one in numbers
            for border in one.get("borders") or []
        ),
        *(Question(one["feature_id"], value, 0.0) for one in categories for value in one.get("values") or []),
    ]


def open_trees(path: Path) -> "CatBoost":
    """Return the trees in a file that `read_trees` has judged as a model of CatBoost.

    Raises: CatBoostError.
    """
    from catboost import CatBoost

    return CatBoost().load_model(str(path), format="json")


def _sides(features: Features) -> tuple[list[Number], list[Category]]:
    return features.get("float_features", []), features.get("categorical_features", [])


def _check_features(features: Features) -> None:
    """Raises: ValueError unless each feature has the place that it says."""
    sides: tuple[Sequence[Number | Category], ...] = _sides(features)
    places = [feature["flat_feature_index"] for side in sides for feature in side]
    if sorted(places) != list(range(len(places))) or any(
        feature["feature_index"] != number for side in sides for number, feature in enumerate(side)
    ):
        raise ValueError("the features of the trees are in no order")
    names = [feature["feature_id"] for side in sides for feature in side]
    if len(set(names)) != len(names):
        raise ValueError("two features of the trees have one name")
    for number in features.get("float_features", []):
        if not _ascend(np.array(number.get("borders") or [], np.float64).astype(np.float32)):
            raise ValueError(f"the borders of {number['feature_id']!r} do not ascend")


def _check_splits(trees: Trees) -> None:
    """Raises: ValueError or LookupError unless a split asks for what there is, and each way has its leaf."""
    asked = dict(enumerate(questions_of(trees["features_info"])))
    numbers, categories = ([one["feature_id"] for one in side] for side in _sides(trees["features_info"]))
    for tree in trees["oblivious_trees"]:
        leaves = 1 << len(tree["splits"] or [])
        if len(tree["leaf_values"]) != leaves or len(tree["leaf_weights"]) != leaves:
            raise ValueError("the trees have splits without leaves")
        for split in tree["splits"] or []:
            if asked.get(split["split_index"]) != _question(split, numbers, categories):
                raise ValueError("a split asks for what the features do not have")


def _question(
    split: Split, numbers: Sequence[str], categories: Sequence[str]
) -> tuple[str, int | None, float]:
    if split["split_type"] == "FloatFeature":
        return numbers[split["float_feature_index"]], None, split["border"]
    return categories[split["cat_feature_index"]], split["value"], 0.0


def _ascend(values: np.ndarray) -> bool:
    return bool(np.isfinite(values).all() and (np.diff(values) > 0).all())
