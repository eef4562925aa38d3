"""A run is never silent: its current stage shows on a terminal, off it and in the log, and no longer."""

import json
import os
import pty
import re
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from recsys_cli.cli.display.logs import log_to_file, log_to_terminal
from recsys_cli.cli.display.stage_display import StageProgress, duration, shown_stages
from recsys_cli.cli.display.terminal import Terminal
from recsys_cli.configs.secrets import Secrets
from recsys_cli.utils.stage_timer import StageTimer

OFTEN = 0.05  # seconds between lines
SEVERAL = 0.4  # seconds in which several lines come, on a busy machine too
NEVER = 1000.0
TITLE = "Training on events before 2026-07-01"
HIDDEN_CURSOR, SHOWN_CURSOR = b"\x1b[?25l", b"\x1b[?25h"
CODES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def logging_terminal(verbosity: int = 1, *, quiet: bool = False) -> Terminal:
    terminal = Terminal()
    terminal.quiet = quiet
    log_to_terminal(terminal, verbosity)
    return terminal


@contextmanager
def screen(patch: pytest.MonkeyPatch, columns: int = 160) -> Iterator[list[str]]:
    """Make stderr a real terminal while the block runs; after it the list has each line that was drawn."""
    master, slave = pty.openpty()
    received, lines = bytearray(), list[str]()

    def receive() -> None:
        with suppress(OSError):  # the other end is closed
            while chunk := os.read(master, 4096):
                received.extend(chunk)

    reader = threading.Thread(target=receive, daemon=True)
    reader.start()
    try:
        with os.fdopen(slave, "w", encoding="utf-8") as stream, patch.context() as inside:
            inside.setenv("TERM", "xterm")
            inside.setenv("COLUMNS", str(columns))
            inside.setattr(sys, "stderr", stream)
            yield lines
    finally:
        reader.join(timeout=10)
        os.close(master)
        assert received.count(HIDDEN_CURSOR) == received.count(SHOWN_CURSOR) == 1
        text = CODES.sub("", received.decode())
        lines += [line.strip() for line in re.split(r"[\r\n]+", text) if line.strip()]


