import pytest

from recsys_cli.utils.errors import UsageError
from recsys_cli.utils.thread_variables import check_thread_variables


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("POLARS_MAX_THREADS", "0"),
        ("POLARS_MAX_THREADS", "-1"),
        ("POLARS_MAX_THREADS", "all"),
        ("POLARS_MAX_THREADS", "99999999"),
        ("POLARS_MAX_THREADS", "9" * 5_000),
        ("POLARS_MAX_THREADS", "４"),
        ("POLARS_ASYNC_THREAD_COUNT", "0"),
        ("POLARS_IDEAL_MORSEL_SIZE", "0"),
        ("POLARS_REGEX_SIZE_LIMIT", "x"),
        ("OMP_NUM_THREADS", "0"),
        ("OMP_NUM_THREADS", "4,x"),
        ("NUMBA_NUM_THREADS", "0"),
        ("RAYON_NUM_THREADS", "x"),
        ("NUMBA_DISABLE_JIT", "1"),
    ],
)
def test_senseless_number_is_named(name, value):
    with pytest.raises(UsageError, match=name) as caught:
        check_thread_variables({name: value})
    assert caught.value.where == "the environment"
    assert f"unset {name}" in caught.value.fix
    assert len(caught.value.what) < 150


def test_usual_numbers_pass_and_an_empty_one_is_not_set():
    environ = {
        "POLARS_MAX_THREADS": "",
        "OMP_NUM_THREADS": "4,2",
        "NUMBA_NUM_THREADS": " 8 ",
        "RAYON_NUM_THREADS": "0",
        "POLARS_IDEAL_MORSEL_SIZE": "100000",
    }
    check_thread_variables(environ)
    assert "POLARS_MAX_THREADS" not in environ
    assert len(environ) == 4
