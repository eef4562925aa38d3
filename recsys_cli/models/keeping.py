"""What is learnt once and kept: fits that several trainings share."""

from collections.abc import Callable, Mapping

import numpy as np

Arrays = Mapping[str, np.ndarray]
ArrayStore = Callable[[str, Callable[[], Arrays]], Arrays]  # key, how to make it → kept, or made and kept


def not_kept(_key: str, make: Callable[[], Arrays]) -> Arrays:
    """Make the arrays: the default in code and tests."""
    return make()
