"""What others wrote about a ticket, read and never changed: its events and the records of its messages."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import orjson

from schemas.codes import DeliveryChannel, Moment
from schemas.events import TicketEvent
from schemas.topics import TICKET_EVENTS
from services.desk.web_messages import Sent, Tried
from services.runtime.mongo import Database

_TYPES: Final = {kind.ce_type(): kind for kind in TICKET_EVENTS}
_ATTEMPT: Final = ("channel", "template", "sent_at", "delivered_at", "failed_at", "why")
_EVENTS_MAX: Final = 10_000


class TrailStore:
    """Events and messages of tickets."""

    def __init__(self, database: Database) -> None:
        self._events = database["ticket_events"]
        self._messages = database["notifications"]

    async def events(self, tickets: Iterable[UUID]) -> dict[UUID, list[TicketEvent]]:
        """All events of tickets, in order and without a gap. A ticket that is not there is left out.

        What was appended at once stands in the first of these events, too, until each has a document of its own.
        """
        wanted = [str(ticket) for ticket in tickets]
        if not wanted:
            return {}
        numbered: dict[UUID, dict[int, TicketEvent]] = defaultdict(dict)
        async for document in self._events.find({"ticket_id": {"$in": wanted}}):
            carried = [(kind, orjson.loads(payload)) for kind, payload in document.pop("then", ())]
            for kind, fields in [(document["type"], document), *carried]:
                if model := _TYPES.get(kind):
                    event = model.model_validate(fields)
                    numbered[event.ticket_id][event.sequence] = event
        return {ticket: _gapless(found) for ticket, found in numbered.items()}

    async def messages(self, ids: Sequence[UUID]) -> list[Mapping[str, Any]]:
        """What became of messages on each channel, by their ids: no address, no wording."""
        wanted = [str(id_) for id_ in ids]
        if not wanted:
            return []
        found = self._messages.find({"_id": {"$in": wanted}})
        return [
            {
                "id": d["_id"],
                "state": d["state"],
                "wait": d.get("wait"),
                "attempts": [{name: a.get(name) for name in _ATTEMPT} for a in d.get("attempts", ())],
            }
            async for d in found
        ]

    async def sent(self, ticket: UUID, message: UUID) -> Sent | None:
        """What one message of a ticket said, and how it was tried."""
        found = await self._messages.find_one({"_id": str(message), "ticket_id": str(ticket)})
        if found is None:
            return None
        attempts = [a for a in found.get("attempts", ()) if a.get("template")]
        channels = {a["channel"] for a in attempts}
        masked = found["person"]["masked"]
        to = [masked.get({"sms": "phone", "email": "email"}.get(channel, "")) or "" for channel in sorted(channels)]
        return Sent(
            moment=Moment(found["moment"]),
            facts=found["facts"],
            time_zone=found["person"]["time_zone"],
            to=" · ".join(one for one in to if one),
            note_ref=UUID(found["note_ref"]) if found.get("note_ref") else None,
            tried=[Tried(DeliveryChannel(a["channel"]), a["template"], a.get("sent_at")) for a in attempts],
        )


def _gapless(found: Mapping[int, TicketEvent]) -> list[TicketEvent]:
    # A cursor is no snapshot: what was written while it ran may be seen in part.
    events: list[TicketEvent] = []
    for sequence in range(1, min(len(found), _EVENTS_MAX) + 1):
        if sequence not in found:
            break
        events.append(found[sequence])
    return events
