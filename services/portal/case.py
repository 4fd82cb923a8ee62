"""A ticket as its complainant may see it: the fold of its events, without a word of what is said inside. Pure."""

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from schemas import events as e
from schemas import ticket
from schemas.classification import Classification
from schemas.codes import ActorKind, Language, TicketState
from schemas.complaint import Money

REPLIES: Final = ("answered", "appeal_decided", "resolved")
"""Steps that give the complainant something to accept or to appeal against."""
_ACCEPTED: Final = "accepted"
"""Outcome of a ticket that is settled because its complainant agreed."""
_TOLD: Final[Mapping[type[e.TicketEvent], str]] = {
    e.TicketOpened: "opened",
    e.TicketAssigned: "assigned",
    e.TicketLanguageChosen: "language_chosen",
    e.TicketFollowedUp: "followed_up",
    e.TicketRepeatLinked: "followed_up",
    e.TicketReopened: "reopened",
    e.TicketReviewStarted: "review_started",
    e.TicketReviewCompleted: "review_completed",
    e.TicketLinked: "linked",
    e.TicketHandedOver: "handed_over",
    e.TicketFirstActionTaken: "first_action",
    e.TicketFindingsRecorded: "findings",
    e.TicketEvidenceAdded: "evidence_added",
    e.TicketAnswered: "answered",
    e.TicketAccepted: "accepted",
    e.TicketAppealed: "appealed",
    e.TicketAppealDecided: "appeal_decided",
    e.TicketResolved: "resolved",
    e.TicketCustomerAwaited: "customer_awaited",
    e.TicketThirdPartyAwaited: "third_party_awaited",
    e.TicketResumed: "resumed",
    e.TicketWithdrawn: "withdrawn",
    e.TicketClosed: "closed",
    e.TicketApologised: "apologised",
    e.TicketClaimAgreed: "claim_agreed",
    e.TicketClaimPaid: "claim_paid",
    e.TicketSurveyRequested: "survey_requested",
    e.TicketSurveyAnswered: "survey_answered",
}
"""What is told of a ticket, and how the wording calls it. What is not here is the network's own business."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happened."""

    kind: str
    at: datetime
    sequence: int
    note_ref: UUID | None = None
    """Where words for the complainant may be."""
    code: str = ""
    """Of the remedy, the outcome, or what is wanted."""
    amount: Money | None = None
    is_changed: bool | None = None
    """Of a decision on an appeal: whether it differs from the answer."""


@dataclass(frozen=True, slots=True)
class AppealWindow:
    """How long one may appeal, by the network's policy."""

    until: datetime | None
    """None: there is nothing, or nothing more, to appeal against."""

    def is_open(self, now: datetime) -> bool:
        """Whether an appeal would be taken."""
        return self.until is not None and now <= self.until


@dataclass(frozen=True, slots=True)
class Case:
    """Where a ticket stands after its event number `version`."""

    ticket_id: UUID
    number: str
    routing_key: str
    state: TicketState
    version: int
    time_zone: str
    language: Language
    """Of the messages to its complainants."""
    complaints: frozenset[UUID]
    """The one that opened it and those that followed it up: whose complainants may see it."""
    waybills: tuple[str, ...]
    steps: tuple[Step, ...] = ()
    matter: str = ""
    """What it was understood to be about: a category, or category and sub-code as `delay.transit`."""
    reply: Step | None = None
    """The answer, the decision or the resolution that stands."""
    wanted: Step | None = None
    """What the complainant was asked for and has not given yet."""
    possible: tuple[str, ...] = ()
    """Names of the commands that the router would take, as far as state and history tell."""


def fold(events: Iterable[e.TicketEvent]) -> Case | None:
    """The case that events make, in order and from the first; None when there is none."""
    case: Case | None = None
    events = tuple(events)
    for event in events:
        if isinstance(event, e.TicketOpened):
            case = Case(
                ticket_id=event.ticket_id,
                number=event.number,
                routing_key=event.routing_key,
                state=event.state,
                version=event.sequence,
                time_zone=event.time_zone,
                language=event.language,
                complaints=frozenset({event.complaint_id}),
                waybills=event.waybills,
                steps=(_step(event, "opened"),),
            )
        elif case is not None:
            case = _after(case, event)
    return case and dataclasses.replace(case, possible=ticket.possible(ticket.fold(events)))


def _after(case: Case, event: e.TicketEvent) -> Case:
    changed: dict[str, Any] = {"state": event.state, "version": event.sequence}
    kind = _kind(event)
    step = _step(event, kind) if kind else None
    if step is not None:
        changed["steps"] = (*case.steps, step)
        # Settled because the complainant agreed: what was agreed to stands.
        if kind in REPLIES and step.code != _ACCEPTED:
            changed["reply"] = step
    if kind == "customer_awaited":
        changed["wanted"] = step
    elif event.state is not TicketState.WAITING_CUSTOMER:
        changed["wanted"] = None
    return dataclasses.replace(case, **(changed | _changed(case, event)))


def _changed(case: Case, event: e.TicketEvent) -> dict[str, Any]:
    match event:
        case e.TicketFollowedUp():
            return {"complaints": case.complaints | {event.complaint_id}}
        case e.TicketClassified():
            return {"matter": _matter(event.classification)}
        case e.TicketReopened():
            return {"reply": None}
        case e.TicketLanguageChosen():
            return {"language": event.language}
        case _:
            return {}


def _kind(event: e.TicketEvent) -> str | None:
    # Notes are the network's own unless the complainant wrote them.
    if isinstance(event, e.TicketNoted) and event.actor.kind is ActorKind.COMPLAINANT:
        return "words_added"
    return _TOLD.get(type(event))


def _matter(said: Classification) -> str:
    return f"{said.primary}.{said.sub}" if said.sub else said.primary.value


def _step(event: e.TicketEvent, kind: str) -> Step:
    code, amount, is_changed = "", None, None
    match event:
        case e.TicketAnswered():
            code, amount = event.remedy, event.amount
        case e.TicketAppealDecided():
            code, amount, is_changed = event.remedy, event.amount, event.changed
        case e.TicketResolved():
            code = event.outcome
        case e.TicketCustomerAwaited():
            code = event.what
        case e.TicketClaimAgreed() | e.TicketClaimPaid():
            amount = event.amount
        case _:
            pass
    return Step(kind, event.occurred_at, event.sequence, event.note_ref, code, amount, is_changed)
