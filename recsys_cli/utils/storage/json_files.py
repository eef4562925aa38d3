"""JSON files, written atomically; sealed ones contain a hash of themselves, so that changes are found."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic_core import from_json

from recsys_cli.utils.storage.atomic_writes import replace_bytes
from recsys_cli.utils.storage.hashing import sha256_of_json
from recsys_cli.utils.storage.regular_files import RECORD_BYTES, read_regular

_SEAL = "seal"


def write_json(target: Path, value: Any, beside: Path | None = None) -> None:
    """Write `value` atomically as indented JSON with sorted keys; `beside`: as `replace_bytes` takes it.

    Raises: OutputError if it cannot be written.
    """
    replace_bytes(target, _json_bytes(value), beside)


def read_json(path: Path, most: int = RECORD_BYTES) -> Any:
    """Return the JSON value in a file.

    Args:
        most: bytes that the file may have.

    Raises: OSError if it cannot be opened or is no regular file; ValueError if it is not JSON, whose numbers
        are finite.
    """
    return from_json(read_regular(path, most), allow_inf_nan=False)


def write_sealed_json(target: Path, value: Mapping[str, Any]) -> None:
    """Write an object as `write_json` does, with a hash of its content in it.

    Raises: OutputError if it cannot be written.
    """
    replace_bytes(target, sealed(value))


def read_sealed_json(path: Path) -> dict[str, Any]:
    """Return the object that `write_sealed_json` wrote.

    Raises: OSError if it cannot be opened or is no regular file; ValueError if it was changed since.
    """
    return unsealed(read_regular(path, RECORD_BYTES))


def sealed(value: Mapping[str, Any]) -> bytes:
    """Return an object as indented JSON with sorted keys, with a hash of its content in it."""
    return _json_bytes({**value, _SEAL: sha256_of_json(value)})


def unsealed(content: bytes) -> dict[str, Any]:
    """Return the object that `sealed` encoded.

    Raises: ValueError if it was changed since.
    """
    value = from_json(content, allow_inf_nan=False)
    if not isinstance(value, dict) or value.pop(_SEAL, None) != sha256_of_json(value):
        raise ValueError("it was changed after it was written")
    return value


def _json_bytes(value: Any) -> bytes:
    return (json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()
