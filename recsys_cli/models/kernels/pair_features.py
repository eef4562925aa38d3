"""The compiled loops of the second stage's columns: what belongs to a (user, item) itself."""

# pylint: disable=too-many-locals, consider-using-enumerate  # loops as the compiler wants them

import numpy as np

from recsys_cli.utils.numba_kernels import CsrArrays, kernel


@kernel
def differences(
    of_users: np.ndarray, of_items: np.ndarray, indptr: np.ndarray, items: np.ndarray
) -> np.ndarray:
    """Return, f32, the item's number minus the user's for each pair.

    Args:
        of_users: a number a user of the chunk; of_items: a number an item that there is.
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
        shares: CSR matrix (all users, values): starts, columns, cells; values: starts and columns of a CSR
            matrix (items, values); width: number of values.
        users: rows of `shares`; indptr, items: the items of each.
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
    """Return, i64, where each pair stands among the users' own pairs, -1 for nowhere.

    Args:
        starts, known: the own items of all users, ascending, as in a CSR matrix.
        users: rows of it; indptr, items: the items of each, ascending.
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
