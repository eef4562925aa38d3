"""What the schema knows about a settings key: its type, its spelling, similar keys.

`tree` is the class of the settings with the sections of all sources and features.
"""

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import Any, Literal, get_args, get_origin

from recsys_cli.configs.fields import Section
from recsys_cli.configs.sections import Settings

KeyPath = tuple[str, ...]
FREE_NAME = "NAME"  # stands for a key that users choose


def annotation_at(tree: type[Settings], path: Sequence[str]) -> Any:
    """Return the declared type at `path`, or None if the schema has no such key."""
    kind: Any = tree
    for name in path:
        kind = _child(kind, name)
    return kind


def holds_text(tree: type[Settings], path: Sequence[str]) -> bool:
    """Return whether the key at `path` is text, so that "007" must stay as it was written."""
    kind = annotation_at(tree, path)
    return kind is str or (
        get_origin(kind) is Literal and all(isinstance(one, str) for one in get_args(kind))
    )


def canonical(tree: type[Settings], path: Sequence[str]) -> KeyPath:
    """Return `path` in lower case, except for keys that users choose (columns, flag features)."""
    names: list[str] = []
    for name in path:
        free = get_origin(annotation_at(tree, names)) is dict
        names.append(name if free else name.lower())
    return tuple(names)


def known_keys(tree: type[Settings]) -> list[str]:
    """Return the dotted key of each section and setting, in the schema's order."""
    return [".".join(path) for path in _paths(tree, ())]


def close_keys(key: str, keys: Sequence[str]) -> list[str]:
    """Return the `keys` most similar to `key`, the most similar first; the last name alone may match."""
    by_name = {known: known.rpartition(".")[2] for known in keys}
    names = get_close_matches(key.rpartition(".")[2], list(by_name.values()), n=3, cutoff=0.75)
    alike = get_close_matches(key, keys, n=3, cutoff=0.75)
    named = [known for name in names for known in keys if by_name[known] == name]
    return list(dict.fromkeys([*alike, *named]))[:3]


def _child(kind: Any, name: str) -> Any:
    if _is_section(kind):
        field = kind.model_fields.get(name)
        return field.annotation if field else None
    if get_origin(kind) is dict:
        return get_args(kind)[1]
    return None


def _is_section(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Section)


def _paths(section: type[Section], prefix: KeyPath) -> Iterator[KeyPath]:
    for name, field in section.model_fields.items():
        yield (*prefix, name)
        kind: Any = field.annotation
        if _is_section(kind):
            yield from _paths(kind, (*prefix, name))
        elif get_origin(kind) is dict and _is_section(get_args(kind)[1]):
            yield from _paths(get_args(kind)[1], (*prefix, name, FREE_NAME))
