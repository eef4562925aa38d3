"""Bad dates and users: one clear block, the documented exit code, no file changed."""

import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from recsys_cli.cli.app import main
from recsys_cli.utils.errors import ExitCode

Refused = Callable[..., str]
DAY = "2026-03-02"
COMMANDS = ("score", "train", "features", "check", "explain", "evaluate")


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("text", ["2026-02-30", "../x", "0000-01-01", "٢٠٢٦-03-02", "20260302", ""])
def test_what_is_no_day_is_refused(refused: Refused, command: str, text: str) -> None:
    message = refused(ExitCode.USAGE, command, "--date", text)
    assert f"{text!a} is not a day\n  where: --date" in message


DAYS = [
    ("features", "2020-01-01", ExitCode.INPUT, "there is no event before 2020-01-01 00:00 UTC"),
    ("train", "2020-01-01", ExitCode.INPUT, "there is no event before 2020-01-01 00:00 UTC"),
    ("evaluate", "2020-01-01", ExitCode.INPUT, "there is no event before 2020-01-01 00:00 UTC"),
    ("score", "2020-01-01", ExitCode.MODEL, "has already seen 2020-01-01 and must not score it"),
    ("explain", "2020-01-01", ExitCode.USAGE, "nothing is published for 2020-01-01"),
    ("features", "2999-01-01", ExitCode.INPUT, "days old, the limit is 7"),
    ("score", "9999-12-31", ExitCode.INPUT, "days old, the limit is 7"),
    ("train", "2999-01-01", ExitCode.INPUT, "days old, the limit is 7"),
    ("evaluate", "2999-01-01", ExitCode.INPUT, "there is nothing to evaluate on"),
    ("explain", "2999-01-01", ExitCode.USAGE, "nothing is published for 2999-01-01"),
]


@pytest.mark.parametrize(("command", "day", "code", "words"), DAYS)
def test_a_day_without_events_is_refused(
    refused: Refused, command: str, day: str, code: ExitCode, words: str
) -> None:
    assert words in refused(code, command, "--date", day)


BEYOND = {
    "train --date 0001-01-05": "days before 0001-01-05 is beyond the calendar",
    "train --date 0001-01-05 --plan": "days before 0001-01-05 is beyond the calendar",
    "evaluate --date 0001-01-05": "days before 0001-01-05 is beyond the calendar",
    "evaluate --date 0001-01-05 --days 2 --cuts 9": "days before 0001-01-05 is beyond the calendar",
    "evaluate --date 9999-02-23 --days 999": "999 days from 9999-02-23 on reach beyond",
    "evaluate --date 2026-02-23 --days 36500 --cuts 52": "before 2026-02-23 is beyond the calendar",
    "tune --date 0001-01-05": "the label windows before 0001-01-05 reach beyond the calendar",
    "score --date 0001-01-01 --set timezone=Asia/Tokyo": "0001-01-01 in Asia/Tokyo begins before",
    "backfill --from 0001-01-01 --to 9999-12-31": "from 0001-01-01 to 9999-12-31 are more than 3,660 days",
}


@pytest.mark.parametrize(("command", "words"), BEYOND.items(), ids=BEYOND)
def test_days_beyond_the_calendar_are_refused(refused: Refused, command: str, words: str) -> None:
    assert words in refused(ExitCode.USAGE, *command.split(" "))


LONG = "x" * 300
DEEP = "/tmp/" + "y/" * 2_100
TOO_LONG = [
    f"verify {LONG}",
    f"diff {LONG} {DAY}",
    f"report --html {LONG}",
    f"runs list --to {DEEP}",
    f"check --date {DAY} --set data.users.path={LONG}",
    f"score --date {DAY} --set output.recommendations={LONG}",
    f"score --date {DAY} --set output.runs={LONG}",
    f"score --date {DAY} --set output.runs={DEEP}",
    f"features --date {DAY} --set output.features={DEEP}",
]


@pytest.mark.parametrize("command", TOO_LONG, ids=[one[:40] for one in TOO_LONG])
def test_names_that_are_too_long_are_named_as_such(refused: Refused, command: str) -> None:
    message = refused(ExitCode.USAGE, *command.split(" "))
    assert "too long" in message and "give a shorter one" in message and len(message) < 1_000


@pytest.mark.parametrize("option", ["report --html", "runs list --to"])
def test_a_result_has_a_name_in_utf8(refused: Refused, option: str) -> None:
    message = refused(ExitCode.USAGE, *option.split(" "), "\udcff")
    assert f"'\\udcff' is not UTF-8 text\n  where: {option.split()[-1]}" in message


