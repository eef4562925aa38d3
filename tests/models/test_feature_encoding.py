"""One-hot columns, by hand."""

import polars as pl

from recsys_cli.models.feature_encoding import fit_encoder

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
    encoder = fit_encoder(FRAME, ("sex",), max_categories=1)
    later = pl.DataFrame({"sex": ["f", "m", "x", None]})
    assert encoder.category_codes(later, "sex").to_list() == [1, 0, 0, 0]
    assert encoder.one_hot(later).toarray().tolist() == [[1.0], [0.0], [0.0], [0.0]]


def test_a_feature_that_lost_its_values_is_named() -> None:
    encoder = fit_encoder(FRAME, ("sex", "genres", "age"), max_categories=10)
    assert encoder.lost_features(FRAME.lazy()) == []
    assert encoder.lost_features(FRAME.clear().lazy()) == []
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
    assert encoder.lost_features(one_left.lazy()) == []


def test_a_feature_that_never_had_values_has_lost_none() -> None:
    never = FRAME.with_columns(age=pl.lit(None, pl.Float32), sex=pl.lit(None, pl.String))
    encoder = fit_encoder(never, ("sex", "age"), max_categories=10)
    assert encoder.lost_features(never.lazy()) == []
