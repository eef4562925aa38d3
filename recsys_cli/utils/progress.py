"""How core functions report progress: a plain callable, shown by the terminal's side."""

from collections.abc import Callable

Progress = Callable[[int, int], None]  # units done, units in total


def no_progress(*_units: int) -> None:
    """Report nothing: the default in code and tests."""
