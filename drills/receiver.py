"""A receiver of callbacks that is down half of the time, and remembers what it took."""

import asyncio
import json
from collections import defaultdict
from dataclasses import dataclass
from typing import Any, Self

from aiohttp import web

_DOWN_S = 5.0


@dataclass(frozen=True, slots=True)
class Taken:
    webhook_id: str
    status: str


class Receiver:
    """``taken``: the deliveries that were answered with 200, by task id, in order."""

    def __init__(self, *, flaky: bool) -> None:
        self.taken: dict[str, list[Taken]] = defaultdict(list)
        self.url = ""
        self._flaky = flaky
        self._runner: web.AppRunner | None = None
        self._moods: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_post("/done", self._take)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = await self._listen(0)
        address: tuple[str, int] = self._runner.addresses[0]
        self.url = f"http://127.0.0.1:{address[1]}/done"
        if self._flaky:
            self._moods = asyncio.create_task(self._up_and_down(site, address[1]))
        return self

    def stay_up(self) -> None:
        """From the next time that it is up; the drill is over, and what is still owed is on its way."""
        self._flaky = False

    async def __aexit__(self, *_: object) -> None:
        if self._moods is not None:
            self._moods.cancel()
            await asyncio.wait([self._moods])
        if self._runner is not None:
            await self._runner.cleanup()

    async def _listen(self, port: int) -> web.TCPSite:
        assert self._runner is not None
        site = web.TCPSite(self._runner, "127.0.0.1", port)
        await site.start()
        return site

    async def _up_and_down(self, site: web.TCPSite, port: int) -> None:
        """Nobody listens on the port in every second interval: connections are refused."""
        while self._flaky:
            await asyncio.sleep(_DOWN_S)
            await site.stop()
            await asyncio.sleep(_DOWN_S)
            site = await self._listen(port)

    async def _take(self, request: web.Request) -> web.Response:
        try:
            body: dict[str, Any] = json.loads(await request.read())
        except ConnectionResetError:  # its sender was killed: delivered again, or the books will tell
            return web.Response(status=400)
        self.taken[body["task_id"]].append(Taken(request.headers["webhook-id"], body["status"]))
        return web.Response()
