"""Tickets and facts for tests, as the router and the SLA monitor tell them."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

from schemas import ids
from schemas.classification import Classification
from schemas.codes import (
    ActorKind,
    Category,
    Channel,
    Clock,
    DeliveryChannel,
    Grade,
    Language,
    Nature,
    Severity,
    Source,
    TicketState,
)
from schemas.events import TicketClassified, TicketEvent, TicketFollowedUp, TicketOpened, TicketReopened
from schemas.message import Actor
from schemas.sealed import ContactIndex, MaskedContact
from schemas.sla import SlaBreached, SlaFact

NOON = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)
"""12:00 in Shanghai."""
COMPLAINT = UUID("6f9bfa0e-45e5-5b8e-a5a5-3e4a0d0f6b10")
TICKET = ids.ticket_id(COMPLAINT)
MASKED = MaskedContact(phone="138****0000", email="l***@example.com")


def event(kind: type[TicketEvent], sequence: int, state: TicketState, **fields: Any) -> TicketEvent:
    """An event of the one ticket."""
    return kind(
        **{
            "routing_key": "w:1",
            "event_id": uuid5(TICKET, str(sequence)),
            "ticket_id": TICKET,
            "sequence": sequence,
            "causation_id": COMPLAINT,
            "occurred_at": NOON,
            "actor": Actor(kind=ActorKind.SYSTEM),
            "state": state,
            **fields,
        }
    )


def opened(**fields: Any) -> TicketEvent:
    """Its opening."""
    given = {
        "complaint_id": COMPLAINT,
        "number": "2611-0042175",
        "channel": Channel.WEB,
        "source": Source.EXTERNAL,
        "language": Language.ZH,
        "received_at": NOON,
        "contact_ref": ids.contact_ref(COMPLAINT),
        "masked": MASKED,
        "contact_index": ContactIndex(),
        "reachable_by": (DeliveryChannel.SMS,),
        "time_zone": "Asia/Shanghai",
    }
    return event(TicketOpened, 1, TicketState.OPENED, **(given | fields))


def classified(
    category: Category = Category.DAMAGE, sub: str | None = None, *, sequence: int = 2, major: bool = False
) -> TicketEvent:
    """How it was understood."""
    said = Classification(
        primary=category,
        sub=sub,
        nature=Nature.FUNCTIONAL,
        grade=Grade.STAFF,
        severity=Severity.NORMAL,
        confidence=0.9,
        carrier_matter=True,
        needs_review=False,
    )
    return event(TicketClassified, sequence, TicketState.OPENED, classification=said, major=major)


def followed_up(sequence: int, *, complaint: UUID, state: TicketState = TicketState.IN_REVIEW) -> TicketEvent:
    """The same came again, from a contact of its own."""
    return event(
        TicketFollowedUp,
        sequence,
        state,
        complaint_id=complaint,
        channel=Channel.EMAIL,
        received_at=NOON + timedelta(hours=1),
        occurred_at=NOON + timedelta(hours=1),
        contact_ref=ids.contact_ref(complaint),
        masked=MaskedContact(email="w***@example.com"),
        matched_by="waybill",
        repeats=1,
    )


def reopened(sequence: int, *, before: TicketState) -> TicketEvent:
    """The settled ticket is worked on again."""
    return event(
        TicketReopened, sequence, TicketState.OPENED, before=before, received_at=NOON, reason="complained_again"
    )


def fact(kind: type[SlaFact], clock: Clock = Clock.FIRST_ANSWER, **fields: Any) -> SlaFact:
    """Something about one of its clocks."""
    due_at = fields.get("due_at", NOON + timedelta(hours=48))
    return kind(
        **{
            "routing_key": "w:1",
            "fact_id": ids.fact_id(TICKET, clock, 1, kind.TYPE, str(due_at)),
            "ticket_id": TICKET,
            "ticket_sequence": 1,
            "clock": clock,
            "cycle": 1,
            "at": NOON,
            "due_at": due_at,
            "target_s": 172_800,
            "policy": "first-answer",
            "policy_version": 1,
            **fields,
        }
    )


def breached(clock: Clock) -> SlaFact:
    """A limit that was missed two days later."""
    at = NOON + timedelta(hours=48)
    return fact(
        SlaBreached,
        clock,
        at=at,
        due_at=at,
        breached_at=at,
        detected_at=at,
        elapsed_s=172_800.0,
        severity=Severity.NORMAL,
        escalation_level="agent",
    )
