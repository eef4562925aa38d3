"""Where a request may go: the rules for redirects."""

import socket
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from urllib.parse import urljoin, urlsplit, urlunsplit

from recsys_cli.utils.storage.network_limits import StoreError

_HOPS = 10
_NAT64 = IPv6Network("64:ff9b::/96")  # an IPv4 address in its last four bytes
_PORTS = {"http": 80, "https": 443}


class Route:
    """The hosts of a request, the first one from the settings and the others from redirects.

    Args:
        address: of the settings.
        allowed: other hosts that may be next; `*.example.org`: all hosts below it.
    """

    def __init__(self, address: str, allowed: Sequence[str]) -> None:
        self.address = address
        self._first = address
        self._allowed = allowed
        self._hops = 0
        self._was_public = False

    def redirect(self, location: str) -> None:
        """Go to the address that a server names.

        Raises: StoreError if a redirect must not lead there; ValueError for what is no address.
        """
        self._hops += 1
        if self._hops > _HOPS:
            raise StoreError(f"it redirects more than {_HOPS} times")
        split = urlsplit(urljoin(self.address, location))
        if split.scheme not in _PORTS or not split.hostname:
            raise StoreError(f"it redirects to an address that is none of the web: {split.scheme[:20]!a}")
        if split.scheme == "http" and urlsplit(self.address).scheme == "https":
            raise StoreError(f"it redirects from https to http, to {split.hostname!a:.100}")
        if not self._may_follow(split.hostname):
            raise StoreError(
                f"it redirects to another host, {split.hostname!a:.100}",
                "if that host is right, add it to storage.network.redirect_hosts, or use the final address",
            )
        without_user = split.netloc.rpartition("@")[2]
        self.address = urlunsplit(split._replace(netloc=without_user))

    def look_up(self) -> None:
        """Validate the current host by its name, as a proxy reaches it; one that is unknown here is public.

        Raises: as `validate`.
        """
        self.validate(_addresses_of(urlsplit(self.address).hostname or ""))

    def is_at_origin(self) -> bool:
        """Return whether scheme, host and port are those of the settings: credentials may be sent."""
        return _origin(self.address) == _origin(self._first)

    def validate(self, addresses: Sequence[str]) -> None:
        """Validate the network addresses of the current host, before anything is sent to them.

        Raises: StoreError if a public host has redirected to a private, loopback or link-local one.
        """
        public = [is_public(one) for one in addresses]
        if self._hops and self._was_public and not all(public):
            raise StoreError("a public host redirects to an address of a private network")
        self._was_public |= any(public) or not public

    def _may_follow(self, host: str) -> bool:
        first = urlsplit(self._first).hostname
        return host == first or any(
            host == one.lower() or (one.startswith("*.") and host.endswith(one[1:].lower()))
            for one in self._allowed
        )


def is_public(address: str) -> bool:
    """Return whether an IP address, and the IPv4 address that it may stand for, is one of the internet."""
    found = ip_address(address.partition("%")[0])
    return all(one.is_global and not one.is_multicast for one in (found, *_inner(found)))


def _inner(address: IPv4Address | IPv6Address) -> list[IPv4Address]:
    if isinstance(address, IPv4Address):
        return []
    last = IPv4Address(int(address) & 0xFFFFFFFF) if address in _NAT64 else None
    return [one for one in (address.ipv4_mapped, address.sixtofour, last) if one is not None]


def _addresses_of(host: str) -> list[str]:
    """Return the addresses of a host; none for a name that only a proxy knows."""
    try:
        return [str(found[4][0]) for found in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)]
    except socket.gaierror:
        return []


def _origin(address: str) -> tuple[str, str | None, int | None]:
    split = urlsplit(address)
    return split.scheme, split.hostname, split.port or _PORTS.get(split.scheme)
