"""The same work on many parts, side by side, in order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

import numpy as np
from threadpoolctl import threadpool_limits

Part = TypeVar("Part")
Done = TypeVar("Done")


def chunks_of(values: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """Yield `size` values at a time."""
    for start in range(0, len(values), size):
        yield values[start : start + size]


def mapped(work: Callable[[Part], Done], parts: Iterable[Part], threads: int) -> Iterator[Done]:
    """Yield what `work` makes of each part, in the order of the parts; few are under way at a time.

    For work that runs without Python's lock. BLAS gets one thread, for each worker has a core of its own.
    """
    rest = iter(parts)
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[Done]] = deque(pool.submit(work, part) for part in islice(rest, threads + 1))
        try:
            while waiting:
                done = waiting.popleft().result()
                for part in islice(rest, 1):
                    waiting.append(pool.submit(work, part))
                yield done
        finally:
            for future in waiting:
                future.cancel()
