"""The clocks of every ticket: collection `clocks`, one document per save, `_id` `<ticket id>:<revision>`.

Saving is inserting the next revision: the unique key is the lock, as in the event store. An insert costs the database
a fifth of a guarded update. Each document keeps the facts told by that save with their causes, from which a redelivery
tells the same ones again. The latest alone has `state` (`TicketSla.to_doc` as JSON text, which both sides handle faster
than a document), `open` (the clocks that run, as `clock:state`) and `current`, the ticket's id, by which it is found.
`armed` is the time of the deadline that is armed for the ticket, and the revision that armed it.
"""

import asyncio
import contextlib
from collections import Counter, OrderedDict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple
from uuid import UUID

import orjson
from pymongo.errors import BulkWriteError

from schemas.codec import Encoded
from schemas.sla import SlaFact
from schemas.topics import SLA_FACTS
from services.runtime.mongo import FAILED, Database, duplicate_indexes
from services.service_levels.ticket_sla import TicketSla

_RECENT_MAX: Final = 20_000
"""Tickets kept in memory after they were saved, about 70 MB: the next event or deadline of one often comes soon."""
_RETIRED_AFTER_S: Final = 0.2
_RETIRED_MAX: Final = 250
_TYPES: Final = {fact.ce_type(): fact for fact in SLA_FACTS}


class Told(NamedTuple):
    """A fact, and what it follows from: the id of a message, or the deadline as `due:<revision that armed it>`."""

    cause: str
    fact: SlaFact
    encoded: Encoded


class Armed(NamedTuple):
    """The deadline of a ticket."""

    at: int
    """Microseconds since 1970."""
    revision: int
    """That armed it; part of its id, so that a later one does not meet it."""


@dataclass(frozen=True, slots=True)
class Stored:
    """The clocks of a ticket as they are in the database."""

    sla: TicketSla
    revision: int
    armed: Armed | None


@dataclass(frozen=True, slots=True)
class Change:
    """What the clocks of a ticket become."""

    sla: TicketSla
    before: Stored | None
    """What this was computed from; None for the first time."""
    armed: Armed | None
    shard: str
    told: tuple[Told, ...]
    is_to_arm: bool
    """Whether the deadline has to be written: it is not armed already, or that is not sure."""

    @property
    def revision(self) -> int:
        """The new one."""
        return next_revision(self.before)


def next_revision(before: Stored | None) -> int:
    """Of the save that follows."""
    return before.revision + 1 if before else 1


