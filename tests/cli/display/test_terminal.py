import json
from pathlib import Path

import pytest
from loguru import logger

from recsys_cli.cli.display.logs import log_to_file, log_to_terminal
from recsys_cli.cli.display.safe_text import escaped, json_text
from recsys_cli.cli.display.terminal import Terminal
from recsys_cli.configs.secrets import Secrets
from recsys_cli.utils.errors import OutputError

HOSTILE = "{0.__class__} [red]x[/] \x1b[2J\r\n\u202e\u2028 é 👨‍👩‍👧"


def test_invisible_characters_are_written_out() -> None:
    assert escaped(HOSTILE) == "{0.__class__} [red]x[/] \\x1b[2J\\r\\n\\u202e\\u2028 é 👨‍👩‍👧"


@pytest.mark.parametrize("half", ["", "\ud800"])
def test_json_is_safe_to_show_and_parses_back(half: str) -> None:
    value = {HOSTILE: [HOSTILE, half], "numbers": [1e-7, 2**70, -0.0, 0.1 + 0.2, True, None], "no": {"n": []}}
    text = json_text(value)
    assert not {"\x1b", "\u202e", "\u2028", "\r"} & set(text)
    assert "é" in text and '\n  "numbers": [\n    1e-' in text
    assert json.loads(text) == value
    assert json.loads(json_text({"none": [float("nan"), float("-inf")]})) == {"none": [None, None]}


def test_data_goes_to_stdout_and_messages_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    terminal = Terminal()
    terminal.say(HOSTILE)
    terminal.show_table("Users [b]", ("id", "n"), [(HOSTILE, 1), ("x" * 300, 22)])
    shown = capsys.readouterr()
    assert shown.err == f"{escaped(HOSTILE)}\n"
    assert escaped(HOSTILE) in shown.out and "x" * 300 in shown.out and "Users [b]" in shown.out
    assert "│  1 │" in shown.out


def test_progress_off_a_terminal_is_a_plain_line_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    with Terminal().progress("Scoring users") as progress:
        progress(10, 2000)
        progress(2000, 2000)
    assert capsys.readouterr().err.startswith("Scoring users: 2,000 users in 0.")


def test_quiet_leaves_nothing_but_errors(capsys: pytest.CaptureFixture[str]) -> None:
    terminal = Terminal()
    terminal.quiet = True
    log_to_terminal(terminal, verbosity=0)
    with terminal.progress("Scoring users") as progress:
        progress(1, 1)
    terminal.say("hello")
    terminal.warn("careful")
    assert capsys.readouterr().err == ""
    terminal.error("broken")
    assert capsys.readouterr().err == "error: broken\n"


@pytest.mark.parametrize(("verbosity", "levels"), [(0, "w"), (1, "iw"), (2, "diw")])
def test_verbosity_chooses_the_levels(
    capsys: pytest.CaptureFixture[str], verbosity: int, levels: str
) -> None:
    log_to_terminal(Terminal(), verbosity)
    logger.debug("d")
    logger.info("i")
    logger.bind(user=HOSTILE).warning("w")
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(": ")[2][0] for line in lines] == list(levels)
    assert lines[-1] == f"warning: w user={escaped(HOSTILE)}"


def test_the_log_file_has_every_record_and_the_error(tmp_path: Path) -> None:
    terminal = Terminal()
    terminal.quiet = True
    log_to_terminal(terminal, verbosity=0)
    path = tmp_path / "log.jsonl"
    with pytest.raises(ZeroDivisionError), log_to_file(path, Secrets()):
        terminal.warn("careful {x}")
        logger.bind(user=HOSTILE).debug("seen")
        raise ZeroDivisionError("by hand")
    entries = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert [(entry["level"], entry["message"], entry["extra"]) for entry in entries] == [
        ("WARNING", "careful {x}", {}),
        ("DEBUG", "seen", {"user": HOSTILE}),
        ("ERROR", "by hand", {"error": "ZeroDivisionError"}),
    ]


def test_a_log_that_cannot_be_written_is_an_output_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError) as caught, log_to_file(tmp_path / "absent" / "log.jsonl", Secrets()):
        pass
    assert caught.value.where == str(tmp_path / "absent" / "log.jsonl")
