"""The truth about tickets: collection `ticket_events`, one document per event, `_id` = `<ticket_id>:<sequence>`.

What one batch appends to one ticket is decided by a single insert: the document of its first event is the lock and
carries the others, as they were written, in `then`. They get documents of their own right afterwards, by the writer,
or, when it died in between, by whoever reads the ticket next. So a ticket's events are always all of an append or
nothing of it.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, Final
from uuid import UUID

import orjson
from pymongo.errors import BulkWriteError

from schemas.events import TicketEvent
from schemas.topics import TICKET_EVENTS
from services.runtime.mongo import Database, duplicate_indexes

_TYPES: Final = {kind.ce_type(): kind for kind in TICKET_EVENTS}


class EventStore:
    """Appending to tickets and reading them."""

    def __init__(self, database: Database) -> None:
        self._events = database["ticket_events"]

    async def create_indexes(self) -> None:
        """For reading a ticket."""
        await self._events.create_index("ticket_id")

    async def append(self, groups: Sequence[Sequence[TicketEvent]]) -> set[UUID]:
        """Append to each ticket its next events.

        Args:
            groups: per ticket one run of consecutive events.

        Returns:
            Tickets to which somebody else appended first; nothing was written to those.
        """
        groups = [group for group in groups if group]
        written = [[(event.ce_type(), event.payload) for event in group] for group in groups]
        lost = await self._insert(
            [
                {**_document(*first), "then": [(kind, payload.decode()) for kind, payload in rest]}
                for first, *rest in written
            ]
        )
        await self._insert([_document(*one) for i, (_, *rest) in enumerate(written) if i not in lost for one in rest])
        return {groups[i][0].ticket_id for i in lost}

    async def load(self, tickets: Iterable[UUID]) -> dict[UUID, list[TicketEvent]]:
        """All events of tickets, in order. A ticket that is not there is left out."""
        wanted = [str(t) for t in tickets]
        if not wanted:
            return {}
        documents: dict[str, dict[int, dict[str, Any]]] = defaultdict(dict)
        carried: list[dict[str, Any]] = []
        async for document in self._events.find({"ticket_id": {"$in": wanted}}):
            carried += [_document(kind, payload) for kind, payload in document.pop("then", ())]
            documents[document["ticket_id"]][document["sequence"]] = document
        missing = [d for d in carried if d["sequence"] not in documents[d["ticket_id"]]]
        await self._insert(missing)
        for document in missing:
            documents[document["ticket_id"]][document["sequence"]] = document
        return {UUID(ticket): _gapless(numbered) for ticket, numbered in documents.items()}

    async def _insert(self, documents: list[dict[str, Any]]) -> set[int]:
        if not documents:
            return set()
        try:
            await self._events.insert_many(documents, ordered=False)
        except BulkWriteError as refusal:
            return duplicate_indexes(refusal)
        return set()


def _document(kind: str, payload: bytes | str) -> dict[str, Any]:
    # As on the wire: a time of the database's own type would lose its microseconds, and the event its sameness.
    event = orjson.loads(payload)
    return {"_id": f"{event['ticket_id']}:{event['sequence']}", "type": kind, **event}


def _gapless(numbered: dict[int, dict[str, Any]]) -> list[TicketEvent]:
    events = []
    # A cursor is no snapshot: what was written while it ran may be seen in part. The rest shows in the next reading.
    for sequence in range(1, len(numbered) + 1):
        if sequence not in numbered:
            break
        document = numbered[sequence]
        events.append(_TYPES[document["type"]].model_validate(document))
    return events