class ClockStore:
    """Loads and saves in bulk."""

    def __init__(self, database: Database) -> None:
        self._recent: OrderedDict[UUID, Stored] = OrderedDict()
        self._superseded: list[str] = []
        self._retiring: asyncio.Task[None] | None = None
        self._clocks = database["clocks"]

    async def prepare(self) -> None:
        """Make the index. May be called by every process at every start."""
        await self._clocks.create_index("current")

    async def load(self, tickets: Collection[UUID], *, fresh: bool) -> dict[UUID, Stored]:
        """The clocks of those tickets that have any.

        Unless `fresh`, they may be what this process saved last and another has changed since; `save` then refuses.
        """
        loaded = {} if fresh else {t: self._recent[t] for t in tickets if t in self._recent}
        if missing := [str(t) for t in tickets if t not in loaded]:
            found = await self._clocks.find({"current": {"$in": missing}}, {"facts": 0}).to_list(None)
            latest = {d["current"]: d for d in sorted(found, key=lambda d: int(d["revision"]))}
            # Earlier revisions are current, too, for a moment after every save, and after a crash.
            self._retire(d["_id"] for d in found if d is not latest[d["current"]])
            for d in latest.values():
                armed = Armed(*d["armed"]) if d["armed"] else None
                stored = Stored(TicketSla.from_doc(orjson.loads(d["state"])), d["revision"], armed)
                loaded[stored.sla.ticket_id] = stored
        return loaded

    def forget(self) -> None:
        """Others may change what this process had to itself so far: partitions have moved."""
        self._recent.clear()

    async def save(self, changes: Sequence[Change]) -> set[UUID]:
        """Save all whose ticket is as it was when the change was computed; gives those tickets that were not."""
        for change in changes:
            self._recent.pop(change.sla.ticket_id, None)
        lost: set[UUID] = set()
        try:
            await self._clocks.insert_many([_document(c) for c in changes], ordered=False)
        except BulkWriteError as refusal:
            lost = {changes[i].sla.ticket_id for i in duplicate_indexes(refusal)}
        saved = [c for c in changes if c.sla.ticket_id not in lost]
        self._retire(_id(c.sla.ticket_id, c.before.revision) for c in saved if c.before)
        for c in saved:
            self._recent[c.sla.ticket_id] = Stored(c.sla, c.revision, c.armed)
        while len(self._recent) > _RECENT_MAX:
            self._recent.popitem(last=False)
        return lost

    def _retire(self, ids: Iterable[str]) -> None:
        """A later revision has taken their place; the facts stay. Nobody waits for it, so it is done for many at once.

        What a crash leaves undone is found by the next `load` of the ticket.
        """
        self._superseded += ids
        if self._superseded and (self._retiring is None or self._retiring.done()):
            self._retiring = asyncio.create_task(self._retire_gathered())

    async def _retire_gathered(self) -> None:
        while self._superseded:
            if len(self._superseded) < _RETIRED_MAX:
                await asyncio.sleep(_RETIRED_AFTER_S)
            ids, self._superseded = self._superseded[:_RETIRED_MAX], self._superseded[_RETIRED_MAX:]
            with contextlib.suppress(*FAILED):
                await self._clocks.update_many(
                    {"_id": {"$in": ids}}, {"$unset": {"current": "", "state": "", "open": ""}}
                )

    async def settled(self) -> None:
        """Return when earlier revisions are retired."""
        if self._retiring:
            await self._retiring

    async def told(self, causes: Mapping[UUID, Collection[str]], revisions: Mapping[UUID, int]) -> list[SlaFact]:
        """What was told of each ticket because of these causes, up to a revision, in the order it was told."""
        ids = [_id(t, r) for t in causes for r in range(1, revisions[t] + 1)]
        found = await self._clocks.find({"_id": {"$in": ids}}, {"facts": 1, "revision": 1, "ticket_id": 1}).to_list(
            None
        )
        return [
            _TYPES[f["type"]].model_validate_json(f["fact"])
            for d in sorted(found, key=lambda d: int(d["revision"]))
            for f in d["facts"]
            if f["cause"] in causes[UUID(d["ticket_id"])]
        ]

    async def open_clocks(self, prefix: str) -> Counter[tuple[str, str, str]]:
        """How many cycles have not stopped, by shard, clock and state, among the tickets whose ids begin so."""
        after = f"{prefix}g"  # What follows in an id is a hexadecimal digit or a hyphen.
        found = self._clocks.find({"current": {"$gte": prefix, "$lt": after}}, {"_id": 0, "shard": 1, "open": 1})
        return Counter((d["shard"], *name.split(":")) for d in await found.to_list(None) for name in d["open"])


def _id(ticket: UUID, revision: int) -> str:
    return f"{ticket}:{revision}"


def _document(change: Change) -> dict[str, Any]:
    ticket = str(change.sla.ticket_id)
    return {
        "_id": _id(change.sla.ticket_id, change.revision),
        "ticket_id": ticket,
        "revision": change.revision,
        "shard": change.shard,
        "current": ticket,
        "armed": list(change.armed) if change.armed else None,
        "open": [f"{c.clock}:{c.state}" for c in change.sla.open_cycles()],
        "state": orjson.dumps(change.sla.to_doc()).decode(),
        "facts": [{"cause": t.cause, "type": t.fact.ce_type(), "fact": t.encoded.value.decode()} for t in change.told],
    }
