"""Keys of objects and brackets in paths: nothing is written, read or removed outside of its folder."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import pytest
from s3fs import S3FileSystem

from recsys_cli.cli.app import main
from recsys_cli.configs.data_sections import TableSettings
from recsys_cli.data_preparation.readers.local_files import source_files
from recsys_cli.data_preparation.readers.remote_copies import InputFolder
from recsys_cli.utils.errors import ExitCode, InputError
from tests.stores import S3, s3_server

DAY = "2026-03-02"
GLOB = "s3://shop/events/**/*.parquet"
Refused = Callable[..., str]


@pytest.fixture(scope="module")
def server() -> Iterator[S3]:
    S3FileSystem.clear_instance_cache()  # fsspec keeps a store for a process, whatever its address now is
    with s3_server() as found, pytest.MonkeyPatch.context() as patch:
        for name, value in found.environment.items():
            patch.setenv(name, value)
        yield found
    S3FileSystem.clear_instance_cache()


@pytest.fixture
def s3(server: S3) -> S3:
    server.restore({"events/2026/a.parquet": b"a", "events/2026/b.parquet": b"b"})
    return server


def copies(root: Path, path: str = GLOB) -> dict[str, bytes]:
    """Return the copies of a table's objects, by their path below the bucket's folder."""
    files = source_files(TableSettings(path=path), InputFolder(root))
    return {str(file.relative_to(root / ".remote/s3/shop")): file.read_bytes() for file in files}


def tree(folder: Path) -> dict[str, bytes]:
    return {str(one.relative_to(folder)): one.read_bytes() for one in folder.rglob("*") if one.is_file()}


@pytest.mark.parametrize(
    ("path", "key"),
    [
        (GLOB, "events/../../../../outside.parquet"),
        (GLOB, "events/2026/../../../../../recommendations/date=2026-03-02/recommendations.parquet"),
        (GLOB, "events/./a.parquet"),
        (GLOB, "events/2026\\..\\..\\a.parquet"),
        (GLOB, f"events/{'n' * 250}.parquet"),
        ("s3://shop/events", "events//a.parquet"),
        ("s3://shop/events", "events/2026/a.parquet/b.parquet"),
    ],
)
def test_a_key_that_is_no_path_is_refused_before_anything_is_written(
    s3: S3, tmp_path: Path, path: str, key: str
) -> None:
    s3.write(key, b"from outside")
    root = tmp_path / "deep/er/workspace"
    with pytest.raises(InputError) as refused:
        copies(root, path)
    assert "object" in refused.value.what and "rename the object" in refused.value.fix
    assert refused.value.where == path
    assert tree(tmp_path).keys() <= {"deep/er/workspace/.remote/.lock"}


def test_a_key_with_a_leading_slash_is_not_the_one_without(s3: S3, tmp_path: Path) -> None:
    s3.write("/events/2026/a.parquet", b"another")
    assert copies(tmp_path) == {"events/2026/a.parquet": b"a", "events/2026/b.parquet": b"b"}
    with pytest.raises(InputError, match="cannot be copied"):
        copies(tmp_path, "s3://shop/**")


def test_check_names_such_a_key_and_writes_nothing(workspace: Path, s3: S3, refused: Refused) -> None:
    s3.write(f"events/../../../../recommendations/date={DAY}/recommendations.parquet", b"forged")
    before = tree(workspace)
    path = ("--set", f"data.interactions.path={GLOB}")
    assert main(["-C", str(workspace), *path, "check", "--date", DAY]) == ExitCode.CHECK
    assert {name: held for name, held in tree(workspace).items() if name != ".remote/.lock"} == before
    message = refused(ExitCode.INPUT, *path, "features", "--date", DAY)
    assert "leads to another folder" in message and "rename the object" in message
    assert main(["-q", "-C", str(workspace), "verify", DAY]) == ExitCode.OK


def test_a_marker_of_a_folder_is_no_object_of_it(s3: S3, tmp_path: Path) -> None:
    s3.write("events/", b"")
    s3.write("events/2026.parquet/", b"")
    s3.write("events/2026.parquet/c.parquet", b"c")
    found = copies(tmp_path, "s3://shop/events")
    assert sorted(found) == [
        "events/2026.parquet/c.parquet",
        "events/2026/a.parquet",
        "events/2026/b.parquet",
    ]


def test_a_key_with_brackets_is_meant_by_its_name_and_by_no_pattern(s3: S3, tmp_path: Path) -> None:
    s3.write("events/a[1].parquet", b"brackets")
    s3.write("events/a1.parquet", b"the neighbour")
    assert copies(tmp_path, "s3://shop/events/a[1].parquet") == {"events/a[1].parquet": b"brackets"}
    s3.client.delete_object(Bucket=s3.bucket, Key="events/a[1].parquet")
    assert copies(tmp_path, "s3://shop/events/a[1].parquet") == {"events/a1.parquet": b"the neighbour"}


def test_a_key_becomes_a_folder_and_a_folder_a_key(s3: S3, tmp_path: Path) -> None:
    objects = {"events/x": b"a file", "events/x/y.parquet": b"below it"}
    for key in ("events/x", "events/x/y.parquet", "events/x"):
        s3.restore({key: objects[key]})
        assert copies(tmp_path, "s3://shop/events/**") == {key: objects[key]}


def test_copies_of_a_neighbour_workspace_stay(s3: S3, tmp_path: Path) -> None:
    neighbour, here = tmp_path / "shop1", tmp_path / "shop[12]"
    copies(neighbour)
    s3.restore({"events/2026/c.parquet": b"c"})
    assert copies(here) == {"events/2026/c.parquet": b"c"}
    assert (neighbour / ".remote/s3/shop/events/2026/a.parquet").read_bytes() == b"a"


@pytest.fixture
def bracketed(workspace: Path) -> Path:
    """The scored workspace under a name that is a pattern, which its neighbour `shop1` matches."""
    neighbour, here = workspace.with_name("shop1"), workspace.with_name("shop[12]")
    shutil.copytree(workspace, neighbour)
    for name in ("users", "items"):
        table = pl.read_parquet(neighbour / f"data/{name}.parquet")
        table.head(3).write_parquet(neighbour / f"data/{name}.parquet")
    return Path(shutil.move(workspace, here))


def test_a_workspace_with_brackets_in_its_path_gives_the_same_lists(bracketed: Path, scored: Path) -> None:
    shutil.rmtree(bracketed / "features")
    shutil.rmtree(bracketed / "recommendations")
    assert main(["-q", "-C", str(bracketed), "score", "--date", DAY]) == ExitCode.OK
    lists = f"recommendations/date={DAY}/recommendations.parquet"
    assert (bracketed / lists).read_bytes() == (scored / lists).read_bytes()
    for command in (["verify", DAY], ["explain", "u07", "--date", DAY], ["diff", DAY, DAY], ["report"]):
        assert main(["-q", "-C", str(bracketed), *command]) == ExitCode.OK, command


def test_a_table_of_a_bracketed_workspace_is_never_its_neighbours(bracketed: Path) -> None:
    inputs = InputFolder(bracketed)
    for path in ("data/users.parquet", "data/user?.parquet", f"{bracketed}/data/users.parquet"):
        assert source_files(TableSettings(path=path), inputs) == [bracketed / "data/users.parquet"]
    (bracketed / "data/users.parquet").unlink()
    for path in ("data/users.parquet", "data/user?.parquet", f"{bracketed}/data/users.parquet"):
        with pytest.raises(InputError, match="no such file"):
            source_files(TableSettings(path=path), inputs)


@pytest.mark.parametrize("name", ["..", "../settings", ".", "", "a\nb", "n" * 300])
def test_a_run_of_a_name_that_is_no_folder_is_none(workspace: Path, refused: Refused, name: str) -> None:
    (workspace / "run.json").write_bytes(b"{}")
    refused(ExitCode.USAGE, "runs", "show", name)
