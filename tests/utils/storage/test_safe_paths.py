"""Names from outside never lead out of their folder, and two names never mean one path."""

import os
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from recsys_cli.utils.storage.safe_paths import UnsafeNameError, path_below, paths_matching, plain_name

FOLDER = Path("/workspace/.remote/s3/shop")
NAMES = st.text(alphabet="ab./\\~\0\n é*[", max_size=30)


@given(NAMES)
@example("..")
def test_a_path_lies_below_its_folder_however_it_is_named(name: str) -> None:
    try:
        path = path_below(FOLDER, name)
    except UnsafeNameError:
        return
    assert os.path.normpath(path) == str(path) == f"{FOLDER}/{name}"


@given(NAMES, NAMES)
def test_two_names_never_mean_one_path(one: str, other: str) -> None:
    paths = set()
    for name in sorted({one, other}):
        try:
            paths.add(path_below(FOLDER, name))
        except UnsafeNameError:
            paths.add(Path(f"refused {name!r}"))
    assert len(paths) == len({one, other})


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "empty"),
        ("/etc/passwd", "empty"),
        ("a//b", "empty"),
        ("a/", "empty"),
        ("a/./b", "another folder"),
        ("a/../../b", "another folder"),
        ("a\0b", "control character"),
        ("a\nb", "control character"),
        ("..\\b", "backslash"),
        ("a\udcffb", "not UTF-8"),
        ("a" * 241, "too long"),
        ("é" * 121, "too long"),
        ("/".join(["a" * 200] * 20), "too long"),
    ],
)
def test_a_name_that_no_file_can_have_is_refused_with_why(name: str, why: str) -> None:
    with pytest.raises(UnsafeNameError, match=why):
        path_below(FOLDER, name)


@pytest.mark.parametrize(
    "name", ["a", "date=2026-03-02/part-0.parquet", "a b [1]*?", "~", "...", "é" * 120, "-rf"]
)
def test_any_other_name_is_kept_as_it_is(name: str) -> None:
    assert path_below(FOLDER, name) == FOLDER / name


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("events.csv", "events.csv"),
        ("../../settings/settings.toml", "settings.toml"),
        ("C:\\shop\\events.csv", "events.csv"),
        (".secrets.toml", "secrets.toml"),
        ("__init__.py", "init__.py"),
        ("a\0b\r\n.csv", "ab.csv"),
        ("a\udcff.csv", "a.csv"),
        ("..", "file"),
        ("", "file"),
        ("a" * 300 + ".parquet", "a" * 232 + ".parquet"),
        ("é" * 300 + ".csv", "é" * 118 + ".csv"),
    ],
)
def test_a_name_that_a_server_sends_becomes_that_of_a_plain_file(sent: str, kept: str) -> None:
    assert plain_name(sent) == kept


@given(NAMES)
def test_what_a_server_sends_always_names_a_file_of_its_folder(sent: str) -> None:
    name = plain_name(sent)
    assert path_below(FOLDER, name).parent == FOLDER and not name.startswith((".", "_"))


def test_a_glob_is_matched_in_its_folder_alone(tmp_path: Path) -> None:
    for folder in ("shop1", "shop[12]"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.parquet").touch()
    here = tmp_path / "shop[12]"
    for pattern in ("*.parquet", "**/a.parquet", f"{here}/*.parquet"):
        assert list(paths_matching(pattern, here)) == [here / "a.parquet"]
    assert list(paths_matching("../shop?/*.parquet", here)) == [here / "../shop1/a.parquet"]
