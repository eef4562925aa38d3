"""One table in every format, and files that are none of them."""

import gzip
import sqlite3
from datetime import datetime
from pathlib import Path

import polars as pl
import pytest
from pyarrow import ipc

from recsys_cli.configs.data_sections import InteractionsSettings
from recsys_cli.data_preparation.readers.file_kinds import kind_of_name
from recsys_cli.data_preparation.readers.local_files import scan_source, source_files
from recsys_cli.data_preparation.readers.remote_copies import InputFolder
from recsys_cli.utils.errors import InputError

EVENTS = pl.DataFrame(
    {"user_id": [1, 2], "item_id": ["a", "b"], "timestamp": [datetime(2026, 1, 1, 9), datetime(2026, 1, 2)]}
)
LINES = '{"user_id":1,"item_id":"a","tags":["x"]}\n\n{"user_id":"b7","item_id":"b","price":2.5}\n'


def write(folder: Path, name: str) -> None:
    """Write the events in the format that the name promises."""
    file = folder / name
    if name.endswith(".arrows"):
        EVENTS.write_ipc_stream(file)
    elif name.endswith((".arrow", ".feather")):
        EVENTS.write_ipc(file, compression="zstd")
    else:
        EVENTS.write_parquet(file)


@pytest.mark.parametrize("name", ["e.parquet", "e.pq", "e.arrow", "e.feather", "e.arrows", "export"])
def test_binary_formats_give_the_same_rows(tmp_path: Path, name: str) -> None:
    write(tmp_path, name)
    table = InteractionsSettings(path=name)
    assert scan_source(table, InputFolder(tmp_path)).collect().equals(EVENTS)


@pytest.mark.parametrize("name", ["e.jsonl", "e.ndjson", "e.json", "e.jsonl.gz", "export"])
def test_json_lines_may_have_other_columns_and_types_in_each_line(tmp_path: Path, name: str) -> None:
    content = LINES.encode()
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    frame = scan_source(InteractionsSettings(path=name), InputFolder(tmp_path)).collect()
    assert frame.rows() == [("1", "a", ["x"], None), ("b7", "b", None, 2.5)]


def test_a_folder_of_json_lines_is_one_table(tmp_path: Path) -> None:
    (tmp_path / "events").mkdir()
    for number, line in enumerate(('{"user_id":1,"x":1}\n', '{"user_id":2,"y":true}\n')):
        (tmp_path / f"events/{number}.jsonl").write_text(line)
    frame = scan_source(InteractionsSettings(path="events"), InputFolder(tmp_path)).collect()
    assert frame["user_id"].to_list() == [1, 2]


def error_of(folder: Path, name: str) -> InputError:
    with pytest.raises(InputError) as caught:
        scan_source(InteractionsSettings(path=name), InputFolder(folder))
    assert str(folder / name) in caught.value.where
    return caught.value


@pytest.mark.parametrize(
    ("start", "what"),
    [
        (b"PK\x03\x04\x14\0\x06\0", "this is a zip archive or an Excel workbook"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "this is an old Excel workbook"),
        (b"Obj\x01\x04\x16avro.schema", "this is an Avro file"),
        (b"ORC\n\x0b\x0a", "this is an ORC file"),
        (b"BZh91AY&SY", "this is a bzip2 file"),
        (b"\xfd7zXZ\0\0", "this is an xz file"),
        (b"\x89HDF\r\n\x1a\n", "this is an HDF5 file"),
        (b"\x80\x04\x95", "this is a Python pickle"),
        (b"PAR1\x15\x04", "this is a file of parquet, not CSV"),
        (b"ARROW1\0\0\xff\xff", "this is a file of Arrow IPC, not CSV"),
        (b'{"user_id": 1}\n', "this is a file of JSON lines, not CSV"),
    ],
)
def test_a_file_under_a_wrong_name_is_recognised(tmp_path: Path, start: bytes, what: str) -> None:
    (tmp_path / "events.csv").write_bytes(start + b"\x01" * 8)
    if b"ORC" in start:
        (tmp_path / "events.csv").write_bytes(b"ORC\x08\x03\x10" + b"\0" * 8)
    error = error_of(tmp_path, "events.csv")
    assert error.what == what and error.fix


