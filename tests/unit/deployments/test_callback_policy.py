"""Where callbacks may go: every form of an address that a client can write, and names that change their mind."""

import asyncio
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import httpx
import pytest

from deployments.callback_policy import CallbackPolicy
from deployments.webhooks import Body, WebhookSender
from models.errors import InvalidField

REFUSED = {
    "loopback": ["127.0.0.1", "127.1", "127.0.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "017700000001",
                 "localhost", "LOCALHOST", "127.255.255.254", "①②⑦.0.0.1", "127。0。0。1",
                 "[::1]", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]",
                 "[64:ff9b::7f00:1]", "[2002:7f00:1::]"],
    "unspecified": ["0.0.0.0", "0", "0x0", "[::]", "[::ffff:0:0]"],
    "link-local": ["169.254.1.1", "[fe80::1]", "[::ffff:169.254.1.1]"],
    "metadata": ["169.254.169.254", "2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "[::ffff:169.254.169.254]",
                 "[fd00:ec2::254]", "[64:ff9b::a9fe:a9fe]", "[2002:a9fe:a9fe::]", "100.100.100.200", "192.0.0.192",
                 "metadata", "METADATA.google.internal", "metadata.google.internal.", "metadata.goog", "instance-data"],
    "multicast": ["224.0.0.1", "239.255.255.250", "[ff02::1]"],
    "reserved": ["240.0.0.1", "255.255.255.255"],
}  # fmt: skip
BAD_URLS = [
    "ftp://10.0.0.1/", "file:///etc/passwd", "gopher://10.0.0.1/", "//10.0.0.1/", "10.0.0.1/", "http:///x", "http://",
    "http://user:password@10.0.0.1/", "http://user@10.0.0.1/", "http://@10.0.0.1/", "http://10.0.0.1@127.0.0.1/",
    "http://10.0.0.1\\@127.0.0.1/", "http://10.0.0.1:99999/", "http://10.0.0.1:0/", "http://10.0.0.1:x/",
    "http://[fe80::1%25eth0]/", "http://[::1/", "http://10.0.0.1/\r\nX-Injected: 1", "http://10.0.0.1/ x", "",
    "http://10.0.0.1\t/", "javascript:alert(1)", "http://10.0.0.1\x7f/",
    "http://b\xfccher.example/",
]  # fmt: skip
ALLOWED = ["10.0.0.5", "172.17.0.1", "192.168.1.2", "[fd12:3456::1]", "93.184.216.34", "[2606:2800:220:1::1]"]


@pytest.mark.parametrize("host", [host for hosts in REFUSED.values() for host in hosts])
async def test_addresses_refused_by_default_in_every_form(host: str) -> None:
    for url in (f"http://{host}/x", f"https://{host}:8443/x"):
        with pytest.raises(InvalidField) as refused:
            await CallbackPolicy(()).check(url)
        assert refused.value.details["field"] == "callback_url"


@pytest.mark.parametrize("url", BAD_URLS)
async def test_what_is_no_plain_http_url_is_refused(url: str) -> None:
    for policy in (CallbackPolicy(()), CallbackPolicy(("10.0.0.1", "127.0.0.1", "*"))):
        with pytest.raises(InvalidField):
            await policy.check(url)


@pytest.mark.parametrize("host", ALLOWED)
async def test_public_and_private_addresses_are_allowed_by_default(host: str) -> None:
    assert await CallbackPolicy(()).check(f"http://{host}:8000/x") == [host.strip("[]")]


def policy_for(*addresses: str, allowed: tuple[str, ...] = ()) -> CallbackPolicy:
    async def resolve(host: str, port: int) -> list[str]:
        return list(addresses)

    return CallbackPolicy(allowed, resolve)


async def test_one_bad_address_of_a_name_is_enough() -> None:
    assert await policy_for("93.184.216.34", "10.0.0.1").check("http://name.example/") == ["93.184.216.34", "10.0.0.1"]
    for bad in ("127.0.0.1", "169.254.169.254", "::1"):
        with pytest.raises(InvalidField):
            await policy_for("93.184.216.34", bad).check("http://name.example/")


