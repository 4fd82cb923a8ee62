"""What of a ticket decides about rights: read from the collection `tickets`, which the router writes."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from schemas.codes import Category, RiskFlag, Source, TicketState
from services.desk.rights import TicketPlace
from services.runtime.mongo import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A ticket as far as rights and personal data are concerned."""

    ticket_id: UUID
    number: str
    place: TicketPlace
    complaints: tuple[UUID, ...]
    """The one that opened it first."""


class PlaceStore:
    """Tickets by id."""

    def __init__(self, database: Database) -> None:
        self._tickets = database["tickets"]

    async def get(self, ticket: UUID) -> Placed | None:
        """One."""
        document = await self._tickets.find_one({"_id": str(ticket)})
        return _placed(document) if document else None

    async def of(self, tickets: Iterable[UUID]) -> list[Placed]:
        """Those that are there, in the order of their numbers."""
        wanted = [str(ticket) for ticket in tickets]
        if not wanted:
            return []
        found = self._tickets.find({"_id": {"$in": wanted}}).sort("number", 1)
        return [_placed(document) async for document in found]


def place_of(document: dict[str, Any]) -> TicketPlace:
    """The place that a document of `tickets` says."""
    sharing = (share["unit"] for share in document.get("shares") or ())
    return TicketPlace(
        state=TicketState(document["state"]),
        department=document["department"],
        units=frozenset(unit.upper() for unit in (document["unit"], *sharing) if unit),
        person=document["person"],
        source=Source(document["source"]),
        category=Category(document["category"]) if document["category"] else None,
        flags=frozenset(RiskFlag(flag) for flag in document["flags"]),
    )


def _placed(document: dict[str, Any]) -> Placed:
    return Placed(
        ticket_id=UUID(document["_id"]),
        number=document["number"],
        place=place_of(document),
        complaints=tuple(UUID(complaint) for complaint in document["complaints"]),
    )