def test_a_database_is_recognised_whatever_its_name(tmp_path: Path) -> None:
    for name in ("shop.parquet", "shop.csv", "shop"):
        with sqlite3.connect(tmp_path / name) as database:
            database.execute("CREATE TABLE events (user_id)")
        error = error_of(tmp_path, name)
        assert error.what == "this is an SQLite database" and f'"sqlite:///{tmp_path / name}"' in error.fix


def test_compressed_parquet_and_json_arrays_name_the_way_out(tmp_path: Path) -> None:
    EVENTS.write_parquet(tmp_path / "e.parquet")
    (tmp_path / "e.parquet").write_bytes(gzip.compress((tmp_path / "e.parquet").read_bytes()))
    assert error_of(tmp_path, "e.parquet").what == "this is a compressed file, not parquet"
    (tmp_path / "e.json").write_text('[{"user_id": 1}]')
    assert "jq -c" in error_of(tmp_path, "e.json").fix


def test_damaged_arrow_files_are_errors(tmp_path: Path) -> None:
    for name in ("e.arrow", "e.arrows"):
        write(tmp_path, name)
        content = (tmp_path / name).read_bytes()
        for cut in (20, len(content) // 2, len(content) - 9):
            (tmp_path / name).write_bytes(content[:cut])
            assert "cannot be read" in error_of(tmp_path, name).what


@pytest.mark.parametrize("name", ["e.arrow", "e.arrows"])
def test_metadata_that_are_no_text_do_no_harm(tmp_path: Path, name: str) -> None:
    table = EVENTS.to_arrow().replace_schema_metadata({b"\xffkey": b"\xfe"})
    new = ipc.new_stream if name.endswith("s") else ipc.new_file
    with new(tmp_path / name, table.schema) as file:
        file.write(table)
    assert scan_source(InteractionsSettings(path=name), InputFolder(tmp_path)).collect().equals(EVENTS)


def test_times_of_an_arrow_file_may_be_out_of_range(tmp_path: Path) -> None:
    far = pl.DataFrame({"timestamp": pl.Series([2**62]).cast(pl.Datetime("ms"))})
    far.write_ipc(tmp_path / "e.arrow")
    assert "'timestamp' holds dates or times that are out of range" in error_of(tmp_path, "e.arrow").what


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.CSV.GZ", "csv"),
        ("a.jsonl.zst", "jsonl"),
        ("a.gz", None),
        ("a.inter", "csv"),
        ("a.feather", "arrow"),
    ],
)
def test_kinds_of_names(name: str, kind: str | None) -> None:
    assert kind_of_name(name) == kind


def test_a_header_that_looks_like_a_mark_is_a_header(tmp_path: Path) -> None:
    for number, header in enumerate(("ORC_ID,x", "PARTNER,x", "PK,x", "Obj,x")):
        (tmp_path / f"{number}.csv").write_text(f"{header}\n1,2\n")
        frame = scan_source(InteractionsSettings(path=f"{number}.csv"), InputFolder(tmp_path)).collect()
        assert frame.columns == header.split(",")


def test_a_folder_of_a_set_format_ignores_other_files(tmp_path: Path) -> None:
    (tmp_path / "events").mkdir()
    write(tmp_path, "events/a.parquet")
    (tmp_path / "events/b.csv").write_text("user_id\n1\n")
    table = InteractionsSettings(path="events", format="parquet")
    assert [file.name for file in source_files(table, InputFolder(tmp_path))] == ["a.parquet"]


@pytest.mark.parametrize("name", ["e.parquet", "e.csv", "e.jsonl", "e.arrow", "e.arrows"])
def test_a_path_with_signs_of_a_glob_is_a_plain_path_in_every_format(tmp_path: Path, name: str) -> None:
    for folder, rows in (("a[1]", EVENTS), ("a1", EVENTS.clear())):
        (tmp_path / folder).mkdir()
        write(tmp_path, f"{folder}/{name}")
        if name.endswith((".csv", ".jsonl")):
            text = rows.write_csv() if name.endswith("csv") else rows.write_ndjson()
            (tmp_path / folder / name).write_text(text)
    table = InteractionsSettings(path=f"a[1]/{name}")
    assert len(scan_source(table, InputFolder(tmp_path)).collect()) == 2
