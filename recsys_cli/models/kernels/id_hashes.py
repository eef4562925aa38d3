"""A kernel that hashes texts: the same numbers on every machine, in every version and for any chunk."""

import numpy as np

from recsys_cli.utils.numba_kernels import kernel

_ODD = np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


@kernel
def text_hashes(offsets: np.ndarray, data: np.ndarray, seed: np.uint64) -> np.ndarray:
    """Return a hash of each text, u64: every bit of it depends on every bit of the text and of the seed.

    Args:
        offsets: i64, (texts + 1,): text i is data[offsets[i]:offsets[i + 1]], u8.
    """
    count = len(offsets) - 1
    hashes = np.empty(count, dtype=np.uint64)
    for text in range(count):
        first, last = offsets[text], offsets[text + 1]
        state = _mixed(seed + np.uint64(last - first))
        word, filled = np.uint64(0), 0
        for place in range(first, last):
            word |= np.uint64(data[place]) << np.uint64(8 * filled)
            filled += 1
            if filled == 8:
                state = _mixed(state ^ word)
                word, filled = np.uint64(0), 0
        hashes[text] = _mixed(state ^ word)
    return hashes


@kernel
def _mixed(state: np.uint64) -> np.uint64:
    """Return the next number of Steele's SplitMix64 (2014): a change of one bit changes half of all."""
    state += _ODD
    state = (state ^ (state >> np.uint64(30))) * _FIRST
    state = (state ^ (state >> np.uint64(27))) * _SECOND
    return state ^ (state >> np.uint64(31))
