"""LightFM fits of a training, started before they are needed: in parallel, one thread each."""

import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent import futures
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as StillRunning
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date

from recsys_cli.models.candidates.fit_cache import Arrays, ArrayStore, Make, Shapes
from recsys_cli.models.candidates.sources.lightfm_model import LightFMModel
from recsys_cli.utils.progress import Progress

Fit = Callable[[Progress], LightFMModel]  # the progress counts epochs
_SECONDS = 0.2  # between two progress reports while a fit is waited for


class _StoppedError(Exception):
    """The training ended before this fit."""


class LightFMFits:
    """LightFM fits by their day.

    Those of the days in `ahead` start at once, in this order. The others, and all of them with one thread,
    start when they are requested.
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
        """Return the fit of a day; each can be requested once.

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
        """Wait for all running fits; their errors are raised when they are requested."""
        waiting = list(self._futures.items())
        while not all(future.done() for _, future in waiting):
            futures.wait([future for _, future in waiting], _SECONDS)
            epochs = [self._epochs[day] for day, _ in waiting if day in self._epochs]
            progress(sum(done for done, _ in epochs), sum(total for _, total in epochs))

    def stop(self) -> None:
        """Cancel fits that have not started; running ones stop after their epoch."""
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

    def __call__(self, key: str, shapes: Shapes, make: Make) -> Arrays:
        """Return the arrays of an earlier fit, or make and cache them once a place is free."""
        with self._free:
            return self._cached(key, shapes, make)


@contextmanager
def fits_ahead(fits: Mapping[date, Fit], ahead: Collection[date], threads: int) -> Iterator[LightFMFits]:
    """Yield the running fits; those that are not done at the end of the block are cancelled."""
    running = LightFMFits(fits, ahead, threads)
    try:
        yield running
    finally:
        running.stop()


@dataclass(frozen=True)
class Cost:
    """Seconds that a piece of work takes on its own, and how many cores it uses."""

    seconds: float
    cores: float = 1.0

    def __mul__(self, factor: float) -> "Cost":
        return Cost(self.seconds * factor, self.cores)


Step = tuple[Cost, int | None]  # the cost of a step, and the index of the fit that it waits for


def elapsed_seconds(steps: Sequence[Step], fits: Sequence[Cost], parallel_fits: int, cores: float) -> float:
    """Return how long sequential steps take while fits run in parallel to them, in their order.

    All running work shares the cores evenly.

    Args:
        parallel_fits: how many fits run at a time; 0: each starts when a step waits for it.
    """
    left, elapsed = [fit.seconds for fit in fits], 0.0
    for cost, fit in steps:
        work = cost.seconds
        while work > 0 or (fit is not None and left[fit] > 0):
            waits = fit is not None and left[fit] > 0
            running = [number for number, seconds in enumerate(left) if seconds > 0][:parallel_fits]
            if fit is not None and waits and not parallel_fits:
                running = [fit]
            busy = sum(fits[number].cores for number in running) + (0.0 if waits else cost.cores)
            span = min([left[number] for number in running] + ([] if waits else [work]))
            elapsed += span * max(1.0, busy / cores)
            work -= 0.0 if waits else span
            for number in running:
                left[number] -= span
    return elapsed
