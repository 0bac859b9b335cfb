"""The parts of the OpenAPI document that FastAPI cannot see, because bodies are read by hand."""

import copy
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel

from ingress.schemas.requests import (
    AsyncRequest,
    BatchRequest,
    DetectRequest,
    MaskRequest,
    RegionsRequest,
    RemoveTextRequest,
    RemoveTextTaskRequest,
)
from ingress.schemas.responses import ErrorBody

_MEANINGS = {
    400: "Unreadable body or broken image", 401: "No key, or a wrong one (only with API_KEYS)", 404: "Unknown",
    405: "Method not allowed", 408: "The body came too slowly", 409: "Conflict with the task's state",
    413: "Too large", 415: "Format or Content-Type not supported", 422: "A field's value is wrong",
    429: "Queue full; see Retry-After", 500: "A bug", 503: "Not ready; see Retry-After", 504: "Timed out",
}  # fmt: skip
ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorBody, "description": meaning} for status, meaning in _MEANINGS.items()
}
_EXAMPLE = {"image": "iVBORw0KGgo...", "regions": [{"x": 100, "y": 50, "width": 200, "height": 30}]}
_BATCH_EXAMPLE = {"items": [_EXAMPLE, _EXAMPLE], "batch_id": "catalogue-7"}
_BODIES: tuple[type[BaseModel], ...] = (
    MaskRequest, RegionsRequest, AsyncRequest, DetectRequest, RemoveTextRequest, RemoveTextTaskRequest, BatchRequest
)  # fmt: skip
_REF = "#/components/schemas/{model}"


def body(schema: type[BaseModel]) -> dict[str, Any]:
    """The request body of an operation: JSON, or a form with files."""
    reference = {"$ref": _REF.format(model=schema.__name__)}
    example = dict(_EXAMPLE)
    if schema is MaskRequest:
        example = {"image": "iVBORw0KGgo...", "mask": "iVBORw0KGgo..."}
    if "regions" not in schema.model_fields:
        example.pop("regions", None)
    form = copy.deepcopy(schema.model_json_schema(ref_template=_REF))
    form.pop("$defs", None)
    for name in ("image", "mask"):
        if name in form["properties"]:
            form["properties"][name] = {"type": "string", "format": "binary", "description": f"The {name} file."}
    for name in ("regions", "include", "exclude"):
        if name in form["properties"]:
            form["properties"][name] = {"type": "string", "description": "The list of regions as JSON."}
    content = {"application/json": {"schema": reference, "example": example}, "multipart/form-data": {"schema": form}}
    return {"requestBody": {"required": True, "content": content}}


def json_body(schema: type[BaseModel]) -> dict[str, Any]:
    """The request body of an operation that takes JSON only."""
    content = {"application/json": {"schema": {"$ref": _REF.format(model=schema.__name__)}, "example": _BATCH_EXAMPLE}}
    return {"requestBody": {"required": True, "content": content}}


def install(app: FastAPI) -> None:
    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = get_openapi(
                title=app.title, version=app.version, description=app.description, routes=app.routes,
                servers=app.servers or None,
            )  # fmt: skip
            schemas = document["components"]["schemas"]
            for schema in _BODIES:
                whole = schema.model_json_schema(ref_template=_REF)
                schemas.update(whole.pop("$defs", {}))
                schemas[schema.__name__] = whole
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]
