"""The stages of a run, and the figures of a process itself."""

import re
import subprocess
import sys
import time
from collections.abc import Iterator

import numpy as np
import pytest
from loguru import logger

from recsys_cli.utils.errors import OutputError
from recsys_cli.utils.stage_timer import StageTime, StageTimer, peak_bytes


class Seen:
    """A watch that remembers what it saw."""

    def __init__(self) -> None:
        self.events: list[tuple[object, ...]] = []
        self.ended: list[StageTime] = []

    def begin(self, name: str) -> None:
        self.events.append(("begin", name))

    def move(self, name: str, done: int, total: int) -> None:
        self.events.append(("move", name, done, total))

    def end(self, stage: StageTime) -> None:
        self.events.append(("end", stage.name))
        self.ended.append(stage)


@pytest.fixture
def records() -> Iterator[list[str]]:
    """The log from now on: a level and a message each."""
    lines: list[str] = []
    sink = logger.add(
        lambda message: lines.append(message.rstrip()), level="DEBUG", format="{level} {message}"
    )
    yield lines
    logger.remove(sink)


def test_a_watch_sees_a_stage_begin_move_and_end() -> None:
    seen = Seen()
    stages = StageTimer(seen)
    with stages.stage("read"):
        pass
    with pytest.raises(ZeroDivisionError), stages.stage("ranker") as progress:
        progress(1, 2)
        raise ZeroDivisionError
    stages.watch = None
    with stages.stage("save") as progress:
        progress(1, 2)
    assert seen.events == [
        ("begin", "read"),
        ("end", "read"),
        ("begin", "ranker"),
        ("move", "ranker", 1, 2),
        ("end", "ranker"),
    ]
    assert [stage.name for stage in stages.all()] == ["read", "ranker", "save"]


def test_the_same_name_again_adds_to_the_stage_and_the_watch_gets_each_turn() -> None:
    seen = Seen()
    stages = StageTimer(seen)
    for _ in range(2):
        with stages.stage("read"):
            time.sleep(0.05)
    (both,) = stages.all()
    assert len(seen.ended) == 2 and all(turn.seconds >= 0.05 for turn in seen.ended)
    assert both.seconds == sum(turn.seconds for turn in seen.ended)
    assert both.peak_bytes == seen.ended[-1].peak_bytes > 10_000_000


def test_each_end_is_logged_with_seconds_and_peak_memory(records: list[str]) -> None:
    with pytest.raises(ZeroDivisionError), StageTimer().stage("read {x}"):
        time.sleep(0.1)
        raise ZeroDivisionError
    (record,) = records
    assert re.fullmatch(r"INFO stage read \{x\}: 0\.\d s, peak memory \d+\.\d\d GB", record)


def test_short_turns_after_the_first_are_for_debugging(records: list[str]) -> None:
    stages = StageTimer()
    for seconds in (0.0, 0.0, 1.01):
        with stages.stage("rank"):
            time.sleep(seconds)
    assert [record.split()[0] for record in records] == ["INFO", "DEBUG", "INFO"]


def test_a_log_that_fails_does_not_replace_the_error_of_the_block() -> None:
    def fail(_message: object) -> None:
        raise OutputError("the log cannot be written")

    sink = logger.add(fail, level="INFO", catch=False)
    try:
        with pytest.raises(ZeroDivisionError), StageTimer().stage("read"):
            raise ZeroDivisionError
        with pytest.raises(OutputError), StageTimer().stage("read"):
            pass
    finally:
        logger.remove(sink)


def test_peak_memory_is_the_process_s_own_and_not_that_of_the_one_that_started_it() -> None:
    large = np.ones(100_000_000)  # 800 MB
    command = [
        sys.executable,
        "-c",
        "from recsys_cli.utils.stage_timer import peak_bytes; print(peak_bytes())",
    ]
    child = int(subprocess.run(command, capture_output=True, check=True, text=True).stdout)
    assert child < large.nbytes / 2 < peak_bytes()
