"""The state of LightFM between two epochs: a fit that was killed goes on from it."""

from typing import TYPE_CHECKING, Final

import numpy as np
from loguru import logger

from recsys_cli.models.candidates.fit_cache import Arrays

if TYPE_CHECKING:
    from lightfm import LightFM

# Its momentum stays zero with the schedule that we use, Adagrad.
_LEARNT: Final = tuple(
    f"{side}_{name}"
    for side in ("user", "item")
    for name in ("embeddings", "embedding_gradients", "biases", "bias_gradients")
)
_EPOCH, _RANDOM, _PLACE = "epoch", "random", "place"
_RANDOM_WORDS: Final = 624  # of the Mersenne Twister; the place is the next word that it gives


def state_after(model: "LightFM", epoch: int) -> Arrays:
    """Return the state of a model after so many epochs: its arrays, and its random numbers."""
    _, words, place, *_ = model.random_state.get_state()
    learnt = {name: getattr(model, name) for name in _LEARNT}
    return learnt | {_EPOCH: np.array([epoch]), _RANDOM: words, _PLACE: np.array([place])}


def resumed_after(model: "LightFM", state: Arrays | None) -> int:
    """Put a model that was just made into an earlier state; return the epochs that it has learnt, 0 if none.

    A state that does not fit the model is left out.
    """
    if state is None or not _fits(model, state):
        return 0
    for name in _LEARNT:
        getattr(model, name)[...] = state[name]
    model.random_state.set_state(("MT19937", state[_RANDOM], int(state[_PLACE][0])))
    epoch = int(state[_EPOCH][0])
    logger.info("LightFM resumes after {} epochs of a fit that was stopped", epoch)
    return epoch


def _fits(model: "LightFM", state: Arrays) -> bool:
    expected = {name: (getattr(model, name).shape, "f4") for name in _LEARNT}
    expected |= {_EPOCH: ((1,), "i8"), _PLACE: ((1,), "i8"), _RANDOM: ((_RANDOM_WORDS,), "u4")}
    if {name: (array.shape, array.dtype.str[1:]) for name, array in state.items()} != expected:
        return False
    return int(state[_EPOCH][0]) > 0 and 0 <= int(state[_PLACE][0]) <= _RANDOM_WORDS
