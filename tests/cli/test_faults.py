"""Bad inputs and settings: one clear block, the documented exit code, no file changed."""

import bz2
import json
import math
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest

from recsys_cli.cli.app import main
from recsys_cli.utils.errors import ExitCode

Refused = Callable[..., str]
Fault = Callable[[Path], object]
DAY = "2026-03-02"
HEADER = "user_id,item_id,timestamp,weight"
GOOD_ROW = "u01,100,2026-02-20,1"


def no_fault(_workspace: Path) -> None:
    pass


def both(*faults: Fault) -> Fault:
    return lambda workspace: [fault(workspace) for fault in faults]


def table(workspace: Path, name: str) -> Path:
    return workspace / f"data/{name}.parquet"


def missing(name: str) -> Fault:
    return lambda workspace: table(workspace, name).unlink()


def changed(name: str, change: Callable[[pl.DataFrame], pl.DataFrame]) -> Fault:
    def fault(workspace: Path) -> None:
        change(pl.read_parquet(table(workspace, name))).write_parquet(table(workspace, name))

    return fault


def without(name: str, key: str, value: object) -> Fault:
    """Empty the cells of `key` that hold `value`."""
    return changed(name, lambda frame: frame.with_columns(pl.when(pl.col(key) != value).then(key)))


def repeated(name: str) -> Fault:
    return changed(name, lambda frame: pl.concat([frame, frame.head(1)]))


def with_bytes(name: str, change: Callable[[bytes], bytes]) -> Fault:
    def fault(workspace: Path) -> None:
        file = table(workspace, name)
        file.write_bytes(change(file.read_bytes()))

    return fault


def with_checksums(workspace: Path) -> None:
    """Write the interactions as a writer does that guards each page."""
    file = table(workspace, "interactions")
    pq.write_table(pq.read_table(file), file, write_page_checksum=True, compression="none")


def stretch_flipped(data: bytes) -> bytes:
    third = len(data) // 3
    return data[:third] + bytes(one ^ 0xFF for one in data[third : 2 * third]) + data[2 * third :]


def byte_flipped(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


def folder_of(file_name: str | None) -> Fault:
    """Put a folder in the interactions' place, with one file that is no table or with none."""

    def fault(workspace: Path) -> None:
        folder = table(workspace, "interactions")
        folder.unlink()
        folder.mkdir()
        if file_name:
            (folder / file_name).write_text("nothing")

    return fault


def both_kinds(workspace: Path) -> None:
    """Put a folder with the events as parquet and as CSV in the interactions' place."""
    folder = table(workspace, "interactions")
    events = pl.read_parquet(folder)
    folder.unlink()
    folder.mkdir()
    events.head(9).write_csv(folder / "a.csv")
    events.write_parquet(folder / "b.parquet")


def csv(*lines: str) -> Fault:
    """Give the interactions as a CSV file of these lines."""

    def fault(workspace: Path) -> None:
        (workspace / "data/interactions.csv").write_text("\n".join(lines) + "\n")
        resettled("interactions.parquet", "interactions.csv")(workspace)

    return fault


def packed(workspace: Path) -> None:
    """Give the interactions as a compressed CSV file."""
    (workspace / "data/interactions.csv.bz2").write_bytes(bz2.compress(f"{HEADER}\n{GOOD_ROW}\n".encode()))
    resettled("interactions.parquet", "interactions.csv.bz2")(workspace)


def resettled(old: str, new: str) -> Fault:
    """Write other settings."""

    def fault(workspace: Path) -> None:
        file = workspace / "settings/settings.toml"
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new))

    return fault


def as_kind(name: str, key: str, kind: pl.DataType | type[pl.DataType]) -> Fault:
    """Give a column of another kind: bytes that are no text, days and times beyond the year 9999."""

    def cells(rows: int) -> pl.Series:
        numbers = pl.Series(key, [row % 30 for row in range(rows)], dtype=pl.Int64)
        if kind == pl.Binary:
            return pl.Series(key, [bytes([255, number]) for number in numbers])
        if kind == pl.Date:
            return (2**31 - 1 - numbers).cast(pl.Int32).cast(kind)
        return (2**53 - numbers).cast(kind)

    return changed(name, lambda frame: frame.with_columns(cells(len(frame))))


