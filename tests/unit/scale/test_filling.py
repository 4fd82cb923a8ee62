"""Copies of documents under other ids."""

import re
from uuid import UUID, uuid4, uuid5

import bson

from tests.scale.filling import maker

TICKET = uuid5(uuid4(), "ticket")
EVENT = {"_id": f"{TICKET}:1", "ticket_id": str(TICKET), "then": [["opened", f'{{"ticket_id":"{TICKET}"}}']], "n": 1}


def test_a_copy_has_another_id_everywhere_and_nothing_else_changes():
    """Also in text within text, and in the same length; a UUID keeps its version."""
    copy = bson.decode(maker(EVENT)(1))
    other = UUID(copy["ticket_id"])
    assert other != TICKET
    assert other.version == TICKET.version
    assert copy == {
        "_id": f"{other}:1", "ticket_id": str(other), "then": [["opened", f'{{"ticket_id":"{other}"}}']], "n": 1,
    }  # fmt: skip


def test_what_belongs_together_still_does_in_each_copy():
    """The same number gives the same ids in every collection, another number others."""
    event, ticket = maker(EVENT), maker({"_id": str(TICKET)})
    assert bson.decode(event(7))["ticket_id"] == bson.decode(ticket(7))["_id"]
    assert bson.decode(ticket(7))["_id"] != bson.decode(ticket(8))["_id"]


def test_ids_that_are_digests_or_a_providers_become_others_too():
    """So that no copy meets the id of another."""
    digest, provided = maker({"_id": "0123456789abcdef" * 2}), maker({"_id": "4711"})
    assert re.fullmatch("[0-9a-f]{32}", bson.decode(digest(1))["_id"])
    assert len({bson.decode(make(n))["_id"] for make in (digest, provided) for n in (1, 2)}) == 4
