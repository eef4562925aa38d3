"""What every source promises, against a search that looks at every item."""

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from scipy import sparse

from recsys_cli.configs.sections import Settings
from recsys_cli.data_preparation.features.day_features import build_features
from recsys_cli.data_preparation.features.feature_tables import FeatureTables
from recsys_cli.data_preparation.tables.contract import Tables
from recsys_cli.models.candidates.merge import propose_candidates
from recsys_cli.models.candidates.protocol import CandidateGenerator, ChunkScores, Pairs, UserChunk
from recsys_cli.models.candidates.stage import fit_candidate_stage
from recsys_cli.models.settings_tree import settings_tree
from recsys_cli.models.two_stage import open_day

USERS, ITEMS, WANTED = 90, 150, 20
POPULAR = ["popular_7d", "popular_14d", "popular_30d", "popular_segment"]
SIMILAR = ["bm25", "bm25_recent", "cosine", "cosine_recent", "ease", "ease_recent", "content"]
NAMES = ["lightfm", *SIMILAR, *POPULAR, "history"]
Maker = Callable[..., Tables]
few = examples(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def settings() -> Settings:
    sources = ("lightfm", *SIMILAR, "popular", "segment", "history")
    sections = {name: {"num_candidates": WANTED} for name in sources}
    sections["lightfm"] |= {"epochs": 2, "no_components": 8}
    for name in ("bm25", "cosine", "content"):
        sections[name]["neighbours"] = 12
    return settings_tree().model_validate({"candidates": sections, "scoring": {"filter_viewed": False}})


def opened(tables: Tables) -> tuple[FeatureTables, dict[str, CandidateGenerator]]:
    features = build_features(tables, settings().features)
    generators = open_day(fit_candidate_stage(tables, settings(), 2), features, 2).generators
    return features, {generator.name: generator for generator in generators}


def chunk(rng: np.random.Generator, name: str) -> UserChunk:
    """Everybody; some users have viewed nothing, some nearly everything. History is for repeats alone."""
    viewed = rng.random((USERS, ITEMS)) < rng.choice([0.0, 0.05, 0.5, 0.95], size=(USERS, 1))
    if name == "history":
        viewed[:] = False
    return UserChunk(np.arange(USERS, dtype=np.uint32), sparse.csr_matrix(viewed.astype(np.float32)))


def proposed_by(scores: ChunkScores) -> pl.DataFrame:
    users, places = np.nonzero(scores.lists >= 0)
    items = scores.lists[users, places]
    values = scores.of_pairs(Pairs(np.searchsorted(users, np.arange(USERS + 1)), items))
    return pl.DataFrame({"user": users, "item": items, "rank": places + 1, "score": values})


def every_item(place: int) -> Pairs:
    """One user with all items."""
    return Pairs(np.where(np.arange(USERS + 1) > place, ITEMS, 0), np.arange(ITEMS, dtype=np.int32))


def allowed(
    features: FeatureTables, served: UserChunk, place: int, values: np.ndarray, name: str
) -> list[int]:
    """The items that the source may propose: available, unseen, and with a word of the source on them."""
    viewed = set(served.viewed[place].indices)
    says = values > 0 if name in (*SIMILAR, "history") else ~np.isnan(values)
    available = features.items["eligible"].to_numpy()
    if name == "lightfm":  # an item with neither event nor genre stands nowhere
        placed = (pl.col("item_events") > 0) | (pl.col("genres").list.len() > 0)
        available = available & features.items.select(placed).to_series().to_numpy()
    return [item for item in range(ITEMS) if available[item] and item not in viewed and says[item]]


@pytest.mark.parametrize("name", NAMES)
@few
@given(seed=st.integers(0, 10_000))
def test_the_best_unseen_items_in_order(name: str, seed: int, make_random_tables: Maker) -> None:
    rng = np.random.default_rng(seed)
    features, generators = opened(make_random_tables(rng, USERS, ITEMS, 900))
    assert list(generators) == NAMES
    served = chunk(rng, name)
    scores = generators[name].score(served)
    proposed = proposed_by(scores)
    for place in rng.choice(USERS, 10, replace=False):
        own = proposed.filter(pl.col("user") == place)
        values = scores.of_pairs(every_item(place))
        items = allowed(features, served, place, values, name)
        assert own["item"].is_unique().all() and set(own["item"]) <= set(items)
        assert own["rank"].to_list() == list(range(1, len(own) + 1))
        best = np.sort(values[items])[::-1][:WANTED]
        np.testing.assert_allclose(own["score"].to_numpy(), best, rtol=1e-4, atol=1e-6)


def test_the_settings_know_the_sources_by_name(make_random_tables: Maker) -> None:
    tables = make_random_tables(np.random.default_rng(11), USERS, ITEMS, 900)
    features, every = opened(tables)
    assert set(every) == set(settings().candidates.on(filter_viewed=False)) == set(NAMES)
    for name in ("lightfm", "bm25", "cosine_recent", "ease_recent", "popular_7d", "content"):
        rest = settings().model_copy(update={"candidates": settings().candidates.without([name])})
        assert set(rest.candidates.on(filter_viewed=False)) == set(NAMES) - {name}
        generators = open_day(fit_candidate_stage(tables, rest, 2), features, 2).generators
        assert {generator.name for generator in generators} == set(NAMES) - {name}


@pytest.mark.parametrize("name", NAMES)
def test_a_user_alone_gets_the_same_as_in_a_batch(name: str, make_random_tables: Maker) -> None:
    rng = np.random.default_rng(7)
    _, generators = opened(make_random_tables(rng, USERS, ITEMS, 900))
    served = chunk(rng, name)
    batch = propose_candidates(served, [generators[name]]).frame()
    assert batch["user"].n_unique() > USERS // 2
    for place in range(0, USERS, 4):
        one = UserChunk(served.users[[place]], served.viewed[[place]])
        alone = propose_candidates(one, [generators[name]]).frame()
        assert_frame_equal(alone, batch.filter(pl.col("user") == place), check_exact=True)


def test_merged_candidates_keep_each_sources_word(make_random_tables: Maker) -> None:
    rng = np.random.default_rng(3)
    _, generators = opened(make_random_tables(rng, USERS, ITEMS, 900))
    served = chunk(rng, "history")
    candidates = propose_candidates(served, list(generators.values()))
    merged = candidates.frame()
    assert merged.select("user", "item").is_unique().all()
    assert merged.equals(merged.sort("user", "item"))
    for name, generator in generators.items():
        scores = generator.score(served)
        own = merged.filter(pl.col(f"{name}_rank").is_not_nan())
        kept = own.select("user", "item", rank=f"{name}_rank", score=f"{name}_score").sort("user", "rank")
        assert_frame_equal(kept, proposed_by(scores).cast(dict(kept.schema)), check_exact=True)
        assert own["sources"].str.split(",").list.contains(name).all()
        whole = scores.of_pairs(candidates.pairs)  # also of pairs that another source proposed
        np.testing.assert_array_equal(merged[f"{name}_score"].to_numpy(), whole)
    named = merged["sources"].str.split(",").list.len()
    ranks = merged.select(pl.sum_horizontal(pl.col(f"{name}_rank").is_not_nan() for name in generators))
    assert named.to_list() == ranks.to_series().to_list()
    unknown = merged.filter(pl.col("user") % 10 == 9)
    assert len(unknown) and unknown["lightfm_score"].is_nan().all() and unknown["lightfm_rank"].is_nan().all()


def test_the_normalised_score_is_1_at_the_best_and_0_at_the_floor(make_random_tables: Maker) -> None:
    rng = np.random.default_rng(5)
    _, generators = opened(make_random_tables(rng, USERS, ITEMS, 900))
    merged = propose_candidates(chunk(rng, "lightfm"), list(generators.values())).frame()
    for name in NAMES:
        first = merged.filter(pl.col(f"{name}_rank") == 1)
        assert first[f"{name}_norm"].drop_nans().unique().to_list() == [1.0]
    last = merged.filter(pl.col("lightfm_rank") == pl.col("lightfm_rank").max().over("user"))
    assert last.filter(pl.col("lightfm_rank") > 1)["lightfm_norm"].drop_nans().unique().to_list() == [0.0]
    best = pl.col("ease_score").filter(pl.col("ease_rank") == 1).first().over("user")
    placed = merged.with_columns(best=best).drop_nulls("best")
    np.testing.assert_allclose(placed["ease_norm"], placed["ease_score"] / placed["best"], rtol=1e-5)
