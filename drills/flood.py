"""``scripts/flood``: clients that want a service's memory, kind by kind, and what its processes hold meanwhile.

- sockets: WebSockets whose client asks without end and reads nothing
- bodies: uploads of which a part comes, and then a byte now and then
- endless: bodies where none is asked for, on calls that are answered
- readers: clients that fetch a large result, and read just enough not to be ended
- batches: the same with a batch's zip

Memory is what a process has for itself (RssAnon), of the HTTP proxy and of the ingress replica.
"""

import argparse
import asyncio
import contextlib
import json
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import requests
from rich.console import Console
from rich.table import Table
from websockets.client import ClientProtocol
from websockets.uri import parse_uri

from drills.ending import end_on_sigterm
from drills.traffic import request_body
from tests.support.pictures import encoded
from tests.support.service import Service, running

_IDLE_S = 10.0
"""UPLOAD_IDLE_TIMEOUT: the clients know it, and stay just within it."""
_INFLIGHT_BYTES = 2**29
_SIDE = 2000
"""Of the picture, of noise: 12 MB as PNG."""
_BATCH = 10
_PIECE = bytes(65_536)
_PARTS = {"proxy": "ray::ProxyActor", "ingress": "ray::ServeReplica:iopaint:Ingress", "tracker": "ray::TrackerActor"}


