"""``scripts/fuzz_sockets``: WebSockets that break the protocol in every layer, against a real service.

Each conversation is random frames: right ones of our messages (known and unknown tasks), any JSON, any text; and wrong
ones: reserved bits and opcodes, no mask, control frames that are long or in fragments, text that is not UTF-8, lengths
that lie, fragments without a beginning or an end, close codes that nobody may send, half of a frame and silence. What
must hold: the service ends or answers every one of them, logs no error of its own, serves another client meanwhile, and
keeps no connection of those that left.
"""

import argparse
import json
import random
import re
import socket
import struct
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import requests
from rich.console import Console
from websockets.sync.client import connect

from drills.ending import end_on_sigterm
from drills.traffic import request_body
from tests.support.pictures import encoded, photo
from tests.support.service import Service, running

_KINDS = ("subscribe_task", "unsubscribe_task", "get_task_status", "cancel_task", "ping")
_WAIT_S = 10.0
_FAULTS = re.compile(r"Traceback|ERROR|internal_error|ended with an error")


def frame(opcode: int, payload: bytes, *, fin: bool = True, rsv: int = 0, mask: bool = True, says: int = -1) -> bytes:
    """``says``: the length in the header, if it is to lie."""
    length = len(payload) if says < 0 else says
    head = bytes([fin << 7 | rsv << 4 | opcode])
    if length < 126:
        head += bytes([mask << 7 | length])
    elif length < 65_536:
        head += bytes([mask << 7 | 126]) + struct.pack("!H", length)
    else:
        head += bytes([mask << 7 | 127]) + struct.pack("!Q", length)
    return head + (bytes(4) if mask else b"") + payload


class Mouth:
    """Says what comes into its mind. Of the same seed the same."""

    def __init__(self, seed: int, tasks: tuple[str, ...]) -> None:
        self._random = random.Random(seed)
        self._tasks = tasks

    def conversation(self) -> bytes:
        """Of some frames; as a rule the first ones are right."""
        pick = self._random
        said = [frame(1, self._message()) for _ in range(pick.randrange(6))]
        said += [self._wrong() if pick.random() < 0.5 else frame(1, self._message()) for _ in range(pick.randrange(8))]
        whole = b"".join(said)
        return whole[: pick.randrange(len(whole) + 1)] if pick.random() < 0.2 else whole

    def cut(self, data: bytes) -> list[bytes]:
        """As packets."""
        at = sorted(self._random.randrange(len(data) + 1) for _ in range(self._random.randrange(4)))
        return [data[a:b] for a, b in zip([0, *at], [*at, len(data)], strict=True)]

    def path(self) -> str:
        pick = self._random
        ids = (*self._tasks, "nobody", "%2e%2e", "a%00b", "x" * 129, "%ff", "a/b", "")
        return (
            f"/api/v1/ws/progress{pick.choice(['', '/' + pick.choice(ids)])}{pick.choice(['', '?api_key=x', '?a=%ff'])}"
        )

    def _message(self) -> bytes:
        pick = self._random
        if pick.random() < 0.2:
            return bytes(pick.randrange(32, 127) for _ in range(pick.randrange(60)))
        message = {"type": pick.choice([*_KINDS, self._value(2)])}
        if pick.random() < 0.8:
            message["task_id"] = pick.choice([*self._tasks, "nobody", "../x", "x" * 129, self._value(2)])
        if pick.random() < 0.3:
            message["timestamp"] = self._value(3)
        return json.dumps(message).encode()

    def _value(self, depth: int) -> object:
        pick = self._random
        plain = [None, True, -1, 1e300, float("nan"), 2**70, "", "\ud800", "\x00", "é", "x" * pick.randrange(3000)]
        if depth and pick.random() < 0.3:
            inner = [self._value(depth - 1) for _ in range(pick.randrange(4))]
            return inner if pick.random() < 0.5 else {str(number): value for number, value in enumerate(inner)}
        return "[" * 500 if pick.random() < 0.05 else pick.choice(plain)

    def _wrong(self) -> bytes:
        pick = self._random
        some = bytes(pick.randrange(256) for _ in range(pick.randrange(40)))
        return pick.choice(
            [
                frame(1, self._message(), rsv=pick.randrange(1, 8)),
                frame(pick.choice([3, 4, 5, 6, 7, 11, 12, 13, 14, 15]), some),
                frame(1, self._message(), mask=False),
                frame(1, b"\xff\xfe" + some),
                frame(2, some),
                frame(9, bytes(200)),
                frame(9, some, fin=False),
                frame(9, some[:125]),
                frame(10, some[:125]),
                frame(0, some),
                frame(1, self._message(), fin=False) + frame(9, b"") + frame(0, b"", fin=False) * pick.randrange(400),
                frame(1, self._message(), fin=False) + frame(1, self._message()),
                frame(8, b""),
                frame(8, b"\x03"),
                frame(
                    8, struct.pack("!H", pick.choice([0, 999, 1000, 1004, 1005, 1006, 1015, 3000, 5000, 65535])) + some
                ),
                frame(1, some, says=pick.choice([2**20 + 1, 2**31, 2**62, 2**63 - 1])),
                frame(1, b"x" * 70_000),
                frame(1, b"") * pick.randrange(200),
                some,
            ]
        )


