"""What is never shown: values of .secrets.toml, and of keys whose name says that they are secret."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, Final

MASK: Final = "********"
_SECRET_NAME = re.compile(
    r"(^|_)(passwords?|passwd|secrets?|tokens?|keys?|credentials?|connection_string)(_|$)", re.IGNORECASE
)
_SHORTEST_SECRET = 4  # characters; anything shorter would be masked in the midst of words
_PARTS = re.compile(r"""'([^']+)'|"([^"]+)"|://[^/@\s]*:([^/@\s]+)@""")  # literals, passwords in addresses
_LONGEST = 120  # characters of a value in a message


@dataclass(frozen=True)
class Secrets:
    """Texts that are never shown, the longest first."""

    texts: tuple[str, ...] = ()

    @classmethod
    def of(cls, values: Iterable[Any]) -> "Secrets":
        """Return the texts among the values and in their lists, the literals and passwords in them, and each
        way that a message may write these.
        """
        listed = [one for value in values for one in (value if isinstance(value, list) else [value])]
        texts = [one for one in listed if isinstance(one, str)]
        texts += [part for one in texts for found in _PARTS.findall(one) for part in found]
        written = {way for one in texts for way in _ways(one)}
        written |= {way[: _LONGEST - 2] for way in written}  # as `shown` cuts it
        long = [one for one in written if len(one) >= _SHORTEST_SECRET]
        return cls(tuple(sorted(long, key=len, reverse=True)))

    def hide(self, text: str) -> str:
        """Return `text` with every secret masked."""
        for secret in self.texts:
            text = text.replace(secret, MASK)
        return text

    def hide_in(self, value: Any) -> Any:
        """Return a JSON value with every secret in its texts masked; keys stay."""
        if isinstance(value, str):
            return self.hide(value)
        if isinstance(value, dict):
            return {key: self.hide_in(one) for key, one in value.items()}
        return [self.hide_in(one) for one in value] if isinstance(value, list | tuple) else value


def _ways(text: str) -> tuple[str, ...]:
    """Return a text in each way that a message may write it."""
    quoted = repr(text), ascii(text), json.dumps(text), json.dumps(text, ensure_ascii=False)
    return text, str(PurePath(text)), *(one[1:-1] for one in quoted)


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
