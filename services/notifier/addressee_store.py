"""What is known of each ticket, written by the owner of its partition.

Collection `addressees` holds the fold of the ticket's events, `promises` that of the facts about its clocks. The two
come on two topics, some 50 ms apart: kept apart, each is inserted once in most cases, and inserting is what is cheap.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from pymongo import ReplaceOne
from pymongo.errors import BulkWriteError

from schemas.codes import Channel, Clock, Language, Moment, Severity, TicketState
from schemas.sealed import MaskedContact
from services.notifier.moments import Addressee, Owed
from services.notifier.notice import Person
from services.notifier.standing import Standing
from services.runtime.mongo import Collection, Database, duplicate_indexes
from services.runtime.together import together


class MongoAddresseeStore:
    """Addressees by ticket."""

    def __init__(self, database: Database) -> None:
        self._addressees = database["addressees"]
        self._promises = database["promises"]

    async def load(self, tickets: Iterable[UUID]) -> dict[UUID, Addressee]:
        """Those that are known."""
        wanted = [str(ticket) for ticket in tickets]
        ticket_parts, fact_parts = await asyncio.gather(
            _found(self._addressees, wanted), _found(self._promises, wanted)
        )
        return {
            UUID(id_): _addressee(id_, ticket_parts.get(id_), fact_parts.get(id_))
            for id_ in ticket_parts.keys() | fact_parts.keys()
        }

    async def promised(self, tickets: Iterable[UUID], clock: Clock) -> set[UUID]:
        """Those of which that clock has started."""
        wanted = [str(ticket) for ticket in tickets]
        if not wanted:
            return set()
        started = {"_id": {"$in": wanted}, f"due.{clock}": {"$exists": True}}
        return {UUID(d["_id"]) async for d in self._promises.find(started, {"_id": 1})}

    async def standing(self, tickets: Iterable[UUID]) -> dict[UUID, Standing]:
        """Where tickets stand, those of which anything is known."""
        wanted = [str(ticket) for ticket in tickets]
        states, withdrawn = await asyncio.gather(
            _found(self._addressees, wanted, {"state": 1, "latest": 1, "person": 1}),
            _found(self._promises, wanted, {"withdrawn": 1}),
        )
        return {
            UUID(id_): Standing(
                TicketState(states[id_]["state"]) if id_ in states else None,
                frozenset(UUID(fact) for fact in withdrawn[id_]["withdrawn"]) if id_ in withdrawn else frozenset(),
                _latest(states.get(id_, {})),
                Language(person["language"]) if (person := states.get(id_, {}).get("person")) else None,
            )
            for id_ in states.keys() | withdrawn.keys()
        }

    async def save(self, addressees: Sequence[Addressee]) -> None:
        """Keep what changed, but for that of which a later state is stored: whoever wrote it has read more than we."""
        await together(
            _keep(
                self._addressees,
                counter="sequence",
                new=[_ticket_part(a) for a in addressees if a.sequence and not a.stored[0]],
                known=[_ticket_part(a) for a in addressees if a.sequence > a.stored[0] > 0],
            ),
            _keep(
                self._promises,
                counter="facts_seen",
                new=[_fact_part(a) for a in addressees if a.facts_seen and not a.stored[1]],
                known=[_fact_part(a) for a in addressees if a.facts_seen > a.stored[1] > 0],
            ),
        )


async def _found(
    collection: Collection, ids: list[str], fields: Mapping[str, Any] | None = None
) -> dict[str, dict[str, Any]]:
    return {d["_id"]: d async for d in collection.find({"_id": {"$in": ids}}, fields)} if ids else {}


async def _keep(
    collection: Collection, *, counter: str, new: list[dict[str, Any]], known: list[dict[str, Any]]
) -> None:
    """Insert what is new and replace what is known, unless a higher `counter` is stored."""
    if new:
        try:
            await collection.insert_many(new, ordered=False)
        except BulkWriteError as refusal:
            known += [new[i] for i in duplicate_indexes(refusal)]
    if known:
        await collection.bulk_write(
            [ReplaceOne({"_id": d["_id"], counter: {"$lte": d[counter]}}, d) for d in known], ordered=False
        )


def _ticket_part(who: Addressee) -> dict[str, Any]:
    return {
        "_id": str(who.ticket_id),
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
        "amount": who.amount,
        "latest": {moment.value: str(occasion) for moment, occasion in who.latest.items()},
        "owed": [
            {
                "occasion": str(owed.occasion),
                "sequence": owed.sequence,
                "at": owed.at,
                "person": person_document(owed.person),
                "moment": owed.moment.value,
            }
            for owed in who.owed
        ],
    }


def _fact_part(who: Addressee) -> dict[str, Any]:
    return {
        "_id": str(who.ticket_id),
        "routing_key": who.routing_key,
        "facts_seen": who.facts_seen,
        "due": {clock.value: at for clock, at in who.due.items()},
        "promised_by": who.promised_by,
        "withdrawn": [str(fact) for fact in who.withdrawn],
        "apologised": {cycle: [str(fact) for fact in told] for cycle, told in who.apologised.items()},
        "held": [list(pair) for pair in who.held],
    }


def _owed(document: Mapping[str, Any]) -> Owed:
    return Owed(
        UUID(document["occasion"]),
        document["sequence"],
        document["at"],
        person_of(document["person"]),
        Moment(document.get("moment", Moment.FOLLOW_UP_RECEIVED)),
    )


def _addressee(id_: str, of_ticket: Mapping[str, Any] | None, of_facts: Mapping[str, Any] | None) -> Addressee:
    known = of_ticket or of_facts
    assert known is not None
    who = Addressee(UUID(id_), known["routing_key"])
    if of_ticket:
        who.sequence = of_ticket["sequence"]
        who.person = person_of(of_ticket["person"]) if of_ticket["person"] else None
        who.opened_id = UUID(of_ticket["opened_id"]) if of_ticket["opened_id"] else None
        who.opened_at = of_ticket["opened_at"]
        who.number = of_ticket["number"]
        who.state = TicketState(of_ticket["state"])
        who.category = of_ticket["category"]
        who.severity = Severity(of_ticket["severity"])
        who.major = of_ticket["major"]
        who.amount = of_ticket.get("amount", "")
        who.latest = _latest(of_ticket)
        who.owed = [_owed(of_what) for of_what in of_ticket.get("owed", ())]
    if of_facts:
        who.facts_seen = of_facts["facts_seen"]
        who.due = {Clock(clock): at for clock, at in of_facts["due"].items()}
        who.promised_by = of_facts.get("promised_by", 0)
        who.withdrawn = {UUID(fact) for fact in of_facts["withdrawn"]}
        who.apologised = {cycle: [UUID(f) for f in told] for cycle, told in of_facts.get("apologised", {}).items()}
        who.held = [(name, json) for name, json in of_facts["held"]]
    who.stored = (who.sequence, who.facts_seen)
    return who


def _latest(of_ticket: Mapping[str, Any]) -> dict[Moment, UUID]:
    return {Moment(moment): UUID(occasion) for moment, occasion in of_ticket.get("latest", {}).items()}


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