CUT = pl.date(2026, 3, 2)
BAD_WEIGHTS = pl.lit(pl.Series([1.0, -1.0, 0.0, math.nan, 1e15, None, 3.5, math.inf])).gather(
    pl.int_range(pl.len()) % 8
)
INPUTS: dict[str, tuple[Fault, str, tuple[str, ...]]] = {
    "no interactions": (missing("interactions"), "score", ("no such file", "data/interactions.parquet")),
    "no users": (missing("users"), "features", ("no such file", "data/users.parquet")),
    "neither": (
        both(missing("users"), missing("interactions")),
        "train",
        ("2 problems", "interactions.parquet: no such file", "users.parquet: no such file"),
    ),
    "CSV, wrong column": (
        csv("user,item_id,timestamp,weight", GOOD_ROW),
        "train",
        ("column 'user_id' is missing", "did you mean 'user'?", "data/interactions.csv", "columns.user_id"),
    ),
    "CSV, ragged row": (csv(HEADER, GOOD_ROW, GOOD_ROW + ",7"), "score", ("cannot be read", "more fields")),
    "CSV, no user": (csv(HEADER, GOOD_ROW, ",100,2026-02-20,1"), "score", ("1 of 2 rows have no user_id",)),
    "CSV, no date": (
        csv(HEADER, GOOD_ROW, "u02,101,soon,1"),
        "evaluate",
        ("1 of 2 events have no readable timestamp", "timestamp_format"),
    ),
    "CSV, packed": (packed, "score", ("this is a bzip2 file", "interactions.csv.bz2", "parquet")),
    "CSV, no rows": (csv(HEADER), "features", ("there is no event before 2026-03-02", "interactions.csv")),
    "null user of an event": (
        without("interactions", "user_id", "u03"),
        "features",
        ("of 935 rows have no user_id", "user_id IS NOT NULL"),
    ),
    "null item of an event": (
        without("interactions", "item_id", 100),
        "score",
        ("of 935 rows have no item_id", "item_id IS NOT NULL"),
    ),
    "null user": (without("users", "user_id", "u03"), "score", ("1 of 60 rows have no user_id (rows 4)",)),
    "duplicate user": (repeated("users"), "score", ("1 user_ids have more than one row: 'u00'", "users.")),
    "duplicate item": (repeated("items"), "features", ("1 item_ids have more than one row: 100", "items.")),
    "users of events as bytes": (
        as_kind("interactions", "user_id", pl.Binary),
        "score",
        ("user_id holds Binary; ids are integers or text", "data/interactions.parquet"),
    ),
    "users as times beyond all years": (
        as_kind("users", "user_id", pl.Datetime("ms")),
        "train",
        ("user_id holds Datetime", "data/users.parquet"),
    ),
    "items as days beyond all years": (
        as_kind("items", "item_id", pl.Date),
        "score",
        ("item_id holds Date; ids are integers or text", "data/items.parquet"),
    ),
    "a feature beyond all years": (
        as_kind("users", "city", pl.Datetime("ms")),
        "score",
        ("column 'city' holds dates or times that are out of range", "data/users.parquet"),
    ),
    "events beyond all years": (
        as_kind("interactions", "timestamp", pl.Date),
        "score",
        ("column 'timestamp' holds dates or times that are out of range", "data/interactions.parquet"),
    ),
    "events before the year 1": (
        changed("interactions", lambda frame: frame.with_columns(pl.col("timestamp").dt.offset_by("-3000y"))),
        "score",
        ("events are before the year 1", "data/interactions.parquet", "timestamp_unit"),
    ),
    "timestamp as text": (
        changed("interactions", lambda frame: frame.with_columns(timestamp=pl.lit("soon"))),
        "score",
        ("column 'timestamp' holds text, not a timestamp", "timestamp_format"),
    ),
    "no events": (
        changed("interactions", pl.DataFrame.clear),
        "score",
        ("there is no event before 2026-03-02",),
    ),
    "no events to learn from": (changed("interactions", pl.DataFrame.clear), "train", ("there is no event",)),
    "events after the date": (
        changed("interactions", lambda frame: frame.filter(pl.col("timestamp") >= CUT)),
        "score",
        ("there is no event before 2026-03-02 00:00 UTC", "choose a later --date"),
    ),
    "weight beyond all numbers": (
        changed("interactions", lambda frame: frame.with_columns(weight=pl.lit(1e300))),
        "train",
        (
            "935 of 935 events have a weight that",
            "not a number or above 1e+15 (column 'weight')",
            "coarser unit",
        ),
    ),
    "weights of every bad kind": (
        changed("interactions", lambda frame: frame.with_columns(weight=BAD_WEIGHTS)),
        "score",
        ("467 of 935 events have a weight that is negative, missing, not a number or above 1e+15",),
    ),
    "truncated": (with_bytes("interactions", lambda data: data[:-100]), "score", ("cannot be read",)),
    "bytes flipped": (with_bytes("items", stretch_flipped), "score", ("cannot be read", "items.parquet")),
    "a bit flipped": (
        both(with_checksums, with_bytes("interactions", byte_flipped)),
        "score",
        ("cannot be read", "checksum", "data/interactions.parquet"),
    ),
    "empty file": (with_bytes("users", lambda _: b""), "features", ("cannot be read", "users.parquet")),
    "no parquet": (with_bytes("users", lambda _: b"user_id,age\n" * 9), "score", ("not a parquet file",)),
    "empty folder": (folder_of(None), "score", ("the folder contains no table", "data/interactions.parquet")),
    "folder of both kinds": (
        both_kinds,
        "features",
        (
            "parquet and CSV files",
            "/a.csv",
            "/b.parquet",
            "one kind would be ignored",
            "glob",
            "/*.parquet",
            "`format`",
        ),
    ),
    "glob of both kinds": (
        both(both_kinds, resettled("interactions.parquet", "interactions.parquet/*")),
        "score",
        ("parquet and CSV files", "/a.csv", "/b.parquet", "one kind would be ignored", "glob", "/*.parquet"),
    ),
    "folder without tables": (folder_of("notes.md"), "train", ("the folder contains no table",)),
    "nothing to recommend": (
        changed("items", lambda frame: frame.with_columns(available_until=pl.date(2026, 3, 1))),
        "score",
        ("no item may be recommended on 2026-03-02", "available_until"),
    ),
}


