"""Encodings of whole files, compressed text, and its bounds."""

import gzip
from pathlib import Path

import pyarrow as pa
import pytest

from recsys_cli.configs.data_sections import FeatureTableSettings
from recsys_cli.data_preparation.readers.local_files import collect_source, scan_source, source_files
from recsys_cli.data_preparation.readers.remote_copies import InputFolder
from recsys_cli.data_preparation.readers.text_files import common_encoding, found_encoding, utf8_source
from recsys_cli.utils.errors import InputError

LONG = b"plain ASCII, for more than a block\n" * 40_000


def written(folder: Path, content: bytes, name: str = "table.csv") -> Path:
    (folder / name).write_bytes(content)
    return folder / name


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"a,b\n1,x\n", "utf8"),
        (LONG + "é\n".encode(), "utf8"),
        (LONG + b"caf\xe9\n", "latin1"),
        (LONG + b"caf\xe9", "latin1"),
        (b"caf\xe9\n" + LONG + "é\n".encode(), "mixed"),
        ("é\n".encode() + b"caf\xe9\n", "mixed"),
        (b"5\x80\n" + LONG, "cp1252"),
        (b"caf\xe9\n" + LONG + b"5\x80\n", "cp1252"),
        ("é,b\n".encode("utf-16"), "utf16"),
        (b"\xef\xbb\xbfa,b\n", "utf8"),
        (b"x" * (2**20 - 1) + "é\n".encode(), "utf8"),  # a character over the edge of a block
    ],
)
def test_the_encoding_is_that_of_the_whole_file(tmp_path: Path, content: bytes, expected: str) -> None:
    assert found_encoding(written(tmp_path, content)) == expected


def test_a_folder_of_two_encodings_is_mixed(tmp_path: Path) -> None:
    files = [written(tmp_path, "é".encode(), "a.csv"), written(tmp_path, b"\xe9", "b.csv")]
    assert common_encoding(files) == "mixed"
    assert common_encoding(files[1:]) == "latin1"


TEXT = "item_id,title\n1,Café – 5€\n"


@pytest.mark.parametrize(
    ("encoding", "content"),
    [
        ("utf8", TEXT.encode()),
        ("utf8", b"\xef\xbb\xbf" + TEXT.encode()),
        ("cp1252", TEXT.encode("cp1252")),
        ("utf16", TEXT.encode("utf-16")),
        ("mixed", TEXT.encode()),
        ("mixed", b"\xef\xbb\xbf" + TEXT.encode()),
        ("mixed", TEXT.encode("cp1252")),
        ("utf8", gzip.compress(TEXT.encode(), mtime=0)),
        ("utf8", gzip.compress(TEXT[:8].encode(), mtime=0) + gzip.compress(TEXT[8:].encode(), mtime=0)),
        ("cp1252", gzip.compress(TEXT.encode("cp1252"), mtime=0)),
        ("utf8", pa.compress(TEXT.encode(), "zstd", asbytes=True)),
    ],
)
def test_every_encoding_gives_the_same_table(tmp_path: Path, encoding: str, content: bytes) -> None:
    written(tmp_path, content)
    table = FeatureTableSettings.model_validate({"path": "table.csv", "encoding": encoding})
    assert scan_source(table, InputFolder(tmp_path)).collect().rows() == [("1", "Café – 5€")]


def error_of(folder: Path, name: str = "table.csv") -> InputError:
    table = FeatureTableSettings(path=name)
    with pytest.raises(InputError) as caught:
        collect_source(scan_source(table, InputFolder(folder)), source_files(table, InputFolder(folder)))
    return caught.value


def test_another_encoding_than_the_settings_names_line_and_setting(tmp_path: Path) -> None:
    written(tmp_path, b"item_id,title\n1,tea\n2,caf\xe9\n")
    error = error_of(tmp_path)
    assert error.what == "line 3 is no UTF-8"
    assert error.where == str(tmp_path / "table.csv")
    assert '`encoding = "latin1"`' in error.fix


def test_utf16_under_utf8_names_the_setting(tmp_path: Path) -> None:
    written(tmp_path, TEXT.encode("utf-16"))
    assert '`encoding = "utf16"`' in error_of(tmp_path).fix


def test_a_cut_file_and_a_bomb_are_refused(tmp_path: Path) -> None:
    written(tmp_path, gzip.compress(LONG, mtime=0)[:-9], "cut.csv.gz")
    assert "cannot be read" in error_of(tmp_path, "cut.csv.gz").what
    written(tmp_path, gzip.compress(b"0" * 2**27, mtime=0), "bomb.csv.gz")
    assert error_of(tmp_path, "bomb.csv.gz").what == "the compressed file expands to more than 64 MiB"


@pytest.mark.parametrize("content", [b"", b" \n", gzip.compress(b"", mtime=0)])
def test_an_empty_file_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(InputError, match="the file is empty"):
        utf8_source(written(tmp_path, content), "utf8")
