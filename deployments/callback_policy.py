"""Where callbacks may go. Every resolved address is checked, and the checked address is the one used.

Private networks are allowed by default, because clients are called back on a container network with nothing
configured; loopback, link-local (with the cloud metadata addresses), multicast and unspecified ones are not. An
allow-list narrows it to names, ``*.wildcards`` and networks, and is the only way to allow loopback.
"""

import asyncio
import fnmatch
import ipaddress
import socket
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from models.errors import InvalidField

_METADATA_NAMES = frozenset({"metadata", "metadata.google.internal", "metadata.goog", "instance-data"})
_METADATA_ADDRESSES = frozenset({"169.254.169.254", "fd00:ec2::254", "100.100.100.200", "192.0.0.192"})

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_COMPATIBLE = ipaddress.IPv6Network("::/96")

Resolve = Callable[[str, int], Awaitable[list[str]]]
"""Host and port to addresses. Raises ``OSError`` or ``UnicodeError`` when the name does not resolve."""
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class CallbackPolicy:
    def __init__(self, allowed_hosts: tuple[str, ...], resolve: Resolve | None = None) -> None:
        self._resolve = resolve or _getaddrinfo
        self._patterns = tuple(h.lower() for h in allowed_hosts if not _network(h))
        self._networks = tuple(net for h in allowed_hosts if (net := _network(h)))
        self._listed = bool(allowed_hosts)

    async def check(self, url: str) -> list[str]:
        """The addresses that may be used for this URL; empty when the name does not resolve (yet).

        Raises ``InvalidField`` naming ``callback_url`` when the URL, or any of its addresses, is refused.
        """
        host, port = self._host(url)
        try:
            addresses = await self._resolve(host, port)
        except (OSError, UnicodeError):
            return []
        for text in addresses:
            self._check_address(host, ipaddress.ip_address(text.split("%")[0]))
        return addresses

    def _host(self, url: str) -> tuple[str, int]:
        if any(char <= " " or char in "\x7f\\" for char in url):
            raise _refused("it has spaces, control characters or backslashes")
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            raise _refused("it is not a URL") from None
        if parts.scheme not in ("http", "https") or not host:
            raise _refused("only http:// and https:// URLs are allowed")
        if "@" in parts.netloc:
            raise _refused("a URL with credentials is not allowed")
        if not parts.netloc.isascii():
            raise _refused("its host has characters outside of ASCII; write it as IDNA does (xn--...)")
        if port == 0 or "%" in host:
            raise _refused("port 0 and network interfaces are not allowed")
        if host.rstrip(".").lower() in _METADATA_NAMES:
            raise _refused(f"the host {host} is a metadata service")
        return host, port or (443 if parts.scheme == "https" else 80)

    def _check_address(self, host: str, address: Address) -> None:
        if isinstance(address, ipaddress.IPv6Address):
            address = _carried(address) or address
        if str(address) in _METADATA_ADDRESSES:
            raise _refused(f"{host} is a metadata service's address")
        named = any(fnmatch.fnmatchcase(host.lower(), pattern) for pattern in self._patterns)
        if named or any(address in network for network in self._networks):
            return
        if self._listed:
            raise _refused(f"{host} is not in CALLBACK_ALLOWED_HOSTS")
        if (
            address.is_loopback or address.is_link_local or address.is_multicast or address.is_unspecified
            or address.is_reserved
        ):  # fmt: skip
            raise _refused(f"{host} is a loopback, link-local, multicast, reserved or unspecified address")


async def _getaddrinfo(host: str, port: int) -> list[str]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def _carried(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that a translator or a tunnel would send to."""
    if address.ipv4_mapped:
        return address.ipv4_mapped
    if address.sixtofour:
        return address.sixtofour
    if address.teredo:
        return address.teredo[1]
    number = int(address)
    if address in _NAT64 or (address in _COMPATIBLE and number > 0xFFFF):
        return ipaddress.IPv4Address(number & 0xFFFFFFFF)
    return None


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def _refused(why: str) -> InvalidField:
    return InvalidField(f"callback_url is refused: {why}.", field="callback_url")
