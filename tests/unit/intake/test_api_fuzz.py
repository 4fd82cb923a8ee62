"""The API holds what its description says, whatever is sent to it."""

import asyncio
import json
from typing import Any

import jsonschema_rs
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

Running = Any  # of conftest.py
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
OPERATIONS = [
    ("POST", "/v1/complaints"),
    ("GET", "/v1/complaints/{complaint_id}"),
    ("POST", "/v1/complaints/batch"),
    ("POST", "/v1/evidence"),
]
OPTIONS: dict[str, Any] = {"deadline": None, "derandomize": True, "suppress_health_check": list(HealthCheck)}


def test_every_operation_that_is_described_is_tried(running: Running) -> None:
    """A route that is added is added below, too."""
    described = running.app.openapi()["paths"]
    assert sorted((method.upper(), path) for path, methods in described.items() for method in methods) == sorted(
        OPERATIONS
    )


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_nothing_that_is_sent_makes_it_fail(running: Running, method: str, path: str, mode: GenerationMode) -> None:
    """No 500; every answer has a status, a type, headers and a shape that the description knows."""
    described = schemathesis.openapi.from_asgi("/openapi.json", running.app)

    @settings(max_examples=25, **OPTIONS)
    @given(case=described[path][method].as_strategy(generation_mode=mode))
    def check(case: Any) -> None:
        case.call_and_validate(checks=CHECKS)

    check()


@pytest.mark.parametrize("path", ["/v1/complaints", "/v1/complaints/x", "/v1/complaints/batch", "/v1/evidence"])
@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "HEAD", "POST", "BREW"])
async def test_a_method_that_a_path_has_not_is_told_in_words(client: Any, path: str, method: str) -> None:
    """405 as a problem that names what it has; never 500."""
    answer = await client.request(method, path)
    if answer.status_code == 405:
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["allow"]
    else:
        assert (method, path) in {
            (m, p.replace("{complaint_id}", "x")) for m, p in OPERATIONS
        } or answer.status_code < 500


VALUES = st.none() | st.integers() | st.text(max_size=8) | st.lists(st.text(max_size=4), max_size=3)
OBJECTS = st.dictionaries(
    st.sampled_from(["description", "channel", "waybills", "complainant", "x"]), VALUES, max_size=4
)
LINES = (
    st.binary(max_size=40)
    | OBJECTS.map(lambda fields: json.dumps(fields).encode())
    | st.text(max_size=30).map(str.encode)
)


@pytest.mark.parametrize("kind", ["application/x-ndjson", "text/csv", "text/csv; charset=gbk"])
def test_any_lines_have_answers_that_the_description_knows(running: Running, kind: str) -> None:
    """One answer a line at most, in order, each of the described shape."""
    components = running.app.openapi()["components"]
    shape = jsonschema_rs.validator_for({"$ref": "#/components/schemas/LineAnswer", "components": components})

    async def post(body: bytes) -> Any:
        async with running.client() as client:
            return await client.post("/v1/complaints/batch", content=body, headers={"Content-Type": kind})

    @settings(max_examples=60, **OPTIONS)
    @given(st.lists(LINES, max_size=6), st.sampled_from([b"\n", b"\r\n"]))
    def check(lines: list[bytes], line_end: bytes) -> None:
        heading = b"phone,description\n" if kind.startswith("text/csv") else b""
        body = heading + line_end.join(lines)
        answer = asyncio.run(post(body))
        assert answer.status_code == 200
        told = [json.loads(line) for line in answer.content.splitlines()]
        for one in told:
            shape.validate(one)
        numbers = [one["line"] for one in told]
        assert numbers == sorted(set(numbers))
        assert len(told) <= body.count(b"\n") + 1

    check()


@pytest.mark.parametrize(
    "prefer", ["wait=0", "wait=999999", "wait=-1", 'wait="0"', "respond-async, wait=x", ",;=", "wait=²"]
)
async def test_any_preference_is_honoured_or_ignored(client: Any, prefer: str) -> None:
    """A header that says nothing sensible is no error (RFC 7240 section 2)."""
    unknown = "0d4f6b9e-0c1c-5a53-9d56-5b1f8a7c2e11"
    answer = await client.get(f"/v1/complaints/{unknown}", headers={"Prefer": prefer.encode("latin-1", "replace")})
    assert answer.status_code == 404
