"""What the router does with a batch: decide, append, publish, show, tidy up. Only then is it finished.

A crash between any two steps leads to the same end: what is appended is found again by the message that caused it,
published again with the same ids, shown again, and tidied up again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol
from uuid import UUID

from schemas.commands import TicketCommand
from schemas.complaint import ComplaintSubmitted
from schemas.lifecycle import SETTLED
from schemas.message import Message
from schemas.ticket import Ticket
from services.organisation.handling import HandlingPolicy
from services.router.assignment import Slot
from services.router.command_handler import CommandHandler
from services.router.complaint_handler import ComplaintHandler
from services.router.placement import Placement
from services.router.settled import Settled
from services.runtime.handling import Received, Refusal
from services.runtime.producing import Outgoing

PIECE: Final = 400
"""Complaints that are decided together: enough for bulk operations, few enough to overlap with reading."""


class Tickets(Protocol):
    """The projection."""

    async def project(
        self, tickets: Sequence[Ticket], *, fresh: Iterable[UUID] = (), policy: HandlingPolicy | None = None
    ) -> None:
        """Show tickets."""

    async def versions(self, tickets: Iterable[UUID]) -> dict[UUID, int]:
        """Numbers of the latest events that are shown."""


class Reservations(Protocol):
    """Slots."""

    async def settle(self, holders: Mapping[UUID, str | None]) -> list[Slot]:
        """Leave each ticket its person's slot alone; the slots that are free now."""


class Parked(Protocol):
    """Follow-ups that waited for a ticket."""

    async def unpark(self, commands: Iterable[TicketCommand]) -> None:
        """They have been published again."""


@dataclass(frozen=True, kw_only=True)
class Router:
    """The one writer of tickets."""

    complaints: ComplaintHandler
    commands: CommandHandler
    publish: Callable[[Sequence[Outgoing]], Awaitable[None]]
    tickets: Tickets
    reservations: Reservations
    parked: Parked
    placement: Placement
    count: Callable[[Settled], None]

    async def handle(self, batch: Sequence[Received[Message]]) -> list[Refusal]:
        """Handle complaints and commands; those of one ticket in their order."""
        refusals: list[Refusal] = []
        complaints = _complaints(batch)
        pieces = [complaints[i : i + PIECE] for i in range(0, len(complaints), PIECE)]
        # While the database decides on one piece, the texts of the next are read and the one before is published.
        reading = asyncio.create_task(self.complaints.read(pieces[0] if pieces else []))
        finishing = asyncio.create_task(_nothing())
        try:
            for following in [*pieces[1:], []] if pieces else []:
                read = await reading
                reading = asyncio.create_task(self.complaints.read(following))
                settled = await self.complaints.settle(read)
                refusals += await finishing
                finishing = asyncio.create_task(self._finish(settled))
            refusals += await finishing
        finally:
            reading.cancel()
            finishing.cancel()
            await asyncio.gather(reading, finishing, return_exceptions=True)
        if commands := _commands(batch):
            refusals += await self._finish(await self.commands.settle(commands))
        return refusals

    async def _finish(self, settled: Settled) -> list[Refusal]:
        await self.publish(settled.outgoing)
        policy = self.placement.organisation.handling
        await self.tickets.project(list(settled.tickets.values()), fresh=settled.fresh, policy=policy)
        await self.parked.unpark(settled.parked)
        await self._tidy(settled)
        self.count(settled)
        return settled.refusals

    async def _tidy(self, settled: Settled) -> None:
        """Free slots that nobody needs any more. A ticket that was opened just now has exactly what it needs.

        Claims stay: whoever meets those of a ticket that is over takes them over, and one that is reopened has them.
        """
        tickets = [ticket for ticket in settled.tickets.values() if ticket.id not in settled.fresh]
        # Who stood still in between must not take from a ticket the slot that it has been given since.
        shown = await self.tickets.versions(t.id for t in tickets)
        holders = {
            t.id: None if t.state in SETTLED else t.person for t in tickets if shown.get(t.id, t.version) <= t.version
        }
        self.placement.capacity.free(await self.reservations.settle(holders))


async def _nothing() -> list[Refusal]:
    return []


def _complaints(batch: Sequence[Received[Message]]) -> list[Received[ComplaintSubmitted]]:
    # The same complaint twice in one batch is one.
    first: dict[UUID, Received[ComplaintSubmitted]] = {}
    for received in batch:
        if isinstance(received.message, ComplaintSubmitted):
            first.setdefault(received.message.complaint_id, received)  # type: ignore[arg-type]  # just narrowed
    return list(first.values())


def _commands(batch: Sequence[Received[Message]]) -> list[Received[TicketCommand]]:
    return [r for r in batch if isinstance(r.message, TicketCommand)]  # type: ignore[misc]  # just narrowed
