"""Commands as people give them at the desk, and what becomes of them. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from schemas import ids
from schemas.codes import ActorKind, StaffRole
from schemas.commands import Action, Remark, TicketCommand
from schemas.commands import Answer as GiveAnswer
from schemas.events import TicketCommandRefused, TicketEvent
from schemas.lifecycle import INTERNAL, target
from schemas.message import Actor
from schemas.notes import Note
from schemas.ticket import Ticket, blocked, possible
from services.desk.person import Person
from services.desk.rights import TicketPlace, may

VIA: Final = "desk"
APPROVING: Final = frozenset({"approve", "refuse_approval", "delegate_approval"})


class Asked(BaseModel):
    """Body of a command. `note` holds the words that belong to it, which are sealed and stand in no event."""

    model_config = ConfigDict(extra="forbid")

    action: Action
    reason: Remark = ""
    note: Note | None = None
    command_id: UUID | None = Field(None, description="Asked again with the same id it is the same command.")

    @model_validator(mode="after")
    def says_something(self) -> Self:
        """An answer meets promised times, so it has to be one."""
        action, words = self.action, self.note.for_customer if self.note else ""
        if isinstance(action, GiveAnswer) and not (action.remedy or action.amount or words):
            raise PydanticCustomError("answer_empty", "the answer names no remedy and has no words for the complainant")
        return self


@dataclass(frozen=True, slots=True)
class Order:
    """A command on one ticket, ready to be issued."""

    asked: Asked
    ticket: Ticket
    command_id: UUID
    expected_version: int | None


@dataclass(frozen=True, slots=True)
class Done:
    """It happened."""

    ticket: Ticket
    events: Sequence[TicketEvent]


@dataclass(frozen=True, slots=True)
class Refused:
    """It did not happen."""

    ticket: Ticket
    why: str
    """Reason code, e.g. `version_moved_on`."""
    since: Sequence[TicketEvent] = ()
    """What happened to the ticket after the version that the command was based on."""


@dataclass(frozen=True, slots=True)
class Pending:
    """It was issued, and the router has not decided it yet. It will: nothing that was issued is lost."""

    command_id: UUID


@dataclass(frozen=True, slots=True)
class Unsure:
    """Kafka did not say whether it has the command. Asked again with the same id it is done once."""

    command_id: UUID


@dataclass(frozen=True, slots=True)
class Another:
    """Something else was asked for under this id, of the same ticket."""

    command_id: UUID


@dataclass(frozen=True, slots=True)
class NeverAsked:
    """Nobody has issued this command."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """There is no such ticket, or not for this person."""


@dataclass(frozen=True, slots=True)
class Forbidden:
    """The person may see the ticket, and not do this."""

    action: str


Answer = Done | Refused | Pending | Unsure | Another | Unknown | Forbidden


def place_of(ticket: Ticket) -> TicketPlace:
    """What of a ticket decides about rights."""
    units = (ticket.unit, *(share.unit for share in ticket.shares))
    said = ticket.classification
    return TicketPlace(
        state=ticket.state,
        department=ticket.department,
        units=frozenset(unit.upper() for unit in units if unit),
        person=ticket.person,
        source=ticket.source,
        category=said.primary if said else None,
        flags=frozenset(ticket.flags),
    )


def refusal_ahead(
    order: Order, person: Person, events: Sequence[TicketEvent], *, is_another: bool = False
) -> Answer | None:
    """What can be said without the router, which decides alone; None: it is to be asked.

    What it would refuse for certain is not sent to it, so that the trail tells of what people did and not of what they
    saw too late. `is_another`: its id has been used for something else.
    """
    name, ticket = order.asked.action.name, order.ticket
    if not may(person, "read_ticket", place_of(ticket)):
        return Unknown()
    if name in INTERNAL or not may(person, name, place_of(ticket)):
        return Forbidden(name)
    if is_another:
        return Another(order.command_id)
    if (done := outcome(order.command_id, ticket, events)) is not None:
        return done
    if order.expected_version is not None and order.expected_version != ticket.version:
        return Refused(ticket, "version_moved_on", after(events, order.expected_version))
    why = blocked(ticket, name) if target(ticket.state, name) else "illegal_in_state"
    return Refused(ticket, why) if why else None


def outcome(
    command_id: UUID, ticket: Ticket, events: Sequence[TicketEvent], *, expected_version: int | None = None
) -> Done | Refused | None:
    """What a command has led to; None: nothing yet."""
    caused = [event for event in events if event.causation_id == command_id]
    if not caused:
        return None
    first = caused[0]
    if isinstance(first, TicketCommandRefused):
        since = after(events, first.sequence - 1 if expected_version is None else expected_version)
        return Refused(ticket, first.why, [event for event in since if event is not first])
    return Done(ticket, caused)


def after(events: Sequence[TicketEvent], version: int) -> list[TicketEvent]:
    """What happened behind a version."""
    return [event for event in events if event.sequence > version]


def command_of(order: Order, person: Person, *, at: datetime) -> TicketCommand:
    """The message that asks the router."""
    asked, ticket = order.asked, order.ticket
    return TicketCommand(
        routing_key=ticket.routing_key,
        command_id=order.command_id,
        ticket_id=ticket.id,
        issued_at=at,
        actor=actor_of(person, ticket),
        reason=asked.reason,
        note_ref=note_ref(order) if asked.note else None,
        expected_version=order.expected_version,
        action=asked.action,
    )


def note_ref(order: Order) -> UUID:
    """Where the words of a command are kept: the same whenever it is asked again."""
    return ids.note_ref(order.command_id, order.ticket.id)


def content_of(asked: Asked) -> str:
    """What makes a command the same when it is asked again; all of it in one text."""
    return asked.model_dump_json(exclude={"command_id"})


def actor_of(person: Person, ticket: Ticket) -> Actor:
    """Who acts: staff of an outlet for their unit, which has the ticket or shares it."""
    if person.role is not StaffRole.OUTLET_STAFF:
        return Actor(kind=ActorKind.AGENT, id=person.id, via=VIA, role=person.role)
    mine = {unit.upper() for unit in person.units}
    involved = (unit for unit in (ticket.unit, *(s.unit for s in ticket.shares)) if unit and unit.upper() in mine)
    return Actor(kind=ActorKind.UNIT, id=person.id, via=VIA, role=person.role, unit=next(involved, None))


def possible_for(person: Person, ticket: Ticket) -> list[str]:
    """The commands that a person may give now: the buttons of the page."""
    place = place_of(ticket)
    return [name for name in possible(ticket) if may(person, name, place) and not _is_for_others(person, ticket, name)]


def _is_for_others(person: Person, ticket: Ticket, name: str) -> bool:
    """Whether it is an approval that an agent sees and that was not delegated to this one."""
    approval = ticket.approval
    return name in APPROVING and person.role is StaffRole.AGENT and (approval is None or approval.delegate != person.id)


def standing(ticket: Ticket) -> Mapping[str, Any]:
    """What of a ticket the answer to a command tells."""
    return {"id": str(ticket.id), "number": ticket.number, "state": ticket.state.value, "version": ticket.version}
