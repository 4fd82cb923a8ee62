"""A ticket as somebody at the desk may see it: row, events and where it stands, or no sign that it exists."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from schemas.events import TicketEvent
from schemas.ticket import Ticket, fold
from services.desk.commanding import place_of
from services.desk.finding import Rows, row_named
from services.desk.person import Person
from services.desk.queue import Scope
from services.desk.refusal import Refusal
from services.desk.rights import may
from services.desk.row import Row


class Trail(Protocol):
    """The event store, read only."""

    async def events(self, tickets: Iterable[UUID]) -> Mapping[UUID, list[TicketEvent]]:
        """All events, in order."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A ticket that the person may see."""

    row: Row
    ticket: Ticket
    events: list[TicketEvent]


@dataclass(frozen=True, kw_only=True)
class Seeing:
    """Looks tickets up."""

    rows: Rows
    trail: Trail
    scope_of: Callable[[Person], Scope]

    async def get(self, person: Person, named: str) -> Seen:
        """A ticket by id or number.

        Raises:
            Refusal: `no-such-ticket`, also for what the person may not see: nobody learns which there are.
        """
        kept = await row_named(self.rows, named)
        if kept is None or not self.scope_of(person).shows(department=kept.row.department, units=kept.row.units):
            raise Refusal("no-such-ticket")
        events = (await self.trail.events([kept.row.id])).get(kept.row.id, [])
        if not events or not may(person, "read_ticket", place_of(ticket := fold(events))):
            raise Refusal("no-such-ticket")
        return Seen(kept.row, ticket, events)
