"""Tables are opened by their plain paths: brackets in a path are no pattern."""

import ast
import re
from pathlib import Path

import polars as pl
import pytest

import recsys_cli
from recsys_cli.utils.storage.table_files import (
    read_ipc_file,
    read_parquet_file,
    scan_json_lines,
    scan_parquet_file,
)

PACKAGE = Path(recsys_cli.__file__).parent


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """A folder whose name is a pattern, and its neighbour, which the pattern means."""
    here, neighbour = tmp_path / "shop[12]", tmp_path / "shop1"
    for folder, value in ((here, 7), (neighbour, 3)):
        folder.mkdir()
        frame = pl.DataFrame({"a": [value], "b": [value]})
        frame.write_parquet(folder / "x.parquet")
        frame.write_ipc(folder / "x.arrow")
        frame.write_ndjson(folder / "x.jsonl")
    return here, neighbour


def test_a_table_is_that_of_its_path_and_not_of_a_neighbour(folders: tuple[Path, Path]) -> None:
    here, _ = folders
    whole = pl.DataFrame({"a": [7], "b": [7]})
    assert read_parquet_file(here / "x.parquet").equals(whole)
    assert read_parquet_file(here / "x.parquet", ["b"]).equals(whole.select("b"))
    assert read_parquet_file(here / "x.parquet", num_rows=1).equals(whole)
    assert scan_parquet_file(here / "x.parquet").collect().equals(whole)
    assert read_ipc_file(here / "x.arrow").equals(whole)
    assert scan_json_lines(here / "x.jsonl").collect().equals(whole)


def test_a_table_that_is_gone_is_not_found_at_a_neighbour(folders: tuple[Path, Path]) -> None:
    here, _ = folders
    (here / "x.parquet").unlink()
    with pytest.raises(FileNotFoundError):
        read_parquet_file(here / "x.parquet")


def test_a_hive_folder_above_a_table_adds_no_column(tmp_path: Path) -> None:
    folder = tmp_path / "date=2026-03-02"
    folder.mkdir()
    pl.DataFrame({"a": [1]}).write_parquet(folder / "x.parquet")
    assert scan_parquet_file(folder / "x.parquet").collect_schema().names() == ["a"]


def polars_readers(file: Path) -> list[str]:
    """Return the calls of polars' functions that may take a path for a glob, with their lines."""
    found = []
    text = file.read_text(encoding="utf-8")
    for node in ast.walk(ast.parse(text)) if re.search(r"pl\.(scan|read)_", text) else ():
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        called, options = node.func, {one.arg for one in node.keywords}
        if isinstance(called.value, ast.Name) and called.value.id == "pl":
            has_option = called.attr != "scan_ndjson" or file.name != "table_files.py"
            if has_option and called.attr.startswith(("scan_", "read_")) and "glob" not in options:
                found.append(f"{file.name}:{node.lineno}: pl.{called.attr}")
    return found


def test_no_function_of_the_package_lets_polars_take_a_path_for_a_glob() -> None:
    assert [call for file in PACKAGE.rglob("*.py") for call in polars_readers(file)] == []
