"""Layers of settings: each key with its value and origin; later layers override earlier ones key by key."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dynaconf.utils.parse_conf import parse_with_toml

from recsys_cli.configs.schema import KeyPath, canonical, holds_text
from recsys_cli.configs.secrets import is_secret_name
from recsys_cli.configs.sections import Settings
from recsys_cli.configs.value_limits import DEEPEST, TOO_DEEP, check_values, is_text, reason_of
from recsys_cli.utils.errors import SettingsError

PREFIX = "RECSYS_"
_SHOWN = 100  # characters of a key in a message
NOT_SETTINGS = frozenset({"RECSYS_ENV", "RECSYS_WORKSPACE"})  # they choose the settings


@dataclass(frozen=True)
class Setting:
    """One value of a layer; `value` is never a table.

    Attributes:
        lines: of the file, from 1: where each table of a list of tables begins; empty: not known.
    """

    value: Any
    origin: str
    secret: bool
    lines: tuple[int, ...] = ()


Layer = dict[KeyPath, Setting]
_OPTION = 3  # names in the key of a store's option, such as storage.s3.endpoint_url


def table_layer(
    table: Mapping[str, Any],
    origin: str,
    tree: type[Settings],
    *,
    secret: bool = False,
    prefix: KeyPath = (),
) -> Layer:
    """Return a nested table as a layer; an empty table sets nothing."""
    layer: Layer = {}
    for name, value in table.items():
        path = canonical(tree, (*prefix, name))
        if isinstance(value, Mapping):
            layer |= table_layer(value, origin, tree, secret=secret, prefix=path)
        else:
            layer[path] = Setting(value, origin, secret or _is_secret(path))
    return layer


def environment_layer(environ: Mapping[str, str], tree: type[Settings]) -> Layer:
    """Return the RECSYS_* variables as a layer: RECSYS_RANKER__DEPTH sets ranker.depth."""
    layer: Layer = {}
    for name in sorted(environ):
        if name.startswith(PREFIX) and name not in NOT_SETTINGS:
            path = [_lower_case(one) for one in name.removeprefix(PREFIX).split("__")]
            layer = overlay(layer, _text_layer(path, environ[name], name, tree))
    return layer


def override_layer(overrides: Sequence[str], tree: type[Settings]) -> Layer:
    """Return `--set key=value` options as a layer; the last option of a key wins.

    Raises: SettingsError for an option without a key or an equals sign.
    """
    layer: Layer = {}
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals or not key.strip():
            raise SettingsError(
                f"{override!r} is not key=value", where="--set", fix="write it as --set ranker.depth=6"
            )
        layer = overlay(layer, _text_layer(key.strip().split("."), text, "--set", tree))
    return layer


def overlay(base: Layer, upper: Layer) -> Layer:
    """Return `base` overridden by `upper`: tables are merged key by key, other values replaced."""
    rest = {
        path: setting
        for path, setting in base.items()
        if not any(_is_same_branch(path, new) for new in upper)
    }
    return rest | upper


def nested(layer: Layer) -> dict[str, Any]:
    """Return a layer as the nested table that the schema validates."""
    root: dict[str, Any] = {}
    for path, setting in layer.items():
        table = root
        for name in path[:-1]:
            table = table.setdefault(name, {})
        table[path[-1]] = setting.value
    return root


def setting_at(layer: Layer, path: Sequence[str]) -> Setting | None:
    """Return the setting at `path`, or one above or below it."""
    return next((setting for known, setting in layer.items() if _is_same_branch(known, tuple(path))), None)


def _text_layer(names: Sequence[str], text: str, origin: str, tree: type[Settings]) -> Layer:
    if len(names) > DEEPEST or not all(map(is_text, names)):
        reason = TOO_DEEP if len(names) > DEEPEST else "it is not UTF-8 text"
        raise SettingsError(f"{'.'.join(names)[:_SHOWN]}: {reason}", where=origin, fix="correct the key")
    path = canonical(tree, names)
    value = _parsed(text, ".".join(names), origin)
    if not isinstance(value, str) and holds_text(tree, path):
        value = text  # "2026-11-23" and "007" are text where the schema wants text
    return table_layer({path[-1]: value}, origin, tree, prefix=path[:-1])


def _is_secret(path: KeyPath) -> bool:
    """Return whether a value is a secret by its key; a text where a store's options belong may be one."""
    return is_secret_name(path[-1]) or (path[0] == "storage" and len(path) < _OPTION)


def _parsed(text: str, key: str, origin: str) -> Any:
    try:
        value = parse_with_toml(text)
        check_values(value)
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"{key[:_SHOWN]}: {reason_of(error)}", where=origin, fix="correct it") from None
    return value


def _lower_case(name: str) -> str:
    return name.lower() if name.isupper() else name


def _is_same_branch(one: KeyPath, other: KeyPath) -> bool:
    shared = min(len(one), len(other))
    return one[:shared] == other[:shared]
