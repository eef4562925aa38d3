"""The same work on many inputs, in several threads, results in order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

import numpy as np
from threadpoolctl import threadpool_limits

Input = TypeVar("Input")
Output = TypeVar("Output")


def chunks_of(values: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """Yield consecutive slices of `size` values."""
    for start in range(0, len(values), size):
        yield values[start : start + size]


def map_in_threads(
    work: Callable[[Input], Output], inputs: Iterable[Input], threads: int
) -> Iterator[Output]:
    """Yield the result of `work` for each input, in order; at most `threads + 1` are under way.

    For work that releases the GIL. BLAS gets one thread, because each worker has a core of its own.
    """
    rest = iter(inputs)
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[Output]] = deque(pool.submit(work, one) for one in islice(rest, threads + 1))
        try:
            while waiting:
                done = waiting.popleft().result()
                for one in islice(rest, 1):
                    waiting.append(pool.submit(work, one))
                yield done
        finally:
            for future in waiting:
                future.cancel()