@pytest.mark.parametrize(("fault", "command", "words"), INPUTS.values(), ids=INPUTS)
def test_bad_inputs_are_refused(
    workspace: Path, refused: Refused, fault: Fault, command: str, words: tuple[str, ...]
) -> None:
    fault(workspace)
    user = ("u01",) if command == "explain" else ()
    message = refused(ExitCode.INPUT, command, *user, "--date", DAY)
    assert all(word in message for word in words), message


LISTED = pl.concat_list("city")
SILENT: dict[str, tuple[Fault, str]] = {
    "no items": (changed("items", pl.DataFrame.clear), "no two items share a word of their titles"),
    "one item": (changed("items", lambda frame: frame.head(1)), "candidates.content: trained with"),
    "no words": (changed("items", lambda frame: frame.with_columns(title=None)), "no two items share"),
    "no text": (
        changed("users", lambda frame: frame.with_columns(city=LISTED)),
        "candidates.segment: trained with this source; now no feature of the users is text",
    ),
}


@pytest.mark.parametrize(("fault", "words"), SILENT.values(), ids=SILENT)
def test_a_source_without_a_word_is_told_by_check_as_by_score(
    workspace: Path,
    refused: Refused,
    capsys: pytest.CaptureFixture[str],
    fault: Fault,
    words: str,
) -> None:
    fault(workspace)
    assert words in refused(ExitCode.MODEL, "score", "--date", DAY)
    assert main(["-C", str(workspace), "check", "--date", DAY]) == ExitCode.CHECK
    assert words in capsys.readouterr().out


SETTINGS: dict[str, tuple[Fault, tuple[str, ...], tuple[str, ...]]] = {
    "unknown in the file": (
        resettled("epochs = 2", "epoch = 2"),
        (),
        (
            "candidates.lightfm.epoch = 2 (settings/settings.toml [default])",
            "did you mean candidates.lightfm",
        ),
    ),
    "unknown in --set": (
        no_fault,
        ("ranker.dept=3",),
        ("ranker.dept = 3 (--set): no such setting; did you mean ranker.depth?",),
    ),
    "several": (
        no_fault,
        ("ranker.depth=99", "scoring.top_k=ten", "data.users.features=5", "timezone=Mars/Base"),
        (
            "4 settings are not valid",
            "ranker.depth = 99 (--set): should be less than or equal to 16",
            'scoring.top_k = "ten" (--set): should be a valid integer',
            "data.users.features = 5 (--set): should be a valid list",
            "unknown time zone 'Mars/Base'",
        ),
    ),
    "beyond what a number may be": (
        no_fault,
        (
            "scoring.top_k=99999999999",
            "ranker.label_days=800000",
            "candidates.lightfm.random_state=99999999999",
            "ranker.learning_rate=inf",
            "runtime.threads=99999999999",
        ),
        (
            "5 settings are not valid",
            "scoring.top_k = 99999999999",
            "ranker.label_days = 800000",
            "candidates.lightfm.random_state = 99999999999",
            "ranker.learning_rate = Infinity",
            "runtime.threads = 99999999999",
        ),
    ),
    "beyond what a training can use": (
        no_fault,
        (
            "ranker.validation_share=0.0001",
            "ranker.rsm=1e-300",
            "ranker.learning_rate=1e-300",
            "candidates.lightfm.half_life_days=1e-300",
            "candidates.ease.regularization=inf",
            "features.half_life_days=1e-300",
        ),
        (
            "6 settings are not valid",
            "ranker.validation_share = 0.0001 (--set): should be greater than or equal to 0.01",
            "ranker.rsm = 1e-300",
            "ranker.learning_rate = 1e-300",
            "candidates.lightfm.half_life_days = 1e-300 (--set): must be 0, for no decay, or at least 0.1",
            "candidates.ease.regularization = Infinity (--set): should be a finite number",
            "features.half_life_days = 1e-300 (--set): should be greater than or equal to 0.1",
        ),
    ),
    "broken TOML": (resettled("[default.ranker]", "[default.ranker"), (), ("not valid TOML", "toml, line")),
    "exclude: no SQL": (
        no_fault,
        ("scoring.exclude=price >",),
        ("'price >' cannot be used", "where: scoring"),
    ),
    "exclude: unknown column": (
        no_fault,
        ("scoring.exclude=genres = 'x'",),
        ("uses the column 'genres', which is missing; did you mean 'genre'?",),
    ),
    "exclude: no condition": (
        no_fault,
        ("scoring.exclude=price + 1",),
        ("'price + 1' is not a condition: it gives Float64",),
    ),
    "filter: unknown column": (
        no_fault,
        ("data.interactions.filter=wait > 1",),
        ("uses the column 'wait', which is missing; did you mean 'weight'?", "data/interactions.parquet"),
    ),
    "filter: other types": (no_fault, ("data.items.filter=genre = 3",), ("'genre = 3' cannot be used",)),
    "feature with a built-in's name": (
        both(
            changed("users", lambda frame: frame.with_columns(user_events=1.0)),
            resettled('"city"]', '"city", "user_events"]'),
        ),
        (),
        ("the name of a built-in one: user_events of users", "where: data.users.features"),
    ),
}


