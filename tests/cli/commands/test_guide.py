"""`recsys guide`, and what its pages say of the program's output and of extending it, against the program."""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from recsys_cli.cli.app import main
from recsys_cli.pipelines.guide import TOPICS
from recsys_cli.utils.errors import ExitCode

Run = Callable[..., subprocess.CompletedProcess[str]]
DAY = "2026-03-02"
PAST = "2026-02-16"
ARGUMENTS = {  # of the commands whose JSON is described, where they want some
    "explain": ["u00", "--item", "101"],
    "diff": [DAY, DAY],
    "score": ["--date", DAY],
    "score --plan": ["--date", DAY],
    "train --plan": ["--date", DAY],
    "runs show": ["RUN"],
    "backfill": ["--from", DAY, "--to", DAY],
    "check": ["--date", DAY],
    "features": ["--date", DAY],
    "train": ["--date", DAY],
    "evaluate": ["--date", PAST],
    "tune": ["--date", DAY, "--budget", "1s"],
    "guide": ["data"],
}


def page(topic: str) -> str:
    return files("recsys_cli").joinpath(f"guide/{topic}.md").read_text(encoding="utf-8")


def described() -> dict[str, set[str]]:
    """Return the keys that the page lists for each command."""
    table = page("commands").partition("keys beside `schema_version` |")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| (`[^|]+) \| ([^|]+) \|$", table, re.MULTILINE)
    return {
        command: set(re.findall(r"`([a-z_0-9]+)`", keys))
        for commands, keys in rows
        for command in re.findall(r"`([^`]+)`", commands)
    }


def keys_of(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from value
        for one in value.values():
            yield from keys_of(one)
    elif isinstance(value, list):
        for one in value:
            yield from keys_of(one)


def test_a_piped_page_is_its_text_and_no_topic_lists_them(recsys: Run) -> None:
    assert recsys("guide", "data").stdout == page("data")
    listed = recsys("guide")
    assert (listed.returncode, listed.stderr) == (0, "next: recsys guide data\n")
    assert [line.split()[1] for line in listed.stdout.splitlines()[4:-1]] == list(TOPICS)
    output = json.loads(recsys("guide", "--json").stdout)
    assert [one["topic"] for one in output["topics"]] == list(TOPICS)


def test_an_unknown_topic_is_answered_with_the_topics(recsys: Run) -> None:
    run = recsys("guide", "sorces")
    assert (run.returncode, run.stdout) == (ExitCode.USAGE, "")
    assert "no page on 'sorces'; did you mean sources?" in run.stderr
    assert f"fix: choose one of: {', '.join(TOPICS)}\n" in run.stderr


@pytest.mark.parametrize("topic", TOPICS)
def test_a_terminal_of_80_columns_gets_the_page_rendered(topic: str, tmp_path: Path) -> None:
    code = (
        "import os, pty, sys; os.environ.update(COLUMNS='80', TERM='xterm');"
        f"pty.spawn([{sys.executable!r}, '-m', 'recsys_cli', 'guide', {topic!r}])"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True
    )
    shown = re.sub(r"\x1b\[[0-9;]*m", "", run.stdout).replace("\r", "")
    assert max(map(len, shown.splitlines())) <= 80
    title, *_ = page(topic).removeprefix("# ").splitlines()
    assert title in " ".join(shown.split()) and "](" not in shown and "](" not in title
    words = [
        set(re.findall(r"[a-z]{4,}", re.sub(r"\([a-z-]+\.md\)", "", text))) for text in (page(topic), shown)
    ]
    assert len(words[0] - words[1]) <= 0.05 * len(words[0])  # words that a line's end divides


@pytest.mark.parametrize("command", described())
def test_the_keys_of_a_command_are_those_that_the_page_describes(
    command: str, workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if command == "runs show":
        assert main(["-q", "-C", str(workspace), "features", "--date", DAY]) == 0
    words = [*command.split(), *ARGUMENTS.get(command, [])]
    if "RUN" in words:
        words[words.index("RUN")] = next((workspace / "runs").glob("*-features-*")).name
    capsys.readouterr()
    assert main(["-C", str(workspace), *words, "--json"]) in (ExitCode.OK, ExitCode.CHECK)
    output = json.loads(capsys.readouterr().out)
    assert described()[command] - {"topics"} <= set(keys_of(output))


def blocks(topic: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", page(topic), re.DOTALL | re.MULTILINE)


def printed(program: str, *args: str) -> str:
    command = [sys.executable, "-c", program, *args]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 0, run.stderr
    return run.stdout


def test_the_guides_command_runs_when_it_is_registered_as_the_guide_says(workspace: Path) -> None:
    (command,) = (block for block in blocks("extending") if "typer.Context" in block)
    (line,) = re.findall(r'`(app\.command\("last"\).*?)`', page("extending"))
    program = f"import sys\nfrom recsys_cli.cli.app import app, main\n{command}\n{line}\nsys.exit(main())"
    assert printed(program, "-C", str(workspace), "last") == f"{DAY}\n"


def test_the_guides_feature_is_an_expression_over_events() -> None:
    (feature,) = (block for block in blocks("extending") if "DAYS_AGO" in block)
    program = "import polars as pl; DAYS_AGO, prefix = 'days_ago', 'user'\n"
    program += "events = pl.DataFrame({'user': [1, 1, 2, 2], 'days_ago': [1.0, 3.0, 5.0, 5.0]})\n"
    program += f"told = events.group_by('user', maintain_order=True).agg({feature})\n"
    program += "print([f'{one:.3f}' for one in told['user_days_spread']])"
    assert printed(program) == "['1.414', '0.000']\n"
