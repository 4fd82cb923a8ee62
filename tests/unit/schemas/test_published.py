"""Downstream relies on published types: what is checked in is what the models give, and nothing breaks a reader."""

import copy
import json
from pathlib import Path

import pytest

from schemas import codec, publishing
from schemas.topics import MESSAGES, TOPICS

ROOT = Path(__file__).parents[3]
PUBLISHED = ROOT / "schemas" / "published"
GOLDEN = ROOT / "schemas" / "golden"

by_type = pytest.mark.parametrize("ce_type", sorted(MESSAGES))


@by_type
def test_checked_in_schema_is_what_the_model_gives(ce_type):
    """A reader of the repository sees the schema that is on the wire."""
    stored = json.loads((PUBLISHED / f"{ce_type}.json").read_text())
    assert stored == publishing.json_schema(MESSAGES[ce_type])


@by_type
def test_golden_example_decodes_and_encodes_to_the_same_json(ce_type):
    """A message that was ever written in this version can be read, and nothing of it is dropped or renamed.

    A field that was added since comes with its default.
    """
    golden = (GOLDEN / f"{ce_type}.json").read_bytes()
    decoded = codec.decode(golden, [("ce_type", ce_type.encode())]).message
    encoded = codec.encode(decoded)
    assert _of(json.loads(golden), json.loads(encoded.value)) == json.loads(golden)
    assert dict(encoded.headers)["ce_type"] == ce_type.encode()


def _of(known, value):
    """Of a value the fields that were known, at every depth."""
    if isinstance(known, dict):
        return {name: _of(known[name], value[name]) for name in known if name in value}
    if isinstance(known, list):
        return [_of(a, b) for a, b in zip(known, value, strict=True)]
    return value


@by_type
def test_published_schema_did_not_break(ce_type):
    """A change of a published type only adds; the first published form is kept beside the golden example."""
    first = json.loads((GOLDEN / f"{ce_type}.schema.json").read_text())
    assert publishing.breaks(first, publishing.json_schema(MESSAGES[ce_type])) == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda s: s["properties"].pop("number"), "number: is gone"),
        (lambda s: s["properties"]["sequence"].update(type="string"), "sequence: type was 'integer'"),
        (lambda s: s["required"].remove("ticket_id"), "ticket_id: was always there"),
        (lambda s: s["$defs"]["TicketState"]["enum"].remove("closed"), "['closed'] are gone"),
        (lambda s: s["$defs"]["MaskedContact"]["properties"].pop("phone"), "phone: is gone"),
        (lambda s: s["properties"].update(number={"anyOf": [{"type": "string"}, {"type": "null"}]}), "number: type"),
    ],
)
def test_a_breaking_change_is_named(change, told):
    """The check sees fields, types, requirement and closed sets go, nested ones too."""
    before = publishing.json_schema(MESSAGES["amends.ticket.opened.v1"])
    after = copy.deepcopy(before)
    change(after)
    assert any(told in sentence for sentence in publishing.breaks(before, after)), publishing.breaks(before, after)


def test_adding_a_field_is_no_break():
    """Consumers ignore what they do not know, so the stream can grow."""
    before = publishing.json_schema(MESSAGES["amends.ticket.opened.v1"])
    after = copy.deepcopy(before)
    after["properties"]["new"] = {"type": "string"}
    assert publishing.breaks(before, after) == []


def test_topics_have_dead_letters_and_fixed_names():
    """Dashboards and downstream rely on these names."""
    assert set(TOPICS) == {
        "complaint-submitted",
        "ticket-command",
        "ticket-event",
        "sla-event",
        "sla-breached",
        "notification-event",
    }
    assert TOPICS["sla-event"].dead_letters == "sla-event-dlq"


def test_async_api_names_every_topic_and_type():
    """The document is whole: each channel's messages resolve."""
    document = publishing.async_api(version="0")
    for name, channel in document["channels"].items():
        assert channel["address"] == name
        for reference in channel["messages"].values():
            assert reference["$ref"].rsplit("/", 1)[-1] in document["components"]["messages"]
