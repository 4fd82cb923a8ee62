"""What is known of each ticket: collection `addressees`, written by the owner of the ticket's partition."""

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from pymongo import ReplaceOne
from pymongo.errors import BulkWriteError

from schemas.codes import Channel, Clock, Language, Severity, TicketState
from schemas.sealed import MaskedContact
from services.notifier.moments import Addressee, Person
from services.runtime.mongo import Database, duplicate_indexes


class MongoAddresseeStore:
    """Addressees by ticket."""

    def __init__(self, database: Database) -> None:
        self._addressees = database["addressees"]

    async def load(self, tickets: Iterable[UUID]) -> dict[UUID, Addressee]:
        """Those that are known."""
        wanted = [str(ticket) for ticket in tickets]
        if not wanted:
            return {}
        return {UUID(d["_id"]): _addressee(d) async for d in self._addressees.find({"_id": {"$in": wanted}})}

    async def states(self, tickets: Iterable[UUID]) -> dict[UUID, TicketState]:
        """Where tickets stand."""
        wanted = [str(ticket) for ticket in tickets]
        if not wanted:
            return {}
        found = self._addressees.find({"_id": {"$in": wanted}}, {"state": 1})
        return {UUID(d["_id"]): TicketState(d["state"]) async for d in found}

    async def save(self, addressees: Sequence[Addressee]) -> None:
        """Keep them, but for those of which a later state is stored: whoever wrote that has read more than we."""
        if not addressees:
            return
        # Most are new, and inserting costs far less than an upsert.
        documents = [{"_id": str(a.ticket_id), **_document(a)} for a in addressees]
        try:
            await self._addressees.insert_many(documents, ordered=False)
        except BulkWriteError as refusal:
            known = [documents[i] for i in sorted(duplicate_indexes(refusal))]
            await self._addressees.bulk_write(
                [ReplaceOne({"_id": d["_id"], "sequence": {"$lte": d["sequence"]}}, d) for d in known], ordered=False
            )


def _document(who: Addressee) -> dict[str, Any]:
    return {
        "routing_key": who.routing_key,
        "sequence": who.sequence,
        "person": person_document(who.person) if who.person else None,
        "opened_id": str(who.opened_id) if who.opened_id else None,
        "opened_at": who.opened_at,
        "number": who.number,
        "state": who.state.value,
        "category": who.category,
        "severity": int(who.severity),
        "major": who.major,
        "due": {clock.value: at for clock, at in who.due.items()},
        "confirmed": who.confirmed,
        "held": [list(pair) for pair in who.held],
    }


def _addressee(document: dict[str, Any]) -> Addressee:
    return Addressee(
        ticket_id=UUID(document["_id"]),
        routing_key=document["routing_key"],
        sequence=document["sequence"],
        person=person_of(document["person"]) if document["person"] else None,
        opened_id=UUID(document["opened_id"]) if document["opened_id"] else None,
        opened_at=document["opened_at"],
        number=document["number"],
        state=TicketState(document["state"]),
        category=document["category"],
        severity=Severity(document["severity"]),
        major=document["major"],
        due={Clock(clock): at for clock, at in document["due"].items()},
        confirmed=document["confirmed"],
        held=[(name, json) for name, json in document["held"]],
    )


def person_document(person: Person) -> dict[str, Any]:
    """A person as it is stored: references and masks."""
    return {
        "complaint_id": str(person.complaint_id),
        "contact_ref": str(person.contact_ref),
        "masked": person.masked.model_dump(),
        "used": person.used.value,
        "language": person.language.value,
        "time_zone": person.time_zone,
        "received_at": person.received_at,
    }


def person_of(document: dict[str, Any]) -> Person:
    """The person that was stored."""
    return Person(
        complaint_id=UUID(document["complaint_id"]),
        contact_ref=UUID(document["contact_ref"]),
        masked=MaskedContact.model_validate(document["masked"]),
        used=Channel(document["used"]),
        language=Language(document["language"]),
        time_zone=document["time_zone"],
        received_at=document["received_at"],
    )
