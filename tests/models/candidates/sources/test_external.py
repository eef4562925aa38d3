"""The external source against a look at every item."""

from datetime import date

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from recsys_cli.configs.data_sections import ExternalSettings
from recsys_cli.data_preparation.features.feature_tables import FeatureTables
from recsys_cli.models.candidates.merge import propose_candidates
from recsys_cli.models.candidates.protocol import Pairs, UserChunk
from recsys_cli.models.candidates.sources.external import ExternalGenerator, external_generator

USERS, ITEMS, WANTED = 40, 60, 8
SETTINGS = ExternalSettings(path="{date}.parquet", num_candidates=WANTED)
NOTHING = pl.DataFrame()
EVERY_PAIR = Pairs(np.arange(USERS + 1) * ITEMS, np.tile(np.arange(ITEMS, dtype=np.int32), USERS))


def features(delivered: pl.DataFrame | None, eligible: np.ndarray) -> FeatureTables:
    users = pl.DataFrame({"user_id": range(USERS)})
    items = pl.DataFrame({"item_id": range(ITEMS), "eligible": eligible})
    return FeatureTables(date(2026, 3, 2), (), (), users, items, NOTHING, NOTHING, delivered)


def made(rng: np.random.Generator) -> tuple[ExternalGenerator, np.ndarray]:
    """Return a generator with the (users, items) scores that it was delivered, NaN elsewhere; all differ."""
    scores = rng.permutation(USERS * ITEMS).reshape(USERS, ITEMS).astype(np.float32) - USERS * ITEMS / 2
    scores[rng.random((USERS, ITEMS)) < rng.choice([0.2, 0.9, 1.0], size=(USERS, 1))] = np.nan
    users, items = np.nonzero(~np.isnan(scores))
    delivered = pl.DataFrame(
        {
            "user": pl.Series(users, dtype=pl.UInt32),
            "item": pl.Series(items, dtype=pl.UInt32),
            "score": scores[users, items],
        }
    ).sort("user", "score", descending=[False, True])
    return external_generator(features(delivered, np.arange(ITEMS) % 3 > 0), SETTINGS), scores


def chunk(rng: np.random.Generator) -> UserChunk:
    """All users; some have viewed nothing, some nearly everything."""
    viewed = rng.random((USERS, ITEMS)) < rng.choice([0.0, 0.3, 0.95], size=(USERS, 1))
    return UserChunk(np.arange(USERS, dtype=np.uint32), sparse.csr_matrix(viewed.astype(np.float32)))


@settings(max_examples=20)
@given(seed=st.integers(0, 10_000))
def test_the_best_unseen_items_in_order(seed: int) -> None:
    rng = np.random.default_rng(seed)
    (generator, scores), served = made(rng), chunk(rng)
    said = generator.score(served)
    for user in range(USERS):
        viewed = set(served.viewed[user].indices)
        allowed = [i for i in range(ITEMS) if i % 3 and i not in viewed and not np.isnan(scores[user, i])]
        expected = sorted(allowed, key=(-scores[user]).tolist().__getitem__)[:WANTED]
        assert [item for item in said.lists[user].tolist() if item >= 0] == expected
    values = said.of_pairs(EVERY_PAIR)
    assert values.dtype == np.float32
    np.testing.assert_array_equal(values.reshape(USERS, ITEMS), scores)


def test_a_user_alone_gets_the_same_as_in_a_batch() -> None:
    rng = np.random.default_rng(7)
    (generator, _), served = made(rng), chunk(rng)
    batch = generator.score(served)
    for user in range(USERS):
        alone = generator.score(UserChunk(served.users[[user]], served.viewed[[user]]))
        assert alone.lists[0].tolist() == batch.lists[user].tolist()
        items = np.arange(ITEMS, dtype=np.int32)
        np.testing.assert_array_equal(
            alone.of_pairs(Pairs(np.array([0, ITEMS]), items)),
            batch.of_pairs(EVERY_PAIR).reshape(USERS, ITEMS)[user],
        )


def test_a_merged_row_names_the_source_and_its_normalised_score() -> None:
    """Scores below 0 too are on a scale from the user's last proposal, 0, to the best one, 1."""
    delivered = pl.DataFrame(
        {"user": [3, 3, 3], "item": [5, 1, 2], "score": [-1.0, -2.0, -5.0]},
        schema={"user": pl.UInt32, "item": pl.UInt32, "score": pl.Float32},
    )
    generator = external_generator(features(delivered, np.ones(ITEMS, dtype=bool)), SETTINGS)
    nobody = sparse.csr_matrix((USERS, ITEMS), dtype=np.float32)
    merged = propose_candidates(UserChunk(np.arange(USERS, dtype=np.uint32), nobody), [generator]).frame()
    columns = ["user", "item", "external_rank", "external_score", "external_norm", "sources"]
    assert merged.select(columns).rows() == [
        (3, 1, 2.0, -2.0, 0.75, "external"),
        (3, 2, 3.0, -5.0, 0.0, "external"),
        (3, 5, 1.0, -1.0, 1.0, "external"),
    ]


def test_an_empty_delivery_proposes_nothing() -> None:
    empty = pl.DataFrame(schema={"user": pl.UInt32, "item": pl.UInt32, "score": pl.Float32})
    generator = external_generator(features(empty, np.ones(ITEMS, dtype=bool)), SETTINGS)
    said = generator.score(chunk(np.random.default_rng(1)))
    assert (said.lists == -1).all()
    assert np.isnan(said.of_pairs(EVERY_PAIR)).all()


def test_features_without_the_delivery_are_no_empty_source() -> None:
    with pytest.raises(ValueError, match="were not read"):
        external_generator(features(None, np.ones(ITEMS, dtype=bool)), SETTINGS)
