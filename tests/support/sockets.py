"""Where the processes of a service listen, from what the kernel tells."""

import ipaddress
import os
from contextlib import suppress
from pathlib import Path

_LISTEN = "0A"


def listening(pids: set[int]) -> dict[tuple[str, int], int]:
    """Address and port -> process, of the TCP sockets on which they listen."""
    owners = {}
    for pid in pids:
        with suppress(OSError):
            for entry in os.scandir(f"/proc/{pid}/fd"):
                with suppress(OSError):
                    owners[os.readlink(entry.path)] = pid
    found = {}
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            field = line.split()
            pid = owners.get(f"socket:[{field[9]}]", 0)
            if field[3] == _LISTEN and pid:
                address, port = field[1].split(":")
                found[_address(address), int(port, 16)] = pid
    return found


def is_loopback(address: str) -> bool:
    parsed = ipaddress.ip_address(address)
    mapped = getattr(parsed, "ipv4_mapped", None)
    return (mapped or parsed).is_loopback


def _address(kernels: str) -> str:
    """Words of four bytes, each in the machine's order."""
    words = [bytes.fromhex(kernels[i : i + 8])[::-1] for i in range(0, len(kernels), 8)]
    return str(ipaddress.ip_address(b"".join(words)))
