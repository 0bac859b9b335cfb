"""The body of a batch becomes tasks. Heavy parsing happens off the event loop."""

import asyncio
import hashlib
import re
from dataclasses import dataclass
from typing import Any

from fastapi import Request
from pydantic import ValidationError

from deployments.tasks import TaskInput
from ingress import intake, json_limits
from ingress.config import AppConfig
from ingress.errors import BodyTooLarge, UnreadableBody, invalid_field
from ingress.intake import Intake
from ingress.schemas.requests import BatchHead, BatchItem
from models.errors import InvalidField, TextRemovalError

_FILE = re.compile(r"(?P<kind>image|mask)_(?P<number>0|[1-9][0-9]{0,5})")
_MAX_ITEMS_BYTES = 16 * 2**20
"""Of the texts of a form, the items' JSON among them; what JSON may hold bounds it further."""


@dataclass(frozen=True, slots=True)
class BatchIntake:
    head: BatchHead
    items: tuple[Intake[BatchItem], ...]
    digests: tuple[str, ...]
    """Of the content of each item."""

    def content_sha256(self) -> str:
        return hashlib.sha256("".join(self.digests).encode()).hexdigest()

    def inputs(self) -> list[TaskInput]:
        return [TaskInput(item.job, item.image, item.mask) for item in self.items]


async def read(request: Request, config: AppConfig) -> BatchIntake:
    """Raises what is wrong, naming the item; nothing of a batch is accepted when one item is not."""
    if intake.is_form(request):
        most = 2 * config.max_batch_items
        fields, files = await intake.read_form(request, max_files=most, max_text=_MAX_ITEMS_BYTES)
        return await asyncio.to_thread(_check_form, fields, files, config)
    body = await request.body()
    return await asyncio.to_thread(_check_json, body, config)


def _check_json(body: bytes, config: AppConfig) -> BatchIntake:
    return _check(json_limits.parse(body, config, items=config.max_batch_items), {}, config)


def _check_form(fields: dict[str, Any], files: dict[str, bytes], config: AppConfig) -> BatchIntake:
    """``items`` is JSON; the files of its n-th item, from 0, are ``image_n`` and ``mask_n``."""
    try:
        fields["items"] = json_limits.parse(fields.get("items", "").encode(), config, items=config.max_batch_items)
    except UnreadableBody as error:
        raise InvalidField(f"items: {error.message}", field="items") from error
    of_items: dict[int, dict[str, bytes]] = {}
    for name, data in files.items():
        if (match := _FILE.fullmatch(name)) is None:
            raise InvalidField(f"{name}: files are named image_0, mask_0, image_1 and so on.", field=name)
        of_items.setdefault(int(match["number"]), {})[match["kind"]] = data
    return _check(fields, of_items, config)


def _check(parsed: object, files: dict[int, dict[str, bytes]], config: AppConfig) -> BatchIntake:
    if not isinstance(parsed, dict) or not isinstance(parsed.get("items"), list):
        raise InvalidField("items: a list of images is expected.", field="items")
    sent = parsed.pop("items")
    if not 1 <= len(sent) <= config.max_batch_items:
        raise InvalidField(f"items: 1 to {config.max_batch_items} are allowed, got {len(sent)}.", field="items")
    if strays := [number for number in files if number >= len(sent)]:
        raise InvalidField(f"items: there are files for items[{strays[0]}], and no such item.", field="items")
    try:
        head = BatchHead.model_validate(parsed)
    except ValidationError as error:
        raise invalid_field(error.errors()) from error
    items: list[Intake[BatchItem]] = []
    total = 0
    for number, item in enumerate(sent):
        items.append(_item(number, item, files.get(number, {}), config))
        total += len(items[-1].image) + len(items[-1].mask or b"")
        if total > config.max_batch_bytes:
            raise BodyTooLarge(f"items: the files are too large: at most {config.max_batch_bytes} bytes together.")
    return BatchIntake(head, tuple(items), tuple(item.content_sha256() for item in items))


def _item(number: int, item: object, files: dict[str, bytes], config: AppConfig) -> Intake[BatchItem]:
    try:
        return intake.check_fields(BatchItem, item, config, files)
    except TextRemovalError as error:
        details = error.details | {"field": f"items[{number}].{error.details.get('field', '')}".rstrip(".")}
        raise type(error)(f"items[{number}]: {error.message}", **details) from error
