"""One way between bytes and messages."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import codec
from schemas.codec import UndecodableMessage
from schemas.topics import TOPICS

GOLDEN = Path(__file__).parents[3] / "schemas" / "golden"
OPENED = (GOLDEN / "amends.ticket.opened.v1.json").read_bytes()
HEADER = [("ce_type", b"amends.ticket.opened.v1")]


def test_headers_carry_the_cloud_event():
    """Binary mode: attributes in headers, so that a consumer can route without reading the payload."""
    message = codec.decode(OPENED, HEADER).message
    encoded = codec.encode(message)
    headers = dict(encoded.headers)
    assert headers["ce_specversion"] == b"1.0"
    assert headers["ce_id"] == str(message.ce_id).encode()
    assert headers["ce_subject"] == str(message.ce_subject).encode()
    assert headers["ce_sequence"] == b"1"
    assert headers["content-type"] == b"application/json"
    assert encoded.key == message.routing_key.encode()


def test_a_changed_copy_is_written_anew():
    """A message is written once, but not in the words of the one that it was copied from."""
    message = codec.decode(OPENED, HEADER).message
    assert json.loads(message.payload)["sequence"] == 1
    copy = message.model_copy(update={"sequence": 2})
    assert json.loads(copy.payload)["sequence"] == 2
    assert copy.model_copy() == copy
    assert codec.encode(copy).value == copy.model_dump_json().encode()


def test_a_trace_goes_on_and_the_same_message_has_the_same_span():
    """A redelivered message does not look like a second one in the tracing system."""
    parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    message = codec.decode(OPENED, HEADER).message
    first = dict(codec.encode(message, traceparent=parent).headers)["traceparent"]
    again = dict(codec.encode(message, traceparent=parent).headers)["traceparent"]
    assert first == again
    assert first.split(b"-")[1] == parent.split("-")[1].encode()
    assert first.split(b"-")[2] != parent.split("-")[2].encode()


@pytest.mark.parametrize(
    ("value", "headers", "told"),
    [
        (OPENED, [], "ce_type is missing"),
        (OPENED, [("ce_type", b"amends.ticket.exploded.v1")], "is not one of this topic"),
        (None, HEADER, "has no value"),
        (b"{", HEADER, "Invalid JSON"),
        (b"\xff\xfe", HEADER, "Invalid JSON"),
        (b"{}", HEADER, "ticket_id: Field required"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_reason(value, headers, told):
    """The dead letter says what was wrong."""
    with pytest.raises(UndecodableMessage, match=told):
        codec.decode(value, headers, types=TOPICS["ticket-event"].by_type)


def test_every_problem_is_told_at_once():
    """Whoever repairs a producer sees all that is wrong with its messages, and no personal value."""
    broken = json.loads(OPENED) | {"sequence": 0, "ticket_id": "13800138000"}
    with pytest.raises(UndecodableMessage) as refusal:
        codec.decode(json.dumps(broken).encode(), HEADER)
    assert "sequence" in refusal.value.reason
    assert "ticket_id" in refusal.value.reason
    assert "13800138000" not in refusal.value.reason


def test_unknown_fields_are_ignored_on_read():
    """A newer producer does not stop an older consumer."""
    newer = json.dumps(json.loads(OPENED) | {"from_the_future": 1}).encode()
    assert codec.decode(newer, HEADER).message == codec.decode(OPENED, HEADER).message


@given(
    value=st.none() | st.binary(max_size=300),
    headers=st.lists(
        st.tuples(st.sampled_from(["ce_type", "traceparent", "x"]), st.binary(max_size=60) | st.just(HEADER[0][1]))
    ),
)
def test_any_bytes_are_decoded_or_refused(value, headers):
    """No record on a topic can crash a consumer in the codec."""
    try:
        codec.decode(value, headers)
    except UndecodableMessage as refusal:
        assert refusal.reason
