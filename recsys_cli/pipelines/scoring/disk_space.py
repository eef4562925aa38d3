"""Whether the disk has room for the lists, checked before users are ranked."""

from pathlib import Path

import numpy as np
import polars as pl

from recsys_cli.data_preparation.features.feature_tables import DayFeatures
from recsys_cli.utils.columns import ELIGIBLE
from recsys_cli.utils.errors import OutputError
from recsys_cli.utils.storage.folder_checks import free_bytes

_ROW_BYTES = (
    2  # of a stored batch and of the file together; ten are usual: a run that would fit is not refused
)


def check_room(folder: Path, features: DayFeatures, users: np.ndarray, top_k: int) -> None:
    """Stop where the disk has clearly too little room for the users' lists.

    Users without events are not counted: lists that are the same take hardly any space.

    Args:
        folder: where the lists grow; what a killed run has left there counts as room.

    Raises: OutputError.
    """
    events = features.lazy("users").select(pl.col("user_events") > 0).collect().to_series()
    rows = int(events.gather(users).sum()) * min(top_k, int(features.items[ELIGIBLE].sum()))
    left = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    free = free_bytes(folder)
    least = rows * _ROW_BYTES
    if least > free + left:
        raise OutputError(
            f"the disk has no room for the lists: {rows:,} recommendations take {least / 1e6:,.1f} MB "
            f"at the very least, and {free / 1e6:,.1f} MB are free",
            where=str(folder.parent.parent),
            fix="make room there, or set output.recommendations to a folder on a larger disk",
        )
