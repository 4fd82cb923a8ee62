"""Commands: what people and other parts ask of tickets, decided one after the other on each ticket."""

from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol
from uuid import UUID

from schemas.codes import ActorKind
from schemas.commands import Assign, CompleteReview, FollowUp, HandOver, TicketCommand
from schemas.events import TicketCommandRefused, TicketEvent, TicketLinked
from schemas.ticket import Ticket, apply, fold
from schemas.topics import TICKET_COMMAND, TICKET_EVENT
from services.organisation.directory import Organisation
from services.router.assignment import Asked, Subject
from services.router.deciding import Assignment, Unassignable, absorbing, decide, reviewed, wants_assignment
from services.router.fate import Fate
from services.router.placement import Need, Placement
from services.router.settled import Settled
from services.runtime.handling import Received, Refusal
from services.runtime.producing import Outgoing
from services.runtime.together import together


class Fates(Protocol):
    """Fates of complaints."""

    async def fates(self, complaints: Iterable[UUID]) -> dict[UUID, Fate]:
        """Those that are decided."""

    async def redirect(self, fates: Sequence[Fate]) -> None:
        """Name the ticket that a follow-up reached in the end."""


class Contacts(Protocol):
    """Sealed contacts and wording."""

    async def redirect(self, complaints: Sequence[tuple[UUID, UUID]]) -> None:
        """Name another ticket for (complaint, ticket)."""


class Events(Protocol):
    """The event store."""

    async def append(self, groups: Sequence[Sequence[TicketEvent]]) -> set[UUID]:
        """Append; the tickets where somebody was first."""

    async def load(self, tickets: Iterable[UUID]) -> dict[UUID, list[TicketEvent]]:
        """All events of tickets."""


class Shown(Protocol):
    """The projection, which shows a ticket as it was published."""

    async def versions(self, tickets: Iterable[UUID]) -> dict[UUID, int]:
        """Number of the latest event that is shown, of those that are shown at all."""


class Parked(Protocol):
    """Follow-ups that wait for a ticket."""

    async def park(self, commands: Sequence[TicketCommand]) -> None:
        """Keep commands until their ticket is there."""


@dataclass(slots=True)
class _Run:
    """The commands of one batch for one ticket."""

    ticket: Ticket
    stored: dict[UUID, list[TicketEvent]]
    """Events by what caused them, as they stood before."""
    commands: Sequence[Received[TicketCommand]]
    organisation: Organisation
    untold: Sequence[TicketEvent]
    """Stored, and perhaps never published by a router that died: they come before anything that follows from them."""
    new: list[tuple[TicketEvent, str | None]] = field(default_factory=list)
    """Events with the trace that they belong to."""
    again: list[tuple[TicketEvent, str | None]] = field(default_factory=list)
    """Stored events of redelivered commands."""
    waiting: deque[Received[TicketCommand]] = field(init=False)
    assignment: Assignment | Unassignable | None = None
    decided: list[tuple[str, str]] = field(default_factory=list)
    """Names of the commands that were decided, each with `done` or why not."""

    def __post_init__(self) -> None:
        self.waiting = deque(self.commands)

    def ticket_at(self, sequence: int) -> Ticket:
        """The ticket as it was behind an event: what follows from that says the same whenever it is told."""
        stored = (event for events in self.stored.values() for event in events)
        known = sorted((*stored, *(event for event, _ in self.new)), key=lambda event: event.sequence)
        return fold(event for event in known if event.sequence <= sequence)

    def advance(self) -> Need | None:
        """Decide on until an assignment is needed, or all is decided."""
        while self.waiting:
            received = self.waiting[0]
            command = received.message
            if command.command_id in self.stored:
                self.again += [(event, received.traceparent) for event in self.stored[command.command_id]]
                self.waiting.popleft()
                continue
            when, by = received.recorded_at, self.organisation
            if self.assignment is None and wants_assignment(self.ticket, command, taken_at=when, organisation=by):
                if not _late_offer(self.ticket, command):
                    return _need(self.ticket, command)
                self.assignment = _present(self.ticket)
            events = decide(self.ticket, command, self.assignment, taken_at=when, organisation=by)
            self.assignment = None
            self.decided += [(command.action.name, _outcome(event)) for event in events[:1]]
            for event in events:
                self.ticket = apply(self.ticket, event)
                self.new.append((event, received.traceparent))
            if events:
                self.stored[command.command_id] = []
            self.waiting.popleft()
        return None


