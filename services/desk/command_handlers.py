"""What happens to a command at the desk: looked at, its words sealed and kept, issued, and waited for.

The words are kept before the command that names them is issued. A command that is not decided in time is not lost: the
broker has it, and asking again with the same id finds what became of it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol
from uuid import UUID, uuid4

from schemas import ids
from schemas.events import TicketEvent
from schemas.notes import Note
from schemas.ticket import fold
from schemas.topics import TICKET_COMMAND
from services.desk.commanding import (
    Answer,
    Asked,
    NeverAsked,
    Order,
    Pending,
    Refused,
    Unknown,
    Unsure,
    command_of,
    content_of,
    note_ref,
    outcome,
    place_of,
    refusal_ahead,
)
from services.desk.person import Person
from services.desk.rights import may
from services.runtime.logging import get_logger
from services.runtime.producing import Outgoing, PublishFailed

log = get_logger(__name__)

_LOOK_S: Final = (0.02, 0.03, 0.05, 0.08, 0.1)
"""Pauses between looks; the last one goes on."""


class Trail(Protocol):
    """The event store, read only."""

    async def events(self, tickets: Iterable[UUID]) -> Mapping[UUID, Sequence[TicketEvent]]:
        """All events of tickets, in order. A ticket that is not there is left out."""


class Notes(Protocol):
    """Words, sealed."""

    async def put(self, ref: UUID, note: Note, *, ticket: UUID, at: datetime) -> None:
        """Keep a note. Again is harmless."""


class Issued(Protocol):
    """What commands asked for, as digests by reference."""

    async def keep(self, contents: Mapping[UUID, str], *, at: datetime) -> None:
        """Keep some; what is kept already stays."""

    async def contents(self, refs: Collection[UUID]) -> Mapping[UUID, str]:
        """Those that are kept."""


class Files(Protocol):
    """Evidence that was uploaded."""

    async def claim(self, ids: Collection[UUID], *, ticket: UUID, complaints: Collection[UUID]) -> set[UUID]:
        """Make files a ticket's that are nobody's; gives those that there are not, and those that are another's."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A command for one ticket, as it was asked."""

    ticket_id: UUID
    asked: Asked
    expected_version: int | None


@dataclass(frozen=True, kw_only=True)
class Commands:
    """Issues commands for people."""

    trail: Trail
    notes: Notes
    files: Files
    issued: Issued
    digest: Callable[[str], str]
    """Of a command's content, under a key: words are not guessed from it."""
    publish: Callable[[Sequence[Outgoing]], Awaitable[None]]
    now: Callable[[], datetime]
    wait_s: float

    async def issue(self, person: Person, wanted: Sequence[Wanted]) -> list[Answer]:
        """Ask for each, one or many, and wait until all are decided or the time is over; answers in the same order."""
        known = await self.trail.events(w.ticket_id for w in wanted)
        orders = {
            number: Order(one.asked, fold(known[one.ticket_id]), one.asked.command_id or uuid4(), one.expected_version)
            for number, one in enumerate(wanted)
            if known.get(one.ticket_id)
        }
        answers: dict[int, Answer] = {number: Unknown() for number in range(len(wanted)) if number not in orders}
        contents = {note_ref(order): self.digest(content_of(order.asked)) for order in orders.values()}
        before = await self.issued.contents(contents)
        for number, order in list(orders.items()):
            content = contents[note_ref(order)]
            is_another = before.get(note_ref(order), content) != content
            ahead = refusal_ahead(order, person, known[order.ticket.id], is_another=is_another)
            if ahead is None and await self._names_others_files(order):
                ahead = Refused(order.ticket, "no_such_evidence")
            if ahead is not None:
                answers[number] = ahead
                del orders[number]
        try:
            await self._send(person, list(orders.values()), contents)
        except PublishFailed as error:
            log.warning("command.unsure", commands=len(orders), error=type(error.__cause__ or error).__name__)
            answers |= {number: Unsure(order.command_id) for number, order in orders.items()}
        else:
            answers |= await self._decided(orders)
        return [answers[number] for number in range(len(wanted))]

    async def look(self, person: Person, command_id: UUID, ticket_id: UUID) -> Answer | NeverAsked:
        """What became of a command that was issued before; pending when nothing has yet."""
        events = (await self.trail.events([ticket_id])).get(ticket_id)
        if not events or not may(person, "read_ticket", place_of(ticket := fold(events))):
            return Unknown()
        if (said := outcome(command_id, ticket, events)) is not None:
            return said
        is_issued = await self.issued.contents([ids.note_ref(command_id, ticket_id)])
        return Pending(command_id) if is_issued else NeverAsked()

    async def _names_others_files(self, order: Order) -> bool:
        named = getattr(order.asked.action, "evidence", ())
        ticket = order.ticket
        return bool(named and await self.files.claim(named, ticket=ticket.id, complaints=ticket.complaints))

    async def _send(self, person: Person, orders: Sequence[Order], contents: Mapping[UUID, str]) -> None:
        if not orders:
            return
        at = self.now()
        await asyncio.gather(
            self.issued.keep({note_ref(order): contents[note_ref(order)] for order in orders}, at=at),
            *(
                self.notes.put(note_ref(order), order.asked.note, ticket=order.ticket.id, at=at)
                for order in orders
                if order.asked.note is not None
            ),
        )
        await self.publish([Outgoing(TICKET_COMMAND, command_of(order, person, at=at)) for order in orders])

    async def _decided(self, orders: Mapping[int, Order]) -> dict[int, Answer]:
        answers: dict[int, Answer] = {}
        waiting = dict(orders)
        pauses = iter(_LOOK_S)
        pause = next(pauses)
        try:
            async with asyncio.timeout(self.wait_s):
                while waiting:
                    await asyncio.sleep(pause)
                    pause = next(pauses, pause)
                    found = await self.trail.events(order.ticket.id for order in waiting.values())
                    for number, order in list(waiting.items()):
                        events = found.get(order.ticket.id, ())
                        expected = order.expected_version
                        said = outcome(order.command_id, fold(events), events, expected_version=expected)
                        if said is not None:
                            answers[number] = said
                            del waiting[number]
        except TimeoutError:
            pass
        return answers | {number: Pending(order.command_id) for number, order in waiting.items()}
