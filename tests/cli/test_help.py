"""Every command's help has an example, and the example is one that the command takes."""

import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from recsys_cli.cli.app import app


def commands(command: Any, words: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    for name, one in getattr(command, "commands", {}).items():
        yield from commands(one, (*words, name))
    if not hasattr(command, "commands"):
        yield " ".join(words), command


COMMANDS = dict(commands(typer.main.get_command(app), ("recsys",)))


@pytest.mark.parametrize("name", COMMANDS)
def test_the_example_is_one_that_the_command_takes(name: str) -> None:
    command = COMMANDS[name]
    example = (command.help or "").partition("Example: ")[2]
    assert example.startswith(name)
    arguments = [one for one in shlex.split(example.removeprefix(name)) if one != "--json"]  # of any command
    command.make_context(name, arguments)  # raises where it does not take them


BOUND_BY_THE_DEMO = {"recsys init --days", "recsys init --seed"}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_whole_number_has_an_upper_bound(name: str) -> None:
    options = [one for one in COMMANDS[name].params if "int" in str(one.type_descriptor.annotation)]
    unbound = {f"{name} {one.opts[0]}" for one in options if one.max is None}
    assert unbound - BOUND_BY_THE_DEMO == set()
