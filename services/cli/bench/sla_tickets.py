"""Tickets for the benchmark of the SLA monitor."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

from schemas.classification import Classification
from schemas.codes import (
    ActorKind,
    Category,
    Channel,
    DeliveryChannel,
    Grade,
    Language,
    Moment,
    Nature,
    Severity,
    Source,
    TicketState,
)
from schemas.events import (
    TicketAnswered,
    TicketAssigned,
    TicketClassified,
    TicketEvent,
    TicketFirstActionTaken,
    TicketOpened,
    TicketResolved,
    TicketReviewCompleted,
)
from schemas.message import Actor, Message
from schemas.notifications import NotificationDelivered
from schemas.sealed import ContactIndex, MaskedContact

_SYSTEM = Actor(kind=ActorKind.SYSTEM)
_UNDERSTOOD = Classification(
    primary=Category.DELAY,
    sub="transit",
    nature=Nature.FUNCTIONAL,
    grade=Grade.STAFF,
    severity=Severity.NORMAL,
    confidence=0.9,
    carrier_matter=True,
    needs_review=False,
)
_OPENING: tuple[tuple[type[TicketEvent], TicketState, dict[str, Any]], ...] = (
    (TicketOpened, TicketState.OPENED, {}),
    (TicketClassified, TicketState.OPENED, {"classification": _UNDERSTOOD}),
    (
        TicketAssigned,
        TicketState.INVESTIGATING,
        {"department": "hubs", "unit": "HUB-01", "person": "p1", "unit_calendar": "hub", "rule": "bench"},
    ),
)
_LATER: tuple[tuple[type[TicketEvent], TicketState], ...] = (
    (TicketReviewCompleted, TicketState.INVESTIGATING),
    (TicketFirstActionTaken, TicketState.INVESTIGATING),
    (TicketAnswered, TicketState.ANSWERED),
    (TicketResolved, TicketState.RESOLVED),
)
EVENTS_PER_TICKET = len(_OPENING) + len(_LATER)


def opening(ticket: UUID, received_at: datetime, *, count: int = len(_OPENING)) -> Iterator[Message]:
    """The first events of a ticket, as a router publishes them: opened, classified, assigned."""
    for sequence, (kind, state, fields) in enumerate(_OPENING[:count], start=1):
        own = fields if sequence > 1 else _opened(ticket, received_at)
        yield _event(kind, ticket, sequence, at=received_at, state=state, fields=own)


def waves(tickets: list[UUID], received_at: datetime) -> Iterator[Iterator[Message]]:
    """The lives of tickets that live at the same time: the openings, the confirmations, then step after step."""
    yield (event for ticket in tickets for event in opening(ticket, received_at))
    yield (_delivered(ticket, received_at + timedelta(seconds=2)) for ticket in tickets)
    for number, (kind, state) in enumerate(_LATER):
        at = received_at + timedelta(seconds=10 + number)
        sequence = len(_OPENING) + 1 + number
        yield (_event(kind, ticket, sequence, at=at, state=state, fields={}) for ticket in tickets)


def _event(
    kind: type[TicketEvent], ticket: UUID, sequence: int, *, at: datetime, state: TicketState, fields: dict[str, Any]
) -> TicketEvent:
    return kind(
        routing_key=str(ticket),
        event_id=uuid5(ticket, str(sequence)),
        ticket_id=ticket,
        sequence=sequence,
        causation_id=ticket,
        occurred_at=at,
        actor=_SYSTEM,
        state=state,
        **fields,
    )


def _opened(ticket: UUID, received_at: datetime) -> dict[str, Any]:
    return {
        "complaint_id": ticket,
        "number": "2611-000017",
        "channel": Channel.WEB,
        "source": Source.EXTERNAL,
        "language": Language.ZH,
        "received_at": received_at,
        "contact_ref": ticket,
        "masked": MaskedContact(phone="138****1234"),
        "contact_index": ContactIndex(),
        "reachable_by": (DeliveryChannel.SMS,),
        "time_zone": "Asia/Shanghai",
        "waybills": ("YT0000000000017",),
    }


def _delivered(ticket: UUID, at: datetime) -> NotificationDelivered:
    return NotificationDelivered(
        routing_key=str(ticket),
        event_id=uuid5(ticket, "delivered"),
        notification_id=uuid5(ticket, "received"),
        ticket_id=ticket,
        moment=Moment.RECEIVED,
        occasion=uuid5(ticket, "1"),
        at=at,
        to="138****1234",
        channel=DeliveryChannel.SMS,
    )
