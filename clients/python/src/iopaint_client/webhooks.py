"""Callbacks: is it from the service, and what does it say? Needs ``standardwebhooks`` (the extra ``webhooks``)."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


class NotFromTheService(Exception):
    """No signature, a wrong one, one too old, or a body that is no callback. Answer 400 and do nothing."""


@dataclass(frozen=True, slots=True)
class Callback:
    """``subject``: the task's or batch's id. ``message_id`` is the same when a callback is sent again."""

    message_id: str
    subject: str
    status: str
    timestamp: float
    error_message: str | None
    counts: Mapping[str, int] | None
    """Of a batch."""
    image: bytes | None = field(repr=False)
    """Of a completed task: an image file."""


def verify(body: bytes | str, headers: Mapping[str, str], secret: str) -> Callback:
    """``body`` as received, before any parsing; ``secret`` is the service's CALLBACK_SECRET.

    Raises ``NotFromTheService``.
    """
    from standardwebhooks import Webhook, WebhookVerificationError

    lowered = {name.lower(): value for name, value in headers.items()}
    try:
        Webhook(secret).verify(body, lowered)
    except (WebhookVerificationError, UnicodeDecodeError, ValueError) as error:
        raise NotFromTheService(str(error) or "The signature cannot be read.") from error
    return parse(body, lowered.get("webhook-id", ""))


def parse(body: bytes | str, message_id: str = "") -> Callback:
    """Without a check: for services that sign nothing, on a network that you trust. Raises ``NotFromTheService``."""
    try:
        told: dict[str, Any] = json.loads(body)
        picture = told.get("image_data")
        return Callback(
            message_id=message_id,
            subject=told.get("task_id") or told["batch_id"],
            status=told["status"],
            timestamp=told["timestamp"],
            error_message=told.get("error_message"),
            counts=told.get("counts"),
            image=base64.b64decode(picture) if picture is not None else None,
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise NotFromTheService("The body is no callback of the service.") from error
