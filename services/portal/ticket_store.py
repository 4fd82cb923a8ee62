"""What others write about tickets, read for their complainants: events, clocks, messages. Nothing is written."""

import asyncio
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import orjson
from pymongo.errors import DuplicateKeyError

from schemas import ids
from schemas.codes import Clock, ClockState
from schemas.events import TicketEvent
from schemas.topics import TICKET_EVENTS
from services.portal.case import AppealWindow
from services.portal.handlers import Told
from services.portal.uploads import Unavailable
from services.runtime.mongo import FAILED, Database

MESSAGES_MAX: Final = 50
_TYPES: Final = {kind.ce_type(): kind for kind in TICKET_EVENTS}
_RUNS: Final = frozenset({ClockState.RUNNING.value, ClockState.BREACHED.value})
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@contextmanager
def answering() -> Iterator[None]:
    """Says `Unavailable` for a database that does not answer. A key that is there already is an answer."""
    try:
        yield
    except DuplicateKeyError:
        raise
    except (*FAILED, TimeoutError) as error:
        raise Unavailable from error


class MongoTicketStore:
    """Collections `ticket_events`, `tickets`, `clocks`, `notifications` and, for who is the same person, `contacts`."""

    def __init__(self, database: Database, *, timeout_s: float) -> None:
        self._events = database["ticket_events"]
        self._tickets = database["tickets"]
        self._clocks = database["clocks"]
        self._notifications = database["notifications"]
        self._contacts = database["contacts"]
        self._timeout_s = timeout_s

    async def events(self, ticket_id: UUID) -> Sequence[TicketEvent]:
        """See `handlers.Tickets`."""
        with answering():
            async with asyncio.timeout(self._timeout_s):
                found = await self._events.find({"ticket_id": str(ticket_id)}).to_list(None)
        # The first document of an append carries the others, which get documents of their own afterwards.
        numbered: dict[int, TicketEvent] = {}
        for document in found:
            for kind, payload in document.pop("then", ()):
                event = _TYPES[kind].model_validate_json(payload)
                numbered.setdefault(event.sequence, event)
            numbered[document["sequence"]] = _TYPES[document["type"]].model_validate(document)
        gapless: list[TicketEvent] = []
        while following := numbered.get(len(gapless) + 1):
            gapless.append(following)
        return gapless

    async def due(self, ticket_id: UUID) -> Mapping[Clock, datetime]:
        """See `handlers.Tickets`."""
        with answering():
            async with asyncio.timeout(self._timeout_s):
                found = await self._clocks.find({"current": str(ticket_id)}, {"state": 1, "revision": 1}).to_list(None)
        if not found:
            return {}
        cycles = orjson.loads(max(found, key=lambda d: int(d["revision"]))["state"])["cycles"]
        return {
            Clock(cycle["clock"]): _EPOCH + timedelta(microseconds=cycle["due"])
            for cycle in cycles
            if cycle["state"] in _RUNS and cycle.get("due")
        }

    async def appeal_window(self, ticket_id: UUID, *, version: int) -> AppealWindow | None:
        """See `handlers.Tickets`. The projection follows the events, so it may not tell of the latest yet."""
        with answering():
            async with asyncio.timeout(self._timeout_s):
                query = {"_id": str(ticket_id), "version": version, "appeal_until": {"$exists": True}}
                shown = await self._tickets.find_one(query, {"appeal_until": 1})
        return AppealWindow(shown["appeal_until"]) if shown else None

    async def messages(self, ticket_id: UUID, complaint_id: UUID) -> Sequence[Told]:
        """See `handlers.Tickets`."""
        shown = {"moment": 1, "state": 1, "requested_at": 1, "attempts": 1, "person": 1}
        with answering():
            async with asyncio.timeout(self._timeout_s):
                found = await self._notifications.find({"ticket_id": str(ticket_id)}, shown).to_list(None)
                own = await self._own(complaint_id, {UUID(d["person"]["complaint_id"]) for d in found})
        # Of several people who complained of one parcel each sees what went to them.
        told = (_told(document) for document in found if UUID(document["person"]["complaint_id"]) in own)
        return sorted(told, key=lambda one: one.at, reverse=True)[:MESSAGES_MAX]

    async def _own(self, complaint_id: UUID, complaints: Collection[UUID]) -> set[UUID]:
        """Those complaints that came from the same person, who may have followed up by another channel."""
        others = {str(ids.contact_ref(one)): one for one in complaints}
        if set(complaints) <= {complaint_id}:
            return {complaint_id}
        mine = str(ids.contact_ref(complaint_id))
        found = await self._contacts.find({"_id": {"$in": [mine, *others]}}, {"index": 1}).to_list(None)
        indexes = {document["_id"]: set(document.get("index") or ()) for document in found}
        same = {one for ref, one in others.items() if indexes.get(ref, set()) & indexes.get(mine, set())}
        return same | {complaint_id}


def _told(document: dict[str, Any]) -> Told:
    attempt = document["attempts"][-1] if document["attempts"] else {}
    channel = attempt.get("channel") or "none"
    masked = document["person"]["masked"]
    to = masked.get({"sms": "phone", "email": "email"}.get(channel, "")) or ""
    at = attempt.get("delivered_at") or attempt.get("sent_at") or document["requested_at"]
    return Told(document["moment"], document["state"], channel, to, at)
