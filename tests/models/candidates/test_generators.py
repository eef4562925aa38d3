"""What every generator promises, against a search that looks at every item."""

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from scipy import sparse

from recsys_cli.models.candidates.lightfm import LightFMGenerator, LightFMSide
from recsys_cli.models.candidates.merge import propose_candidates
from recsys_cli.models.candidates.popular import PopularGenerator
from recsys_cli.models.candidates.protocol import CandidateGenerator, UserChunk
from recsys_cli.models.encoding import FeatureEncoder

USERS, ITEMS, WANTED = 90, 150, 20
Maker = Callable[[np.random.Generator], CandidateGenerator]


def lightfm(rng: np.random.Generator) -> LightFMGenerator:
    vectors = rng.normal(size=(USERS, 8)).astype(np.float32)
    side = LightFMSide(
        pl.Series("id", range(USERS)), FeatureEncoder({}, {}), vectors, np.zeros(USERS, dtype=np.float32)
    )
    rows = np.where(
        np.arange(USERS) % 10 == 9, -1, np.arange(USERS)
    )  # every tenth user is unknown to the model
    return LightFMGenerator(
        num_candidates=WANTED,
        users=side,
        user_rows=rows,
        user_features=sparse.csr_matrix((USERS, 0), dtype=np.float32),
        item_vectors=rng.normal(size=(ITEMS, 9)).astype(np.float32),
        proposable=np.flatnonzero(np.arange(ITEMS) % 3),
    )


def popular(rng: np.random.Generator) -> PopularGenerator:
    share = rng.random(ITEMS).astype(np.float32)
    order = np.argsort(-share)
    return PopularGenerator(order[order % 3 > 0], share, WANTED)


def chunk(rng: np.random.Generator, users: np.ndarray) -> UserChunk:
    """Some users have viewed nothing, some nearly everything."""
    viewed = rng.random((USERS, ITEMS)) < rng.choice([0.0, 0.05, 0.5, 0.95], size=(USERS, 1))
    return UserChunk(users.astype(np.uint32), sparse.csr_matrix(viewed.astype(np.float32))[users])


def by_looking_at_all(generator: CandidateGenerator, served: UserChunk, place: int) -> list[int]:
    user = np.full(ITEMS, served.users[place])
    scores = generator.score_pairs(user, np.arange(ITEMS))
    viewed = set(served.viewed[place].indices)
    allowed = [
        item for item in range(ITEMS) if item % 3 and item not in viewed and not np.isnan(scores[item])
    ]
    return sorted(allowed, key=lambda item: -scores[item])[:WANTED]


@pytest.mark.parametrize("make", [lightfm, popular])
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_the_best_unseen_items_in_order(make: Maker, seed: int) -> None:
    rng = np.random.default_rng(seed)
    generator, served = make(rng), chunk(rng, np.arange(USERS))
    proposed = generator.propose(served)
    for place in rng.choice(USERS, 10, replace=False):
        own = proposed.filter(pl.col("user") == place)
        assert own["item"].to_list() == by_looking_at_all(generator, served, place)
        assert own["rank"].to_list() == list(range(1, len(own) + 1))
        expected = generator.score_pairs(own["user"].to_numpy(), own["item"].to_numpy())
        np.testing.assert_allclose(own["score"].to_numpy(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("make", [lightfm, popular])
def test_a_user_alone_gets_the_same_as_in_a_batch(make: Maker) -> None:
    rng = np.random.default_rng(7)
    generator, served = make(rng), chunk(rng, np.arange(USERS))
    batch = generator.propose(served)
    for place in range(0, USERS, 4):
        alone = generator.propose(UserChunk(served.users[[place]], served.viewed[[place]]))
        assert_frame_equal(alone, batch.filter(pl.col("user") == place), check_exact=True)


def test_merged_candidates_keep_each_sources_word() -> None:
    rng = np.random.default_rng(3)
    generators, served = (lightfm(rng), popular(rng)), chunk(rng, np.arange(USERS))
    merged = propose_candidates(served, generators)
    assert merged.select("user", "item").is_unique().all()
    assert merged.equals(merged.sort("user", "item"))
    for generator in generators:
        own = merged.filter(pl.col(f"{generator.name}_rank").is_not_null())
        kept = own.select("user", "item", score=f"{generator.name}_score", rank=f"{generator.name}_rank")
        assert_frame_equal(
            kept.sort("user", "rank"), generator.propose(served).sort("user", "rank"), check_exact=True
        )
    unknown = merged.filter(pl.col("user") % 10 == 9)
    assert unknown["lightfm_rank"].null_count() == len(unknown) and unknown["lightfm_score"].is_nan().all()
