"""The document in docs/openapi.json is what the service says of itself. ``UPDATE_OPENAPI=1`` writes it anew."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from ingress.app import create_app
from ingress.errors import STATUS
from ingress.openapi import ERRORS
from ingress.samples import SAMPLES
from ingress.settings import Settings
from tests.support.fakes import config, services

FILE = Path(__file__).parents[2] / "docs" / "openapi.json"


def document() -> dict[str, Any]:
    made: dict[str, Any] = create_app(services()[0], config()).openapi()
    return made


OPERATIONS = [
    pytest.param(path, method, operation, id=f"{method} {path}")
    for path, operations in document()["paths"].items()
    for method, operation in operations.items()
]


def test_the_file_is_in_step() -> None:
    text = json.dumps(document(), indent=1, ensure_ascii=False) + "\n"
    if os.environ.get("UPDATE_OPENAPI"):
        FILE.write_text(text)
    assert FILE.read_text() == text, "run: UPDATE_OPENAPI=1 .venv/bin/python -m pytest tests/api/test_openapi.py"


def test_settings_do_not_change_it() -> None:
    """Only the sentence about the playground depends on one: the file holds for every other installation."""
    other = create_app(
        services()[0], config(max_pixels=1_000_000, iopaint_models="fake", public_url="https://a.example")
    )
    assert other.openapi() == document()
    assert "playground" in Settings.model_fields


@pytest.mark.parametrize(("path", "method", "operation"), OPERATIONS)
def test_every_operation_is_described(path: str, method: str, operation: dict[str, Any]) -> None:
    assert operation["summary"]
    assert [sample["lang"] for sample in operation["x-codeSamples"]] == ["Shell", "Python", "JavaScript"]
    for media, content in operation.get("requestBody", {}).get("content", {}).items():
        assert content["example"], media
    for parameter in operation.get("parameters", []):
        assert parameter["example"]
    errors = [status for status in operation["responses"] if int(status) >= 400]
    assert "500" in errors
    for status in errors:
        content = operation["responses"][status]["content"]["application/json"]
        if content["schema"]["$ref"].endswith("/ErrorBody"):
            assert ({"method_not_allowed": 405} | STATUS)[content["example"]["error"]] == int(status)


def test_what_cannot_happen_is_not_announced() -> None:
    paths = document()["paths"]
    everywhere = {"401", "405", "429", "500", "503"}
    assert set(paths["/api/v1/task-status/{task_id}"]["get"]["responses"]) == {"200", "404", "409"} | everywhere
    assert "404" not in paths["/api/v1/inpaint"]["post"]["responses"]
    assert "409" in paths["/api/v1/inpaint-regions-async"]["post"]["responses"]
    assert "410" in paths["/api/v1/task-result/{task_id}"]["get"]["responses"]


def test_every_field_is_described() -> None:
    for name, schema in document()["components"]["schemas"].items():
        for field, said in schema.get("properties", {}).items():
            assert said.get("description"), f"{name}.{field}"


def test_no_sample_is_of_an_operation_that_is_gone() -> None:
    there = {(method, path) for path, operations in document()["paths"].items() for method in operations}
    assert set(SAMPLES) == there


def test_every_status_has_a_meaning() -> None:
    assert {status for status in STATUS.values() if status not in (499,)} <= set(ERRORS) | {410}
