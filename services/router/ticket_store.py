"""What tickets look like now: collection `tickets`, a projection that can be made again from the events."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from pymongo import ReplaceOne
from pymongo.errors import BulkWriteError

from schemas import ids
from schemas.codes import TicketState
from schemas.lifecycle import OPEN
from schemas.ticket import Ticket
from services.organisation.handling import HandlingPolicy
from services.router.agenda import appeal_until, next_step
from services.router.fate import Shown
from services.runtime.mongo import Database, duplicate_indexes

_OPEN: Final = sorted(state.value for state in OPEN)


class TicketStore:
    """The projection."""

    def __init__(self, database: Database) -> None:
        self._tickets = database["tickets"]

    async def create_indexes(self) -> None:
        """For finding the oldest that waits for a person, and those whose next step is due."""
        await self._tickets.create_index([("person", 1), ("department", 1), ("opened_at", 1)])
        await self._tickets.create_index([("next_step.at", 1)], sparse=True)

    async def project(
        self, tickets: Sequence[Ticket], *, fresh: Iterable[UUID] = (), policy: HandlingPolicy | None = None
    ) -> None:
        """Show these tickets, unless a later version of them is shown already.

        Args:
            tickets: as they are now.
            fresh: those that were opened just now: a plain insert is many times faster than an upsert.
            policy: says which step is next, and when; the packaged one when it is left out.
        """
        policy = policy or HandlingPolicy()
        new = set(fresh)
        first = [t for t in tickets if t.id in new]
        others = [t for t in tickets if t.id not in new]
        if first:
            try:
                await self._tickets.insert_many([document(t, policy) for t in first], ordered=False)
            except BulkWriteError as refusal:
                others += [first[i] for i in duplicate_indexes(refusal)]
        # Where a later version is there, the filter misses and the upsert meets its `_id`; where another router was
        # inserting at this instant, it meets it too. A second go without upsert tells the two apart.
        refused = await self._replace(others, policy, upsert=True)
        await self._replace([others[i] for i in refused], policy, upsert=False)

    async def _replace(self, tickets: Sequence[Ticket], policy: HandlingPolicy, *, upsert: bool) -> set[int]:
        if not tickets:
            return set()
        writes = [
            ReplaceOne({"_id": str(t.id), "version": {"$lt": t.version}}, document(t, policy), upsert=upsert)
            for t in tickets
        ]
        try:
            await self._tickets.bulk_write(writes, ordered=False)
        except BulkWriteError as refusal:
            return duplicate_indexes(refusal)
        return set()

    async def shown(self, tickets: Iterable[UUID]) -> dict[UUID, Shown]:
        """Those that are there, and those that they were linked to, one after the other."""
        found: dict[UUID, Shown] = {}
        wanted = set(tickets)
        while wanted:
            cursor = self._tickets.find({"_id": {"$in": [str(t) for t in wanted]}}, _SHOWN)
            came = {UUID(d["_id"]): _shown(d) async for d in cursor}
            found |= came
            wanted = {t.linked_to for t in came.values() if t.is_over and t.linked_to is not None} - found.keys()
        return found

    async def versions(self, tickets: Iterable[UUID]) -> dict[UUID, int]:
        """Numbers of the latest events that are shown, of those tickets that are there."""
        wanted = [str(t) for t in tickets]
        if not wanted:
            return {}
        cursor = self._tickets.find({"_id": {"$in": wanted}}, {"version": 1})
        return {UUID(d["_id"]): d["version"] async for d in cursor}

    async def waiting(self, department: str, *, count_max: int) -> list[dict[str, Any]]:
        """Open tickets of a department that no person has, the oldest first; of each what offering it needs.

        One that was reopened waits for its review first.
        """
        query = {"person": None, "department": department, "state": {"$in": _OPEN}, "needs_review": False}
        shown = {"routing_key": 1, "version": 1, "unit": 1, "category": 1}
        return await self._tickets.find(query, shown).sort("opened_at", 1).limit(count_max).to_list(None)

    async def due(self, now: datetime, *, count_max: int) -> list[dict[str, Any]]:
        """Tickets whose next step is due, the longest due first; of each what asking for it needs."""
        query = {"next_step.at": {"$lte": now}}
        shown = {"routing_key": 1, "version": 1, "next_step": 1}
        return await self._tickets.find(query, shown).sort("next_step.at", 1).limit(count_max).to_list(None)


_SHOWN: Final = {"state": 1, "complaint_id": 1, "routing_key": 1, "linked_to": 1}


def _shown(document: dict[str, Any]) -> Shown:
    linked_to = document.get("linked_to")
    return Shown(
        TicketState(document["state"]),
        UUID(document["complaint_id"]),
        document["routing_key"],
        UUID(linked_to) if linked_to else None,
    )


def document(ticket: Ticket, policy: HandlingPolicy) -> dict[str, Any]:
    """The document that shows a ticket. Ids are strings. `next_step` is there when time alone brings one about."""
    said, step = ticket.classification, next_step(ticket, policy)
    shown = {
        "_id": ids.text(ticket.id),
        "number": ticket.number,
        "state": ticket.state.value,
        "version": ticket.version,
        "routing_key": ticket.routing_key,
        "complaint_id": ids.text(ticket.complaint_id),
        "complaints": [ids.text(c) for c in ticket.complaints],
        "channel": ticket.channel.value,
        "source": ticket.source.value,
        "language": ticket.language.value,
        "contact_ref": ids.text(ticket.contact_ref),
        "masked": ticket.masked.model_dump(),
        "category": said.primary.value if said else None,
        "sub": said.sub if said else None,
        "demand": [d.value for d in said.demand] if said else [],
        "confidence": said.confidence if said else None,
        "severity": int(ticket.severity),
        "flags": [f.value for f in ticket.flags],
        "major": ticket.major,
        "needs_review": ticket.needs_review,
        "department": ticket.department,
        "unit": ticket.unit,
        "person": ticket.person,
        "rule": ticket.rule,
        "waybills": list(ticket.waybills),
        "places": list(ticket.places),
        "region": ticket.region,
        "case_number": ticket.case_number,
        "repeats": ticket.repeats,
        "received_at": ticket.received_at,
        "opened_at": ticket.opened_at,
        "updated_at": ticket.updated_at,
        "remedy": ticket.remedy,
        "amount": ticket.amount.model_dump(mode="json") if ticket.amount else None,
        "shares": [{"unit": share.unit, "percent": share.percent} for share in ticket.shares],
        "linked_to": ids.text(ticket.linked_to) if ticket.linked_to else None,
        "archived": ticket.archived,
        "appeal_until": appeal_until(ticket, policy),
    }
    return shown | {"next_step": step._asdict()} if step else shown
