"""Text of a workspace's settings.toml: a head, the tables and the environments."""

from collections.abc import Mapping, Sequence
from importlib.resources import files
from string import Template
from typing import Any

import tomli_w

from recsys_cli.configs.data_sections import DataSettings

TABLES = ("interactions", "users", "items")
_GUESSED = """
# Guessed by `recsys init` from the columns' names, types and values: check it.
"""


def preset_text(preset: str, folder: str = "") -> str:
    """Return the settings of a preset for data files in `folder`."""
    inside_quotes = tomli_w.dumps({"folder": folder}).removeprefix('folder = "').removesuffix('"\n')
    return _file_text(Template(_template(preset)).substitute(folder=inside_quotes))


def guessed_text(data: DataSettings) -> str:
    """Return settings for tables whose columns were guessed."""
    guessed: dict[str, Any] = {key: getattr(data, key) for key in ("user_id_type", "item_id_type")}
    for name in TABLES:
        keys = getattr(data, name).model_dump(exclude_unset=True, exclude={"password"})
        given = {key: value for key, value in keys.items() if value}
        if given:
            guessed[name] = given
    if data.events:
        guessed["events"] = {
            name: one.model_dump(exclude_defaults=True) or {"weight": one.weight}
            for name, one in data.events.items()
        }
    return _file_text(_GUESSED + tomli_w.dumps({"default": {"data": guessed}}))


def settings_text(values: Mapping[str, Any], *, heading: Sequence[str]) -> str:
    """Return settings, given by dotted keys, as the [default] tables of a file below a comment."""
    default: dict[str, Any] = {}
    for key, value in values.items():
        *sections, name = key.split(".")
        table = default
        for section in sections:
            table = table.setdefault(section, {})
        table[name] = value
    comment = "".join(f"# {line}\n" for line in heading)
    return f"{comment}\n{tomli_w.dumps({'default': default})}"


def _file_text(tables: str) -> str:
    return _template("head") + tables + _template("environments")


def _template(name: str) -> str:
    return (files("recsys_cli.configs") / "presets" / f"{name}.toml").read_text(encoding="utf-8")
