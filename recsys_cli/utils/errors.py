"""Errors that the user can fix, each with its exit code.

RecsysError
├── CheckFailedError    1   a check or gate failed, nothing was published
├── UsageError          2   a wrong option, date or argument
│   └── SettingsError   2   invalid settings
├── InputError          3   a table that cannot be read or breaks its contract
│   ├── UnknownUserError 3
│   └── UnknownItemError 3
├── ModelError          4   no model, a damaged one, or one that does not fit
├── OutputError         5   a result that cannot be written
└── LockedError         6   another run holds the lock
"""

from enum import IntEnum
from typing import ClassVar

from recsys_cli.utils.credentials import without_credentials


class ExitCode(IntEnum):
    """The exit status of `recsys`, for scripts."""

    OK = 0
    CHECK = 1
    USAGE = 2
    INPUT = 3
    MODEL = 4
    OUTPUT = 5
    LOCKED = 6
    BUG = 70
    INTERRUPTED = 130
    TERMINATED = 143


class RecsysError(Exception):
    """An error that answers: what happened, where, and how to fix it.

    Texts of libraries become part of it, so credentials are masked here.
    """

    exit_code: ClassVar[ExitCode]

    def __init__(self, what: str, *, where: str = "", fix: str = "") -> None:
        self.what = without_credentials(what)
        self.where = without_credentials(where)
        self.fix = without_credentials(fix)
        super().__init__(self.what)


class CheckFailedError(RecsysError):
    exit_code = ExitCode.CHECK


class UsageError(RecsysError):
    exit_code = ExitCode.USAGE


class SettingsError(UsageError):
    """Invalid settings; `what` lists all problems, one per line."""


class InputError(RecsysError):
    exit_code = ExitCode.INPUT


class UnknownUserError(InputError):
    pass


class UnknownItemError(InputError):
    pass


class ModelError(RecsysError):
    exit_code = ExitCode.MODEL


class OutputError(RecsysError):
    exit_code = ExitCode.OUTPUT


class LockedError(RecsysError):
    exit_code = ExitCode.LOCKED


def first_line(error: BaseException) -> str:
    """Return the first line of an error's text, credentials masked; its type's name where it has none."""
    return without_credentials((str(error).strip().splitlines() or [type(error).__name__])[0])
