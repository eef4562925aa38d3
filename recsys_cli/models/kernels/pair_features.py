"""Kernels for the features of (user, item) pairs."""

# pylint: disable=too-many-locals, consider-using-enumerate  # explicit loops: numba compiles them best

import numpy as np

from recsys_cli.utils.numba_kernels import CsrArrays, kernel


@kernel
def differences(
    of_users: np.ndarray, of_items: np.ndarray, indptr: np.ndarray, items: np.ndarray
) -> np.ndarray:
    """Return, f32, the item's number minus the user's for each pair.

    Args:
        of_users: one number per user of the chunk; of_items: one number per item.
        indptr, items: the items of each user of the chunk.
    """
    values = np.empty(len(items), dtype=np.float32)
    for place in range(len(of_users)):
        for pair in range(indptr[place], indptr[place + 1]):
            values[pair] = of_items[items[pair]] - of_users[place]
    return values


@kernel
def mean_shares(
    shares: CsrArrays,
    values: tuple[np.ndarray, np.ndarray],
    width: int,
    users: np.ndarray,
    indptr: np.ndarray,
    items: np.ndarray,
) -> np.ndarray:
    """Return, f32, the user's mean share over the item's values for each pair; NaN for items without a value.

    Args:
        shares: CSR matrix (all users, values): indptr, indices, data; values: indptr and indices of a CSR
            matrix (items, values); width: number of values.
        users: rows of `shares`; indptr, items: the items of each user.
    """
    share_rows, share_columns, cells = shares
    value_rows, value_columns = values
    means = np.empty(len(items), dtype=np.float32)
    own = np.zeros(width, dtype=np.float32)
    for place in range(len(users)):
        first, last = share_rows[users[place]], share_rows[users[place] + 1]
        for cell in range(first, last):
            own[share_columns[cell]] = cells[cell]
        for pair in range(indptr[place], indptr[place + 1]):
            start, end = value_rows[items[pair]], value_rows[items[pair] + 1]
            total = np.float32(0.0)
            for cell in range(start, end):
                total += own[value_columns[cell]]
            means[pair] = total / np.float32(end - start) if end > start else np.float32(np.nan)
        for cell in range(first, last):
            own[share_columns[cell]] = 0.0
    return means


@kernel
def cells_of_history(
    starts: np.ndarray, known: np.ndarray, users: np.ndarray, indptr: np.ndarray, items: np.ndarray
) -> np.ndarray:
    """Return, i64, the index of each pair among the users' earlier pairs, -1 if it is not one of them.

    Args:
        starts, known: indptr and indices of a CSR matrix: the earlier items of all users, ascending.
        users: rows of it; indptr, items: the items of each user, ascending.
    """
    cells = np.full(len(items), -1, dtype=np.int64)
    for place in range(len(users)):
        cell, last = starts[users[place]], starts[users[place] + 1]
        for pair in range(indptr[place], indptr[place + 1]):
            while cell < last and known[cell] < items[pair]:
                cell += 1
            if cell < last and known[cell] == items[pair]:
                cells[pair] = cell
    return cells