@dataclass(frozen=True, kw_only=True)
class CommandHandler:
    """Decides commands."""

    fates: Fates
    contacts: Contacts
    events: Events
    shown: Shown
    parked: Parked
    placement: Placement

    async def settle(self, batch: Sequence[Received[TicketCommand]]) -> Settled:
        """Decide a batch, in its order per ticket. What it gives is appended, and neither published nor shown yet."""
        settled = Settled()
        by_ticket: dict[UUID, list[Received[TicketCommand]]] = defaultdict(list)
        for received in batch:
            by_ticket[received.message.ticket_id].append(received)
        pending = await self._runs(by_ticket)
        unknown = [r for ticket, commands in by_ticket.items() if ticket not in pending for r in commands]
        while pending:
            await self._advance(list(pending.values()))
            lost = await self.events.append([[event for event, _ in run.new] for run in pending.values()])
            for ticket_id, run in pending.items():
                if ticket_id not in lost:
                    settled.tickets[ticket_id] = run.ticket
                    settled.appended += [event for event, _ in run.new]
                    settled.decided += run.decided
                    for event, trace in [*((event, None) for event in run.untold), *run.again, *run.new]:
                        settled.outgoing.append(Outgoing(TICKET_EVENT, event, trace))
                        if isinstance(event, TicketLinked):
                            told = absorbing(run.ticket_at(event.sequence), event)
                            settled.outgoing.append(Outgoing(TICKET_COMMAND, told, trace))
            pending = await self._runs({ticket: by_ticket[ticket] for ticket in lost})
        if unknown:
            await self._look_for(settled, unknown)
        return settled

    async def _runs(self, commands: dict[UUID, list[Received[TicketCommand]]]) -> dict[UUID, _Run]:
        runs = {}
        stored, shown = await together(self.events.load(commands), self.shown.versions(commands))
        for ticket_id, events in stored.items():
            if events:
                untold = [event for event in events if event.sequence > shown.get(ticket_id, 0)]
                caused: dict[UUID, list[TicketEvent]] = defaultdict(list)
                for event in events:
                    caused[event.causation_id].append(event)
                runs[ticket_id] = _Run(
                    fold(events), dict(caused), commands[ticket_id], self.placement.organisation, untold
                )
        return runs

    async def _advance(self, runs: list[_Run]) -> None:
        while needing := [(run, need) for run in runs if (need := run.advance()) is not None]:
            placed = await self.placement.place([need for _, need in needing])
            for run, need in needing:
                run.assignment = placed[need.ticket_id]

    async def _look_for(self, settled: Settled, unknown: list[Received[TicketCommand]]) -> None:
        """Commands for tickets that are not there: refuse them, or send a follow-up where its ticket is or will be."""
        openers = {r.message.action.opened_by for r in unknown if isinstance(r.message.action, FollowUp)}
        fates = await self.fates.fates(opener for opener in openers if opener is not None)
        early: list[Received[TicketCommand]] = []
        moved: list[Fate] = []
        for received in unknown:
            command, action = received.message, received.message.action
            if not isinstance(action, FollowUp) or action.opened_by is None:
                settled.refusals.append(Refusal(received, f"there is no ticket {command.ticket_id}"))
                continue
            fate = fates.get(action.opened_by)
            if fate is None or fate.role == "opened":
                early.append(received)
                continue
            forwarded = _forwarded(command, action, fate)
            settled.outgoing.append(Outgoing(TICKET_COMMAND, forwarded, received.traceparent))
            moved.append(Fate(action.complaint_id, fate.opened_by, fate.routing_key, action.matched_by))
        await self.fates.redirect(moved)
        await self.contacts.redirect([(fate.complaint_id, fate.ticket_id) for fate in moved])
        await self._park(settled, early)

    async def _park(self, settled: Settled, early: list[Received[TicketCommand]]) -> None:
        await self.parked.park([received.message for received in early])
        # It may have been opened while we parked, by one who looked for parked commands too soon.
        there = await self.events.load({received.message.ticket_id for received in early})
        for received in early:
            if received.message.ticket_id in there:
                settled.parked.append(received.message)
                settled.outgoing.append(Outgoing(TICKET_COMMAND, received.message, received.traceparent))


def _forwarded(command: TicketCommand, action: FollowUp, fate: Fate) -> TicketCommand:
    return command.model_copy(
        update={
            "ticket_id": fate.ticket_id,
            "routing_key": fate.routing_key,
            "action": action.model_copy(update={"opened_by": fate.opened_by}),
        }
    )


def _outcome(event: TicketEvent) -> str:
    return event.why if isinstance(event, TicketCommandRefused) else "done"


def _late_offer(ticket: Ticket, command: TicketCommand) -> bool:
    """Whether the router offers a ticket to a department though a person has it by now."""
    return command.action == Assign() and command.actor.kind is ActorKind.SYSTEM and ticket.person is not None


def _present(ticket: Ticket) -> Assignment:
    assert ticket.department is not None
    assert ticket.unit_calendar is not None
    assert ticket.rule is not None
    return Assignment(ticket.department, ticket.unit, ticket.person, ticket.unit_calendar, ticket.rule, 0)


def _need(ticket: Ticket, command: TicketCommand) -> Need:
    said = ticket.classification
    assert said is not None
    subject = Subject(
        category=said.primary,
        sub=said.sub,
        channel=ticket.channel,
        source=ticket.source,
        severity=ticket.severity,
        flags=ticket.flags,
        places=ticket.places,
        region=ticket.region,
    )
    action, asked = command.action, Asked()
    if isinstance(action, CompleteReview):
        said = reviewed(ticket, action)
        subject = replace(subject, category=said.primary, sub=said.sub, severity=said.severity, flags=said.flags)
    elif isinstance(action, Assign):
        asked = Asked(action.department, action.unit, action.person)
    elif isinstance(action, HandOver):
        asked = Asked(action.department, action.unit)
    return Need(ticket.id, subject, command.issued_at, asked, holder=ticket.person)
