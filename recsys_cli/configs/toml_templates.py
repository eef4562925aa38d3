"""Text of a workspace's settings.toml: a head, the tables and the environments."""

import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from itertools import groupby
from string import Template
from typing import Any

from recsys_cli.configs.sections import DataSettings

TABLES = ("interactions", "users", "items")
_GUESSED = """
# Guessed by `recsys init` from the columns' names, types and values: check it.
"""


def preset_text(preset: str, folder: str = "") -> str:
    """Return the settings of a preset for data files in `folder`."""
    inside_quotes = _toml(folder)[1:-1]
    return _file_text(Template(_template(preset)).substitute(folder=inside_quotes))


def guessed_text(data: DataSettings) -> str:
    """Return settings for tables whose columns were guessed."""
    ids = [f"{key} = {_toml(getattr(data, key))}" for key in ("user_id_type", "item_id_type")]
    sections = ["\n".join(["[default.data]", *ids])]
    for name in TABLES:
        keys = getattr(data, name).model_dump(exclude_unset=True)
        lines = [f"{key} = {_toml(value)}" for key, value in keys.items() if value]
        if lines:
            sections.append("\n".join([f"[default.data.{name}]", *lines]))
    return _file_text(_GUESSED + "\n\n".join(sections) + "\n")


def settings_text(values: Mapping[str, Any], *, heading: Sequence[str]) -> str:
    """Return settings, given by dotted keys, as the [default] tables of a file below a comment."""
    lines = [f"# {line}" for line in heading]
    for section, keys in groupby(values, lambda key: key.rpartition(".")[0]):
        lines += ["", f"[default.{section}]"]
        lines += [f"{key.rpartition('.')[2]} = {_toml(values[key])}" for key in keys]
    return "\n".join(lines) + "\n"


def _file_text(tables: str) -> str:
    return _template("head") + tables + _template("environments")


def _template(name: str) -> str:
    return (files("recsys_cli.configs") / "presets" / f"{name}.toml").read_text(encoding="utf-8")


def _toml(value: Any) -> str:
    """Return a text, list or table as TOML."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(one)}" for key, one in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
