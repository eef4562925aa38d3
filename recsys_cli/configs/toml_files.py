"""The settings files of a workspace, read by Dynaconf without running any code of theirs."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from dynaconf import Dynaconf
from dynaconf.constants import TOML_EXTENSIONS
from dynaconf.loaders.base import BaseLoader
from dynaconf.vendor import tomllib

from recsys_cli.configs.layers import Layer, overlay, table_layer
from recsys_cli.configs.sections import Settings
from recsys_cli.configs.value_limits import check_values, reason_of
from recsys_cli.utils.errors import SettingsError
from recsys_cli.utils.storage.regular_files import SETTINGS_BYTES, read_regular

DEFAULT = "default"
MAIN_FILE = "settings/settings.toml"
RULES_FILE = "settings/rules.toml"
LOCAL_FILE = "settings/settings.local.toml"
SECRETS_FILE = "settings/.secrets.toml"
RULES = "rules"
FILES = (MAIN_FILE, RULES_FILE, LOCAL_FILE, SECRETS_FILE)  # the weakest first
_AT_LINE = re.compile(r"\(at line (\d+), column (\d+)\)")


@dataclass(frozen=True)
class Document:
    """One file: its name in the workspace, its content, one top-level table per environment, and its text."""

    name: str
    content: dict[str, Any]
    text: str = ""

    @property
    def secret(self) -> bool:
        return self.name == SECRETS_FILE

    def environments(self) -> list[str]:
        """Return the names of the file's environments, in lower case."""
        return [name.lower() for name, value in self.content.items() if _is_environment(name, value)]

    def misplaced_keys(self) -> list[str]:
        """Return one problem for each key or section outside of an environment."""
        misplaced = [name for name, value in self.content.items() if not _is_environment(name, value)]
        outside = [
            f"{name} in {self.name} is outside of an environment: put it under [default]"
            for name in misplaced
        ]
        return [*outside, *self._beside_rules()]

    def with_rules(self) -> list[str]:
        """Return the names of the environments, in lower case, that have rules in this file."""
        return [
            name.lower()
            for name, table in self.content.items()
            if _is_environment(name, table) and RULES in map(str.lower, table)
        ]

    def _beside_rules(self) -> list[str]:
        """Return one problem for each setting of rules.toml that is none of the rules."""
        tables = self.content.items() if self.name == RULES_FILE else ()
        return [
            f"{key} in {self.name} [{name}] is not about rules: put it into {MAIN_FILE}"
            for name, table in tables
            if _is_environment(name, table)
            for key in table
            if key.lower() != RULES
        ]

    def layer(self, environment: str, tree: type[Settings]) -> Layer:
        """Return the file as one layer: [default] overridden by [environment]."""
        layer: Layer = {}
        for wanted in dict.fromkeys((DEFAULT, environment)):
            for name, table in self.content.items():
                if name.lower() == wanted and _is_environment(name, table):
                    origin = f"{self.name} [{wanted}]"
                    upper = table_layer(table, origin, tree, secret=self.secret)
                    layer = overlay(layer, self._with_lines(upper, name))
        return layer

    def _with_lines(self, layer: Layer, environment: str) -> Layer:
        """Return an environment's layer with the lines where its rules begin, if each has a header."""
        rules = layer.get((RULES,))
        lines = lines_of_tables(self.text, environment, RULES)
        if rules is None or not isinstance(rules.value, list) or len(lines) != len(rules.value):
            return layer
        return layer | {(RULES,): replace(rules, lines=lines)}


def lines_of_tables(text: str, environment: str, name: str) -> tuple[int, ...]:
    """Return the lines, from 1, of the headers of a list of tables: [[environment.name]]."""
    header = re.compile(
        rf"""\s*\[\[\s*["']?{re.escape(environment)}["']?\s*\.\s*["']?{name}["']?\s*\]\]""", re.I
    )
    return tuple(number for number, line in enumerate(text.split("\n"), 1) if header.match(line))


def rules_in_two_files(documents: Sequence[Document], environment: str) -> list[str]:
    """Return the problem that both settings.toml and rules.toml have rules of one environment, or of two that
    are laid over each other.
    """
    named = {one.name: one.with_rules() for one in documents if one.name in (MAIN_FILE, RULES_FILE)}
    main, beside = named.get(MAIN_FILE, []), named.get(RULES_FILE, [])
    used = {DEFAULT, environment}
    pairs = [(one, other) for one in main for other in beside if one == other or {one, other} <= used]
    return [
        f"rules are in {MAIN_FILE} [{one}] and in {RULES_FILE} [{other}]: put them all into one of the two"
        for one, other in pairs[:1]
    ]


def read_documents(workspace: Path) -> list[Document]:
    """Return the workspace's files, the weakest first; only the first is required.

    Raises: SettingsError if settings.toml is missing or a file is not TOML.
    """
    if not os.path.lexists(workspace / MAIN_FILE):
        raise SettingsError(
            f"no workspace here: {MAIN_FILE} is missing",
            where=str(workspace),
            fix="run recsys init, or name a workspace with -C DIR",
        )
    return [_read(workspace, name) for name in FILES if os.path.lexists(workspace / name)]


def _read(workspace: Path, name: str) -> Document:
    path = workspace / name
    text = _text(path)
    loader = BaseLoader(
        obj=_nothing(),
        env=DEFAULT,
        identifier="toml",
        extensions=TOML_EXTENSIONS,
        file_reader=tomllib.load,
        string_reader=tomllib.loads,
        opener_params={"mode": "rb"},
    )
    try:
        content: dict[str, Any] = loader.get_source_data([str(path)]).get(str(path), {})
        check_values(content)
    except (ValueError, RecursionError) as error:
        raise _broken(path, reason_of(error)) from None
    return Document(name, content, text)


@cache
def _nothing() -> Dynaconf:
    """Return settings that hold and load nothing.

    Dynaconf reads files but never evaluates them: its own start would follow includes, a .env file and
    dynaconf_hooks.py, which it executes, and setting a value would run @jinja and @read_file.
    """
    return Dynaconf(settings_files=[], envvar_prefix=None, load_dotenv=False, loaders=[])


def _text(path: Path) -> str:
    try:
        return read_regular(path, SETTINGS_BYTES).decode()
    except UnicodeDecodeError:
        raise SettingsError("the file is not UTF-8 text", where=str(path), fix="save it as UTF-8") from None
    except OSError as error:
        raise SettingsError(
            f"the file cannot be read: {error.strerror}", where=str(path), fix="make it a readable file"
        ) from error


def _broken(path: Path, message: str) -> SettingsError:
    found = _AT_LINE.search(message)
    place = f"{path}, line {found[1]}, column {found[2]}" if found else str(path)
    reason = _AT_LINE.sub("", message).strip()
    return SettingsError(f"the file is not valid TOML: {reason}", where=place, fix="correct that line")


def _is_environment(name: str, value: object) -> bool:
    return isinstance(value, dict) and name.lower() not in set(Settings.model_fields)
