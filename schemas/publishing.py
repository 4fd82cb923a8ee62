"""What downstream gets to read: a JSON Schema per type and an AsyncAPI 3 document, made from the models.

They are checked in under `schemas/published/`, with golden examples per version under `schemas/golden/`. A test fails
when the models no longer give what is checked in, and when a change would break a consumer.
"""

from collections.abc import Iterator
from typing import Any, Final

from schemas.message import Message
from schemas.topics import MESSAGES, PARTITIONS_DEFAULT, TOPICS, Topic

JSON_SCHEMA_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

HEADERS: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["ce_specversion", "ce_id", "ce_source", "ce_type", "ce_subject", "ce_time", "content-type"],
    "properties": {
        "ce_specversion": {"const": "1.0"},
        "ce_id": {"type": "string", "format": "uuid", "description": "The same after any redelivery or replay."},
        "ce_source": {"type": "string", "description": "The service that published it."},
        "ce_type": {"type": "string", "description": "`amends.<noun>.<past verb>.v<version>`"},
        "ce_subject": {"type": "string", "format": "uuid", "description": "The ticket, before it the complaint."},
        "ce_time": {"type": "string", "format": "date-time", "description": "When it happened."},
        "ce_sequence": {"type": "string", "description": "The ticket's event number, on `ticket-event`."},
        "content-type": {"const": "application/json"},
        "traceparent": {"type": "string", "description": "W3C trace context."},
    },
}


def json_schema(model: type[Message]) -> dict[str, Any]:
    """The schema of a type's payload as it is written (2020-12)."""
    schema = model.model_json_schema(mode="serialization")
    return {"$schema": JSON_SCHEMA_DIALECT, "$id": f"urn:{model.ce_type()}", **schema}


def async_api(*, version: str) -> dict[str, Any]:
    """The AsyncAPI 3.0 document of all topics."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Amends",
            "version": version,
            "description": (
                "Complaint tickets for logistics networks. CloudEvents 1.0, Kafka binding, binary mode. Messages are "
                "delivered at least once with ids that stay the same: ignore a `ce_id` you have seen. "
                "Ignore fields and types you do not know."
            ),
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {name: _channel(topic) for name, topic in TOPICS.items()},
        "operations": dict(_operations()),
        "components": {
            "messageTraits": {"cloudEvent": {"headers": HEADERS}},
            "messages": {
                ce_type: {
                    "name": ce_type,
                    "summary": (model.__doc__ or "").strip().splitlines()[0],
                    "traits": [{"$ref": "#/components/messageTraits/cloudEvent"}],
                    "payload": {
                        "schemaFormat": "application/schema+json;version=draft-2020-12",
                        "schema": {"$ref": f"./{ce_type}.json"},
                    },
                }
                for ce_type, model in sorted(MESSAGES.items())
            },
        },
    }


def breaks(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """What in a new schema would break a consumer of the old one; each a sentence, empty when nothing does.

    A consumer may rely on every field being there, on its type and format, and on a closed set of values being the
    whole set. New fields are no break; neither are new values of a set that names states of the world, which is why
    consumers are told to ignore what they do not know, but a value that goes away is.
    """
    return list(_breaks(before, after, before.get("$defs", {}), after.get("$defs", {}), path=""))


def _channel(topic: Topic) -> dict[str, Any]:
    retention_ms = -1 if topic.retention is None else int(topic.retention.total_seconds() * 1000)
    return {
        "address": topic.name,
        "description": f"{topic.about} What cannot be processed goes to `{topic.dead_letters}`.",
        "messages": {m.ce_type(): {"$ref": f"#/components/messages/{m.ce_type()}"} for m in topic.messages},
        "bindings": {
            "kafka": {
                "partitions": PARTITIONS_DEFAULT,
                "topicConfiguration": {"cleanup.policy": ["delete"], "retention.ms": retention_ms},
                "bindingVersion": "0.5.0",
            },
        },
    }


def _operations() -> Iterator[tuple[str, dict[str, Any]]]:
    for topic in TOPICS.values():
        for action, services in (("send", topic.producers), ("receive", topic.consumers)):
            for service in services:
                name = f"{service}-{action}s-{topic.name}".replace("_", "-")
                yield name, {"action": action, "channel": {"$ref": f"#/channels/{topic.name}"}, "title": service}


def _breaks(
    before: dict[str, Any], after: dict[str, Any], defs_before: dict[str, Any], defs_after: dict[str, Any], *, path: str
) -> Iterator[str]:
    before, after = _resolve(before, defs_before), _resolve(after, defs_after)
    yield from _value_breaks(before, after, here=path or "payload")
    fields_after = after.get("properties", {})
    for name, field in before.get("properties", {}).items():
        if name not in fields_after:
            yield f"{path}.{name}: is gone"
        else:
            yield from _breaks(field, fields_after[name], defs_before, defs_after, path=f"{path}.{name}")
    if "items" in before and "items" in after:
        yield from _breaks(before["items"], after["items"], defs_before, defs_after, path=f"{path}[]")
    for keyword in ("anyOf", "oneOf"):
        kinds_after = {_kind(k): k for k in (_resolve(k, defs_after) for k in after.get(keyword, ()))}
        kinds_before = {_kind(k): k for k in (_resolve(k, defs_before) for k in before.get(keyword, ()))}
        for kind, schema in kinds_before.items():
            if kind not in kinds_after:
                yield f"{path}: may no longer be {kind!r}"
            else:
                yield from _breaks(schema, kinds_after[kind], defs_before, defs_after, path=f"{path}<{kind}>")
        if kinds_before and "null" in kinds_after and "null" not in kinds_before:
            yield f"{path}: may now be null"


def _value_breaks(before: dict[str, Any], after: dict[str, Any], *, here: str) -> Iterator[str]:
    for keyword in ("type", "format", "const"):
        if before.get(keyword) != after.get(keyword):
            yield f"{here}: {keyword} was {before.get(keyword)!r}, is {after.get(keyword)!r}"
    gone = set(before.get("enum", ())) - set(after.get("enum", before.get("enum", ())))
    if gone:
        yield f"{here}: the values {sorted(gone, key=str)} are gone"
    for name in before.get("required", ()):
        if name not in after.get("required", ()):
            yield f"{here}.{name}: was always there, now it may be missing"


def _kind(schema: dict[str, Any]) -> str:
    return str(schema.get("title") or schema.get("type"))


def _resolve(schema: dict[str, Any], defs: dict[str, Any]) -> dict[str, Any]:
    reference = schema.get("$ref")
    resolved: dict[str, Any] = defs[reference.rsplit("/", 1)[-1]] if reference else schema
    return resolved
