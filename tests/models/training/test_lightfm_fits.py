"""Fits that are learnt ahead of their use."""

import threading
from datetime import date
from typing import Any

import pytest

from recsys_cli.models.training.lightfm_fits import fits_ahead
from recsys_cli.utils.errors import ModelError
from recsys_cli.utils.progress import Progress, no_progress

ONE, TWO, THREE = date(2026, 3, 1), date(2026, 3, 15), date(2026, 3, 29)


def fits_of(names: dict[date, str]) -> dict[date, Any]:
    """Return fits that give a name instead of a model."""
    return {day: lambda _progress, name=name: name for day, name in names.items()}


@pytest.mark.parametrize("threads", [1, 2])
def test_each_day_gets_its_own_fit(threads: int) -> None:
    fits = fits_of({ONE: "first", TWO: "second", THREE: "third"})
    with fits_ahead(fits, [ONE, TWO], threads) as ahead:  # the third is learnt when it is asked for
        assert [ahead.result(day, no_progress) for day in (THREE, TWO, ONE)] == ["third", "second", "first"]


def test_fits_run_side_by_side() -> None:
    """Each of two fits waits for the other: one after the other they would wait for ever."""
    both = threading.Barrier(2, timeout=20)
    fits: dict[date, Any] = {day: lambda _progress: both.wait() for day in (ONE, TWO)}
    with fits_ahead(fits, [ONE, TWO], 2) as ahead:
        assert {ahead.result(ONE, no_progress), ahead.result(TWO, no_progress)} == {0, 1}


def test_the_error_of_a_fit_is_that_of_its_day() -> None:
    def fail(_progress: Progress) -> Any:
        raise ModelError("diverged", where="here", fix="lower it")

    with fits_ahead({ONE: fail, **fits_of({TWO: "second"})}, [ONE, TWO], 2) as ahead:
        with pytest.raises(ModelError, match="diverged"):
            ahead.result(ONE, no_progress)
        assert ahead.result(TWO, no_progress) == "second"


def test_what_is_not_waited_for_ends_behind_its_epoch() -> None:
    begun, left, ended = threading.Event(), threading.Event(), threading.Event()
    never: list[int] = []

    def endless(progress: Progress) -> Any:
        begun.set()
        left.wait(20)
        try:
            progress(1, 1_000)  # the end of an epoch
        finally:
            ended.set()

    fits: dict[date, Any] = {ONE: endless, TWO: endless, THREE: lambda _progress: never.append(1)}
    with pytest.raises(ValueError, match="of the training"):
        with fits_ahead(fits, [ONE, TWO, THREE], 2):
            assert begun.wait(20)
            raise ValueError("of the training")
    left.set()
    assert ended.wait(20) and not never


def test_the_epochs_of_the_fit_that_is_waited_for_are_shown() -> None:
    shown: list[tuple[int, int]] = []
    seen = threading.Event()

    def fit(progress: Progress) -> Any:
        progress(3, 20)
        seen.wait(20)
        return "done"

    def show(done: int, total: int) -> None:
        shown.append((done, total))
        seen.set()

    with fits_ahead({ONE: fit, TWO: fit}, [ONE, TWO], 2) as ahead:
        assert ahead.result(ONE, show) == "done"
    assert set(shown) == {(3, 20)}
