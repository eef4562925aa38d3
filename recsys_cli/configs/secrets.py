"""Masking of secrets: values of .secrets.toml, and of keys with a secret's name."""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from recsys_cli.utils.credentials import MASK, SHORTEST_SECRET, secrets_in, without_credentials
from recsys_cli.utils.storage.uris import is_uri

_SECRET_NAME = re.compile(
    r"(^|_)(passwords?|passwd|secrets?|tokens?|keys?|credentials?|connection_string)(_|$)", re.IGNORECASE
)
_INNER_SECRETS = re.compile(
    r"""'([^']+)'|"([^"]+)"|://[^/@\s]*:([^/@\s]+)@"""
)  # quoted literals, passwords in URIs
_LONGEST = 120  # characters of a value in a message


@dataclass(frozen=True)
class Secrets:
    """Texts that must never be shown, the longest first."""

    texts: tuple[str, ...] = ()

    @classmethod
    def of(cls, values: Iterable[Any]) -> "Secrets":
        """Return the texts among the values and in their lists, the quoted literals and passwords in them,
        and every way in which a message may quote these.
        """
        texts = [text for value in values for text in texts_in(value)]
        texts += [inner for one in texts for found in _INNER_SECRETS.findall(one) for inner in found]
        texts += [inner for one in texts if is_uri(one) for inner in secrets_in(one)]
        written = {way for one in texts for way in _quotations(one)}
        written |= {way[: _LONGEST - 2] for way in written}  # as `shown` shortens it
        long = [one for one in written if len(one) >= SHORTEST_SECRET]
        return cls(tuple(sorted(long, key=len, reverse=True)))

    def hide(self, text: str) -> str:
        """Return `text` with every secret masked, and what looks like a credential of anyone's."""
        for secret in self.texts:
            text = text.replace(secret, MASK)
        return without_credentials(text)

    def hide_in(self, value: Any) -> Any:
        """Return a JSON value with every secret in its texts masked; keys stay."""
        if isinstance(value, str):
            return self.hide(value)
        if isinstance(value, dict):
            return {key: self.hide_in(one) for key, one in value.items()}
        return [self.hide_in(one) for one in value] if isinstance(value, list | tuple) else value


def texts_in(value: Any) -> Iterator[str]:
    """Yield the texts of a value, also those inside its lists and tables."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for one in value.values() if isinstance(value, dict) else value:
            yield from texts_in(one)


def _quotations(text: str) -> tuple[str, ...]:
    """Return a text in every way in which a message may quote it."""
    quoted = repr(text), ascii(text), json.dumps(text), json.dumps(text, ensure_ascii=False)
    return text, str(PurePath(text)), *(one[1:-1] for one in quoted)


def is_secret_name(name: str) -> bool:
    """Return whether a key's last name is that of a secret."""
    return _SECRET_NAME.search(name) is not None


def shown(value: Any, *, secret: bool) -> str:
    """Return `value` as text for a message: masked if secret, shortened if long."""
    if secret:
        return MASK
    if isinstance(value, dict):
        return "{…}"
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def masked(text: str, value: Any) -> str:
    """Return `text` with the secret `value` masked where it is quoted."""
    for quoted in (repr(value), str(value)):
        if quoted:
            text = text.replace(quoted, MASK)
    return text
