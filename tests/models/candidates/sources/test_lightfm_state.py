"""LightFM goes on after a stop as if there had been none."""

from pathlib import Path

import numpy as np
import pytest
from lightfm import LightFM
from scipy import sparse

from recsys_cli.models.candidates.fit_cache import Arrays, FitCache, PartialFit
from recsys_cli.models.candidates.sources.lightfm_state import resumed_after, state_after

PAIRS = sparse.random(40, 30, 0.2, "coo", np.float32, np.random.default_rng(3))
SHAPES = {"user_embeddings": (40, 8), "item_biases": (30,)}


def new_model(components: int = 8) -> LightFM:
    model = LightFM(no_components=components, loss="warp", random_state=7)
    model.fit_partial(PAIRS, epochs=0)  # makes the arrays
    return model


def learn(model: LightFM, epochs: int) -> LightFM:
    for _ in range(epochs):
        model.fit_partial(PAIRS, epochs=1)
    return model


def test_a_fit_that_was_stopped_learns_what_a_whole_one_learns(tmp_path: Path) -> None:
    """The state goes through the cache's file; then the epochs that are left follow in a new model."""
    resumed: list[int] = []

    def fit(partial: PartialFit) -> Arrays:
        model = new_model()
        resumed.append(resumed_after(model, partial.read()))
        if not resumed[-1]:
            partial.write(state_after(learn(model, 3), 3))
            raise KeyboardInterrupt
        learn(model, 2)
        return {name: getattr(model, name) for name in SHAPES}

    with pytest.raises(KeyboardInterrupt):
        FitCache(tmp_path)("one", SHAPES, fit)
    learnt = FitCache(tmp_path)("one", SHAPES, fit)

    whole = learn(new_model(), 5)
    assert resumed == [0, 3]
    for name in SHAPES:
        assert np.array_equal(learnt[name], getattr(whole, name))


STATE = state_after(learn(new_model(), 3), 3)
OTHERS = {
    "nothing": None,
    "of other vectors": state_after(learn(new_model(components=4), 3), 3),
    "without random numbers": {name: array for name, array in STATE.items() if name != "random"},
    "of other random numbers": STATE | {"random": np.zeros(9, np.uint32)},
    "a place beyond them": STATE | {"place": np.array([625])},
    "before the first epoch": STATE | {"epoch": np.array([0])},
    "of larger numbers": STATE | {"user_biases": STATE["user_biases"].astype(np.float64)},
}


@pytest.mark.parametrize("state", OTHERS.values(), ids=OTHERS)
def test_a_state_that_does_not_fit_is_left_out(state: Arrays | None) -> None:
    model = new_model()
    assert resumed_after(model, state) == 0
    assert np.array_equal(learn(model, 1).user_embeddings, learn(new_model(), 1).user_embeddings)
