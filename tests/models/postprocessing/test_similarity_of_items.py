"""How alike items are by each source, by hand and for models that lack it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy import sparse

from recsys_cli.data_preparation.features.day_features import build_features
from recsys_cli.data_preparation.features.feature_tables import FeatureTables
from recsys_cli.data_preparation.tables.contract import Tables
from recsys_cli.models.candidates.sources.similarity import SimilarityModel
from recsys_cli.models.candidates.stage import CandidateStage, fit_candidate_stage
from recsys_cli.models.postprocessing.item_similarity import ItemSimilarity, SimilarityForm
from recsys_cli.models.postprocessing.similarity_of_items import item_similarity, similarity_names
from recsys_cli.models.settings_tree import settings_tree
from recsys_cli.utils.errors import SettingsError

Maker = Callable[..., Tables]
LEARNT = ("lightfm", "bm25", "cosine", "ease")


@pytest.fixture(scope="module")
def trained(make_random_tables: Maker) -> tuple[CandidateStage, FeatureTables]:
    """Sources learnt from twenty items; those of the day are two more, and one fewer."""
    tables = make_random_tables(np.random.default_rng(3), 60, 20, 300)
    light: dict[str, Any] = {"lightfm": {"epochs": 2, "no_components": 4}, "content": {"max_item_share": 0.9}}
    settings = settings_tree().model_validate({"candidates": light})
    features = build_features(tables, settings.features)
    new = features.items.tail(2).with_columns(pl.Series("item_id", ["new1", "new2"]), genres=pl.lit(["war"]))
    items = pl.concat([features.items.tail(19), new])
    return fit_candidate_stage(tables, settings, 1), replace(features, items=items)


def dense(found: ItemSimilarity) -> np.ndarray:
    """Return the similarity of each pair of items; rows with themselves as stored."""
    if found.form == SimilarityForm.VECTORS:
        return np.asarray(found.vectors @ found.vectors.T)
    rows = sparse.csr_matrix(
        (found.data, found.indices, found.indptr), shape=(len(found.indptr) - 1, found.width)
    )
    return np.asarray((rows @ rows.T if found.form == SimilarityForm.TOKENS else rows).toarray())


def test_five_sources_compare_items() -> None:
    assert similarity_names() == ["lightfm", "bm25", "cosine", "ease", "content"]


@pytest.mark.parametrize("name", [*LEARNT, "content"])
def test_similarities_of_the_days_items_are_symmetric_and_at_most_one(
    trained: tuple[CandidateStage, FeatureTables], name: str
) -> None:
    stage, features = trained
    found = dense(item_similarity(name, stage, features))
    assert found.shape == (21, 21) and np.isfinite(found).all()
    np.testing.assert_allclose(found, found.T, atol=1e-6)
    assert -1 - 1e-6 <= found.min() and 0.3 < found.max() <= 1 + 1e-6
    if name in ("bm25", "cosine", "ease"):
        assert found.min() == 0 and not found.diagonal().any()
        assert not found[19:].any()  # of new items nothing was learnt
    else:
        np.testing.assert_allclose(found[19, 19], 1.0, atol=1e-5)  # they have features and words


def test_the_learnt_cosine_is_the_one_by_hand(make_tables: Maker) -> None:
    """Items 0 and 1 share one of their two users each, 2 is alone."""
    events = [(0, 0, 1.0), (1, 0, 1.0), (1, 1, 1.0), (2, 1, 1.0), (3, 2, 1.0)]
    tables = make_tables(events, titles=["red", "blue", "green"], cities=[None] * 4)
    settings = settings_tree().model_validate({"candidates": {"lightfm": {"num_candidates": 0}}})
    features = build_features(tables, settings.features)
    stage = fit_candidate_stage(tables, settings, 1)
    expected = np.array([[0, 0.5, 0], [0.5, 0, 0], [0, 0, 0]])
    np.testing.assert_allclose(dense(item_similarity("cosine", stage, features)), expected, atol=1e-6)


def test_weights_without_a_diagonal_are_scaled_by_the_largest_of_both_rows(
    trained: tuple[CandidateStage, FeatureTables],
) -> None:
    stage, features = trained
    ids = features.items["item_id"].head(3)
    weights = np.array([[0, 0.4, -0.3], [0.1, 0, 0.1], [0, 0.1, 0]], dtype=np.float32)
    few = replace(features, items=features.items.head(3))
    fitted = replace(stage, fits={"ease": SimilarityModel(ids, weights)})
    found = dense(item_similarity("ease", fitted, few))
    # 0.4 / √(0.4 · 0.1) is more than 1; 0.1 / √(0.1 · 0.1) = 1
    np.testing.assert_allclose(found, [[0, 1, 0], [1, 0, 1], [0, 1, 0]], atol=1e-6)


@pytest.mark.parametrize("name", LEARNT)
def test_a_model_without_the_source_says_how_to_get_it(
    trained: tuple[CandidateStage, FeatureTables], name: str
) -> None:
    stage, features = trained
    without = replace(stage, fits={one: fit for one, fit in stage.fits.items() if one != name})
    with pytest.raises(SettingsError, match=f"has not learnt {name}") as caught:
        item_similarity(name, without, features)
    assert f"candidates.{name}.num_candidates" in caught.value.fix and "content" in caught.value.fix


def test_other_names_and_items_without_words_are_refused(
    trained: tuple[CandidateStage, FeatureTables],
) -> None:
    stage, features = trained
    with pytest.raises(SettingsError, match="'popular' compares no items"):
        item_similarity("popular", stage, features)
    alone = replace(features, items=features.items.head(1))
    with pytest.raises(SettingsError, match="no two items share a word"):
        item_similarity("content", stage, alone)
