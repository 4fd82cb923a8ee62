"""The codec on anything that a topic can hold."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.codec import UndecodableMessage, decode, encode
from schemas.topics import MESSAGES
from tests.property.messages import messages

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
TYPES = st.sampled_from(sorted(MESSAGES))
HEADERS = st.lists(
    st.tuples(
        st.sampled_from(["ce_type", "traceparent", "content-type", "ce_id"]) | st.text(max_size=12),
        st.none() | st.binary(max_size=60) | TYPES.map(str.encode) | st.just(b"application/json"),
    ),
    max_size=6,
)


def read(value: bytes | None, headers: list[tuple[str, bytes | None]]) -> str | None:
    """Why it is refused; None when it is a message."""
    try:
        found = decode(value, headers)
    except UndecodableMessage as refusal:
        return refusal.reason
    assert decode(encode(found.message).value, encode(found.message).headers).message == found.message
    return None


@settings(max_examples=150, deadline=None)
@given(st.none() | st.binary(max_size=200), HEADERS)
def test_any_bytes_and_headers_are_a_message_or_undecodable(
    value: bytes | None, headers: list[tuple[str, bytes | None]]
) -> None:
    """Nothing else comes out, and the reason is a sentence."""
    assert read(value, headers) != ""


@settings(max_examples=150, deadline=None)
@given(TYPES, st.data())
def test_any_json_is_a_message_or_undecodable(kind: str, data: st.DataObject) -> None:
    """Also when it has the fields of the type and wrong values in them."""
    names = st.sampled_from(sorted(MESSAGES[kind].model_fields)) | st.text(max_size=8)
    content = data.draw(VALUES | st.dictionaries(names, VALUES, max_size=12))
    reason = read(json.dumps(content).encode(), [("ce_type", kind.encode())])
    assert reason is None or len(reason) < 20_000


@pytest.mark.parametrize("kind", sorted(MESSAGES))
def test_what_is_written_is_what_is_read(kind: str) -> None:
    """For every type and whatever its fields hold."""

    @settings(max_examples=10, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(messages(MESSAGES[kind]))
    def check(message: Any) -> None:
        encoded = encode(message)
        found = decode(encoded.value, encoded.headers)
        assert found.message == message
        assert encode(found.message) == encode(message)
        assert dict(encoded.headers)["ce_id"] == str(message.ce_id).encode()

    check()


@pytest.mark.parametrize(
    ("headers", "told"),
    [
        ([("ce_type", None)], "ce_type is missing"),
        ([("ce_type", b"amends.ticket.closed.v1"), ("ce_type", b"amends.ticket.opened.v1")], "says two things"),
        ([("ce_type", b"amends.ticket.closed.v1"), ("content-type", b"application/avro")], "is not JSON"),
        ([("ce_type", b"amends.ticket.closed.v1"), ("content-type", None)], "is not JSON"),
    ],
)
def test_headers_that_leave_the_payload_in_doubt_are_refused(headers: list[Any], told: str) -> None:
    """Nobody guesses what the bytes are."""
    assert told in (read(b"{}", headers) or "")


def test_a_payload_with_countless_problems_is_not_listed() -> None:
    """The reason stays a sentence."""
    value = json.dumps({"waybills": [5] * 50_000}).encode()
    assert "too many to list" in (read(value, [("ce_type", b"amends.complaint.submitted.v1")]) or "")