def anonymous_bytes(pid: int) -> int:
    """0 for a process that has ended."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) * 1024
    return 0


@dataclass
class Watch:
    """Of memory, and of how health answers, while a kind of clients is there."""

    service: Service
    most: dict[str, int] = field(default_factory=dict)
    health_s: list[float] = field(default_factory=list)
    failed: int = 0

    def look(self) -> None:
        for part, title in _PARTS.items():
            held = sum(anonymous_bytes(pid) for pid in self.service.named(title))
            self.most[part] = max(self.most.get(part, 0), held)
        start = time.monotonic()
        try:
            requests.get(f"{self.service.url}/api/v1/health", timeout=10).raise_for_status()
        except requests.RequestException:
            self.failed += 1
        self.health_s.append(time.monotonic() - start)


@contextlib.contextmanager
def watching(service: Service) -> Iterator[Watch]:
    watch, stop = Watch(service), threading.Event()

    def run() -> None:
        while not stop.wait(0.25):
            watch.look()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield watch
    finally:
        stop.set()
        thread.join()


class Clients:
    """``number`` connections of each kind, over the addresses 127.0.0.1 to 127.0.0.4."""

    def __init__(self, url: str, number: int) -> None:
        self._port = urlsplit(url).port or 80
        self.number = number
        self.took = 0
        """Bytes that the service took from them, and gave to them."""

    async def sockets(self, index: int) -> None:
        reader, writer = await self._connect(index)
        protocol = ClientProtocol(parse_uri(f"ws://127.0.0.1:{self._port}/api/v1/ws/progress"))
        protocol.send_request(protocol.connect())
        writer.write(b"".join(protocol.data_to_send()))
        protocol.receive_data(await reader.readuntil(b"\r\n\r\n"))
        while True:
            protocol.send_text(json.dumps({"type": "ping", "timestamp": "x" * 60_000}).encode())
            await self._write(writer, b"".join(protocol.data_to_send()))

    async def bodies(self, index: int) -> None:
        _, writer = await self._connect(index)
        writer.write(
            self._head("POST /api/v1/inpaint-batch", "Content-Type: application/json\r\nContent-Length: 600000000")
        )
        for _ in range(128):
            await self._write(writer, _PIECE)
        while True:
            await asyncio.sleep(_IDLE_S / 3)
            await self._write(writer, b" ")

    async def endless(self, index: int) -> None:
        """While the answer is under way, as it is for a slow reader."""
        _, writer = await self._connect(index, small=True)
        writer.write(self._head("GET /api/v1/task-result/noise", "Transfer-Encoding: chunked"))
        while True:
            await self._write(writer, b"10000\r\n" + _PIECE + b"\r\n")

    async def readers(self, index: int) -> None:
        await self._read_slowly(index, "GET /api/v1/task-result/noise")

    async def batches(self, index: int) -> None:
        await self._read_slowly(index, "GET /api/v1/batch-result/noises")

    async def _read_slowly(self, index: int, call: str) -> None:
        reader, writer = await self._connect(index, small=True)
        writer.write(self._head(call, "Accept: */*"))
        while await reader.read(65_536):
            self.took += 65_536
            await asyncio.sleep(_IDLE_S / 4)

    async def _write(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        writer.write(data)
        await writer.drain()
        self.took += len(data)

    async def _connect(self, index: int, small: bool = False) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """``small``: the kernel reads little ahead."""
        made = socket.socket()
        made.setblocking(False)
        if small:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
        made.bind((f"127.0.0.{1 + index % 4}", 0))
        await asyncio.get_running_loop().sock_connect(made, ("127.0.0.1", self._port))
        return await asyncio.open_connection(sock=made, limit=16_384)

    def _head(self, call: str, headers: str) -> bytes:
        return f"{call} HTTP/1.1\r\nHost: x\r\n{headers}\r\n\r\n".encode()


async def keep(kind: Callable[[int], Awaitable[None]], number: int, seconds: float) -> None:
    """Whoever is ended comes again."""
    end = time.monotonic() + seconds

    async def one(index: int) -> None:
        while time.monotonic() < end:
            with contextlib.suppress(OSError, EOFError, TimeoutError, asyncio.LimitOverrunError):
                await asyncio.wait_for(kind(index), end - time.monotonic())
            await asyncio.sleep(0.2)

    await asyncio.gather(*(one(index) for index in range(number)))


def prepare(url: str) -> None:
    """A result of 12 MB, and a batch of several."""
    noise = encoded(np.random.default_rng(0).integers(0, 256, (_SIDE, _SIDE, 3), np.uint8))
    body = request_body(noise, [{"x": 40, "y": 60, "width": 120, "height": 30}], "fake")
    items = {"items": [body] * _BATCH, "batch_id": "noises"}
    for path, sent in (("inpaint-regions-async", body | {"task_id": "noise"}), ("inpaint-batch", items)):
        requests.post(f"{url}/api/v1/{path}", json=sent, timeout=120).raise_for_status()
    while requests.get(f"{url}/api/v1/tasks", timeout=30).json()["active_tasks"]:
        time.sleep(0.5)


def main(arguments: list[str] | None = None) -> int:
    end_on_sigterm()
    parser = argparse.ArgumentParser(prog="scripts/flood", description=__doc__)
    parser.add_argument("--seconds", type=float, default=20, help="of each kind")
    parser.add_argument("--clients", type=int, default=200, help="of each kind")
    parser.add_argument("--kinds", default="sockets,bodies,endless,readers,batches")
    given = parser.parse_args(arguments)
    console = Console(width=140)
    table = Table(
        "clients", "taken and given", *(f"{part}, most" for part in _PARTS), "health: median, longest, failed"
    )
    settings = {"UPLOAD_IDLE_TIMEOUT": str(_IDLE_S), "MAX_INFLIGHT_BYTES": str(_INFLIGHT_BYTES), "LOG_LEVEL": "WARNING"}
    engine = {"IOPAINT_MODEL": "fake", "IOPAINT_MODELS": "fake", "IOPAINT_FAKE_UNIT_S": "0.02"}
    with tempfile.TemporaryDirectory(prefix="flood-") as name, running(Path(name), **engine, **settings) as service:
        prepare(service.url)
        for kind in ["none", *given.kinds.split(",")]:
            clients = Clients(service.url, given.clients)
            with watching(service) as watch:
                if kind == "none":
                    time.sleep(3)
                else:
                    asyncio.run(keep(getattr(clients, kind), given.clients, given.seconds))
            asked = sorted(watch.health_s)
            table.add_row(
                kind, f"{clients.took / 2**20:.0f} MiB", *(f"{watch.most[part] / 2**20:.0f} MiB" for part in _PARTS),
                f"{asked[len(asked) // 2]:.2f} s, {asked[-1]:.2f} s, {watch.failed} of {len(asked)}",
            )  # fmt: skip
            console.print(f"{kind}: seen", style="dim")
            time.sleep(3)
    console.print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
