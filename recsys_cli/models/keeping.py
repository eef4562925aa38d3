"""What is learnt once and kept: fits that several trainings share."""

from collections.abc import Callable, Mapping

import numpy as np

Arrays = Mapping[str, np.ndarray]
Shapes = Mapping[str, tuple[int, ...]]  # of f32 arrays
# key, the shapes that the arrays have, how to make them → kept, or made and kept
ArrayStore = Callable[[str, Shapes, Callable[[], Arrays]], Arrays]


def not_kept(_key: str, _shapes: Shapes, make: Callable[[], Arrays]) -> Arrays:
    """Make the arrays: the default in code and tests."""
    return make()
