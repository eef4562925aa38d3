"""LightFM's fits of a training, learnt ahead of their use: on a thread each, side by side."""

import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent import futures
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as StillRunning
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date

from recsys_cli.models.candidates.fit_cache import Arrays, ArrayStore, Shapes
from recsys_cli.models.candidates.sources.lightfm_model import LightFMModel
from recsys_cli.utils.progress import Progress

Fit = Callable[[Progress], LightFMModel]  # told of its epochs
_SECONDS = 0.2  # between two looks at a fit that is waited for


class _StoppedError(Exception):
    """The training has ended before this fit."""


class LightFMFits:
    """Fits by the day that they are made for.

    Those of the days in `ahead` begin at once, in this order; the others, and all of them where there is one
    thread, when they are asked for.
    """

    def __init__(self, fits: Mapping[date, Fit], ahead: Collection[date], threads: int) -> None:
        self._fits = fits
        self._stopped = threading.Event()
        self._epochs: dict[date, tuple[int, int]] = {}
        self._pool = ThreadPoolExecutor(threads)
        self._futures: dict[date, Future[LightFMModel]] = {}
        if threads > 1:
            self._futures = {day: self._pool.submit(fits[day], self._epoch_of(day)) for day in ahead}

    def result(self, day: date, progress: Progress) -> LightFMModel:
        """Return the fit of a day, once.

        Raises: what the fit raises.
        """
        future = self._futures.pop(day, None)
        if future is None:
            return self._fits[day](progress)
        while True:
            try:
                return future.result(_SECONDS)
            except StillRunning:
                if future.done():  # the fit's own error
                    raise
                if day in self._epochs:
                    progress(*self._epochs[day])

    def wait(self, progress: Progress) -> None:
        """Wait for all fits that are under way; an error of theirs is raised where the fit is asked for."""
        waiting = list(self._futures.items())
        while not all(future.done() for _, future in waiting):
            futures.wait([future for _, future in waiting], _SECONDS)
            epochs = [self._epochs[day] for day, _ in waiting if day in self._epochs]
            progress(sum(done for done, _ in epochs), sum(total for _, total in epochs))

    def stop(self) -> None:
        """Drop the fits that have not begun, and end the others behind their epoch."""
        self._stopped.set()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _epoch_of(self, day: date) -> Progress:
        def moved(done: int, total: int) -> None:
            if self._stopped.is_set():
                raise _StoppedError
            self._epochs[day] = done, total

        return moved


class LimitedFits:
    """An ArrayStore for fits that begin side by side: so many at most are made at a time, the others wait.

    What is cached already is returned as `cached` does.
    """

    def __init__(self, cached: ArrayStore, most: int) -> None:
        self._cached = cached
        self._free = threading.Semaphore(most)

    def __call__(self, key: str, shapes: Shapes, make: Callable[[], Arrays]) -> Arrays:
        """Return the arrays of an earlier fit, or make and cache them once a place is free."""
        with self._free:
            return self._cached(key, shapes, make)


@contextmanager
def fits_ahead(fits: Mapping[date, Fit], ahead: Collection[date], threads: int) -> Iterator[LightFMFits]:
    """Yield the fits, under way; what is not done at the end of the block is dropped."""
    under_way = LightFMFits(fits, ahead, threads)
    try:
        yield under_way
    finally:
        under_way.stop()


@dataclass(frozen=True)
class Cost:
    """Seconds that a piece of work takes alone, and the cores that it keeps busy meanwhile."""

    seconds: float
    cores: float = 1.0

    def __mul__(self, factor: float) -> "Cost":
        return Cost(self.seconds * factor, self.cores)


Step = tuple[Cost, int | None]  # of a training, and the number of the fit that it waits for


def elapsed_seconds(steps: Sequence[Step], fits: Sequence[Cost], side_by_side: int, cores: float) -> float:
    """Return how long steps take one after the other while fits run beside them, in their order.

    All that runs at a time shares the cores evenly.

    Args:
        side_by_side: how many fits run at a time; 0: each begins when a step waits for it.
    """
    left, elapsed = [fit.seconds for fit in fits], 0.0
    for cost, fit in steps:
        work = cost.seconds
        while work > 0 or (fit is not None and left[fit] > 0):
            waits = fit is not None and left[fit] > 0
            running = [number for number, seconds in enumerate(left) if seconds > 0][:side_by_side]
            if fit is not None and waits and not side_by_side:
                running = [fit]
            busy = sum(fits[number].cores for number in running) + (0.0 if waits else cost.cores)
            span = min([left[number] for number in running] + ([] if waits else [work]))
            elapsed += span * max(1.0, busy / cores)
            work -= 0.0 if waits else span
            for number in running:
                left[number] -= span
    return elapsed
