"""Where callbacks may go. Every resolved address is checked, and the checked address is the one used.

Private networks are allowed by default, because clients are called back on a container network with nothing
configured; loopback, link-local (with the cloud metadata addresses), multicast and unspecified ones are not. An
allow-list narrows it to names, ``*.wildcards`` and networks, and is the only way to allow loopback.
"""

import asyncio
import fnmatch
import ipaddress
import socket
from urllib.parse import urlsplit

from models.errors import InvalidField

_METADATA_NAMES = frozenset({"metadata", "metadata.google.internal", "metadata.goog", "instance-data"})
_METADATA_ADDRESSES = frozenset({"169.254.169.254", "fd00:ec2::254", "100.100.100.200", "192.0.0.192"})

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class CallbackPolicy:
    def __init__(self, allowed_hosts: tuple[str, ...]) -> None:
        self._patterns = tuple(h.lower() for h in allowed_hosts if not _network(h))
        self._networks = tuple(net for h in allowed_hosts if (net := _network(h)))
        self._listed = bool(allowed_hosts)

    async def check(self, url: str) -> list[str]:
        """The addresses that may be used for this URL; empty when the name does not resolve (yet).

        Raises ``InvalidField`` naming ``callback_url`` when the URL, or any of its addresses, is refused.
        """
        host, port = self._host(url)
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (socket.gaierror, UnicodeError):
            return []
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        for text in addresses:
            self._check_address(host, ipaddress.ip_address(text.split("%")[0]))
        return addresses

    def _host(self, url: str) -> tuple[str, int]:
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            raise _refused("it is not a URL") from None
        if parts.scheme not in ("http", "https") or not host:
            raise _refused("only http:// and https:// URLs are allowed")
        if parts.username or parts.password:
            raise _refused("a URL with credentials is not allowed")
        if host.rstrip(".").lower() in _METADATA_NAMES:
            raise _refused(f"the host {host} is a metadata service")
        return host, port or (443 if parts.scheme == "https" else 80)

    def _check_address(self, host: str, address: Address) -> None:
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        if str(address) in _METADATA_ADDRESSES:
            raise _refused(f"{host} is a metadata service's address")
        named = any(fnmatch.fnmatchcase(host.lower(), pattern) for pattern in self._patterns)
        if named or any(address in network for network in self._networks):
            return
        if self._listed:
            raise _refused(f"{host} is not in CALLBACK_ALLOWED_HOSTS")
        if address.is_loopback or address.is_link_local or address.is_multicast or address.is_unspecified:
            raise _refused(f"{host} is a loopback, link-local, multicast or unspecified address")


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def _refused(why: str) -> InvalidField:
    return InvalidField(f"callback_url is refused: {why}.", field="callback_url")
