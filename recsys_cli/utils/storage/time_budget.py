"""The time that a download, or a call of an object store, may take in all."""

import socket
import time
from contextlib import suppress
from threading import Event, Lock, Thread
from types import TracebackType

from loguru import logger

from recsys_cli.utils.storage.network_limits import StoreError

_SECONDS_BETWEEN_LINES = 9.0  # a line comes within ten seconds on a busy machine, too
_SILENT_SECONDS = 60.0  # without an answer, or a block of a file: it would never end
_SHORTEST_LINE = 1.0  # seconds of a wait that is worth a line
_FIX = "try again later, or raise storage.network.max_seconds"


class TimeBudget:
    """A `with` block whose network work ends in time: a thread logs what it waits for, and ends it.

    Time-outs of a library count from one byte to the next, so a server that sends a byte a second meets none.

    Args:
        seconds: for the whole block.
        host: what the lines name.
    """

    def __init__(self, seconds: float, host: str) -> None:
        self.host = host
        self.exceeded: StoreError | None = None
        self._seconds = seconds
        self._began = time.monotonic()
        self._activity = "waits for an answer"
        self._moved: float | None = None  # when something last arrived; None: nothing is under way
        self._bytes = 0
        self._sockets: list[socket.socket] = []
        self._changing = Lock()
        self._ended = Event()
        self._thread = Thread(target=self._keep_watch, name="time budget", daemon=True)

    def __enter__(self) -> "TimeBudget":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        for one in self._sockets:
            one.close()

    def left(self) -> float:
        """Return the seconds that are left.

        Raises: StoreError if there are none.
        """
        left = self._left()
        if left <= 0 or self.exceeded is not None:
            raise self.exceeded or self._too_long()
        return left

    def watch(self, connection: socket.socket) -> None:
        """Let this connection be shut down when the time is over, wherever its bytes are waited for."""
        with self._changing:
            self._sockets.append(connection.dup())  # TLS takes the socket itself over
        self.left()

    def begin(self, activity: str) -> None:
        """Say what is under way from now on; it ends if nothing arrives for a minute."""
        self._activity, self._moved = activity, time.monotonic()

    def arrived(self, count: int) -> None:
        """Count bytes that have arrived."""
        self._bytes += count
        self._moved = time.monotonic()

    def wait(self, seconds: float, why: str) -> None:
        """Sleep before a next try.

        Raises: StoreError if the time that is left is shorter.
        """
        left = self.left()
        if seconds >= left:
            raise StoreError(
                f"{why}, and a next try in {seconds:,.0f} s is too late: {left:,.0f} s are left of "
                f"storage.network.max_seconds = {self._seconds:g}",
                _FIX,
            )
        self._activity, self._moved = f"waits {seconds:,.0f} s, {why}", None
        if seconds >= _SHORTEST_LINE:
            self._log()
        time.sleep(seconds)

    def _left(self) -> float:
        return self._began + self._seconds - time.monotonic()

    def _keep_watch(self) -> None:
        while not self._ended.wait(max(0.0, min(_SECONDS_BETWEEN_LINES, self._left()))):
            if self._left() <= 0:
                self._end(self._too_long())
            elif self._moved is not None and time.monotonic() - self._moved > _SILENT_SECONDS:
                self._end(StoreError(f"next to nothing has come for {_SILENT_SECONDS:.0f} s", _FIX))
            else:
                self._log()
                continue
            return

    def _end(self, reason: StoreError) -> None:
        with self._changing:
            self.exceeded = reason
            for one in self._sockets:
                with suppress(OSError):  # it is closed already
                    one.shutdown(socket.SHUT_RDWR)

    def _log(self) -> None:
        spent = self._seconds - self._left()
        arrived = f", {self._bytes:,} bytes so far" if self._bytes else ""
        logger.info(
            "{}: {}{}; {:,.0f} s of at most {:,.0f} s",
            self.host,
            self._activity,
            arrived,
            spent,
            self._seconds,
        )

    def _too_long(self) -> StoreError:
        return StoreError(f"it took longer than storage.network.max_seconds = {self._seconds:g}", _FIX)
