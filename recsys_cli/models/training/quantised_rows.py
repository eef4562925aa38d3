"""The ranker's rows as bytes: each number is stored as its bin, with borders that all windows share.

CatBoost is trained on the bins, with a border between every two of them; the borders of its trees are then
replaced by the real ones. A row takes one byte per column; CatBoost's own quantisation takes four, with
other borders for every member.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from recsys_cli.models.reranking.tree_ensemble import count_borders
from recsys_cli.models.training.window_rows import GROUP, LABEL, VALIDATION, WindowRows
from recsys_cli.utils.columns import GAIN

if TYPE_CHECKING:
    from catboost import Pool

_MOST_BORDERS = 128  # per column; twice as many rank no better and take longer
_SEED = 0


@dataclass(frozen=True)
class QuantisedRows:
    """The rows of one or more label windows.

    Attributes:
        columns: names of the features; categories: those that hold category codes.
        borders: of each numeric column, f32, ascending.
        bins: (columns, rows) u8: how many borders a number exceeds, 0 for NaN; or the category code.
        label: i8, 1 where the user took the item; group: u64, a user of a window, its rows are adjacent.
        validation: whether the user belongs to the validation set for early stopping.
        ends: index after the last row of each window.
        gain: f32, how much a label counts; None: all labels count the same.
    """

    columns: tuple[str, ...]
    categories: tuple[str, ...]
    borders: Mapping[str, np.ndarray]
    bins: np.ndarray
    label: np.ndarray
    group: np.ndarray
    validation: np.ndarray
    ends: tuple[int, ...]
    gain: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.label)

    def first_windows(self, count: int) -> "QuantisedRows":
        """Return the rows of the first windows, as views."""
        end = self.ends[count - 1]
        return replace(
            self,
            bins=self.bins[:, :end],
            label=self.label[:end],
            group=self.group[:end],
            validation=self.validation[:end],
            ends=self.ends[:count],
            gain=None if self.gain is None else self.gain[:end],
        )

    def chosen(self, rows: np.ndarray) -> "QuantisedRows":
        """Return the rows of a mask, as if all were of one window."""
        return replace(
            self,
            bins=self.bins[:, rows],
            label=self.label[rows],
            group=self.group[rows],
            validation=self.validation[rows],
            ends=(int(rows.sum()),),
            gain=None if self.gain is None else self.gain[rows],
        )

    def pool(self, *, weighted: bool, baseline: np.ndarray | None = None) -> "Pool":
        """Return the rows as a CatBoost pool whose borders are between every two bins.

        Args:
            weighted: whether rows have weights, see `row_weights`.
            baseline: f64, raw scores to start from.
        """
        import pandas as pd  # CatBoost reads bytes without a copy only from a pandas frame
        from catboost import Pool

        pool = Pool(
            pd.DataFrame(dict(zip(self.columns, self.bins, strict=True)), copy=False),
            label=self.label,
            weight=row_weights(self.label, self.group, self.gain) if weighted else None,
            group_id=self.group,
            baseline=baseline,
            cat_features=list(self.categories),
        )
        with TemporaryDirectory() as folder:
            file = Path(folder) / "borders.tsv"
            file.write_text("".join(self._bin_borders()), encoding="utf-8")
            pool.quantize(input_borders=str(file))
        return pool

    def validation_pools(self, *, weighted: bool) -> tuple["Pool", "Pool"]:
        """Return two pools: the rows to learn from, and those of the validation users.

        Both are slices of one pool: a pool numbers its categories in the order in which they come, and leaves
        out a column that is constant, so two pools of their own would not mean the same.
        """
        pool = self.pool(weighted=False)
        learnt, held_out = (self._slice(pool, mask, weighted) for mask in (~self.validation, self.validation))
        return learnt, held_out

    def _slice(self, pool: "Pool", mask: np.ndarray, weighted: bool) -> "Pool":
        rows = pool.slice(np.flatnonzero(mask))
        if weighted:
            gain = None if self.gain is None else self.gain[mask]
            rows.set_weight(row_weights(self.label[mask], self.group[mask], gain))
        return rows

    def _bin_borders(self) -> Iterator[str]:
        for place, column in enumerate(self.columns):
            for number in range(len(self.borders.get(column, ()))):
                yield f"{place}\t{number + 0.5}\n"

    def with_real_borders(self, trees: Mapping[str, Any]) -> dict[str, Any]:
        """Return trees over bins, as CatBoost exports them, with the real borders instead."""
        numbers = trees["features_info"].get("float_features") or []
        real = [self.borders[one["feature_id"]].astype(np.float64).tolist() for one in numbers]
        features = [
            {**one, "borders": [own[int(border)] for border in one.get("borders") or []]}
            for one, own in zip(numbers, real, strict=True)
        ]
        return {
            **trees,
            "features_info": {**trees["features_info"], "float_features": features},
            "oblivious_trees": [_with_real_splits(tree, real) for tree in trees["oblivious_trees"]],
        }


def _with_real_splits(tree: Mapping[str, Any], real: Sequence[Sequence[float]]) -> dict[str, Any]:
    splits = [
        (
            {**split, "border": real[split["float_feature_index"]][int(split["border"])]}
            if split["split_type"] == "FloatFeature"
            else split
        )
        for split in tree["splits"] or []
    ]
    return {**tree, "splits": splits or None}


def row_weights(label: np.ndarray, group: np.ndarray, gain: np.ndarray | None = None) -> np.ndarray:
    """Return weights of mean 1, f64: a user's total weight grows with the root of their positives.

    Lists are evaluated per user; with equal weights, a few very active users would dominate the ranker.

    Args:
        gain: how much each positive counts; only what it is relative to their mean matters.
    """
    starts = np.flatnonzero(np.concatenate([[True], group[1:] != group[:-1]]))
    positives = np.add.reduceat(label.astype(np.int64), starts)
    weights = np.repeat(1.0 / np.sqrt(np.maximum(positives, 1)), np.diff(np.append(starts, len(group))))
    if gain is not None and label.any():
        weights = np.where(label == 1, weights * gain / gain[label == 1].mean(), weights)
    return np.asarray(weights / weights.mean())


def quantise(
    windows: Sequence[WindowRows],
    columns: tuple[str, ...],
    categories: tuple[str, ...],
    border_rows: int = 200_000,
) -> QuantisedRows:
    """Read the windows' rows, chunk by chunk, into one array of bytes.

    Args:
        border_rows: at most so many random rows determine the borders; the default is CatBoost's.
    """
    borders = _borders(windows, columns, categories, border_rows)
    size = sum(window.rows for window in windows)
    bins = np.empty((len(columns), size), dtype=np.uint8)
    label, group = np.empty(size, dtype=np.int8), np.empty(size, dtype=np.uint64)
    validation, start, ends = np.empty(size, dtype=np.bool_), 0, []
    graded = [GAIN] if any(GAIN in window.columns for window in windows) else []
    gain = np.empty(size, dtype=np.float32) if graded else None
    for window in windows:
        for chunk in window.chunks([*columns, LABEL, GROUP, VALIDATION, *graded]):
            rows = slice(start, start + len(chunk))
            for place, column in enumerate(columns):
                bins[place, rows] = _binned(chunk[column], borders.get(column))
            label[rows], group[rows] = chunk[LABEL].to_numpy(), chunk[GROUP].to_numpy()
            validation[rows] = chunk[VALIDATION].to_numpy()
            if gain is not None:
                gain[rows] = chunk[GAIN].to_numpy()
            start = rows.stop
        ends.append(start)
    return QuantisedRows(columns, categories, borders, bins, label, group, validation, tuple(ends), gain)


def _binned(values: pl.Series, borders: np.ndarray | None) -> np.ndarray:
    if borders is None:
        return values.cast(pl.UInt8).to_numpy()
    numbers = values.cast(pl.Float32).fill_null(np.nan).to_numpy(writable=True)
    return np.asarray(count_borders(numbers, borders))


def _borders(
    windows: Sequence[WindowRows], columns: Sequence[str], categories: Sequence[str], most: int
) -> dict[str, np.ndarray]:
    """Return the borders of the numeric columns that CatBoost chooses."""
    from catboost import Pool

    numbers = [column for column in columns if column not in categories]
    pool = Pool(_sampled_rows(windows, numbers, most))
    pool.quantize(border_count=_MOST_BORDERS)
    with TemporaryDirectory() as folder:
        file = Path(folder) / "borders.tsv"
        pool.save_quantization_borders(str(file))
        lines = [line.split("\t") for line in file.read_text(encoding="utf-8").splitlines()]
    found: dict[str, list[float]] = {column: [] for column in numbers}
    for place, border, *_ in lines:
        found[numbers[int(place)]].append(float(border))
    return {column: np.unique(np.array(own, dtype=np.float32)) for column, own in found.items()}


def _sampled_rows(windows: Sequence[WindowRows], columns: Sequence[str], most: int) -> pl.DataFrame:
    """Return all rows, or a random sample of `most`, f32."""
    size = sum(window.rows for window in windows)
    places = np.arange(size)
    if size > most:
        places = np.sort(np.random.default_rng(_SEED).choice(size, most, replace=False))
    chunks, start = [], 0
    for window in windows:
        for chunk in window.chunks(columns):
            inside = places[np.searchsorted(places, start) : np.searchsorted(places, start + len(chunk))]
            chunks.append(chunk[inside - start].cast(pl.Float32))
            start += len(chunk)
    return pl.concat(chunks)