def converse(url: str, mouth: Mouth, headers: Mapping[str, str]) -> str:
    """How it ended: ``closed`` or ``refused`` by the service, or ``answered``: it still speaks to us."""
    host = ("127.0.0.1", urlsplit(url).port or 80)
    own = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    key = f"{own}Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13"
    with socket.create_connection(host, timeout=_WAIT_S) as link:
        path = mouth.path()
        link.sendall(
            f"GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{key}\r\n\r\n".encode()
        )
        head = b""
        while b"\r\n\r\n" not in head and (piece := link.recv(4096)):
            head += piece
        if not head.startswith(b"HTTP/1.1 101 "):
            assert head.startswith((b"HTTP/1.1 403 ", b"HTTP/1.1 400 ", b"HTTP/1.1 404 ")), head
            return "refused"
        with suppress(ConnectionError):
            for packet in mouth.cut(mouth.conversation()):
                link.sendall(packet)
            return _end(link)
        return "closed"


def _end(link: socket.socket) -> str:
    """Half a frame may wait for its rest, and so may we: silence for a moment is an answer of a live socket."""
    link.settimeout(0.3)
    try:
        while link.recv(65_536):
            pass
    except TimeoutError:
        return "answered"
    return "closed"


def open_sockets(service: Service) -> int:
    (proxy,) = service.named("ray::ProxyActor")
    found = 0
    for path in Path(f"/proc/{proxy}/fd").iterdir():
        with suppress(OSError):  # closed meanwhile
            found += path.readlink().name.startswith("socket:")
    return found


def fuzz(
    service: Service, seed: int, seconds: float, most: int = 10**9, headers: Mapping[str, str] | None = None
) -> Counter[str]:
    """How conversations ended. ``headers``: with a key, where keys are on. Raises ``AssertionError``."""
    headers = headers or {}
    body = request_body(encoded(photo(320, 240)), [{"x": 40, "y": 60, "width": 120, "height": 30}], "fake")
    for task in ("done", "cancelled"):
        sent = body | {"task_id": f"{task}-{seed}"}
        requests.post(
            f"{service.url}/api/v1/inpaint-regions-async", json=sent, headers=headers, timeout=30
        ).raise_for_status()
    tasks = (f"done-{seed}", f"cancelled-{seed}")
    log_before, before = len(service.log.read_text()), open_sockets(service)
    told, number, end = Counter[str](), 0, time.monotonic() + seconds
    with connect(f"{service.ws}/api/v1/ws/progress/nobody-asks", additional_headers=headers) as steady:
        steady.recv(timeout=_WAIT_S)
        while time.monotonic() < end and number < most:
            told[converse(service.url, Mouth(seed * 1_000_000 + number, tasks), headers)] += 1
            number += 1
            if number % 20 == 0:
                steady.send(json.dumps({"type": "ping", "timestamp": str(number)}))
                answer = json.loads(steady.recv(timeout=_WAIT_S))
                assert (answer["type"], answer["timestamp"]) == ("pong", str(number)), answer
    requests.get(f"{service.url}/api/v1/health", timeout=_WAIT_S).raise_for_status()
    end = time.monotonic() + 60
    while (still := open_sockets(service)) > before + 5:
        assert time.monotonic() < end, f"{still} sockets are open, before there were {before}"
        time.sleep(0.5)
    faults = [line for line in service.log.read_text()[log_before:].splitlines() if _FAULTS.search(line)]
    assert not faults, "\n".join(faults[:20])
    return told


def main(arguments: list[str] | None = None) -> int:
    end_on_sigterm()
    parser = argparse.ArgumentParser(prog="scripts/fuzz_sockets", description=__doc__)
    parser.add_argument("--minutes", type=float, default=3)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args(arguments)
    settings = {"IOPAINT_MODEL": "fake", "IOPAINT_MODELS": "fake", "IOPAINT_FAKE_UNIT_S": "0.02"}
    with tempfile.TemporaryDirectory(prefix="fuzz-") as name, running(Path(name), **settings) as service:
        try:
            told = fuzz(service, given.seed, 60 * given.minutes)
        except AssertionError:
            print(service.log.read_text()[-6000:], file=sys.stderr)
            raise
    Console(highlight=False).print(f"{told.total()} conversations: {dict(told)}; nothing else was lost or logged.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
