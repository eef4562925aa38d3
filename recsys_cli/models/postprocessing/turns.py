"""Whose turn it is: a number of chance for each user and date, equal on every machine and in any chunk."""

from datetime import date
from hashlib import blake2b

import numpy as np
import polars as pl

from recsys_cli.models.kernels.id_hashes import text_hashes

_BYTES = 8


def turns_of(user_ids: pl.Series, day: date, purpose: str = "turn") -> np.ndarray:
    """Return a hash of each user's external id and the date, u64: users are taken in its ascending order.

    Over the dates each user is as often among the first as any other. An integer id has the hash of its text.

    Args:
        user_ids: external ids, integers or text, without nulls.
        purpose: another one gives other numbers, for draws that must not depend on the turns.
    """
    seed = int.from_bytes(blake2b(f"{purpose} {day}".encode(), digest_size=_BYTES).digest(), "little")
    texts = user_ids.cast(pl.String).to_arrow(compat_level=pl.CompatLevel.oldest())
    _, offsets, data = texts.buffers()
    ends = np.frombuffer(offsets, np.int64, len(texts) + 1, 8 * texts.offset)
    content = np.frombuffer(data if data is not None else b"", np.uint8)
    return np.asarray(text_hashes(ends, content, np.uint64(seed)))


def order_of(turns: np.ndarray) -> np.ndarray:
    """Return the users in the order of their turns, u32; equal turns keep the order of the users."""
    return np.argsort(turns, kind="stable").astype(np.uint32)
