from collections.abc import Callable

Progress = Callable[[int, int], None]  # units done, units in all


def silent(*_units: int) -> None:
    """Report nothing: the default in code and tests."""
