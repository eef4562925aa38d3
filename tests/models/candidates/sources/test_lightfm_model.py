"""LightFM's lists do not depend on where a user stands among others: the last digits of a BLAS do."""

import numpy as np
import polars as pl
from scipy import sparse

from recsys_cli.models.candidates.sources.lightfm_model import LightFMItems, LightFMSide

ITEMS, WANTED, USERS = 46, 40, 64


def test_equal_users_have_equal_lists_wherever_they_stand() -> None:
    """The items' products with the query differ by the last digits of a float alone, and some are equal."""
    chance = np.random.default_rng(3)
    one, query = chance.normal(size=(2, 65)).astype(np.float32)
    noise = chance.integers(-2, 3, (ITEMS, 65)).astype(np.float32) * np.float32(6e-8)
    vectors = (one * (1 + noise)).astype(np.float32)
    vectors[1::9] = vectors[0]
    nobody = LightFMSide(
        pl.Series([], dtype=pl.Int64), np.zeros((0, 64), np.float32), np.zeros(0, np.float32)
    )
    items = LightFMItems(nobody, vectors, np.arange(ITEMS, dtype=np.int32), WANTED)
    nothing = sparse.csr_matrix((USERS, ITEMS), dtype=np.float32)
    (alone,) = items.best(query[np.newaxis], nothing[:1])
    assert (items.best(np.tile(query, (USERS, 1)), nothing) == alone).all()
    equal = [item for item in alone.tolist() if item == 0 or item % 9 == 1]
    assert equal == sorted(equal), "of equal ones the lower index is first"
