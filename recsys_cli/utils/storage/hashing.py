"""SHA-256 of files and of JSON values."""

import hashlib
import json
from pathlib import Path
from typing import Any

from recsys_cli.utils.storage.regular_files import open_regular


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a regular file's bytes, in hexadecimal. Raises: OSError."""
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of_json(value: Any) -> str:
    """Return the SHA-256 of a JSON value; the order of its keys does not matter."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()