@pytest.mark.parametrize(
    ("reports", "now", "summary"),  # a report: seconds, units done, units in all
    [
        ([], 20, "20 s so far"),
        ([(1, 0, 0)], 20, "20 s so far"),
        ([(0, 0, 20)], 5, "0 % (0 of 20), 5 s"),
        ([(41, 7, 20)], 41, "35 % (7 of 20), 41 s, about 80 s left"),
        ([(0, 0, 20), (40, 8, 20)], 40, "40 % (8 of 20), 40 s, about 60 s left"),
        ([(30, 0, 20), (40, 10, 20)], 40, "50 % (10 of 20), 40 s, about 10 s left"),  # prepared for 30 s
        ([(10, 1, 3)], 14, "33 % (1 of 3), 14 s, about 16 s left"),
        (
            [(10, 1, 3)],
            60,
            "33 % (1 of 3), 60 s, about 10 s left",
        ),  # the 2nd takes long, then there is the 3rd
        ([(50, 9, 10), (60, 0, 4), (70, 1, 4)], 70, "25 % (1 of 4), 70 s, about 30 s left"),  # counted anew
        ([(600, 1_000, 3_000)], 600, "33 % (1,000 of 3,000), 10 min 0 s, about 20 min 0 s left"),
        ([(40, 199, 200)], 40, "99 % (199 of 200), 40 s, about 0 s left"),
        ([(40, 200, 200)], 45, "100 % (200 of 200), 45 s"),
    ],
)
def test_share_and_time_left_follow_from_the_reports(
    reports: list[tuple[float, int, int]], now: float, summary: str
) -> None:
    progress = StageProgress.begun("candidate models", 0)
    for seconds, done, total in reports:
        progress = progress.counted(done, total, seconds)
    assert progress.summary(now) == summary


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (119.4, "119 s"), (119.6, "2 min 0 s"), (3_599, "59 min 59 s"), (12_000, "3 h 20 min")],
)
def test_a_duration_is_easy_to_read(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_lines_come_while_nothing_moves(capsys: pytest.CaptureFixture[str]) -> None:
    stages = StageTimer()
    with shown_stages(logging_terminal(), TITLE, stages, line_every=OFTEN):
        with stages.stage("read"):
            time.sleep(SEVERAL)
        with stages.stage("candidate models: LightFM") as progress:
            progress(0, 3)
            time.sleep(SEVERAL)
            progress(1, 3)
            time.sleep(SEVERAL)
        time.sleep(SEVERAL)
    lines = capsys.readouterr().err.splitlines()
    assert lines.count(f"{TITLE} · read: 0 s so far") >= 3
    assert lines.count(f"{TITLE} · candidate models: LightFM: 0 % (0 of 3), 0 s") >= 3
    assert sum("33 % (1 of 3), 1 s, about " in line for line in lines) >= 2
    assert f"{TITLE}: 2 s so far" in lines[-4:]  # between stages: of the whole
    assert re.fullmatch(rf"{TITLE}: \d\.\d s", lines[-1])


def test_units_of_the_block_are_shown_instead_of_its_stages_until_all_are_done(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Scoring enters its stages anew for every chunk of users: what counts is how many users are done."""
    stages = StageTimer()
    with shown_stages(logging_terminal(), "Scoring", stages, line_every=OFTEN, units="users") as progress:
        with stages.stage("load"):
            time.sleep(SEVERAL)
        progress(0, 2_000)
        for done in (1_000, 2_000):
            with stages.stage("rank"):
                time.sleep(SEVERAL)
            progress(done, 2_000)
        with stages.stage("publish"):
            time.sleep(SEVERAL)
    lines = capsys.readouterr().err.splitlines()
    assert "Scoring · load: 0 s so far" in lines and "Scoring · publish: 0 s so far" in lines
    assert any(line.startswith("Scoring: 0 % (0 of 2,000)") for line in lines)
    assert any(line.startswith("Scoring: 50 % (1,000 of 2,000)") and "left" in line for line in lines)
    assert not any("· rank" in line for line in lines)
    assert re.fullmatch(r"Scoring: 2,000 users in \d\.\d s", lines[-1])


def test_without_a_line_due_only_the_summary_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    stages = StageTimer()
    with shown_stages(logging_terminal(0), TITLE, stages), stages.stage("read"):
        time.sleep(OFTEN)
    assert re.fullmatch(rf"{TITLE}: 0\.\d s\n", capsys.readouterr().err)


@pytest.mark.parametrize("error", [None, ZeroDivisionError, KeyboardInterrupt])
def test_nothing_comes_after_the_end(
    error: type[BaseException] | None, capsys: pytest.CaptureFixture[str]
) -> None:
    stages, ended = StageTimer(), False
    try:
        with shown_stages(logging_terminal(), TITLE, stages, line_every=OFTEN, log_every=OFTEN):
            with stages.stage("read"):
                time.sleep(SEVERAL)
                if error is not None:
                    raise error
    except (ZeroDivisionError, KeyboardInterrupt):
        ended = True
    shown = capsys.readouterr().err.splitlines()
    time.sleep(SEVERAL)
    with stages.stage("read") as progress:
        progress(1, 2)
    assert ended == (error is not None) and stages.watch is None
    assert len(shown) > 3 and (shown[-1].endswith("so far") or "stage read" in shown[-1]) == ended
    assert capsys.readouterr().err == ""
    assert "stage display" not in [thread.name for thread in threading.enumerate()]


def test_quiet_shows_nothing_and_logs_all(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stages, log = StageTimer(), tmp_path / "log.jsonl"
    terminal = logging_terminal(quiet=True)
    with (
        log_to_file(log, Secrets()),
        shown_stages(terminal, TITLE, stages, line_every=OFTEN, log_every=OFTEN),
    ):
        with stages.stage("read"):
            time.sleep(SEVERAL)
    assert capsys.readouterr() == ("", "")
    messages = [json.loads(line)["message"] for line in log.read_text(encoding="utf-8").splitlines()]
    assert messages.count(f"{TITLE} · read: 0 s so far") >= 3
    assert any(re.fullmatch(r"stage read: 0\.\d s, peak memory \d+\.\d\d GB", one) for one in messages)


def test_the_log_has_share_and_time_left_at_its_own_pace(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal, stages, log = logging_terminal(), StageTimer(), tmp_path / "log.jsonl"
    with log_to_file(log, Secrets()):
        with shown_stages(terminal, TITLE, stages, line_every=NEVER, log_every=0.3):
            with stages.stage("ranker") as progress:
                for done in range(8):
                    progress(done, 80)
                    time.sleep(0.1)
    records = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    assert {record["level"] for record in records} == {"INFO"}
    messages = [record["message"] for record in records]
    (end,) = (one for one in messages if re.fullmatch(r"stage ranker: .* s, peak memory .* GB", one))
    assert len(messages) - 1 <= float(end.split()[2]) / 0.3 + 1
    assert re.fullmatch(rf"{TITLE} · ranker: \d % \(\d of 80\), [01] s, about \d+ s left", messages[0])
    assert capsys.readouterr().err.count("ranker") == 1  # the end; -v shows no line of the log twice


def test_a_log_that_fails_meanwhile_leaves_the_display_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal, stages, folder = logging_terminal(), StageTimer(), tmp_path / "run"
    folder.mkdir()
    with log_to_file(folder / "log.jsonl", Secrets()):
        with shown_stages(terminal, TITLE, stages, line_every=OFTEN, log_every=OFTEN), stages.stage("read"):
            folder.rename(tmp_path / "away")
            time.sleep(SEVERAL)
            (tmp_path / "away").rename(folder)
            capsys.readouterr()
            time.sleep(SEVERAL)
    assert f"{TITLE} · read: " in capsys.readouterr().err
    assert f"{TITLE} · read: " in (folder / "log.jsonl").read_text().replace("\\u00b7", "·")


def test_a_terminal_has_one_line_that_lives_while_nothing_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    stages = StageTimer()
    with screen(monkeypatch) as lines, shown_stages(logging_terminal(0), TITLE, stages, line_every=OFTEN):
        with stages.stage("read"):
            time.sleep(1.5)
        with stages.stage("candidate models: LightFM") as progress:
            progress(0, 4)
            progress(1, 4)
            time.sleep(0.6)
    reading = [line for line in lines if line.startswith(f"{TITLE} · read ━")]
    assert len(reading) >= 3
    assert reading[0].endswith("━ 0 s so far") and reading[-1].endswith(("━ 1 s so far", "━ 2 s so far"))
    moving = rf"{TITLE} · candidate models: LightFM ━+╺?━* 25 % \(1 of 4\), \d s(, about \d+ s left)?"
    assert any(re.fullmatch(moving, line) for line in lines)
    assert re.fullmatch(rf"{TITLE}: \d\.\d s", lines[-1])
    assert not any(": 0 s so far" in line for line in lines)  # as timed lines have it


def test_an_error_ends_the_line(monkeypatch: pytest.MonkeyPatch) -> None:
    stages = StageTimer()
    with screen(monkeypatch) as lines:
        with pytest.raises(KeyboardInterrupt):
            with shown_stages(logging_terminal(0), TITLE, stages), stages.stage("read"):
                time.sleep(SEVERAL)
                raise KeyboardInterrupt
        logging_terminal(0).say("the end")
        time.sleep(SEVERAL)
    assert lines[-1] == "the end"


def test_records_stand_above_the_line_and_those_of_the_display_in_the_log_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stages = StageTimer()
    with screen(monkeypatch) as lines, shown_stages(logging_terminal(), TITLE, stages, log_every=OFTEN):
        with stages.stage("read"):
            time.sleep(SEVERAL)
    record, summary = [line for line in lines if "━" not in line]
    assert record.startswith("info: stage read: 0.") and summary.startswith(f"{TITLE}: 0.")


def test_a_narrow_terminal_leaves_the_title_out(monkeypatch: pytest.MonkeyPatch) -> None:
    stages, name = StageTimer(), "candidate models: LightFM"
    with screen(monkeypatch, columns=60) as lines, shown_stages(logging_terminal(0), TITLE, stages):
        with stages.stage(name):
            time.sleep(SEVERAL)
    assert any(re.fullmatch(rf"{name} ━+ 0 s so far", line) for line in lines)
