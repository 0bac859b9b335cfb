"""The parts of the OpenAPI document that FastAPI cannot see, because bodies are read by hand."""

import copy
import json
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel

from ingress import samples
from ingress.errors import STATUS
from ingress.schemas.requests import (
    AsyncRequest,
    BatchHead,
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
    410: "The task is known, its picture is gone",
    413: "Too large", 415: "Format or Content-Type not supported", 422: "A field's value is wrong",
    429: "Queue full, or too many calls; see Retry-After", 500: "A bug",
    503: "Not ready; see Retry-After", 504: "Timed out",
}  # fmt: skip
ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorBody, "description": meaning} for status, meaning in _MEANINGS.items()
}
_EXAMPLE = {"image": "iVBORw0KGgo...", "regions": [{"x": 100, "y": 50, "width": 200, "height": 30}]}
_BATCH_EXAMPLE = {"items": [_EXAMPLE, _EXAMPLE], "batch_id": "catalogue-7"}
_BODIES: tuple[type[BaseModel], ...] = (
    MaskRequest, RegionsRequest, AsyncRequest, DetectRequest, RemoveTextRequest, RemoveTextTaskRequest, BatchRequest
)  # fmt: skip
_JSON = "application/json"
_OF_BODIES = {400, 408, 413, 415, 422, 504}
_ID = "0f3c9d2e7b6a4c1d8e5f"
# The code shown for a status that several have: the one that most callers meet.
_CODES = {status: code for code, status in reversed(STATUS.items())} | {405: "method_not_allowed"}
_ERROR_REF = {"$ref": "#/components/schemas/ErrorBody"}
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
    files = {name: f"(the bytes of {name}.png)" for name in ("image", "mask") if name in form["properties"]}
    fields = {"regions": json.dumps(_EXAMPLE["regions"])} if "regions" in form["properties"] else {}
    content = {
        _JSON: {"schema": reference, "example": example},
        "multipart/form-data": {"schema": form, "example": files | fields},
    }
    return {"requestBody": {"required": True, "content": content}}


def batch_body() -> dict[str, Any]:
    """The request body of a batch: JSON, or a form with the files of item n as ``image_n`` and ``mask_n``."""
    form = copy.deepcopy(BatchHead.model_json_schema(ref_template=_REF))
    items = "JSON: the list of items as in the JSON body, without `image` and `mask`."
    form["properties"]["items"] = {"type": "string", "description": items}
    form["patternProperties"] = {
        "^image_[0-9]+$": {"type": "string", "format": "binary", "description": "The image of that item, from 0."},
        "^mask_[0-9]+$": {"type": "string", "format": "binary", "description": "Its mask, unless it has regions."},
    }
    form["required"] = ["items", "image_0"]
    form["properties"]["image_0"] = {"type": "string", "format": "binary", "description": "The first item's image."}
    files = {f"image_{number}": f"(the bytes of image {number})" for number in range(2)}
    listed = json.dumps([{"regions": _EXAMPLE["regions"]}] * 2)
    content = {
        _JSON: {"schema": {"$ref": _REF.format(model=BatchRequest.__name__)}, "example": _BATCH_EXAMPLE},
        "multipart/form-data": {"schema": form, "example": files | {"items": listed, "batch_id": "catalogue-7"}},
    }
    return {"requestBody": {"required": True, "content": content}}


def _errors(operation: dict[str, Any], path: str) -> None:
    """Leaves the error answers that this operation can give, each with an example."""
    responses: dict[str, Any] = operation["responses"]
    has_body, has_id = "requestBody" in operation, "{" in path
    later = path.endswith(("-async", "-batch"))
    impossible = {504} if later else set()
    if not has_body:
        impossible |= _OF_BODIES
    if not has_id:
        impossible |= {404}
    if not has_id and not later:
        impossible |= {409}
    if "task-result" not in path:
        impossible |= {410}
    for number in impossible:
        responses.pop(str(number), None)
    responses.setdefault("500", {"description": _MEANINGS[500], "content": {_JSON: {"schema": _ERROR_REF}}})
    for status, response in responses.items():
        content = response.get("content", {}).get(_JSON, {})
        if content.get("schema") == _ERROR_REF:
            content["example"] = {
                "detail": f"{_MEANINGS[int(status)]}.",
                "error": _CODES[int(status)],
                "request_id": _ID,
            }
    operation["responses"] = dict(sorted(responses.items()))


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
            for path, operations in document["paths"].items():
                for method, operation in operations.items():
                    samples.add_to(operation, method, path)
                    _errors(operation, path)
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]
