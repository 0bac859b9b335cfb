"""Callbacks over HTTP: the original service's payload under the headers of Standard Webhooks (standardwebhooks.com).

Repeats carry the same ``webhook-id``. A body may hold a whole picture, so it is never built in memory: it is read from
the archive once for the signature, when there is one, and once for each time it is sent.
"""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit, urlunsplit

import httpx

from deployments.callback_policy import CallbackPolicy
from deployments.errors import ResultExpired
from deployments.protocol import TaskEnd
from deployments.task_archive import TaskArchive
from deployments.tasks import BatchSnapshot, TaskStatus
from models.errors import TextRemovalError

_ANSWER_CHARS = 200


@dataclass(frozen=True, slots=True)
class Body:
    """``length`` bytes of JSON, readable more than once."""

    length: int
    pieces: Callable[[], AsyncIterator[bytes]]


class Sender(Protocol):
    async def __call__(self, url: str, message_id: str, body: Body) -> tuple[bool, str]:
        """Whether it was taken, and what the receiver answered (or why it was not reached). Does not raise."""
        ...


class WebhookSender:
    """One POST. Every address is checked on every delivery, and the checked address is the one used."""

    def __init__(self, policy: CallbackPolicy, secret: str, client: httpx.AsyncClient) -> None:
        self._policy = policy
        self._key = base64.b64decode(secret.removeprefix("whsec_")) if secret else b""
        self._client = client

    async def __call__(self, url: str, message_id: str, body: Body) -> tuple[bool, str]:
        try:
            addresses = await self._policy.check(url)
            if not addresses:
                return False, "the name does not resolve"
            target, host = _pinned(url, addresses[0])
            request = self._client.build_request(
                "POST",
                target,
                content=body.pieces(),
                headers=await self._headers(message_id, body) | {"Host": host},
                extensions={"sni_hostname": urlsplit(url).hostname},
            )
            response = await self._client.send(request, stream=True)
            await response.aclose()  # the answer's body is of no interest, and may have no end
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:  # ValueError: what no header can hold
            return False, type(error).__name__
        except TextRemovalError as error:
            return False, error.message[:_ANSWER_CHARS]
        return response.is_success, f"HTTP {response.status_code}"

    async def _headers(self, message_id: str, body: Body) -> dict[str, str]:
        sent_at = str(int(time.time()))
        headers = {
            "Content-Type": "application/json",
            "Content-Length": str(body.length),
            "webhook-id": message_id,
            "webhook-timestamp": sent_at,
        }
        if self._key:
            digest = hmac.new(self._key, f"{message_id}.{sent_at}.".encode(), hashlib.sha256)
            async for piece in body.pieces():
                digest.update(piece)
            headers["webhook-signature"] = f"v1,{base64.b64encode(digest.digest()).decode()}"
        return headers


async def task_body(archive: TaskArchive, end: TaskEnd) -> Body:
    """The end of a task; a completed one with its picture."""
    payload: dict[str, Any] = {"task_id": end.task_id, "status": end.status.value, "timestamp": end.completed_at}
    if end.status is not TaskStatus.COMPLETED:
        return _fixed(payload | {"error_message": end.error_message or "The task was cancelled."})
    try:
        size, _ = await archive.result_stream(end)
    except ResultExpired as error:
        return _fixed(payload | {"image_data": None, "error_message": error.message})
    head, tail = json.dumps(payload)[:-1].encode() + b', "image_data": "', b'"}'

    async def pieces() -> AsyncIterator[bytes]:
        yield head
        _, stream = await archive.result_stream(end)
        rest = b""
        async for piece in stream:
            data = rest + piece
            whole = len(data) - len(data) % 3  # three bytes make four characters
            rest = data[whole:]
            yield base64.b64encode(data[:whole])
        yield base64.b64encode(rest) + tail

    return Body(len(head) + 4 * -(-size // 3) + len(tail), pieces)


def batch_body(batch: BatchSnapshot) -> Body:
    """The end of a batch: figures, no pictures."""
    ended_at = max(task.completed_at or 0.0 for task in batch.tasks)
    return _fixed({"batch_id": batch.batch_id, "status": batch.status, "counts": batch.counts, "timestamp": ended_at})


def _fixed(payload: dict[str, Any]) -> Body:
    data = json.dumps(payload).encode()

    async def pieces() -> AsyncIterator[bytes]:
        yield data

    return Body(len(data), pieces)


def _pinned(url: str, address: str) -> tuple[str, str]:
    """The URL with the checked address in place of the name, and the Host header that belongs to it."""
    parts = urlsplit(url)
    bracketed = f"[{address}]" if ":" in address else address
    netloc = f"{bracketed}:{parts.port}" if parts.port else bracketed
    return urlunsplit((parts.scheme, netloc, parts.path or "/", parts.query, "")), parts.netloc
