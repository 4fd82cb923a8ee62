"""The sole place between bytes and models: the CloudEvents 1.0 Kafka binding in binary mode, JSON payload.

https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/kafka-protocol-binding.md
"""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache, lru_cache
from typing import Final, Generic, NamedTuple, TypeVar

from pydantic import ValidationError

from schemas import ids
from schemas.message import Message
from schemas.topics import MESSAGES

Headers = list[tuple[str, bytes | None]]
"""As Kafka has them: a header may be without a value, and a name may come twice."""
M = TypeVar("M", bound=Message)

_TRACEPARENT: Final = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_VERSION: Final = ("ce_specversion", b"1.0")
_JSON: Final = ("content-type", b"application/json")
_DECISIVE: Final = frozenset({"ce_type", "content-type"})
"""Headers that say how the payload is read."""
_PROBLEMS_TOLD_MAX: Final = 20
_PROBLEMS_LISTED_MAX: Final = 1000
"""Listing hundreds of thousands takes seconds."""


class UndecodableMessage(Exception):  # noqa: N818  # it tells of the message, not of a fault of ours
    """Bytes that are no message of a published type. `reason` is a sentence with every problem in it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Encoded(NamedTuple):
    """What a producer sends."""

    key: bytes
    value: bytes
    headers: Headers


class Decoded(NamedTuple, Generic[M]):
    """A message and the trace it belongs to."""

    message: M
    traceparent: str | None


def encode(message: Message, *, traceparent: str | None = None) -> Encoded:
    """The bytes of a message. A `traceparent` (W3C) goes on with a span of its own."""
    id_, sequence = message.ce_id, message.ce_sequence
    headers: Headers = [
        _VERSION,
        ("ce_id", str(id_).encode()),
        *_kind(type(message)),
        ("ce_subject", ids.text(message.ce_subject).encode()),
        ("ce_time", _time(message.ce_time)),
        _JSON,
    ]
    if sequence is not None:
        headers.append(("ce_sequence", b"%d" % sequence))
    headers.append(("traceparent", child_trace(traceparent, id_.bytes).encode()))
    return Encoded(key=message.routing_key.encode(), value=message.payload, headers=headers)


@lru_cache(maxsize=256)
def _time(at: datetime) -> bytes:
    # What follows from one cause has one time.
    return at.astimezone(UTC).isoformat().encode()


@cache
def _kind(model: type[Message]) -> Headers:
    """The headers that all messages of a type share."""
    return [("ce_source", model.SOURCE.encode()), ("ce_type", model.ce_type().encode())]


def decode(
    value: bytes | None,
    headers: Iterable[tuple[str, bytes | None]],
    *,
    types: Mapping[str, type[Message]] = MESSAGES,
) -> Decoded[Message]:
    """The message in a record.

    Args:
        value: the record's value.
        headers: the record's headers.
        types: which models may stand there, by CloudEvents type; a topic's `by_type`.

    Raises:
        UndecodableMessage: no value, no, two or an unknown `ce_type`, a content type that is not JSON, or a payload
            that its model refuses.
    """
    by_name: dict[str, bytes] = {}
    for name, said in headers:
        if by_name.setdefault(name, said or b"") != (said or b"") and name in _DECISIVE:
            raise UndecodableMessage(f"the header {name} is there twice and says two things")
    ce_type = by_name.get("ce_type", b"").decode("ascii", "replace")
    if not ce_type:
        raise UndecodableMessage("the header ce_type is missing: nothing says what the payload is")
    model = types.get(ce_type)
    if model is None:
        raise UndecodableMessage(f"the type {ce_type[:200]!r} is not one of this topic: {', '.join(sorted(types))}")
    content_type = by_name.get("content-type", _JSON[1])
    if content_type != _JSON[1] and not _is_json(content_type):
        raise UndecodableMessage(f"the content type {content_type[:100].decode('ascii', 'replace')!r} is not JSON")
    if value is None:
        raise UndecodableMessage("the record has no value")
    try:
        message = model.model_validate_json(value)
    except ValidationError as refusal:
        raise UndecodableMessage(_all_problems(refusal)) from None
    return Decoded(message=message, traceparent=_valid_trace(by_name.get("traceparent")))


def _is_json(content_type: bytes) -> bool:
    media = content_type.partition(b";")[0].strip().lower()
    return media == _JSON[1] or media.endswith(b"+json")


def child_trace(traceparent: str | None, identity: bytes) -> str:
    """A `traceparent` in the same trace, its span told by `identity`: the same message gives the same span.

    Without a parent the trace id, too, follows from `identity`.
    """
    digest = hashlib.blake2b(identity, digest_size=24).hexdigest()
    trace = traceparent[3:35] if traceparent else digest[:32]
    flags = traceparent[53:55] if traceparent else "01"
    return f"00-{trace}-{digest[32:48]}-{flags}"


def _valid_trace(header: bytes | None) -> str | None:
    text = header.decode("ascii", "replace") if header else ""
    return text if _TRACEPARENT.fullmatch(text) else None


def _all_problems(refusal: ValidationError) -> str:
    if (count := refusal.error_count()) > _PROBLEMS_LISTED_MAX:
        return f"{count} problems in one payload, too many to list"
    # Field and rule only: the refused value may be personal data, and the original bytes are kept anyway.
    problems: Sequence[str] = [
        f"{'.'.join(str(step)[:64] for step in e['loc']) or 'payload'}: {e['msg']}"
        for e in refusal.errors(include_input=False, include_url=False, include_context=False)
    ]
    told = problems[:_PROBLEMS_TOLD_MAX]
    if len(problems) > len(told):
        told = [*told, f"and {len(problems) - len(told)} more"]
    return "; ".join(told)
