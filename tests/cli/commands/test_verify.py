"""`recsys verify` on what `score` has published, whole and damaged."""

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest

from recsys_cli.cli.app import main
from recsys_cli.utils.errors import ExitCode

DAY = "2026-03-02"


@pytest.fixture
def folder(workspace: Path) -> Path:
    assert main(["-q", "-C", str(workspace), "score", "--date", DAY, "--force"]) == ExitCode.OK
    return workspace / f"recommendations/date={DAY}"


def test_what_was_published_is_verified_by_date_run_and_path(
    workspace: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = max((workspace / "runs").glob("*-score-*"), key=lambda path: path.stat().st_mtime_ns).name
    for what in ([], [DAY], [run], [str(folder)], [str(folder / "recommendations.parquet")]):
        assert main(["-C", str(workspace), "verify", *what]) == ExitCode.OK
        out = capsys.readouterr()
        assert "verified: 60 lists, 600 rows of 2026-03-02" in out.out + out.err


def test_a_flipped_bit_anywhere_is_found(folder: Path, refused: Callable[..., str]) -> None:
    file = folder / "recommendations.parquet"
    whole = file.read_bytes()
    for place in range(0, len(whole), len(whole) // 12):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        refused(ExitCode.CHECK, "verify", DAY)


def test_metadata_that_are_no_text_are_found(folder: Path, refused: Callable[..., str]) -> None:
    file = folder / "recommendations.parquet"
    whole = file.read_bytes()
    file.write_bytes(whole.replace(b"ARROW:schema", b"\xc1RROW:schema"))
    assert "sha256" in refused(ExitCode.CHECK, "verify", DAY)


@pytest.mark.parametrize("name", ["manifest.json", "_SUCCESS"])
def test_a_lost_sidecar_is_found_and_written_again(
    workspace: Path, folder: Path, refused: Callable[..., str], name: str
) -> None:
    (folder / name).unlink()
    assert f"{name} is missing" in refused(ExitCode.CHECK, "verify", DAY)
    assert main(["-q", "-C", str(workspace), "verify", DAY, "--repair"]) == ExitCode.OK
    assert main(["-q", "-C", str(workspace), "verify", DAY]) == ExitCode.OK
    before = (folder / "recommendations.parquet").read_bytes()
    assert (
        main(["-q", "-C", str(workspace), "score", "--date", DAY]) == ExitCode.OK
    )  # complete: nothing to do
    assert (folder / "recommendations.parquet").read_bytes() == before


def test_a_damaged_file_is_never_called_whole_by_a_repair(folder: Path, refused: Callable[..., str]) -> None:
    (folder / "manifest.json").unlink()
    file = folder / "recommendations.parquet"
    whole = file.read_bytes()
    file.write_bytes(whole[:300] + bytes([whole[300] ^ 4]) + whole[301:])
    refused(ExitCode.CHECK, "verify", DAY, "--repair")
    assert not (folder / "manifest.json").exists()


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (pl.col("rank") + 1, "rows are out of the order of ranks"),
        (pl.lit("1").alias("item_id"), "rows repeat an item of the list"),
        (pl.col("score").reverse(), "rows have a better score than the row before"),
        (pl.lit(float("nan"), pl.Float32).alias("score"), "600 rows have no finite score"),
        (pl.lit("").alias("sources"), "600 rows name no source"),
        (pl.col("user_id").reverse(), "rows stand behind a larger user_id"),
    ],
)
def test_lists_that_break_a_promise_are_reported(
    folder: Path, refused: Callable[..., str], change: pl.Expr, line: str
) -> None:
    file = folder / "recommendations.parquet"
    table, metadata = pq.read_table(file), pq.read_metadata(file).metadata
    changed = pl.DataFrame(table).with_columns(change).to_arrow().cast(table.schema)
    with pq.ParquetWriter(file, table.schema) as writer:
        writer.write_table(changed)
        writer.add_key_value_metadata({"recsys.facts": metadata[b"recsys.facts"]})
    assert line in refused(ExitCode.CHECK, "verify", DAY)


@pytest.mark.parametrize("key", ["empty_lists", "rows", "date"])
def test_a_bit_that_flips_in_what_a_file_stores_is_reported(
    folder: Path, refused: Callable[..., str], key: str
) -> None:
    file = folder / "recommendations.parquet"
    table, metadata = pq.read_table(file), pq.read_metadata(file).metadata
    with pq.ParquetWriter(file, table.schema) as writer:
        writer.write_table(table)
        flipped = metadata[b"recsys.facts"].replace(f'"{key}"'.encode(), f'"{key[:-1]}~"'.encode())
        writer.add_key_value_metadata({"recsys.facts": flipped})
    message = refused(ExitCode.CHECK, "verify", DAY)
    assert f"the facts stored in it are damaged: {key}" in message


def test_a_foreign_file_and_a_word_that_means_nothing(tmp_path: Path, refused: Callable[..., str]) -> None:
    foreign = tmp_path / "foreign.parquet"
    pl.DataFrame({"user_id": [1]}).write_parquet(foreign)
    assert "no file that `recsys score` has written" in refused(ExitCode.CHECK, "verify", str(foreign))
    assert "no date, no run and no path" in refused(ExitCode.USAGE, "verify", "nonsense")


def test_a_foreign_file_is_not_said_to_be_mended_by_scoring(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = workspace / "settings/settings.toml"
    assert main(["-C", str(workspace), "verify", str(settings)]) == ExitCode.CHECK
    assert "fix: name a file that `recsys score` has written" in capsys.readouterr().err
