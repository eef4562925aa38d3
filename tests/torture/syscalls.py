"""Every write, sync and rename of a process and its threads, native code included, held until a verdict.

Or, instead, every look: each directory listing, stat, open and rename.

The process asks the kernel (seccomp's user notification) to stop it before each such call; the watcher says
whether the call goes on, fails with an error, or is the moment of a signal. Linux on x86-64.
"""

import ctypes
import errno
import fcntl
import os
import platform
import select
import signal
import struct
from collections import Counter
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

WRITE, SYNC, RENAME, EXCHANGE, REMOVE = ("write", "sync", "rename", "exchange", "remove")
LIST, STAT, OPEN = "list", "stat", "open"
_CALLS = {  # number: kind, place of the file descriptor or folder, place of the path or None
    1: (WRITE, 0, None),  # write
    18: (WRITE, 0, None),  # pwrite64
    20: (WRITE, 0, None),  # writev
    40: (WRITE, 0, None),  # sendfile
    77: (WRITE, 0, None),  # ftruncate
    285: (WRITE, 0, None),  # fallocate
    296: (WRITE, 0, None),  # pwritev
    326: (WRITE, 2, None),  # copy_file_range
    328: (WRITE, 0, None),  # pwritev2
    74: (SYNC, 0, None),  # fsync
    75: (SYNC, 0, None),  # fdatasync
    82: (RENAME, None, 1),  # rename
    264: (RENAME, 2, 3),  # renameat
    316: (EXCHANGE, 2, 3),  # renameat2, which the program asks for nothing else
    87: (REMOVE, None, 0),  # unlink
    84: (REMOVE, None, 0),  # rmdir
    263: (REMOVE, 0, 1),  # unlinkat
}
_LOOKS = {
    217: (LIST, 0, None),  # getdents64
    4: (STAT, None, 0),  # stat
    6: (STAT, None, 0),  # lstat
    262: (STAT, 0, 1),  # newfstatat
    332: (STAT, 0, 1),  # statx
    2: (OPEN, None, 0),  # open
    257: (OPEN, 0, 1),  # openat
    82: (RENAME, None, 1),  # rename
    264: (RENAME, 2, 3),  # renameat
    316: (RENAME, 2, 3),  # renameat2
}
WRITES, LOOKS = "writes", "looks"
_WATCHED = {WRITES: _CALLS, LOOKS: _LOOKS}
_FLOCK = 73
_X86_64 = 0xC000003E
_ALLOW, _NOTIFY, _FAIL = 0x7FFF0000, 0x7FC00000, 0x00050000
_WITH_LISTENER = 8
_RECEIVE, _ANSWER, _SET_FLAGS = 0xC0502100, 0xC0182101, 0x40082104  # ioctls of the listener
_WAKE_AT_ONCE = 1  # the other side takes over this core: half of the time of a call that is watched
_SECCOMP, _PRCTL_NO_NEW_RIGHTS = 317, 38
_GO_ON = 1
_LONGEST_PATH = 4096


def can_watch() -> bool:
    """Whether this machine knows how."""
    return platform.system() == "Linux" and platform.machine() == "x86_64"


def be_watched(watched: str = WRITES) -> int:
    """Let this process, of one thread as yet, and all its threads to come be watched; return the listener.

    Args:
        watched: WRITES or LOOKS: which calls.

    Raises: OSError.
    """
    return _filter(_WATCHED[watched], _NOTIFY, _WITH_LISTENER)


def refuse_locks(error: int) -> None:
    """Let every `flock` of this process fail from now on, as on a file system that has none.

    Raises: OSError.
    """
    _filter((_FLOCK,), _FAIL | error, 0)


