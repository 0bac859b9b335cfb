"""Callbacks: one POST for the end of a task, repeated until it is taken or the attempts are used up.

The payload is the original service's; the headers are those of Standard Webhooks (standardwebhooks.com), signed when
a secret is set. Repeats carry the same ``webhook-id``.
"""

import asyncio
import base64
import json
import logging
import random
import time
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx
from standardwebhooks.webhooks import Webhook

from deployments.callback_policy import CallbackPolicy
from deployments.protocol import TaskEnd
from deployments.task_archive import TaskArchive, TaskRecord
from deployments.tasks import TaskStatus
from models.errors import TextRemovalError

log = logging.getLogger("ray.serve")

_FIRST_WAIT_S = 1.0
_LONGEST_WAIT_S = 900.0
_ATTEMPTS = 24
"""With the waits doubling up to the longest, about four hours."""


class WebhookSender:
    """Delivers ends of tasks. At least once: the archive remembers what was taken."""

    def __init__(self, archive: TaskArchive, policy: CallbackPolicy, secret: str, client: httpx.AsyncClient) -> None:
        self._archive = archive
        self._policy = policy
        self._signer = Webhook(secret) if secret else None
        self._client = client

    async def deliver(self, record: TaskRecord, end: TaskEnd) -> None:
        url = record.submission.callback_url
        if not url:
            return
        body = json.dumps(await self._payload(end)).encode()
        for attempt in range(1, _ATTEMPTS + 1):
            why = await self._send(url, f"msg_{end.task_id}", body)
            if why is None:
                await self._archive.mark_delivered(end.task_id, {"at": time.time(), "attempt": attempt})
                return
            wait_s = min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2 ** (attempt - 1)) * random.uniform(0.8, 1.2)
            log.warning("callback not taken", extra={"task_id": end.task_id, "why": why, "again_in_s": round(wait_s)})
            await asyncio.sleep(wait_s)

    async def _payload(self, end: TaskEnd) -> dict[str, Any]:
        payload: dict[str, Any] = {"task_id": end.task_id, "status": end.status.value, "timestamp": end.completed_at}
        if end.status is TaskStatus.COMPLETED:
            result = await self._archive.result(end)
            payload["image_data"] = base64.b64encode(result.data).decode()
        else:
            payload["error_message"] = end.error_message or "The task was cancelled."
        return payload

    async def _send(self, url: str, message_id: str, body: bytes) -> str | None:
        """None when it was taken, else why not."""
        now = datetime.now(UTC)
        headers = {
            "Content-Type": "application/json",
            "webhook-id": message_id,
            "webhook-timestamp": str(int(now.timestamp())),
        }
        if self._signer is not None:
            headers["webhook-signature"] = self._signer.sign(message_id, now, body.decode())
        try:
            addresses = await self._policy.check(url)
            if not addresses:
                return "the name does not resolve"
            target, host = _pinned(url, addresses[0])
            response = await self._client.post(
                target,
                content=body,
                headers=headers | {"Host": host},
                extensions={"sni_hostname": urlsplit(url).hostname},
            )
        except httpx.HTTPError as error:
            return type(error).__name__
        except TextRemovalError as error:
            return error.message
        return None if response.is_success else f"HTTP {response.status_code}"


def _pinned(url: str, address: str) -> tuple[str, str]:
    """The URL with the checked address in place of the name, and the Host header that belongs to it."""
    parts = urlsplit(url)
    bracketed = f"[{address}]" if ":" in address else address
    netloc = f"{bracketed}:{parts.port}" if parts.port else bracketed
    return urlunsplit((parts.scheme, netloc, parts.path or "/", parts.query, "")), parts.netloc
