"""Clients as the service's users write them: submit with an id of their own, watch, reconnect, ask again on errors."""

import asyncio
import base64
import json
import random
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

import aiohttp

TERMINAL = {"task_completed": "completed", "task_failed": "error", "task_cancelled": "cancelled"}
_NO_APPLICATION = b"/-/routes"
"""In Serve's own 404, which its proxy gives while it knows no application: at a start, and at an end."""
_PATIENCE_S = 0.5
"""Between two tries of a call that was not answered."""


@dataclass
class Story:
    """What one client saw of its task."""

    task_id: str
    to_be_cancelled: bool
    accepted_at: float = 0.0
    ends: list[str] = field(default_factory=list)
    """The terminal message of each connection that got one."""
    faults: list[str] = field(default_factory=list)
    connections: int = 0
    unanswered: int = 0
    updates: int = 0
    seconds: float = 0.0


class Client:
    """One task after another until ``until``, at least ``least`` of them, and the last one to its end."""

    def __init__(self, url: str, callback_url: str, body: dict[str, Any], seed: int) -> None:
        self.stories: list[Story] = []
        self._api = f"{url}/api/v1"
        self._body = body | {"callback_url": callback_url, "enable_progress": True}
        self._random = random.Random(seed)

    async def run(self, until: float, least: int = 1) -> None:
        timeout = aiohttp.ClientTimeout(total=30)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            while time.monotonic() < until or len(self.stories) < least:
                story = Story(str(uuid.uuid4()), self._random.random() < 0.1)
                self.stories.append(story)
                start = time.monotonic()
                await asyncio.gather(self._watch(session, story), self._act(session, story))
                story.seconds = time.monotonic() - start

    async def _act(self, session: aiohttp.ClientSession, story: Story) -> None:
        await self._submit(session, story)
        if story.to_be_cancelled:
            await asyncio.sleep(self._random.uniform(0.0, 2.0))
            status, answer = await self._ask(session, story, f"cancel-task/{story.task_id}")
            if status not in (200, 409):
                story.faults.append(f"cancel was answered {status}: {answer[:200]!r}")

    async def _submit(self, session: aiohttp.ClientSession, story: Story) -> None:
        """Again with the same id until it is accepted: a call without an answer may have been."""
        while True:
            body = self._body | {"task_id": story.task_id}
            status, answer = await self._ask(session, story, "inpaint-regions-async", body)
            if status in (200, 202):
                story.accepted_at = time.time()
                return
            if status != 429:
                story.faults.append(f"submit was answered {status}: {answer[:200]!r}")
                return
            await asyncio.sleep(1)

    async def _ask(
        self, session: aiohttp.ClientSession, story: Story, path: str, body: dict[str, Any] | None = None
    ) -> tuple[int, bytes]:
        while True:
            try:
                async with session.post(f"{self._api}/{path}", json=body) as response:
                    answer = await response.read()
                    if response.status < 500 and _NO_APPLICATION not in answer:
                        return response.status, answer
            except (aiohttp.ClientError, TimeoutError, ConnectionError):
                pass
            story.unanswered += 1
            await asyncio.sleep(_PATIENCE_S)

    async def _watch(self, session: aiohttp.ClientSession, story: Story) -> None:
        """Connected, again and again, until a connection told the end."""
        while not story.ends:
            try:
                async with session.ws_connect(f"{self._api}/ws/progress/{story.task_id}", heartbeat=10) as socket:
                    story.connections += 1
                    await _read(socket, story)
            except (aiohttp.ClientError, TimeoutError, ConnectionError):
                pass
            if not story.ends:
                await asyncio.sleep(_PATIENCE_S)
            if story.faults:
                return


async def _read(socket: aiohttp.ClientWebSocketResponse, story: Story) -> None:
    """One connection: progress never falls, one end at most, nothing after it."""
    progress, ended = 0.0, ""
    async for message in socket:
        if message.type is not aiohttp.WSMsgType.TEXT:
            continue
        content = json.loads(message.data)
        if ended:
            story.faults.append(f"{content['type']} came after {ended}")
        if content["type"] == "progress_update":
            story.updates += 1
            if content["progress"] < progress:
                story.faults.append(f"progress fell from {progress} to {content['progress']}")
            progress = content["progress"]
        elif content["type"] in TERMINAL:
            ended = content["type"]
            story.ends.append(TERMINAL[ended])


def request_body(image: bytes, regions: list[dict[str, float]], model: str) -> dict[str, Any]:
    """Of a submission, but for its id."""
    return {"image": base64.b64encode(image).decode(), "regions": regions, "model": model}
