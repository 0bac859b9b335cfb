"""Requests made from the OpenAPI document itself, valid and not: no 5xx, and answers are what the document says."""

from typing import Any

import pytest
import schemathesis
import torch
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance

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
    # All checks but one: a schema cannot say that a text is the base64 of a picture, or which tasks exist.
    case.call_and_validate(excluded_checks=[positive_data_acceptance])
