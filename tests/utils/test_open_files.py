"""Which errors come from too few open files."""

import errno
import os
import resource

import pytest

from recsys_cli.utils.errors import ExitCode, InputError, ModelError
from recsys_cli.utils.open_files import too_few_open_files

TOO_MANY = OSError(errno.EMFILE, os.strerror(errno.EMFILE), "/srv/shop/models/x/ranker.json")


def wrapped(error: BaseException, *, hidden: bool) -> BaseException:
    with pytest.raises(ModelError) as caught:
        try:
            raise error
        except BaseException as cause:
            raise ModelError("the model's files are not valid") from (None if hidden else cause)
    return caught.value


@pytest.mark.parametrize("hidden", [True, False])
def test_whatever_was_made_of_it_the_limit_is_named(hidden: bool) -> None:
    shown = too_few_open_files(wrapped(wrapped(TOO_MANY, hidden=hidden), hidden=hidden))
    assert shown is not None and shown.exit_code == ExitCode.OUTPUT
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    assert shown.what == f"too many open files: this process may open {limit:,}"
    assert "ulimit -n" in shown.fix


@pytest.mark.parametrize(
    "error",
    [
        InputError("data/users.parquet: Too many open files (os error 24)"),  # as polars says it
        ImportError("libarrow.so: cannot open shared object file: Too many open files"),
        OSError(errno.ENFILE, os.strerror(errno.ENFILE)),
    ],
)
def test_libraries_say_it_in_their_own_words(error: Exception) -> None:
    assert too_few_open_files(error) is not None


@pytest.mark.parametrize(
    "error", [ModelError("no model is promoted"), OSError(errno.ENOSPC, "full"), OSError()]
)
def test_other_errors_stay_what_they_are(error: Exception) -> None:
    assert too_few_open_files(error) is None
    assert too_few_open_files(wrapped(error, hidden=False)) is None
