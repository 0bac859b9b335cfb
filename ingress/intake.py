"""Bodies become requests: JSON with base64, or a form with files. Heavy parsing happens off the event loop."""

import asyncio
import binascii
import hashlib
import string
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Generic, TypeVar

import pybase64
from fastapi import Request
from pydantic import TypeAdapter, ValidationError
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from ingress import json_limits
from ingress.config import AppConfig
from ingress.errors import BodyTooLarge, UnreadableBody, UnsupportedContentType, invalid_field
from ingress.schemas.requests import ImageRequest
from models import codec, options
from models.errors import InvalidField, UnknownModel
from models.job import InpaintJob
from models.masks import region_boxes

P = TypeVar("P", bound=ImageRequest)
_JOB = TypeAdapter(InpaintJob)
_FILES = ("image", "mask")
_AREAS = ("regions", "include", "exclude")


@dataclass(frozen=True, slots=True)
class Intake(Generic[P]):
    """A checked request: the job, and the files as they were sent."""

    request: P
    job: InpaintJob
    image: bytes
    mask: bytes | None

    def content_sha256(self) -> str:
        """Of everything that decides the result. A large file takes a while: off the event loop."""
        digest = hashlib.sha256(_JOB.dump_json(self.job))
        for data in (self.image, self.mask or b""):
            digest.update(hashlib.sha256(data).digest())
        return digest.hexdigest()


async def read(request: Request, schema: type[P], config: AppConfig) -> Intake[P]:
    """Raises what is wrong with the body: 400, 413, 415 or 422."""
    if is_form(request):
        fields, files = await read_form(request, max_files=4, max_text=1_048_576)
        return await asyncio.to_thread(_check, schema, fields, files, config)
    body = await request.body()
    return await asyncio.to_thread(_check_json, schema, body, config)


def is_form(request: Request) -> bool:
    """Else it is JSON, which a body is that does not say what it is: the original's clients need not.

    Raises ``UnsupportedContentType``.
    """
    sent = request.headers.get("content-type", "").strip()
    content_type = sent.split(";")[0].strip().lower()
    if sent and content_type not in ("multipart/form-data", "application/json") and not content_type.endswith("+json"):
        raise UnsupportedContentType("Send application/json or multipart/form-data as the Content-Type.")
    return content_type == "multipart/form-data"


class _Form(MultiPartParser):
    """``max_part_size`` bounds all texts together, not each alone: in memory they may take four times their bytes."""

    def on_part_end(self) -> None:
        super().on_part_end()
        value = self.items[-1][1]
        if isinstance(value, str):
            self.max_part_size -= len(value.encode(errors="replace"))


async def read_form(request: Request, *, max_files: int, max_text: int) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Text fields and files by name; ``max_text``: bytes of all text fields. Raises ``UnreadableBody``."""
    fields: dict[str, Any] = {}
    files: dict[str, bytes] = {}
    try:
        async with aclosing(request.stream()) as stream:
            form = await _Form(
                request.headers, stream, max_files=max_files, max_fields=100, max_part_size=max_text
            ).parse()
    except MultiPartException as error:
        raise UnreadableBody(
            f"The form could not be read: {error.message} At most {max_files} files, and {max_text} bytes of text "
            "together, are allowed."
        ) from error
    try:
        for name, value in form.items():
            if isinstance(value, UploadFile):
                files[name] = await value.read()
            else:
                fields[name] = value
    finally:
        await form.close()
    return fields, files


def _check_json(schema: type[P], body: bytes, config: AppConfig) -> Intake[P]:
    return check_fields(schema, json_limits.parse(body, config), config)


def check_fields(
    schema: type[P], parsed: object, config: AppConfig, sent: Mapping[str, bytes] = MappingProxyType({})
) -> Intake[P]:
    """A JSON object, with its files in base64, or as they were ``sent`` beside it."""
    if not isinstance(parsed, dict):
        raise InvalidField("body: a JSON object is expected.", field="body")
    files = dict(sent)
    for name in _FILES:
        if name in schema.model_fields and name not in files and isinstance(parsed.get(name), str):
            files[name] = _base64(name, parsed[name])
            parsed[name] = ""
    return _check(schema, parsed, files, config)


def _check(schema: type[P], fields: dict[str, Any], files: dict[str, bytes], config: AppConfig) -> Intake[P]:
    for name in _AREAS:
        if name in schema.model_fields:
            _read_areas(name, fields, config)
    needed = [name for name in _FILES if name in schema.model_fields]
    for name in needed:
        if len(files.get(name, b"")) > config.max_file_size:
            raise BodyTooLarge(f"{name}: the file is too large: at most {config.max_file_size} bytes (MAX_FILE_SIZE).")
        if name in files:
            fields[name] = ""
    try:
        request = schema.model_validate(fields)
    except ValidationError as error:
        raise invalid_field(error.errors()) from error
    for name in needed:
        if name not in files and schema.model_fields[name].is_required():
            raise InvalidField(f"{name}: a file is expected.", field=name)
    engine = request.engine()
    if engine is not None and engine not in config.models:
        raise UnknownModel(f"model: {engine!r} is not offered. Offered are: {', '.join(config.models)}.")
    intake = Intake(
        request, request.job(config.hd_strategy, config.default_mask_mode), files["image"], files.get("mask")
    )
    options.check(intake.job.model or config.model, intake.job.diffusion)
    header = codec.probe(intake.image, max_pixels=config.max_pixels)
    if "mask" in needed and intake.mask is not None:
        codec.check_mask(intake.mask, width=header.width, height=header.height, max_pixels=config.max_pixels)
    codec.check_output(header.width, header.height, intake.job.output)
    find = intake.job.find_text
    areas = (intake.job.regions, find.include if find else None, find.exclude if find else None)
    for name, regions in zip(_AREAS, areas, strict=True):
        region_boxes(regions or (), header.width, header.height, name)
    return intake


def _read_areas(name: str, fields: dict[str, Any], config: AppConfig) -> None:
    """A list of regions; in a form it is JSON."""
    if isinstance(fields.get(name), str):
        try:
            fields[name] = json_limits.parse(fields[name].encode(), config)
        except UnreadableBody as error:
            raise InvalidField(f"{name}: {error.message}", field=name) from error
    regions = fields.get(name)
    if isinstance(regions, list) and len(regions) > config.max_regions:
        raise InvalidField(f"{name}: at most {config.max_regions} are allowed, got {len(regions)}.", field=name)
    if not isinstance(regions, list):
        return
    points = sum(len(r["points"]) for r in regions if isinstance(r, dict) and isinstance(r.get("points"), list))
    if points > config.max_polygon_points:
        raise InvalidField(
            f"{name}: at most {config.max_polygon_points} corners together are allowed, got {points}.", field=name
        )


def _base64(name: str, text: str) -> bytes:
    if text.lstrip()[:5].lower() == "data:":
        text = text.partition(",")[2]
    if any(space in text for space in string.whitespace):
        text = "".join(text.split())
    try:
        # A fortieth of the standard library's time, which would hold the interpreter.
        data = pybase64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise UnreadableBody(f"{name}: not valid base64.") from error
    if not data:
        raise UnreadableBody(f"{name}: empty.")
    return data
