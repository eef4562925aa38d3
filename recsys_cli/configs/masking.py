"""What is never shown: values of .secrets.toml, and of keys whose name says that they are secret."""

import json
import re
from typing import Any, Final

MASK: Final = "********"
_SECRET_NAME = re.compile(r"(^|_)(passwords?|passwd|secrets?|tokens?|keys?|credentials?)(_|$)", re.IGNORECASE)
_LONGEST = 120  # characters of a value in a message


def is_secret_name(name: str) -> bool:
    """Whether a key's last name says that its value is a secret."""
    return _SECRET_NAME.search(name) is not None


def shown(value: Any, *, secret: bool) -> str:
    """Return `value` as a message may show it."""
    if secret:
        return MASK
    if isinstance(value, dict):
        return "{…}"
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def masked(text: str, value: Any) -> str:
    """Return `text` without the secret `value` that it may quote."""
    for part in (repr(value), str(value)):
        if part:
            text = text.replace(part, MASK)
    return text
