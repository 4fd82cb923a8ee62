"""The clocks of every ticket: collection `clocks`, one document per ticket, `_id` the ticket's id.

Beside the state (`TicketSla.to_doc`) it has `revision`, the guard of every write; `shard`; `armed`, the time of the one
deadline that is armed for it (microseconds, absent: none); and `facts`, every fact told so far with its cause, from
which a redelivery tells the same ones again.
"""

import itertools
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID, uuid4

from pymongo import UpdateOne
from pymongo.errors import BulkWriteError

from schemas.sla import SlaFact
from schemas.topics import SLA_FACTS
from services.runtime.mongo import Database, duplicate_indexes
from services.sla_monitor.ticket_sla import TicketSla

_TYPES: Final = {fact.ce_type(): fact for fact in SLA_FACTS}


@dataclass(frozen=True, slots=True)
class Told:
    """A fact, and what it follows from: the id of a message, or the deadline as `due:<revision it was armed at>`."""

    cause: str
    fact: SlaFact


@dataclass(frozen=True, slots=True)
class Stored:
    """The clocks of a ticket as they are in the database."""

    sla: TicketSla
    revision: int
    armed: int | None


@dataclass(frozen=True, slots=True)
class Change:
    """What the clocks of a ticket become."""

    sla: TicketSla
    before: Stored | None
    """What this was computed from; None for the first time."""
    armed: int | None
    shard: str
    told: tuple[Told, ...]
    is_to_arm: bool
    """Whether the deadline has to be written: it is not armed for that time already, or that is not sure."""

    @property
    def revision(self) -> int:
        """The new one."""
        return self.before.revision + 1 if self.before else 1


class ClockStore:
    """Loads and saves in bulk."""

    def __init__(self, database: Database) -> None:
        self._clocks = database["clocks"]
        self._process = uuid4().hex[:12]
        self._saves = itertools.count()

    async def load(self, tickets: Collection[UUID]) -> dict[UUID, Stored]:
        """The clocks of those tickets that have any, without the facts told."""
        found = await self._clocks.find({"_id": {"$in": [str(t) for t in tickets]}}, {"facts": 0}).to_list(None)
        loaded = (Stored(TicketSla.from_doc(d), d["revision"], d.get("armed")) for d in found)
        return {stored.sla.ticket_id: stored for stored in loaded}

    async def save(self, changes: Sequence[Change]) -> set[UUID]:
        """Save all whose ticket is as it was when the change was computed; gives those tickets that were not."""
        saved_by = f"{self._process}:{next(self._saves)}"
        first = [c for c in changes if c.before is None]
        later = [c for c in changes if c.before is not None]
        return await self._insert(first, saved_by) | await self._update(later, saved_by)

    async def told(self, causes: dict[UUID, set[str]]) -> dict[UUID, list[SlaFact]]:
        """What was told of each ticket because of these causes, in the order it was told."""
        if not causes:
            return {}
        found = await self._clocks.find({"_id": {"$in": [str(t) for t in causes]}}, {"facts": 1}).to_list(None)
        return {
            (ticket := UUID(d["_id"])): [
                _TYPES[f["type"]].model_validate_json(f["fact"]) for f in d["facts"] if f["cause"] in causes[ticket]
            ]
            for d in found
        }

    async def open_clocks(self, shards: Sequence[str]) -> dict[tuple[str, str], int]:
        """How many cycles have not stopped, by clock and state. Reads every ticket of the shards."""
        rows = self._clocks.aggregate(
            [
                {"$match": {"shard": {"$in": list(shards)}}},
                {"$unwind": "$cycles"},
                {"$match": {"cycles.state": {"$in": ["running", "paused", "breached"]}}},
                {"$group": {"_id": {"clock": "$cycles.clock", "state": "$cycles.state"}, "count": {"$sum": 1}}},
            ]
        )
        return {(r["_id"]["clock"], r["_id"]["state"]): r["count"] for r in await rows.to_list(None)}

    async def _insert(self, changes: Sequence[Change], saved_by: str) -> set[UUID]:
        if not changes:
            return set()
        documents = [{"_id": str(c.sla.ticket_id), **_state(c, saved_by), "facts": _facts(c.told)} for c in changes]
        try:
            await self._clocks.insert_many(documents, ordered=False)
        except BulkWriteError as refusal:
            return {changes[i].sla.ticket_id for i in duplicate_indexes(refusal)}
        return set()

    async def _update(self, changes: Sequence[Change], saved_by: str) -> set[UUID]:
        if not changes:
            return set()
        updates = []
        for c in changes:
            assert c.before is not None
            update: dict[str, Any] = {"$set": _state(c, saved_by)}
            if c.told:
                update["$push"] = {"facts": {"$each": _facts(c.told)}}
            updates.append(UpdateOne({"_id": str(c.sla.ticket_id), "revision": c.before.revision}, update))
        result = await self._clocks.bulk_write(updates, ordered=False)
        if result.matched_count == len(updates):
            return set()
        ids = [str(c.sla.ticket_id) for c in changes]
        won = self._clocks.find({"_id": {"$in": ids}, "saved_by": saved_by}, {"_id": 1})
        return {UUID(i) for i in set(ids) - {d["_id"] for d in await won.to_list(None)}}


def _state(change: Change, saved_by: str) -> dict[str, Any]:
    return change.sla.to_doc() | {
        "revision": change.revision,
        "saved_by": saved_by,
        "shard": change.shard,
        "armed": change.armed,
    }


def _facts(told: Sequence[Told]) -> list[dict[str, str]]:
    return [{"cause": t.cause, "type": t.fact.ce_type(), "fact": t.fact.model_dump_json()} for t in told]
