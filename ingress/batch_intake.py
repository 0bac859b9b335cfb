"""The body of a batch becomes tasks. Heavy parsing happens off the event loop."""

import asyncio
import hashlib
from dataclasses import dataclass

from fastapi import Request
from pydantic import ValidationError

from deployments.tasks import TaskInput
from ingress import intake, json_limits
from ingress.config import AppConfig
from ingress.errors import BodyTooLarge, UnsupportedContentType, invalid_field
from ingress.intake import Intake
from ingress.schemas.requests import BatchHead, BatchItem
from models.errors import InvalidField, TextRemovalError


@dataclass(frozen=True, slots=True)
class BatchIntake:
    head: BatchHead
    items: tuple[Intake[BatchItem], ...]

    def content_sha256(self) -> str:
        return hashlib.sha256("".join(item.content_sha256() for item in self.items).encode()).hexdigest()

    def inputs(self) -> list[TaskInput]:
        return [TaskInput(item.job, item.image, item.mask) for item in self.items]


async def read(request: Request, config: AppConfig) -> BatchIntake:
    """Raises what is wrong, naming the item; nothing of a batch is accepted when one item is not."""
    content_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if content_type != "application/json" and not content_type.endswith("+json"):
        raise UnsupportedContentType("Send application/json as the Content-Type.")
    body = await request.body()
    return await asyncio.to_thread(_check, body, config)


def _check(body: bytes, config: AppConfig) -> BatchIntake:
    parsed = json_limits.parse(body, config, items=config.max_batch_items)
    if not isinstance(parsed, dict) or not isinstance(parsed.get("items"), list):
        raise InvalidField("items: a list of images is expected.", field="items")
    sent = parsed.pop("items")
    if not 1 <= len(sent) <= config.max_batch_items:
        raise InvalidField(f"items: 1 to {config.max_batch_items} are allowed, got {len(sent)}.", field="items")
    try:
        head = BatchHead.model_validate(parsed)
    except ValidationError as error:
        raise invalid_field(error.errors()) from error
    items: list[Intake[BatchItem]] = []
    total = 0
    for number, item in enumerate(sent):
        items.append(_item(number, item, config))
        total += len(items[-1].image) + len(items[-1].mask or b"")
        if total > config.max_batch_bytes:
            raise BodyTooLarge(f"items: the files are too large: at most {config.max_batch_bytes} bytes together.")
    return BatchIntake(head, tuple(items))


def _item(number: int, item: object, config: AppConfig) -> Intake[BatchItem]:
    try:
        return intake.check_fields(BatchItem, item, config)
    except TextRemovalError as error:
        details = error.details | {"field": f"items[{number}].{error.details.get('field', '')}".rstrip(".")}
        raise type(error)(f"items[{number}]: {error.message}", **details) from error
