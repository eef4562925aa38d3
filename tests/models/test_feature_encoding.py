"""One-hot columns, by hand."""

import json
from pathlib import Path

import polars as pl
import pytest

from recsys_cli.models.feature_encoding import fit_encoder
from recsys_cli.models.versions.array_files import read_encoder, write_encoder

FRAME = pl.DataFrame(
    {
        "sex": ["f", "m", None, "f"],
        "genres": [["war", "love"], [], None, ["love", "love"]],
        "age": [10.0, 20.0, None, 30.0],
    },
    schema_overrides={"age": pl.Float32},
)


def test_each_row_sums_to_one_over_what_is_known() -> None:
    encoder = fit_encoder(FRAME, ("sex", "genres"), max_categories=10)
    assert encoder.names == ("genres", "sex") and encoder.values["genres"] == ("love", "war")
    assert encoder.one_hot(FRAME).toarray().astype(float).round(3).tolist() == [
        [0.333, 0.333, 0.333, 0.0],
        [0.0, 0.0, 0.0, 1.0],
        [0.0, 0.0, 0.0, 0.0],
        [0.5, 0.0, 0.5, 0.0],
    ]


def test_numbers_fall_into_quantile_bins() -> None:
    encoder = fit_encoder(FRAME, ("age",), max_categories=10)
    encoded = encoder.one_hot(FRAME)
    assert encoded.shape == (4, encoder.size) and encoded.sum(axis=1).ravel().tolist() == [
        [1.0, 1.0, 0.0, 1.0]
    ]
    assert len({int(encoded[row].indices[0]) for row in (0, 1, 3)}) == 3


def test_unknown_values_count_as_missing() -> None:
    encoder = fit_encoder(FRAME.filter(pl.col("sex") != "m"), ("sex",), max_categories=1)
    later = pl.DataFrame({"sex": ["f", "m", "x", None]})
    assert encoder.category_codes(later, "sex").to_list() == [1, 0, 0, 0]
    assert encoder.one_hot(later).toarray().tolist() == [[1.0], [0.0], [0.0], [0.0]]


def test_a_feature_with_more_values_has_a_code_for_all_others() -> None:
    """The most frequent two have codes of their own; c, d and what training never met share the next one."""
    brands = pl.DataFrame({"brand": ["b", "a", "a", "b", "a", "c", "d", None]})
    encoder = fit_encoder(brands, ("brand",), max_categories=2)
    assert (encoder.values["brand"], encoder.wide) == (("a", "b"), {"brand"})
    later = pl.DataFrame({"brand": ["a", "b", "c", "new", None]})
    assert encoder.category_codes(later, "brand").to_list() == [1, 2, 3, 3, 0]
    shown = [encoder.in_words("brand", value) for value in later["brand"]]
    assert shown == ["a", "b", "c (other)", "new (other)", None]


@pytest.mark.parametrize(("different", "codes"), [(254, 254), (255, 254), (5_000, 254)])
def test_the_codes_of_any_number_of_values_fit_the_ranker(different: int, codes: int) -> None:
    """A byte that CatBoost splits one-hot: 255 codes at most, with that of a missing value."""
    frame = pl.DataFrame({"brand": [f"b{n % different:04}" for n in range(10_000)]})
    encoder = fit_encoder(frame, ("brand",), max_categories=254)
    found = encoder.category_codes(frame, "brand")
    assert found.n_unique() == found.max() == codes


@pytest.mark.parametrize(("most", "keys"), [(10, {"edges", "values"}), (1, {"edges", "values", "wide"})])
def test_a_vocabulary_is_read_as_it_was_written(tmp_path: Path, most: int, keys: set[str]) -> None:
    """Without a wide feature the file is that of earlier versions, which are still read."""
    encoder = fit_encoder(FRAME, ("sex", "age"), max_categories=most)
    write_encoder(encoder, tmp_path / "items_encoder.json")
    assert set(json.loads((tmp_path / "items_encoder.json").read_text())) == keys
    assert read_encoder(tmp_path / "items_encoder.json") == encoder


def test_a_wide_feature_without_values_is_damage(tmp_path: Path) -> None:
    file = tmp_path / "items_encoder.json"
    file.write_text('{"edges": {}, "values": {"sex": ["f"]}, "wide": ["brand"]}')
    with pytest.raises(ValueError, match="wide features without values"):
        read_encoder(file)


def test_a_value_that_training_did_not_meet_is_shown_as_such() -> None:
    encoder = fit_encoder(FRAME, ("sex",), max_categories=10)
    assert encoder.wide == frozenset()
    assert [encoder.in_words("sex", value) for value in ("f", "x", None)] == [
        "f",
        "x (not met in training)",
        None,
    ]


def test_a_feature_that_lost_its_values_is_named() -> None:
    encoder = fit_encoder(FRAME, ("sex", "genres", "age"), max_categories=10)
    assert not encoder.lost_features(FRAME.lazy())
    assert not encoder.lost_features(FRAME.clear().lazy())
    empty = FRAME.with_columns(age=pl.lit(None, pl.Float32), sex=pl.lit(None, pl.String))
    assert encoder.lost_features(empty.lazy()) == [
        "feature age had values in training, and is missing in all 4 rows now",
        "feature sex had values in training, and is missing in all 4 rows now",
    ]
    renamed = FRAME.with_columns(pl.lit("x").alias("sex"), pl.lit(["a", "b"]).alias("genres"))
    assert encoder.lost_features(renamed.lazy()) == [
        "feature genres has no value that was met in training",
        "feature sex has no value that was met in training",
    ]
    one_left = FRAME.with_columns(sex=pl.Series(["x", "y", None, "f"]))
    assert not encoder.lost_features(one_left.lazy())


def test_a_feature_that_never_had_values_has_lost_none() -> None:
    never = FRAME.with_columns(age=pl.lit(None, pl.Float32), sex=pl.lit(None, pl.String))
    encoder = fit_encoder(never, ("sex", "age"), max_categories=10)
    assert not encoder.lost_features(never.lazy())
