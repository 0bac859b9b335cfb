"""Requests made from the OpenAPI document itself, valid and not: no 5xx, and answers are what the document says."""

from typing import Any

import pytest
import schemathesis
import torch
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from ingress.app import create_app
from tests.support.fakes import config, services

schema = schemathesis.openapi.from_asgi("/openapi.json", create_app(services()[0], config()))


@pytest.fixture(autouse=True)
def subnormal_numbers() -> None:
    """Tests of engines turn them off in this process; Hypothesis refuses to make numbers then."""
    torch.set_flush_denormal(False)


@pytest.mark.filterwarnings("ignore")
@schema.parametrize()
@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_every_operation_keeps_to_its_description(case: schemathesis.Case[Any]) -> None:
    # A schema cannot say that a text is the base64 of a picture, or which tasks exist.
    excluded: list[Any] = [positive_data_acceptance]
    if case.media_type == "multipart/form-data":
        # All fields of a form are text: a boolean made in a text's place arrives as a valid text. As JSON the same
        # fields are held to their types; test_rest.py and test_limits.py do so for forms.
        excluded.append(negative_data_rejection)
    case.call_and_validate(excluded_checks=excluded)