def test_a_folder_of_both_kinds_is_read_where_the_format_is_set(workspace: Path) -> None:
    both_kinds(workspace)
    options = ["-q", "-C", str(workspace), "--set", "data.interactions.format=parquet"]
    assert main([*options, "features", "--date", DAY]) == ExitCode.OK
    manifest = workspace / f"features/date={DAY}/manifest.json"
    assert json.loads(manifest.read_text())["events"] == 935


def test_rows_are_numbered_only_as_they_stand_in_the_file(workspace: Path, refused: Refused) -> None:
    without("users", "user_id", "u03")(workspace)
    options = ("features", "--date", DAY)
    assert "have no user_id (rows 4)\n" in refused(ExitCode.INPUT, *options)
    message = refused(ExitCode.INPUT, *options, "--set", "data.users.filter=age > 0 and user_id is null")
    assert "1 of 1 rows have no user_id\n" in message
    without("interactions", "user_id", "u03")(workspace)
    assert "rows have no user_id\n" in refused(ExitCode.INPUT, *options)


@pytest.mark.parametrize("command", ["score", "train"])
@pytest.mark.parametrize(("fault", "overrides", "words"), SETTINGS.values(), ids=SETTINGS)
def test_bad_settings_are_refused(
    workspace: Path,
    refused: Refused,
    fault: Fault,
    overrides: tuple[str, ...],
    words: tuple[str, ...],
    command: str,
) -> None:
    fault(workspace)
    options = [word for override in overrides for word in ("--set", override)]
    message = refused(ExitCode.USAGE, command, "--date", DAY, *options)
    assert all(word in message for word in words), message


def test_a_share_that_leaves_nobody_on_one_side_is_refused(refused: Refused) -> None:
    message = refused(ExitCode.MODEL, "train", "--date", DAY, "--set", "ranker.validation_share=0.01")
    assert "34 are for training and 0 for early stopping" in message
    assert "where: ranker.validation_share = 0.01\n  fix: set ranker.validation_share closer" in message


def test_an_unknown_variable_is_refused(refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECSYS_RANKER__DEPHT", "5")
    message = refused(ExitCode.USAGE, "check", "--date", DAY)
    assert "ranker.depht = 5 (RECSYS_RANKER__DEPHT): no such setting; did you mean ranker.depth?" in message


def test_a_run_that_several_things_stop_shows_them_all(workspace: Path, refused: Callable[..., str]) -> None:
    (workspace / "data/items.parquet").unlink()
    (version,) = (workspace / "models").glob("2026-*")
    (version / "ranker.json").unlink()
    output = refused(ExitCode.MODEL, "score", "--date", DAY, "--force")
    assert "2 problems that stop the run" in output
    assert f"1. {version / 'ranker.json'}: the model's file is missing" in output
    assert f"2. {workspace / 'data/items.parquet'}: no such file" in output


def test_cast_that_fails_on_the_rows_blames_the_expression(refused: Refused) -> None:
    for setting in ("scoring.exclude=CAST(genre AS INT) > 3", "data.items.filter=CAST(genre AS INT) > 3"):
        message = refused(ExitCode.INPUT, "features", "--date", "2026-03-03", "--set", setting)
        assert "conversion from `str` to `i32` failed" in message
        assert "TRY_CAST" in message
