"""External candidates: ranks, scores, ids and what is refused, by hand."""

import math
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from loguru import logger

from recsys_cli.configs.data_sections import ExternalSettings
from recsys_cli.data_preparation.readers.remote_copies import InputFolder
from recsys_cli.data_preparation.tables.external_candidates import (
    external_files,
    inspect_external,
    read_external,
)
from recsys_cli.utils.errors import InputError

DAY, EARLIER, LATER = date(2026, 3, 2), date(2026, 2, 16), date(2026, 3, 16)
USERS, ITEMS = pl.Series(["7", "anna", "bo"]), pl.Series([10, 11, 12, 13])


def settings(path: str = "external/{date}.parquet", **more: Any) -> ExternalSettings:
    return ExternalSettings.model_validate({"path": path, **more})


def put(folder: Path, name: str | date = DAY, **columns: Any) -> None:
    file = folder / "external" / f"{name}.parquet"
    file.parent.mkdir(parents=True, exist_ok=True)
    pl.DataFrame(columns).write_parquet(file)


def read(folder: Path, **more: Any) -> list[tuple[int, int, float]]:
    frame = read_external(settings(**more), InputFolder(folder), [DAY], USERS, ITEMS)[DAY]
    assert frame.schema == {"user": pl.UInt32, "item": pl.UInt32, "score": pl.Float32}
    return frame.rows()


def refused(folder: Path, **more: Any) -> InputError:
    with pytest.raises(InputError) as raised:
        read(folder, **more)
    return raised.value


def reported_by(problems: list[str], text: str) -> bool:
    return any(text in problem for problem in problems)


PAIRS: dict[str, list[Any]] = {
    "user_id": ["bo", "anna", "bo", "anna", "bo"],
    "item_id": [10, 11, 12, 13, 11],
}
ANNA, BO = 1, 2  # places among the users; item 10 has the place 0


def test_without_score_and_rank_the_rows_order_counts(tmp_path: Path) -> None:
    put(tmp_path, **PAIRS)
    third = pytest.approx(1 / 3)
    assert read(tmp_path) == [(ANNA, 1, 1.0), (ANNA, 3, 0.5), (BO, 0, 1.0), (BO, 2, 0.5), (BO, 1, third)]


def test_without_rank_by_score_then_by_row(tmp_path: Path) -> None:
    put(tmp_path, **PAIRS, score=[0.5, -2.0, 0.5, -1.0, 0.75])
    assert read(tmp_path) == [(ANNA, 3, -1.0), (ANNA, 1, -2.0), (BO, 1, 0.75), (BO, 0, 0.5), (BO, 2, 0.5)]


def test_without_score_one_over_the_rank(tmp_path: Path) -> None:
    put(tmp_path, **PAIRS, rank=[4, 2, 2, 1, 1])
    assert read(tmp_path) == [(ANNA, 3, 1.0), (ANNA, 1, 0.5), (BO, 1, 1.0), (BO, 2, 0.5), (BO, 0, 0.25)]


def test_the_rank_orders_and_the_score_stays(tmp_path: Path) -> None:
    put(tmp_path, **PAIRS, rank=[3, 2, 2, 1, 1], score=[9, 1, 8, 2, 0])
    assert read(tmp_path) == [(ANNA, 3, 2.0), (ANNA, 1, 1.0), (BO, 1, 0.0), (BO, 2, 8.0), (BO, 0, 9.0)]


def test_own_column_names_and_columns_left_aside(tmp_path: Path) -> None:
    frame = pl.DataFrame(PAIRS).rename({"user_id": "who", "item_id": "what"})
    put(tmp_path, **frame.to_dict(), sim=[1.0, 2.0, 3.0, 4.0, 5.0], rank=["no", "number", "a", "t", "all"])
    mapped = {"user_id": "who", "item_id": "what", "score": "sim", "rank": ""}
    assert [item for _, item, _ in read(tmp_path, columns=mapped)] == [3, 1, 1, 2, 0]


def test_a_folder_or_a_glob_a_day_in_the_order_of_the_files(tmp_path: Path) -> None:
    for part, item in (("b", 10), ("a", 12)):
        put(tmp_path, f"date={DAY}/{part}", user_id=["bo"], item_id=[item])
    for path in ("external/date={date}", "external/date={date}/*.parquet"):
        assert read(tmp_path, path=path) == [(BO, 2, 1.0), (BO, 0, 0.5)]