USERS: dict[str, tuple[ExitCode, str, tuple[str, ...]]] = {
    "explain U07": (ExitCode.INPUT, "user 'U07' is unknown before 2026-03-03", ("close ids: u07",)),
    "score --users u01,U07,nobody": (
        ExitCode.INPUT,
        "2 of 3 users are unknown",
        ("before 2026-03-03: U07, nobody", "close ids: u07"),
    ),
    "score --users nobody.txt": (ExitCode.INPUT, "1 of 1 users are unknown", ("nobody.txt",)),
    "score --user u01,u02": (ExitCode.INPUT, "1 of 1 users are unknown", ("u01,u02",)),
    "score --user=": (ExitCode.USAGE, "no user is named", ("where: --users",)),
    "score --user \udcff": (ExitCode.USAGE, "'\\udcff' is not UTF-8 text", ("where: --user",)),
    "score --users ,": (ExitCode.USAGE, "no user is named", ("where: --users",)),
    "score --users empty.txt": (ExitCode.USAGE, "no user is named", ("where: --users",)),
    "score --users latin1.txt": (ExitCode.USAGE, "the file of users cannot be read", ("latin1.txt",)),
    "score --users \udcff": (ExitCode.USAGE, "'\\udcff' is not UTF-8 text", ("where: --users",)),
    "explain \udcff": (ExitCode.USAGE, "'\\udcff' is not UTF-8 text", ("where: recsys explain",)),
    "score --top-k 0": (ExitCode.USAGE, "'--top-k'", ("greater than or equal to 1", "recsys score")),
    "score --top-k 70000": (ExitCode.USAGE, "'--top-k'", ("less than or equal to 10000", "recsys score")),
}


@pytest.mark.parametrize(("command", "expected"), USERS.items(), ids=map(ascii, USERS))
def test_bad_users_are_refused(
    workspace: Path,
    refused: Refused,
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    expected: tuple[ExitCode, str, tuple[str, ...]],
) -> None:
    monkeypatch.chdir(workspace)
    (workspace / "empty.txt").write_text(" \n\n")
    (workspace / "latin1.txt").write_bytes("u01\nJosé\n".encode("latin1"))
    code, what, more = expected
    message = refused(code, *command.split(" "), "--date", "2026-03-03")
    assert what in message and all(word in message for word in more), message


def test_a_list_of_users_may_be_longer_than_a_file_name(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    users = ",".join(f"u{number:02}" for number in range(60)) + ",u00" * 1_000
    arguments = ("score", "--users", users, "--date", "2026-03-03", "--json")
    assert main(["-C", str(workspace), *arguments]) == ExitCode.OK
    assert json.loads(capsys.readouterr().out)["users"] == 60


def test_an_id_may_hold_a_comma(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("users", "interactions"):
        file = workspace / f"data/{name}.parquet"
        renamed = pl.col("user_id").replace({"u07": "Doe, Jane", "u08": "u01,u02", "u09": " u09"})
        pl.read_parquet(file).with_columns(renamed).write_parquet(file)
    (workspace / "some.txt").write_text("u01,u02\r\n u09\n\n")

    def lists_of(*options: str) -> set[str]:
        command = ["-q", "-C", str(workspace), "score", "--date", "2026-03-03", "--force", *options]
        assert main(command) == ExitCode.OK, capsys.readouterr().err
        found = pl.read_parquet(workspace / "recommendations/date=2026-03-03/recommendations.parquet")
        return set(found["user_id"])

    assert lists_of("--user", "Doe, Jane") == {"Doe, Jane"}
    assert lists_of("--user", "Doe, Jane", "--user", " u09", "--users", "u01,u02") == {
        "Doe, Jane",
        " u09",
        "u01",
        "u02",
    }
    assert lists_of("--users", str(workspace / "some.txt")) == {"u01,u02", " u09"}


@pytest.mark.parametrize("filter_viewed", ["true", "false"])
def test_cold_users_alone_get_the_lists_that_they_get_among_all(
    workspace: Path, filter_viewed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is known of the two: not one pair, category or event lies in what is read of them."""
    command = ["-q", "-C", str(workspace), "--set", f"scoring.filter_viewed={filter_viewed}"]
    main([*command, "train", "--date", DAY])
    versions = sorted((workspace / "models").glob("*/manifest.json"), key=lambda path: path.stat().st_mtime)
    assert main([*command, "models", "promote", versions[-1].parent.name, "--force"]) == ExitCode.OK
    file = workspace / f"recommendations/date={DAY}/recommendations.parquet"
    assert main([*command, "score", "--date", DAY, "--force"]) == ExitCode.OK
    among_all = pl.read_parquet(file).filter(pl.col("user_id").is_in(["u58", "u59"]))
    capsys.readouterr()

    assert main([*command, "--json", "explain", "u58", "--date", DAY]) == ExitCode.OK
    output = json.loads(capsys.readouterr().out)
    assert main([*command, "score", "--date", DAY, "--users", "u58,u59", "--force"]) == ExitCode.OK

    assert len(among_all) == 20
    assert pl.read_parquet(file).equals(among_all)
    own = among_all.filter(pl.col("user_id") == "u58")
    assert [one["item_id"] for one in output["recommendations"]] == own["item_id"].to_list()
