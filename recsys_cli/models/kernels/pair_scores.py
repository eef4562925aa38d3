"""Kernels that score given pairs of users and items.

Every user is computed alone and in a fixed order: scores do not depend on chunks or threads.
"""

# pylint: disable=too-many-locals, consider-using-enumerate  # explicit loops: numba compiles them best

import numpy as np

from recsys_cli.utils.numba_kernels import CsrArrays, kernel, kernel_with_reordered_sums


@kernel
def sums_of_pairs(
    taste: CsrArrays, weights: CsrArrays, users: np.ndarray, indptr: np.ndarray, items: np.ndarray
) -> np.ndarray:
    """Return, f32, for each pair the sum over the user's items of taste times weight to the pair's item.

    Args:
        taste: (all users, items); weights: (items, items).
        users: rows of `taste`; indptr, items: the items of each user.
    """
    taste_rows, taste_items, tastes = taste
    weight_rows, weight_items, cells = weights
    values = np.empty(len(items), dtype=np.float32)
    sums = np.zeros(len(weight_rows) - 1, dtype=np.float32)
    for place in range(len(users)):
        first, last = taste_rows[users[place]], taste_rows[users[place] + 1]
        for cell in range(first, last):
            item = taste_items[cell]
            for neighbour in range(weight_rows[item], weight_rows[item + 1]):
                sums[weight_items[neighbour]] += tastes[cell] * cells[neighbour]
        for pair in range(indptr[place], indptr[place + 1]):
            values[pair] = sums[items[pair]]
        for cell in range(first, last):
            item = taste_items[cell]
            for neighbour in range(weight_rows[item], weight_rows[item + 1]):
                sums[weight_items[neighbour]] = 0.0
    return values


@kernel
def dense_sums(taste: CsrArrays, rows: np.ndarray, weights: np.ndarray, users: np.ndarray) -> np.ndarray:
    """Return (users, columns) f32: each user's sum of rows of `weights`, added one after the other.

    Args:
        rows: the row of `weights` for each item, -1 for none.
    """
    taste_rows, taste_items, tastes = taste
    sums = np.zeros((len(users), weights.shape[1]), dtype=np.float32)
    for place in range(len(users)):
        own = sums[place]
        for cell in range(taste_rows[users[place]], taste_rows[users[place] + 1]):
            row = rows[taste_items[cell]]
            if row >= 0:
                weight, values = tastes[cell], weights[row]
                for column in range(len(own)):
                    own[column] += weight * values[column]
    return sums


@kernel_with_reordered_sums
def products_of_pairs(
    queries: np.ndarray, base: np.ndarray, indptr: np.ndarray, items: np.ndarray
) -> np.ndarray:
    """Return, f32, the dot product of each user's query with the vectors of its items."""
    values = np.empty(len(items), dtype=np.float32)
    for place in range(len(queries)):
        for pair in range(indptr[place], indptr[place + 1]):
            values[pair] = _product(queries[place], base[items[pair]])
    return values


@kernel_with_reordered_sums
def best_products(queries: np.ndarray, base: np.ndarray, lists: np.ndarray, wanted: int) -> np.ndarray:
    """Return (users, wanted) i32: of each user's items those with the largest dot products, best first.

    Of equal ones the lower index is first. The products do not depend on where a user stands among others;
    the last digits of those of a BLAS do.

    Args:
        lists: (users, some) i32, at least `wanted`; -1: none.
    """
    users, length = lists.shape
    best = np.full((users, wanted), -1, dtype=np.int32)
    values, items = np.empty(length, dtype=np.float32), np.empty(length, dtype=np.int32)
    for user in range(users):
        count = 0
        for cell in range(length):
            item = lists[user, cell]
            if item < 0:
                continue
            value, place = _product(queries[user], base[item]), count
            while place > 0 and _is_before(value, item, values[place - 1], items[place - 1]):
                values[place], items[place] = values[place - 1], items[place - 1]
                place -= 1
            values[place], items[place] = value, item
            count += 1
        for place in range(min(count, wanted)):
            best[user, place] = items[place]
    return best


@kernel_with_reordered_sums
def _product(query: np.ndarray, vector: np.ndarray) -> np.float32:
    total = np.float32(0.0)
    for dimension in range(len(query)):
        total += query[dimension] * vector[dimension]
    return total


@kernel
def _is_before(value: np.float32, item: int, other_value: np.float32, other_item: int) -> bool:
    return bool(value > other_value or (value == other_value and item < other_item))


@kernel
def cells_of_pairs(table: np.ndarray, rows: np.ndarray, indptr: np.ndarray, items: np.ndarray) -> np.ndarray:
    """Return, f32, for each pair the cell of `table` in the user's row and the item's column."""
    values = np.empty(len(items), dtype=np.float32)
    for place in range(len(rows)):
        row = table[rows[place]]
        for pair in range(indptr[place], indptr[place + 1]):
            values[pair] = row[items[pair]]
    return values
