"""What polars raises while it reads a source, as errors that name the files."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from recsys_cli.data_preparation.readers.read_errors import out_of_range, unreadable
from recsys_cli.data_preparation.readers.text_files import found_encoding, line_that_is_no_utf8
from recsys_cli.utils.errors import InputError


@contextmanager
def as_input_error(files: Sequence[Path]) -> Iterator[None]:
    """Raise: InputError that names the files for whatever polars raises while it reads them."""
    try:
        yield
    except (pl.exceptions.PolarsError, OSError, UnicodeDecodeError) as error:
        raise _encoding_error(files, error) or unreadable(files, error) from None
    except pl.exceptions.PanicException:
        from recsys_cli.data_preparation.readers.timestamp_range import out_of_range_column

        column = out_of_range_column(files)
        if column is None:
            raise  # a bug of polars, or a signal during its work
        raise out_of_range(column, files) from None


def _encoding_error(files: Sequence[Path], error: BaseException) -> InputError | None:
    """Return the error of the first file that is no UTF-8, if polars met one."""
    if "utf-8" not in str(error).lower():
        return None
    for file in files:
        line = line_that_is_no_utf8(file)
        if line:
            return InputError(
                f"line {line:,} is no UTF-8",
                where=str(file),
                fix=f'set `encoding = "{found_encoding(file)}"` of the table in settings/settings.toml',
            )
    return None
