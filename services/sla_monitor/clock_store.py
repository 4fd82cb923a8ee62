"""The clocks of every ticket: collection `clocks`, one document per ticket, `_id` the ticket's id.

Beside the state (`TicketSla.to_doc`) it has `revision`, the guard of every write; `shard`; `armed`, the time of the one
deadline that is armed for it (microseconds, absent: none); and `facts`, every fact told so far with its cause, from
which a redelivery tells the same ones again.
"""

import itertools
from collections import OrderedDict
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

_RECENT_MAX: Final = 5_000
"""Tickets kept in memory after they were saved, about 25 MB: the next event of a ticket often comes soon."""
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
        self._recent: OrderedDict[UUID, Stored] = OrderedDict()
        self._clocks = database["clocks"]
        self._process = uuid4().hex[:12]
        self._saves = itertools.count()

    async def load(self, tickets: Collection[UUID], *, fresh: bool) -> dict[UUID, Stored]:
        """The clocks of those tickets that have any, without the facts told.

        Unless `fresh`, they may be what this process saved last and another has changed since; `save` then refuses.
        """
        loaded = {} if fresh else {t: self._recent[t] for t in tickets if t in self._recent}
        if missing := [str(t) for t in tickets if t not in loaded]:
            found = await self._clocks.find({"_id": {"$in": missing}}, {"facts": 0}).to_list(None)
            for d in found:
                stored = Stored(TicketSla.from_doc(d), d["revision"], d.get("armed"))
                loaded[stored.sla.ticket_id] = stored
        return loaded

    def forget(self) -> None:
        """Others may change what this process had to itself so far: partitions have moved."""
        self._recent.clear()

    async def save(self, changes: Sequence[Change]) -> set[UUID]:
        """Save all whose ticket is as it was when the change was computed; gives those tickets that were not."""
        saved_by = f"{self._process}:{next(self._saves)}"
        for change in changes:
            self._recent.pop(change.sla.ticket_id, None)
        first = [c for c in changes if c.before is None]
        later = [c for c in changes if c.before is not None]
        lost = await self._insert(first, saved_by) | await self._update(later, saved_by)
        for c in changes:
            if c.sla.ticket_id not in lost:
                self._recent[c.sla.ticket_id] = Stored(c.sla, c.revision, c.armed)
        while len(self._recent) > _RECENT_MAX:
            self._recent.popitem(last=False)
        return lost

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
