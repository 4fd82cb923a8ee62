"""The life of a ticket: the fold of its events, and the events that each command gives. Pure.

Which command is legal in which state says `lifecycle.py`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Final, NamedTuple
from uuid import UUID

from schemas import commands as c
from schemas import events as e
from schemas import ids
from schemas.classification import Classification
from schemas.codes import ActorKind, Channel, Language, RiskFlag, Severity, Source, TicketState
from schemas.sealed import MaskedContact
from schemas.lifecycle import EARLIER, OPEN, SETTLED, possible, target

S = TicketState

AHEAD_MAX: Final = timedelta(minutes=5)
"""So far the clock of whoever issues a command may go ahead of the broker's, or behind that of the intake."""
COMPLAINED_AGAIN: Final = "complained_again"
"""Why a settled ticket was opened again."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """Who gets a ticket."""

    department: str
    unit: str | None
    person: str | None
    unit_calendar: str
    rule: str
    directory_version: int


@dataclass(frozen=True, slots=True)
class Unassignable:
    """Why the assignment that was asked for cannot be made, e.g. `no_such_unit`."""

    why: str


class Ticket(NamedTuple):
    """Where a ticket stands after its event number `version`."""

    id: UUID
    number: str
    complaint_id: UUID
    routing_key: str
    state: TicketState
    version: int
    channel: Channel
    source: Source
    language: Language
    received_at: datetime
    opened_at: datetime
    updated_at: datetime
    contact_ref: UUID
    masked: MaskedContact
    waybills: tuple[str, ...]
    places: tuple[str, ...]
    region: str | None
    case_number: str | None
    complaints: tuple[UUID, ...]
    """The one that opened it and every follow-up."""
    classification: Classification | None = None
    major: bool = False
    needs_review: bool = False
    severity: Severity = Severity.NORMAL
    flags: tuple[RiskFlag, ...] = ()
    department: str | None = None
    unit: str | None = None
    person: str | None = None
    rule: str | None = None
    unit_calendar: str | None = None
    first_action_taken: bool = False
    """Since it was last given to a unit."""
    earlier: TicketState | None = None
    """The state that waiting interrupted."""
    repeats: int = 0

    @property
    def is_open(self) -> bool:
        """Whether somebody still has to work on it."""
        return self.state in OPEN


def fold(events: Iterable[e.TicketEvent]) -> Ticket:
    """The ticket that its events, in order and from the first, make.

    Raises:
        ValueError: there are none, the first does not open, or a number is missing or comes twice.
    """
    ticket: Ticket | None = None
    for event in events:
        ticket = _opened(event) if ticket is None else apply(ticket, event)
    if ticket is None:
        raise ValueError("a ticket has at least its opening event")
    return ticket


def _opened(event: e.TicketEvent) -> Ticket:
    if not isinstance(event, e.TicketOpened) or event.sequence != 1:
        raise ValueError(f"ticket {event.ticket_id} begins with {event.ce_type()} number {event.sequence}")
    return Ticket(
        id=event.ticket_id,
        number=event.number,
        complaint_id=event.complaint_id,
        routing_key=event.routing_key,
        state=event.state,
        version=1,
        channel=event.channel,
        source=event.source,
        language=event.language,
        received_at=event.received_at,
        opened_at=event.occurred_at,
        updated_at=event.occurred_at,
        contact_ref=event.contact_ref,
        masked=event.masked,
        waybills=event.waybills,
        places=event.places,
        region=event.region,
        case_number=event.case_number,
        complaints=(event.complaint_id,),
    )


def apply(ticket: Ticket, event: e.TicketEvent) -> Ticket:
    """The ticket after one more event.

    Raises:
        ValueError: the event is not the next one.
    """
    if event.sequence != ticket.version + 1:
        raise ValueError(f"ticket {ticket.id} is at {ticket.version}: event {event.sequence} cannot follow")
    return ticket._replace(
        version=event.sequence,
        state=event.state,
        updated_at=max(ticket.updated_at, event.occurred_at),
        **_changes(ticket, event),
    )


def _changes(ticket: Ticket, event: e.TicketEvent) -> dict[str, Any]:  # noqa: PLR0911  # one per type of event
    match event:
        case e.TicketClassified(classification=said):
            first = ticket.classification is None
            return {
                "classification": said,
                "major": event.major,
                "needs_review": said.needs_review,
                "severity": said.severity if first else ticket.severity,
                "flags": _union(said.flags, ticket.flags if first else _only_repeats(ticket.flags)),
            }
        case e.TicketAssigned():
            moved = (event.department, event.unit) != (ticket.department, ticket.unit)
            return {
                "department": event.department,
                "unit": event.unit,
                "person": event.person,
                "rule": event.rule,
                "unit_calendar": event.unit_calendar,
                "needs_review": False,
                # Whoever was given it while it waited investigates when the waiting is over.
                "earlier": S.INVESTIGATING if ticket.earlier is S.OPENED else ticket.earlier,
                "first_action_taken": ticket.first_action_taken and not moved,
            }
        case e.TicketFollowedUp():
            return {
                "repeats": event.repeats,
                "flags": _union(ticket.flags, event.flags),
                "complaints": (*ticket.complaints, event.complaint_id),
            }
        case e.TicketReopened():
            # The department stays responsible. Whoever had it gave the slot back when it was settled.
            return {"person": None, "needs_review": True, "first_action_taken": False, "earlier": None}
        case e.TicketSeverityChanged():
            return {"severity": event.severity}
        case e.TicketReviewCompleted():
            return {"needs_review": False}
        case e.TicketFirstActionTaken():
            return {"first_action_taken": True}
        case e.TicketCustomerAwaited() | e.TicketThirdPartyAwaited():
            return {"earlier": ticket.state}
        case e.TicketResumed():
            return {"earlier": None}
    return {}


def _union(*flags: tuple[RiskFlag, ...]) -> tuple[RiskFlag, ...]:
    return tuple(dict.fromkeys(flag for some in flags for flag in some))


def _only_repeats(flags: tuple[RiskFlag, ...]) -> tuple[RiskFlag, ...]:
    # A reviewer's flags take the place of the machine's; that the complaint came again stays true.
    return tuple(flag for flag in flags if flag is RiskFlag.REPEATED)


def wants_assignment(ticket: Ticket, command: c.TicketCommand, *, taken_at: datetime) -> bool:
    """Whether deciding the command needs an assignment: it is legal now and gives the ticket to somebody."""
    return isinstance(command.action, c.Assign | c.CompleteReview) and _refused(ticket, command, taken_at) is None


def decide(
    ticket: Ticket,
    command: c.TicketCommand,
    assignment: Assignment | Unassignable | None = None,
    *,
    taken_at: datetime,
) -> list[e.TicketEvent]:
    """What a command does: its events, or one `command_refused` with the reason and what is possible instead.

    Args:
        ticket: where the ticket stands.
        command: what is asked.
        assignment: who would get it; needed when `wants_assignment`.
        taken_at: when the broker took the command. No event is dated later, whatever the command says.

    Returns:
        The events, numbered on from `ticket.version`. Empty when the router offered a waiting ticket to a department in
        which nobody is free: nothing happened.
    """
    why = _refused(ticket, command, taken_at)
    story = _Story(ticket, command, taken_at)
    if why is None:
        why = _act(story, _resolve(ticket, target(ticket.state, command.action.name)), assignment)
    return story.events if why is None else [_Story(ticket, command, taken_at).refusal(why)]


def _refused(ticket: Ticket, command: c.TicketCommand, taken_at: datetime) -> str | None:
    """Why the command is refused, whatever it would do."""
    # A follow-up is a customer's word, dated by the intake: it may have waited, and is never turned away.
    if not isinstance(command.action, c.FollowUp):
        if command.issued_at > taken_at + AHEAD_MAX:
            return "issued_in_future"
        if command.issued_at < _begun(ticket) - AHEAD_MAX:
            return "issued_too_early"
    if command.expected_version is not None and command.expected_version != ticket.version:
        return "version_moved_on"
    return None if target(ticket.state, command.action.name) else "illegal_in_state"


def _begun(ticket: Ticket) -> datetime:
    # What came in may be dated a little ahead of its acceptance.
    return min(ticket.received_at, ticket.opened_at)


def _resolve(ticket: Ticket, after: TicketState | str | None) -> TicketState:
    if isinstance(after, TicketState):
        return after
    return (ticket.earlier or S.INVESTIGATING) if after == EARLIER else ticket.state


class _Story:
    """The events of one command, one after the other."""

    def __init__(self, ticket: Ticket, command: c.TicketCommand, taken_at: datetime) -> None:
        self.ticket = ticket
        self.command = command
        self.at = max(min(command.issued_at, taken_at), _begun(ticket))
        self.events: list[e.TicketEvent] = []

    def tell(self, kind: type[e.TicketEvent], state: TicketState, **fields: Any) -> None:
        # The name of the type tells the steps of one command apart: none of them comes twice.
        self.events.append(self._event(kind, state, **fields))

    def refusal(self, why: str) -> e.TicketEvent:
        return self._event(
            e.TicketCommandRefused,
            self.ticket.state,
            command=self.command.action.name,
            why=why,
            possible=possible(self.ticket.state),
        )

    def _event(self, kind: type[e.TicketEvent], state: TicketState, **fields: Any) -> e.TicketEvent:
        command = self.command
        return kind(
            routing_key=self.ticket.routing_key,
            event_id=ids.commanded_event_id(command.command_id, self.ticket.id, kind.TYPE.rpartition(".")[2]),
            ticket_id=self.ticket.id,
            sequence=self.ticket.version + len(self.events) + 1,
            causation_id=command.command_id,
            occurred_at=self.at,
            actor=command.actor,
            state=state,
            **{"reason": command.reason} | fields,
        )


_PLAIN: Final[Mapping[type[Any], tuple[type[e.TicketEvent], tuple[str, ...]]]] = MappingProxyType(
    {
        c.StartReview: (e.TicketReviewStarted, ()),
        c.FirstAction: (e.TicketFirstActionTaken, ()),
        c.Answer: (e.TicketAnswered, ("remedy",)),
        c.Resolve: (e.TicketResolved, ("outcome",)),
        c.WaitForCustomer: (e.TicketCustomerAwaited, ("what",)),
        c.WaitForThirdParty: (e.TicketThirdPartyAwaited, ("whom",)),
        c.Resume: (e.TicketResumed, ()),
        c.Withdraw: (e.TicketWithdrawn, ()),
        c.Close: (e.TicketClosed, ()),
    },
)
"""Commands that become one event with the same fields."""


def _act(story: _Story, after: TicketState, assignment: Assignment | Unassignable | None) -> str | None:
    """Tell the events of a legal command, or return why it is refused all the same."""
    ticket, action = story.ticket, story.command.action
    match action:
        case c.FollowUp():
            _follow_up(story, action, after)
        case c.CompleteReview():
            return _complete_review(story, action, after, assignment)
        case c.Assign():
            return _assign(story, after, assignment)
        case c.ChangeSeverity(severity=severity):
            if severity == ticket.severity:
                return "unchanged"
            story.tell(e.TicketSeverityChanged, after, before=ticket.severity, severity=severity)
        case c.FirstAction() if ticket.first_action_taken:
            return "already_taken"
        case _:
            kind, fields = _PLAIN[type(action)]
            story.tell(kind, after, **{name: getattr(action, name) for name in fields})
    return None


def _follow_up(story: _Story, action: c.FollowUp, after: TicketState) -> None:
    ticket = story.ticket
    story.tell(
        e.TicketFollowedUp,
        ticket.state,
        complaint_id=action.complaint_id,
        channel=action.channel,
        received_at=action.received_at,
        contact_ref=action.contact_ref,
        masked=action.masked,
        matched_by=action.matched_by,
        repeats=ticket.repeats + 1,
        flags=_union((RiskFlag.REPEATED,), action.flags),
    )
    if ticket.state in SETTLED:
        story.tell(
            e.TicketReopened, after, before=ticket.state, received_at=action.received_at, reason=COMPLAINED_AGAIN
        )
    if ticket.severity < Severity.CRITICAL:
        raised = Severity(ticket.severity + 1)
        story.tell(e.TicketSeverityChanged, after, before=ticket.severity, severity=raised)


def _assign(story: _Story, after: TicketState, assignment: Assignment | Unassignable | None) -> str | None:
    assert assignment is not None
    if isinstance(assignment, Unassignable):
        return assignment.why
    ticket = story.ticket
    given = (assignment.department, assignment.unit, assignment.person)
    if after is ticket.state and given == (ticket.department, ticket.unit, ticket.person):
        # An offer of the router itself that found nobody free is no news; a person is told that nothing changed.
        return None if story.command.actor.kind is ActorKind.SYSTEM else "unchanged"
    _tell_assigned(story, after, assignment)
    return None


def _tell_assigned(story: _Story, after: TicketState, assignment: Assignment) -> None:
    story.tell(
        e.TicketAssigned,
        after,
        department=assignment.department,
        unit=assignment.unit,
        person=assignment.person,
        unit_calendar=assignment.unit_calendar,
        rule=assignment.rule,
        directory_version=assignment.directory_version,
    )


def reviewed(ticket: Ticket, action: c.CompleteReview) -> Classification:
    """The classification after a review: the proposal with the reviewer's corrections, and a person's word for it."""
    assert ticket.classification is not None
    named = ("secondary", "demand", "severity", "flags")
    corrections: dict[str, Any] = {"severity": ticket.severity}
    corrections |= {name: getattr(action, name) for name in named if getattr(action, name) is not None}
    if action.primary is not None:
        corrections |= {"primary": action.primary.category, "sub": action.primary.sub}
    return ticket.classification.model_copy(update=corrections | {"confidence": 1.0, "needs_review": False})


def _complete_review(
    story: _Story, action: c.CompleteReview, after: TicketState, assignment: Assignment | Unassignable | None
) -> str | None:
    assert assignment is not None
    if isinstance(assignment, Unassignable):
        return assignment.why
    ticket = story.ticket
    said = reviewed(ticket, action)
    story.tell(e.TicketReviewCompleted, after)
    if action != c.CompleteReview():
        story.tell(e.TicketClassified, after, classification=said, major=ticket.major)
    if said.severity != ticket.severity:
        story.tell(e.TicketSeverityChanged, after, before=ticket.severity, severity=said.severity)
    _tell_assigned(story, after, assignment)
    return None