def test_ids_match_letter_by_letter_and_strangers_are_counted(tmp_path: Path) -> None:
    users = ["7", "007", " bo", "Bo", "bo", "bo", "bo"]
    put(tmp_path, user_id=users, item_id=["10", "10", "11", "11", "11", "011", "99"])
    warnings: list[str] = []
    sink = logger.add(lambda message: warnings.append(str(message)), level="WARNING")
    try:
        assert [row[:2] for row in read(tmp_path)] == [(0, 0), (BO, 1)]
    finally:
        logger.remove(sink)
    text = f"5 of 7 external candidates of {DAY} are dropped: 3 users and 2 items in them are unknown"
    assert reported_by(warnings, text)


def test_integers_match_text_as_they_are_written(tmp_path: Path) -> None:
    put(tmp_path, user_id=[7, 70], item_id=pl.Series([13, 13], dtype=pl.Int16))
    assert read(tmp_path) == [(0, 3, 1.0)]


BAD = {
    "user_id": ["bo", None, "anna", "anna", "bo", "anna"],
    "item_id": [10, 11, 12, 12, 13, 13],
    "score": [math.nan, 1.0, 1.0, 2.0, math.inf, None],
    "rank": [0.0, 1.0, 2.0, 3.0, math.nan, None],
}


def test_bad_rows_of_all_days_are_told_at_once(tmp_path: Path) -> None:
    put(tmp_path, EARLIER, **BAD)
    put(tmp_path, DAY, user_id=["bo"], item_id=[None])
    with pytest.raises(InputError) as raised:
        read_external(settings(), InputFolder(tmp_path), [EARLIER, DAY, LATER], USERS, ITEMS)
    for text in (
        "6 problems with the inputs",
        f"external candidates for 1 of 3 days: {LATER}",
        f"{EARLIER}.parquet: 1 of 6 rows have no user_id (rows 2)",
        f"{EARLIER}.parquet: 1 of 6 rows repeat the user and item of another row",
        f"{EARLIER}.parquet: 3 of 6 rows lack a finite score",
        f"{EARLIER}.parquet: 3 of 6 rows lack a rank of 1 or more",
        f"{DAY}.parquet: item_id holds Null; ids are integers or text",
    ):
        assert text in raised.value.what
    assert "num_candidates=0" in raised.value.fix and "without these rows" in raised.value.fix


def test_a_score_too_large_for_its_type_is_no_number(tmp_path: Path) -> None:
    put(tmp_path, user_id=["bo"], item_id=[10], score=[1e300])
    assert "1 of 1 rows lack a finite score" in refused(tmp_path).what


def test_wrong_columns_are_told_with_the_likely_one(tmp_path: Path) -> None:
    put(tmp_path, userid=["bo"], item_id=[10], score=["high"])
    error = refused(tmp_path, columns={"rank": "place"})
    assert "column 'user_id' is missing" in error.what and "did you mean 'userid'?" in error.what
    assert "column 'place' is missing" in error.what
    assert "the score column 'score' holds String, not numbers" in error.what
    assert "candidates.external.columns.user_id" in error.fix


def test_every_day_without_a_file_is_listed(tmp_path: Path) -> None:
    put(tmp_path, **PAIRS)
    (tmp_path / f"external/{LATER}.parquet").mkdir()  # a folder without a table
    with pytest.raises(InputError) as raised:
        external_files(settings(), InputFolder(tmp_path), [EARLIER, DAY, LATER])
    assert raised.value.what == f"there are no external candidates for 2 of 3 days: {EARLIER}, {LATER}"
    assert raised.value.where.endswith("external/{date}.parquet")
    assert "candidates.external.num_candidates=0" in raised.value.fix


def test_what_is_no_parquet_is_answered(tmp_path: Path) -> None:
    (tmp_path / "external").mkdir()
    (tmp_path / f"external/{DAY}.parquet").write_text("user_id,item_id\nbo,10\n")
    assert "the table cannot be read" in refused(tmp_path).what


def test_an_empty_delivery_is_a_warning(tmp_path: Path) -> None:
    put(tmp_path, user_id=pl.Series([], dtype=pl.String), item_id=pl.Series([], dtype=pl.Int64))
    frames, problems = inspect_external(settings(), InputFolder(tmp_path), [DAY])
    assert [(one.severity, one.what) for one in problems] == [("warning", "there are no rows in it")]
    assert frames[DAY].is_empty() and read(tmp_path) == []


@pytest.mark.parametrize("off", [{"path": ""}, {"num_candidates": 0}])
def test_a_source_that_is_off_needs_no_file(tmp_path: Path, off: dict[str, Any]) -> None:
    assert not external_files(settings(**off), InputFolder(tmp_path), [DAY])


def test_one_file_for_all_days_and_unknown_columns_are_refused() -> None:
    with pytest.raises(ValueError, match="must contain {date}"):
        settings("external/all.parquet")
    with pytest.raises(ValueError, match="columns.weight"):
        settings(columns={"weight": "w"})