def _filter(numbers: Collection[int], action: int, flags: int) -> int:
    """Install a filter that does `action` at these calls; return what the kernel returns."""
    steps = [(0x20, 0, 0, 4), (0x15, 1, 0, _X86_64), (0x06, 0, 0, _ALLOW), (0x20, 0, 0, 0)]
    for place, number in enumerate(numbers):
        steps.append((0x15, len(numbers) - place, 0, number))
    steps += [(0x06, 0, 0, _ALLOW), (0x06, 0, 0, action)]
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    header = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(steps), ctypes.addressof(program)))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PRCTL_NO_NEW_RIGHTS, 1, 0, 0, 0)
    told = libc.syscall(_SECCOMP, 1, flags, header)
    if told < 0:
        raise OSError(ctypes.get_errno(), "this kernel cannot filter system calls")
    return int(told)


@dataclass(frozen=True)
class Call:
    """A call that touches the watched folder; `number` counts them from 1, `nth` those of its kind."""

    number: int
    nth: int
    kind: str
    path: str


class _Notice(NamedTuple):
    """A call that waits: its thread, its number and its arguments."""

    thread: int
    number: int
    words: list[int]


Verdict = Callable[[Call], int]  # a signal's number, negative: an error's number, 0: go on


@dataclass
class Watcher:
    """Holds and judges the calls of one process under a folder, in the order in which they come."""

    pid: int
    folder: Path
    verdict: Verdict
    watched: str = WRITES
    calls: list[Call] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)

    def watch(self, listener: int) -> None:
        """Judge until the process is gone."""
        poll = select.poll()
        poll.register(listener, select.POLLIN)
        with suppress(OSError):  # kernels before 6.6 do not know it
            fcntl.ioctl(listener, _SET_FLAGS, _WAKE_AT_ONCE)
        try:
            with open(f"/proc/{self.pid}/mem", "rb", buffering=0) as memory:
                while not any(event & select.POLLHUP for _, event in poll.poll()):
                    self._judge_one(listener, memory.fileno())
        finally:
            os.close(listener)

    def _judge_one(self, listener: int, memory: int) -> None:
        notice = bytearray(80)
        try:
            fcntl.ioctl(listener, _RECEIVE, notice)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.EINTR):  # it died, or a signal came first
                return
            raise
        ticket, thread, _, number, _, _, *words = struct.unpack("QIIiIQ6Q", notice)
        answer = self._answer(_Notice(thread, number, words), memory)
        try:
            fcntl.ioctl(listener, _ANSWER, struct.pack("QqiI", ticket, 0, answer, 0 if answer else _GO_ON))
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise

    def _answer(self, notice: _Notice, memory: int) -> int:
        """Return a negative error number, or 0 where the call goes on."""
        kind, place, text = _WATCHED[self.watched][notice.number]
        words = notice.words
        descriptor = None if place is None else words[place]
        path = _path(notice.thread, descriptor, None if text is None else _text_at(memory, words[text]))
        if not path.startswith(f"{self.folder}/") or path.endswith("/"):  # an open file's own stat
            return 0
        self.kinds[kind] += 1
        call = Call(len(self.calls) + 1, self.kinds[kind], kind, path)
        self.calls.append(call)
        verdict = self.verdict(call)
        if verdict > 0:
            os.kill(self.pid, signal.Signals(verdict))
        return min(verdict, 0)


def _path(thread: int, descriptor: int | None, told: str | None) -> str:
    """Return the file that a call is about; empty where it cannot be told."""
    if told is not None and told.startswith("/"):
        return told
    known = descriptor is not None and descriptor < 2**31
    try:
        folder = os.readlink(f"/proc/{thread}/fd/{descriptor}" if known else f"/proc/{thread}/cwd")
    except OSError:
        return ""
    return folder if told is None else f"{folder}/{told}"


def _text_at(memory: int, address: int) -> str:
    """Return the text that begins at an address of a process; empty where it cannot be read."""
    try:
        held = os.pread(memory, _LONGEST_PATH - address % _LONGEST_PATH, address)  # to its page's end
        if b"\0" not in held:  # the next page may not be there
            held += os.pread(memory, _LONGEST_PATH, address + len(held))
    except OSError:
        return ""
    return held.split(b"\0", 1)[0].decode(errors="replace")
