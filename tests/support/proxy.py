"""A proxy that takes a path prefix away and tells the service nothing about it; HTTP and WebSockets, byte by byte.

It can also be a bad one, and cut WebSockets off.
"""

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass
class Proxy:
    """``cuts``: so many WebSockets are still to be cut, each after ``cut_after`` bytes to the client."""

    url: str
    cuts: int = 0
    cut_after: int = 0


@contextlib.contextmanager
def prefixed(url: str, prefix: str, cuts: int = 0, cut_after: int = 0) -> Iterator[Proxy]:
    """The service as seen through the proxy."""
    proxy = Proxy("", cuts, cut_after)
    target = urlsplit(url)
    host, port = target.hostname or "", target.port or 80
    loop = asyncio.new_event_loop()
    # All of it in a thread of its own: the test's thread has Playwright's loop.
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def start() -> asyncio.Server:
        return await asyncio.start_server(lambda r, w: _serve(r, w, (host, port), prefix, proxy), "127.0.0.1", 0)

    async def stop() -> None:
        server.close()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        await asyncio.sleep(0.1)  # closed connections go in the loop's next rounds

    server = asyncio.run_coroutine_threadsafe(start(), loop).result()
    try:
        proxy.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}{prefix}"
        yield proxy
    finally:
        asyncio.run_coroutine_threadsafe(stop(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _serve(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: tuple[str, int], prefix: str, proxy: Proxy
) -> None:
    """One request for each connection: what follows its head goes through unread."""
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        method, path, rest = head.split(" ", 2)
        if not path.startswith(prefix + "/"):
            writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            await writer.drain()
            return
        most = None
        if "upgrade: websocket" in rest.lower():
            if proxy.cuts > 0:
                proxy.cuts -= 1
                most = proxy.cut_after
        else:
            lines = [line for line in rest.split("\r\n") if not line.lower().startswith("connection:")]
            rest = "\r\n".join([lines[0], "Connection: close", *lines[1:]])
        inner_reader, inner_writer = await asyncio.open_connection(*target)
        inner_writer.write(f"{method} {path.removeprefix(prefix)} {rest}".encode("latin-1"))
        await asyncio.gather(_pump(reader, inner_writer), _pump(inner_reader, writer, most))
    except (OSError, asyncio.IncompleteReadError):
        pass  # the browser left
    finally:
        writer.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, most: int | None = None) -> None:
    """``most``: bytes after which the connection is cut without a word."""
    try:
        while data := await reader.read(65_536 if most is None else most):
            writer.write(data)
            if most is not None and (most := most - len(data)) <= 0:
                writer.transport.abort()
                return
            await writer.drain()
    except OSError:
        pass  # one side left: the other is told by the close
    finally:
        writer.close()
