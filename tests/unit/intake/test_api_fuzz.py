"""The API holds what its description says, whatever is sent to it."""

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance

Running = Any  # of conftest.py
CHECKS = [not_a_server_error, content_type_conformance, response_schema_conformance]
PATHS = [
    ("POST", "/v1/complaints"),
    ("GET", "/v1/complaints/{complaint_id}"),
    ("POST", "/v1/complaints/batch"),
    ("POST", "/v1/evidence"),
]


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
@pytest.mark.parametrize(("method", "path"), PATHS)
def test_nothing_that_is_sent_makes_it_fail(running: Running, method: str, path: str, mode: GenerationMode) -> None:
    """No 500; every answer is of a type and a shape that the description knows."""
    described = schemathesis.openapi.from_asgi("/openapi.json", running.app)

    @settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(case=described[path][method].as_strategy(generation_mode=mode))
    def check(case: Any) -> None:
        case.call_and_validate(checks=CHECKS)

    check()
