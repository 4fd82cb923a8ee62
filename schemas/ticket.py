"""Where a ticket stands: the fold of its events, and what may be asked of it now. Pure.

Which command is legal in which state says `lifecycle.py`; `blocked` says what a ticket's history forbids beside that.
"""

from collections.abc import Iterable
from datetime import date, datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from schemas import commands as c
from schemas import events as e
from schemas import lifecycle
from schemas.classification import Classification
from schemas.codes import Channel, Language, RiskFlag, Severity, Source, StaffRole, TicketState
from schemas.complaint import Money
from schemas.lifecycle import OPEN, SETTLED
from schemas.sealed import MaskedContact

S = TicketState


class Approval(NamedTuple):
    """A proposal that waits for somebody with the authority."""

    command: str
    """What happens when it is approved: `answer` or `decide_appeal`."""
    remedy: str
    amount: Money
    changed: bool | None
    note_ref: UUID | None
    by: str | None
    """Who proposed it."""
    chain: tuple[StaffRole, ...]
    """Who still has to approve, one after the other."""
    delegate: str | None = None
    """Who decides in the place of the first of them."""


class Liability(NamedTuple):
    """A unit that shares liability."""

    unit: str
    percent: int
    has_responded: bool = False


class CorrectiveAction(NamedTuple):
    """A task so that it does not happen again."""

    id: UUID
    owner: str
    due_on: date
    is_completed: bool = False
    completed_by: str | None = None
    effective: bool | None = None
    """None: nobody has looked yet."""


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
    state_since: datetime | None = None
    """When it came into its state, or was answered anew in it; None: as it was opened."""
    returned: bool = False
    """A unit said "not ours" before; it can be said once."""
    shares: tuple[Liability, ...] = ()
    remedy: str = ""
    amount: Money | None = None
    """Of the latest answer or decision."""
    approval: Approval | None = None
    accepted: bool = False
    appeals: int = 0
    claim: Money | None = None
    """Agreed, and not paid yet."""
    surveys: int = 0
    """How often the complainant was asked since the matter was settled."""
    survey_over: bool = False
    surveys_stopped: bool = False
    corrective_actions: tuple[CorrectiveAction, ...] = ()
    linked_to: UUID | None = None
    archived: bool = False

    @property
    def begun_at(self) -> datetime:
        """Before that nothing can have happened to it. What came in may be dated a little ahead of its acceptance."""
        return min(self.received_at, self.opened_at)

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
    changes = _changes(ticket, event)
    if event.state is not ticket.state:
        changes.setdefault("state_since", event.occurred_at)
        if ticket.approval is not None:
            # What was proposed has been overtaken, or has just happened.
            changes["approval"] = None
    return ticket._replace(
        version=event.sequence,
        state=event.state,
        updated_at=max(ticket.updated_at, event.occurred_at),
        **changes,
    )


def _changes(ticket: Ticket, event: e.TicketEvent) -> dict[str, Any]:  # noqa: PLR0911, C901, PLR0912  # one per type
    match event:
        case e.TicketClassified(classification=said):
            first = ticket.classification is None
            return {
                "classification": said,
                "major": event.major,
                "needs_review": said.needs_review,
                "severity": said.severity if first else ticket.severity,
                "flags": union(said.flags, ticket.flags if first else _only_repeats(ticket.flags)),
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
                "flags": union(ticket.flags, event.flags),
                "complaints": (*ticket.complaints, event.complaint_id),
            }
        case e.TicketReopened():
            # The department stays responsible. Whoever had it gave the slot back when it was settled.
            return _ANEW
        case e.TicketSeverityChanged():
            return {"severity": event.severity}
        case e.TicketLanguageChosen():
            return {"language": event.language}
        case e.TicketReviewCompleted():
            return {"needs_review": False}
        case e.TicketLinked():
            return {"linked_to": event.to_ticket}
        case e.TicketReturned():
            return {"returned": True, "person": None, "needs_review": True, "first_action_taken": False}
        case e.TicketLiabilityShared():
            done = {share.unit for share in ticket.shares if share.has_responded}
            return {"shares": tuple(Liability(s.unit, s.percent, s.unit in done) for s in event.shares)}
        case e.TicketUnitResponded():
            return {
                "shares": tuple(
                    s._replace(has_responded=s.has_responded or s.unit == event.unit) for s in ticket.shares
                )
            }
        case e.TicketFirstActionTaken():
            return {"first_action_taken": True}
        case e.TicketCustomerAwaited() | e.TicketThirdPartyAwaited():
            return {"earlier": ticket.state}
        case e.TicketResumed():
            return {"earlier": None}
        case e.TicketApprovalRequested():
            return {"approval": _proposed(event)}
        case e.TicketApproved():
            return {"approval": ticket.approval and ticket.approval._replace(chain=event.remaining, delegate=None)}
        case e.TicketApprovalDelegated():
            return {"approval": ticket.approval and ticket.approval._replace(delegate=event.to)}
        case e.TicketApprovalRefused():
            return {"approval": None}
        case e.TicketAnswered():
            return {
                "remedy": event.remedy,
                "amount": event.amount,
                "approval": None,
                "accepted": False,
                "state_since": event.occurred_at,
            }
        case e.TicketAccepted():
            return {"accepted": True}
        case e.TicketAppealed():
            # Whoever had it gave the slot back when it was settled.
            changes = {"person": None} if event.before in SETTLED else {}
            return {"appeals": ticket.appeals + 1, "accepted": False, **changes}
        case e.TicketAppealDecided():
            return {"remedy": event.remedy, "amount": event.amount}
        case e.TicketClaimAgreed():
            return {"claim": event.amount}
        case e.TicketClaimPaid():
            return {"claim": None}
        case e.TicketSurveyRequested():
            return {"surveys": event.attempt}
        case e.TicketSurveyAnswered() | e.TicketSurveyExhausted():
            return {"survey_over": True, "surveys_stopped": ticket.surveys_stopped or event.reason == e.SURVEYS_STOPPED}
        case e.TicketArchived():
            return {"archived": True}
        case (
            e.TicketCorrectiveActionPlanned() | e.TicketCorrectiveActionCompleted() | e.TicketCorrectiveActionVerified()
        ):
            return {"corrective_actions": _corrected(ticket.corrective_actions, event)}
    return {}


