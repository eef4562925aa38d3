"""Mask credentials in texts of others: errors of libraries, their logs, tracebacks.

They are found by their form, and by the environment: what it gives to proxies and stores is known.
"""

import os
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Final
from urllib.parse import unquote

MASK: Final = "********"
SHORTEST_SECRET: Final = 4  # characters; anything shorter would be masked inside ordinary words
_SHORTEST_VALUE = 8  # the same of a value that may be no secret: of a query, of a variable
_KEY = (
    r"[\w.-]{0,40}(?:passw(?:or)?d|pwd|secret|token|account_?key|access_?key|access_?signature|api_?key"
    r"|signature|sig|credential)"
)
_FORMS: Final = tuple(
    (re.compile(signs), re.compile(form, re.IGNORECASE), masked)
    for signs, form, masked in (  # a form is only looked for where its signs are
        ("@", r"(?<=://)[^\s/?#'\"`<>]*@", f"{MASK}@"),  # user and password
        (
            "[?#]",
            r"(\b[a-z][a-z0-9+.-]{0,20}://[^\s?#'\"`<>]{0,2000})[?#][^\s'\"`<>)\]]+",  # a query
            r"\1?…",
        ),
        ("[?]", r"(/[^\s?#'\"`<>]{0,2000})\?[\w.~%-]+=[^\s'\"`<>)\]]*", r"\1?…"),  # the same without its host
        (
            "[:=]",
            r"\b((?:proxy-)?authorization|cookie)\b(['\"]?\s*[:=]\s*(?:b(?=['\"]))?['\"]?)[^'\"\n]+",
            rf"\1\2{MASK}",
        ),
        ("[0-9=]", r"\b(bearer|basic)\s+(?=\S*[\d=])[\w+/=.~-]{8,}", rf"\1 {MASK}"),
        ("[:=]", rf"\b({_KEY}(?:=|['\"]\s*[:=]\s*))(b?)(['\"])(?:(?!\3)[^\n])*\3", rf"\1\2\3{MASK}\3"),
        ("=", rf"\b({_KEY}=)(?!['\"*])[^\s'\"`;,&)\]}}]+", rf"\1{MASK}"),
    )
)
_KEY_OF_PAIR = re.compile(rf"{_KEY}=", re.IGNORECASE)
_STORES = ("AWS_", "AZURE_", "GOOGLE_", "GCS_", "GCP_", "S3_")
_SECRET_VARIABLE = re.compile(
    r"(SECRET|TOKEN|PASSWORD|ACCOUNT_KEY|ACCESS_KEY$|CONNECTION_STRING)(?!.*_FILE$)"
)
_ADDRESS_VARIABLE = re.compile(r"(_PROXY|_URL|_URI|ENDPOINT|CONNECTION_STRING)", re.IGNORECASE)


def without_credentials(text: str) -> str:
    """Return a text with users, passwords, queries of addresses, signatures and keys in it masked."""
    for secret in _secrets_among(tuple(_variables(os.environ))):
        text = text.replace(secret, MASK)
    for signs, form, masked in _FORMS:
        if signs.search(text):
            text = form.sub(masked, text)
    return text


def secrets_in(address: str) -> set[str]:
    """Return user, password, query and keys of an address or connection string, as written and decoded."""
    found = _user_in(address)
    query = address.partition("?")[2]
    if "=" in query:
        values = [query, *(pair.partition("=")[2] for pair in query.split("&"))]
        found |= {one for one in values if len(one) >= _SHORTEST_VALUE}
    found |= {pair.partition("=")[2] for pair in address.split(";") if _KEY_OF_PAIR.match(pair)}
    return {one for one in found | set(map(unquote, found)) if len(one) >= SHORTEST_SECRET}


def _user_in(address: str) -> set[str]:
    """Return user with password, and the password, of an address with or without a scheme."""
    user = address.rpartition("://")[2].rpartition("@")[0]
    if ":" in user:
        return {user, user.partition(":")[2]}
    return set() if "/" in user else {user}


def _variables(environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the variables that may hold credentials."""
    for name, value in environ.items():
        if _is_secret(name) or (("@" in value or "=" in value) and _ADDRESS_VARIABLE.search(name)):
            yield name, value


def _is_secret(name: str) -> bool:
    return name.startswith(_STORES) and _SECRET_VARIABLE.search(name) is not None


@lru_cache(maxsize=1)
def _secrets_among(variables: tuple[tuple[str, str], ...]) -> list[str]:
    """Return the secrets among variables, the longest first."""
    found: set[str] = set()
    for name, value in variables:
        found |= secrets_in(value)
        if _is_secret(name) and len(value) >= _SHORTEST_VALUE:
            found.add(value)
    return sorted(found, key=len, reverse=True)