async def test_a_name_that_does_not_resolve_yet_is_accepted() -> None:
    async def resolve(host: str, port: int) -> list[str]:
        raise OSError("not yet")

    assert await CallbackPolicy((), resolve).check("http://backend:8000/done") == []


@pytest.mark.parametrize(
    ("listed", "host", "address", "allowed"),
    [
        ("127.0.0.1", "127.0.0.1", "127.0.0.1", True), ("127.0.0.0/8", "x.example", "127.0.0.9", True),
        ("*.example.com", "a.example.com", "10.0.0.1", True), ("*.example.com", "example.com", "10.0.0.1", False),
        ("*.example.com", "a.example.com.evil.org", "10.0.0.1", False), ("backend", "BACKEND", "172.18.0.3", True),
        ("backend", "other", "172.18.0.3", False), ("10.0.0.0/8", "x.example", "10.9.8.7", True),
        ("10.0.0.0/8", "x.example", "11.0.0.1", False), ("10.0.0.0/8", "x.example", "93.184.216.34", False),
        ("backend", "backend", "127.0.0.1", True), ("*", "x.example", "169.254.169.254", False),
        ("169.254.0.0/16", "x.example", "169.254.169.254", False), ("10.0.0.0/8", "x.example", "::ffff:10.0.0.1", True),
    ],
)  # fmt: skip
async def test_the_list(listed: str, host: str, address: str, allowed: bool) -> None:
    policy = policy_for(address, allowed=(listed,))
    if allowed:
        assert await policy.check(f"http://{host}/") == [address]
        return
    with pytest.raises(InvalidField):
        await policy.check(f"http://{host}/")


class Trap(HTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.paths: list[str] = []
        self.hosts: list[str] = []


class _Handler(BaseHTTPRequestHandler):
    server: Trap

    def do_POST(self) -> None:
        self.server.paths.append(self.path)
        self.server.hosts.append(self.headers["Host"])
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(307)
        self.send_header("Location", f"http://127.0.0.1:{self.server.server_port}/inside")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


@pytest.fixture
def trap() -> Iterator[Trap]:
    server = Trap()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


async def _body() -> Body:
    async def pieces():  # type: ignore[no-untyped-def]  # noqa: ANN202
        yield b"{}"

    return Body(2, pieces)


async def test_redirects_are_not_followed(trap: Trap) -> None:
    async with httpx.AsyncClient(trust_env=False) as client:
        send = WebhookSender(CallbackPolicy(("127.0.0.1",)), "", client)
        taken, answer = await send(f"http://127.0.0.1:{trap.server_port}/outside", "msg_t", await _body())
    assert (taken, answer, trap.paths) == (False, "HTTP 307", ["/outside"])


async def test_the_checked_address_is_the_one_that_is_called(trap: Trap) -> None:
    """The name says another address each time: whoever asked twice would be sent inside."""
    answers = [["127.0.0.1"], ["127.0.0.2"]]
    asked = 0

    async def resolve(host: str, port: int) -> list[str]:
        nonlocal asked
        asked += 1
        return answers[min(asked, 2) - 1]

    async with httpx.AsyncClient(trust_env=False) as client:
        send = WebhookSender(CallbackPolicy(("127.0.0.1/32",), resolve), "", client)
        url = f"http://rebinding.example:{trap.server_port}/done"
        assert (await send(url, "msg_t", await _body()))[1] == "HTTP 307"
        assert (asked, trap.hosts) == (1, [f"rebinding.example:{trap.server_port}"])
        taken, answer = await send(url, "msg_t", await _body())
    assert not taken
    assert "refused" in answer, "every delivery is checked again"
    assert len(trap.paths) == 1


async def test_an_endless_answer_is_not_read(trap: Trap) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        try:
            while True:
                writer.write(b"x" * 65_536)
                await writer.drain()
        except ConnectionError:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with httpx.AsyncClient(trust_env=False) as client, asyncio.timeout(5):
        send = WebhookSender(CallbackPolicy(("127.0.0.1",)), "", client)
        assert (await send(f"http://127.0.0.1:{port}/", "msg_t", await _body()))[0]
    server.close()
