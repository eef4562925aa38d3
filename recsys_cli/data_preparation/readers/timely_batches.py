"""Batches that a library reads in a thread of its own, so that no wait for a server is endless."""

from collections.abc import Callable, Iterator
from queue import Empty, Full, Queue
from threading import Event, Thread
from typing import TypeVar

from recsys_cli.utils.storage.time_budget import TimeBudget

T = TypeVar("T")
_LOOK_SECONDS = 0.2  # between two looks whether the reader still wants more


def in_time(batches: Callable[[], Iterator[T]], seconds: float, host: str) -> Iterator[T]:
    """Yield the batches; one is read ahead.

    Args:
        batches: opens them, in a thread that is left behind where a library never returns.
        seconds: for all of them.
        host: what is waited for, for messages.

    Raises: StoreError when the time is over; what `batches` raises.
    """
    fetched: Queue[T | BaseException | None] = Queue(maxsize=1)
    unwanted = Event()
    thread = Thread(target=_fetch, args=(batches, fetched, unwanted), name="batches", daemon=True)
    with TimeBudget(seconds, host) as budget:
        thread.start()
        try:
            while (one := _next(fetched, budget)) is not None:
                if isinstance(one, BaseException):
                    raise one
                yield one
        finally:
            unwanted.set()


def _next(fetched: "Queue[T | BaseException | None]", budget: TimeBudget) -> T | BaseException | None:
    while True:
        try:
            return fetched.get(timeout=min(budget.left(), 60.0))
        except Empty:
            continue


def _fetch(
    batches: Callable[[], Iterator[T]], fetched: "Queue[T | BaseException | None]", unwanted: Event
) -> None:
    last: BaseException | None = None
    try:
        for one in batches():
            if not _put(one, fetched, unwanted):
                return
    except BaseException as error:  # pylint: disable=broad-exception-caught
        last = error
    _put(last, fetched, unwanted)


def _put(one: T | BaseException | None, fetched: "Queue[T | BaseException | None]", unwanted: Event) -> bool:
    """Hand over a batch; return False if nobody wants it."""
    while not unwanted.is_set():
        try:
            fetched.put(one, timeout=_LOOK_SECONDS)
            return True
        except Full:
            continue
    return False
