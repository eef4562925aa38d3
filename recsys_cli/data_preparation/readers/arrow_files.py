"""Read Arrow IPC: files (Feather 2) and streams."""

from collections.abc import Collection, Iterator
from pathlib import Path

import polars as pl
import pyarrow as pa
from pyarrow import ipc

from recsys_cli.data_preparation.readers.read_errors import out_of_range, unreadable
from recsys_cli.data_preparation.readers.timestamp_range import is_beyond
from recsys_cli.utils.storage.regular_files import open_regular

_FILE = b"ARROW1"


def arrow_frame(file: Path, times: Collection[str]) -> pl.LazyFrame:
    """Return a file's rows, after every batch of it has been checked.

    Args:
        times: the columns that may hold times.

    Raises: InputError if it is damaged, or holds times out of range.
    """
    try:
        for batch in _batches(file):
            batch.validate(full=True)
            for name in set(batch.schema.names) & set(times):
                if is_beyond(batch[name]):
                    raise out_of_range(name, [file])
    except (pa.ArrowException, OSError, ValueError) as error:
        raise unreadable([file], error) from None
    return pl.scan_ipc(file, glob=False) if _is_file(file) else _stream(file).lazy()


def _stream(file: Path) -> pl.DataFrame:
    with pa.OSFile(str(file)) as source:
        rows = ipc.open_stream(source).read_all()
    return pl.DataFrame(rows.replace_schema_metadata(None))  # polars panics where that is no UTF-8


def _batches(file: Path) -> Iterator[pa.RecordBatch]:
    with pa.OSFile(str(file)) as source:
        if not _is_file(file):
            yield from ipc.open_stream(source)
            return
        reader = ipc.open_file(source)
        for number in range(reader.num_record_batches):
            yield reader.get_batch(number)


def _is_file(file: Path) -> bool:
    with open_regular(file) as stream:
        return stream.read(len(_FILE)) == _FILE
