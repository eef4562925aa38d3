"""README and pages against the program: what they name exists, and what exists they name."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from recsys_cli.cli.app import app
from recsys_cli.configs.schema import known_keys
from recsys_cli.models.settings_tree import settings_tree
from recsys_cli.pipelines.guide import TOPICS
from recsys_cli.utils.errors import ExitCode

ROOT = Path(__file__).parents[1]
GUIDE = ROOT / "recsys_cli" / "guide"
PAGES = {
    path.relative_to(ROOT).as_posix(): path for path in (ROOT / "README.md", *sorted(GUIDE.glob("*.md")))
}
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
SPAN = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\[[^]]*\]\(([^)\s]+)\)")
OPTION = re.compile(r"(?<![\w-])(--[a-z][a-z-]*|-[A-Za-z])(?![\w-])")


def text_of(name: str) -> str:
    return PAGES[name].read_text(encoding="utf-8")


def commands(command: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield words, command
    for name, one in getattr(command, "commands", {}).items():
        yield from commands(one, (*words, name))


COMMANDS = dict(commands(typer.main.get_command(app)))


def options(*words: str) -> set[str]:
    return {
        text for one in COMMANDS[words].params for text in (*one.opts, *one.secondary_opts) if text[0] == "-"
    }


GLOBAL_OPTIONS = options() | {"--help"}


def snippets(name: str) -> list[str]:
    """Return the code of a page: what stands in backticks, and the lines of its blocks."""
    text = text_of(name)
    blocks = [line for _, block in FENCE.findall(text) for line in block.splitlines()]
    return blocks + SPAN.findall(FENCE.sub("", text))


def calls(name: str) -> list[str]:
    """Return what a page writes behind each `recsys`, to the end of the command."""
    found = (re.search(r"(?:^|[\s/$])recsys ((?!\S*=)[^#|;>…]*)", one) for one in snippets(name))
    return [one[1] for one in found if one]


@pytest.mark.parametrize("name", PAGES)
def test_every_command_and_option_exists(name: str) -> None:
    for call in calls(name):
        words = [word.strip("[]") for word in call.split()]
        while words and words[0].startswith("-"):  # global options before the command
            words = words[1 if words[0] in ("-q", "-v", "-vv", "--json", "--version", "--help") else 2 :]
        if not words or not re.fullmatch(r"[a-z]+", words[0]):
            continue
        if f'app.command("{words[0]}")' in text_of(name):
            continue  # an example that the page itself adds
        path = tuple(words[:2]) if tuple(words[:2]) in COMMANDS else (words[0],)
        assert path in COMMANDS, f"recsys {call}"
        assert set(OPTION.findall(call)) <= options(*path) | GLOBAL_OPTIONS, f"recsys {call}"


@pytest.mark.parametrize("name", PAGES)
def test_every_option_that_stands_alone_is_one_of_a_command(name: str) -> None:
    known = {one for path in COMMANDS for one in options(*path)} | GLOBAL_OPTIONS
    known |= {"--quick", "--peer", "--data", "--seeds"}  # of the tests' own programs
    for span in SPAN.findall(FENCE.sub("", text_of(name))):
        if span.startswith("-"):
            assert set(OPTION.findall(span)) <= known, span


@pytest.mark.parametrize("name", PAGES)
def test_every_setting_exists(name: str) -> None:
    keys = set(known_keys(settings_tree()))
    sections = {key for key in keys if "." not in key and any(one.startswith(f"{key}.") for one in keys)}
    for text in snippets(name):
        for key in re.findall(r"(?<![\w./-])([a-z_]+(?:\.[a-z_0-9]+)+)(?![\w/(])", text):
            if key.partition(".")[0] in sections:
                assert key in keys, text
        for section, key in re.findall(r"RECSYS_([A-Z]+)__([A-Z_]+)", text):
            assert f"{section}.{key}".replace("__", ".").lower() in keys, text


@pytest.mark.parametrize("name", PAGES)
def test_every_block_of_settings_holds(name: str) -> None:
    for block in (block for kind, block in FENCE.findall(text_of(name)) if kind == "toml"):
        for layer in tomllib.loads(block).values():
            settings_tree().model_validate(layer)


@pytest.mark.parametrize("name", PAGES)
def test_every_link_leads_somewhere(name: str) -> None:
    for target in LINK.findall(text_of(name)):
        if not target.startswith("https://"):
            assert (PAGES[name].parent / target).is_file(), target
    assert set(re.findall(r"recsys guide ([a-z-]+)", text_of(name))) <= set(TOPICS)


@pytest.mark.parametrize("name", PAGES)
def test_every_target_of_make_and_every_program_of_the_tests_exists(name: str) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for text in snippets(name):
        assert set(re.findall(r"(?:^|\s)make (?:-C \S+ )?([a-z]+)", text)) <= targets, text
        for module in re.findall(r"python -m (tests[\w.]*)", text):
            path = ROOT / module.replace(".", "/")
            assert path.with_suffix(".py").is_file() or (path / "__main__.py").is_file(), text


@pytest.mark.parametrize("name", sorted(set(PAGES) - {"README.md"}))
def test_a_page_is_short_and_its_code_fits_a_terminal(name: str) -> None:
    text = text_of(name)
    assert text.startswith("# ") and len(text.splitlines()) <= 250
    for kind, block in FENCE.findall(text):
        longest = max(block.splitlines(), key=len)
        assert len(longest) <= (78 if kind else 130), longest


def test_the_readme_is_read_to_the_end() -> None:
    assert len(text_of("README.md").splitlines()) <= 250


def test_every_topic_has_a_page_and_the_readme_links_it() -> None:
    assert {path.stem for path in GUIDE.glob("*.md")} == set(TOPICS)
    assert {f"recsys_cli/guide/{topic}.md" for topic in TOPICS} <= set(LINK.findall(text_of("README.md")))


def test_every_command_exit_code_gate_and_source_has_its_line() -> None:
    output = text_of("recsys_cli/guide/commands.md")
    assert {path[0] for path in COMMANDS if path} <= set(re.findall(r"`recsys ([a-z]+)", output))
    codes = re.findall(r"^\| ([\d, ]+) \|", output, re.MULTILINE)
    assert {int(one) for code in codes for one in code.split(",")} == {int(code) for code in ExitCode}
    gates = {key for key in known_keys(settings_tree()) if key.startswith("gates.")}
    assert gates <= set(SPAN.findall(text_of("recsys_cli/guide/reliability.md")))
    sources = set(settings_tree()().candidates.names())
    assert sources <= set(SPAN.findall(text_of("recsys_cli/guide/sources.md")))


def test_defaults_in_the_table_are_the_programs() -> None:
    rows = re.findall(
        r"^\| (`[a-z_.]+`(?:, `[a-z_.]+`)*) \| ([^|]+) \|", text_of("recsys_cli/guide/settings.md"), re.M
    )
    assert len(rows) > 10
    for keys, defaults in rows:
        names = SPAN.findall(keys)
        values = defaults.strip().strip("`").split(", ") if len(names) > 1 else [defaults.strip().strip("`")]
        values = values * len(names) if len(values) == 1 else values
        for key, value in zip(names, values, strict=True):
            held: Any = settings_tree()()
            for part in key.split("."):
                held = getattr(held, part)
            assert held == tomllib.loads(f"x = {value}")["x"], key