def offer(ticket: Ticket, action: c.Answer | c.DecideAppeal) -> tuple[str, Money | None]:
    """Remedy and amount of an answer or decision: where the answer stands, so does what it does not name anew."""
    if isinstance(action, c.DecideAppeal) and not action.changed:
        return action.remedy or ticket.remedy, action.amount or ticket.amount
    return action.remedy, action.amount


_ANEW: Final = {
    "person": None,
    "needs_review": True,
    "first_action_taken": False,
    "earlier": None,
    "shares": (),
    "accepted": False,
    "surveys": 0,
    "survey_over": False,
    "archived": False,
    "linked_to": None,
    "remedy": "",
    "amount": None,
}


def _proposed(event: e.TicketApprovalRequested) -> Approval:
    return Approval(
        event.command, event.remedy, event.amount, event.changed, event.note_ref, event.actor.id, event.chain
    )


def _corrected(actions: tuple[CorrectiveAction, ...], event: e.TicketEvent) -> tuple[CorrectiveAction, ...]:
    match event:
        case e.TicketCorrectiveActionPlanned():
            return (*actions, CorrectiveAction(event.corrective_action, event.owner, event.due_on))
        case e.TicketCorrectiveActionCompleted():
            changes: dict[str, Any] = {"is_completed": True, "completed_by": event.actor.id, "effective": None}
        case e.TicketCorrectiveActionVerified():
            changes = {"is_completed": event.effective, "effective": event.effective}
        case _:
            return actions
    return tuple(a._replace(**changes) if a.id == event.corrective_action else a for a in actions)


_UNDER_APPROVAL: Final = frozenset(
    {"answer", "decide_appeal", "resolve", "link_as_repeat", "hand_over", "return_to_centre"}
)


def blocked(ticket: Ticket, command: str) -> str | None:  # noqa: C901, PLR0911, PLR0912  # one line per reason
    """Why a ticket's own history forbids a command that its state allows; None: it does not.

    Whether the time for it is over, and whether what the command says is right, is known when it is decided.
    """
    match command:
        case "first_action" if ticket.first_action_taken:
            return "already_taken"
        case "approve" | "refuse_approval" | "delegate_approval" if ticket.approval is None:
            return "nothing_to_approve"
        case _ if ticket.approval is not None and command in _UNDER_APPROVAL:
            return "approval_pending"
        case "return_to_centre" if ticket.returned:
            return "already_returned"
        case "respond" if all(share.has_responded for share in ticket.shares):
            return "nobody_to_respond"
        case "accept" if ticket.accepted:
            return "already_accepted"
        case "agree_claim" if ticket.claim is not None:
            return "claim_is_open"
        case "record_payment" if ticket.claim is None:
            return "no_claim_agreed"
        case "request_survey" | "stop_surveys" if ticket.survey_over or ticket.surveys_stopped:
            return "survey_is_over"
        case "record_survey" if ticket.survey_over or not ticket.surveys:
            return "survey_is_over" if ticket.survey_over else "not_asked"
        case "complete_corrective_action" if all(a.is_completed for a in ticket.corrective_actions):
            return "nothing_to_complete"
        case "verify_corrective_action" if not any(
            a.is_completed and a.effective is None for a in ticket.corrective_actions
        ):
            return "nothing_to_verify"
        case "archive" if ticket.archived:
            return "already_archived"
    return None


def possible(ticket: Ticket) -> tuple[str, ...]:
    """What may be asked of a ticket now, in the order of the table; follow-ups aside: those come from complainants."""
    return tuple(name for name in lifecycle.possible(ticket.state) if blocked(ticket, name) is None)


def union(*flags: tuple[RiskFlag, ...]) -> tuple[RiskFlag, ...]:
    """All of them, each once, in the order in which they came."""
    return tuple(dict.fromkeys(flag for some in flags for flag in some))


def _only_repeats(flags: tuple[RiskFlag, ...]) -> tuple[RiskFlag, ...]:
    # A reviewer's flags take the place of the machine's; that the complaint came again stays true.
    return tuple(flag for flag in flags if flag is RiskFlag.REPEATED)
