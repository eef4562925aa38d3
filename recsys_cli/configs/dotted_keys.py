"""Read and change settings by their dotted keys."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import reduce
from typing import Any

from recsys_cli.configs.schema import KeyPath
from recsys_cli.configs.sections import Settings
from recsys_cli.utils.credentials import MASK


def value_at(settings: Settings, key: str) -> Any:
    """Return the section or value at a dotted key.

    Raises: AttributeError for a key that the schema does not have.
    """
    return reduce(getattr, key.split("."), settings)


def with_values(settings: Settings, values: Mapping[str, Any]) -> Settings:
    """Return the settings with other values at these dotted keys, validated.

    Raises: pydantic's ValidationError for an invalid value.
    """
    root = settings.model_dump()
    for key, value in values.items():
        section, _, name = key.rpartition(".")
        _table_at(root, section)[name] = value
    return type(settings).model_validate(root)


def without(settings: Settings, keys: Iterable[str]) -> dict[str, Any]:
    """Return the settings as a JSON value without these dotted keys."""
    root = settings.model_dump(mode="json")
    for key in keys:
        section, _, name = key.rpartition(".")
        del _table_at(root, section)[name]
    return root


def recorded(settings: Settings, secrets: Collection[str]) -> dict[str, Any]:
    """Return the settings as a JSON value with the values of these dotted keys masked."""
    root = settings.model_dump(mode="json")
    for key in secrets:
        section, _, name = key.rpartition(".")
        (_table_at(root, section) if section else root)[name] = MASK
    return root


def flat(table: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a nested table by their dotted keys."""
    return {".".join(path): value for path, value in leaves(table)}


def nested_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values by their dotted keys as a nested table: the inverse of `flat`.

    Raises: ValueError for a key below another that has a value.
    """
    root: dict[str, Any] = {}
    for key, value in values.items():
        *sections, name = key.split(".")
        table = root
        for section in sections:
            table = table.setdefault(section, {})
            if not isinstance(table, dict):
                raise ValueError(f"{key} lies below a value")
        table[name] = value
    return root


def leaves(table: Mapping[str, Any], prefix: KeyPath = ()) -> Iterator[tuple[KeyPath, Any]]:
    """Yield every value of a nested table with its path; an empty table counts as a value."""
    for name, value in table.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, (*prefix, name))
        else:
            yield (*prefix, name), value


def _table_at(root: dict[str, Any], section: str) -> dict[str, Any]:
    found: dict[str, Any] = reduce(lambda table, name: table[name], section.split("."), root)
    return found
