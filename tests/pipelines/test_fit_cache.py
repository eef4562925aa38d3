"""Fits that several trainings share."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from recsys_cli.models.keeping import Arrays
from recsys_cli.pipelines.fit_cache import FitCache


def numbered() -> tuple[list[int], Callable[[], Arrays]]:
    """Return a list that grows with every fit, and the fit."""
    made: list[int] = []

    def fit() -> Arrays:
        made.append(len(made))
        return {"vectors": np.full((2, 3), len(made), dtype=np.float32), "biases": np.zeros(2)}

    return made, fit


def test_the_second_time_nothing_is_learnt(tmp_path: Path) -> None:
    made, fit = numbered()
    first = FitCache(tmp_path)("lightfm-a", fit)
    again = FitCache(tmp_path)("lightfm-a", fit)  # of another run
    assert made == [0] and set(first) == set(again)
    for name, array in first.items():
        assert again[name].dtype == array.dtype and np.array_equal(again[name], array)
    FitCache(tmp_path)("lightfm-b", fit)
    assert made == [0, 1]


@pytest.mark.parametrize("damage", ["cut", "empty", "no archive", "a bit flipped"])
def test_a_damaged_fit_is_made_again(tmp_path: Path, damage: str) -> None:
    made, fit = numbered()
    FitCache(tmp_path)("one", fit)
    file = tmp_path / "one.npz"
    whole = file.read_bytes()
    place = whole.index(b"\x93NUMPY") + 140  # among the numbers
    flipped = whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]
    damaged = {"cut": whole[:-60], "empty": b"", "no archive": b"x" * 99, "a bit flipped": flipped}
    file.write_bytes(damaged[damage])

    again = FitCache(tmp_path)("one", fit)

    assert made == [0, 1] and again["vectors"][0, 0] == 2
    FitCache(tmp_path)("one", fit)
    assert made == [0, 1]


def test_the_oldest_fits_go_first(tmp_path: Path) -> None:
    _, fit = numbered()
    cache = FitCache(tmp_path)
    for number in range(66):
        cache(f"fit-{number}", fit)
    assert len(list(tmp_path.glob("*.npz"))) == 64
    assert (tmp_path / "fit-65.npz").exists()
