"""Events of one ticket, and what stands in a page."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any
from uuid import UUID, uuid4

from schemas import events as e
from schemas.classification import Classification
from schemas.codes import ActorKind, Category, Channel, Grade, Language, Nature, Severity, Source, TicketState
from schemas.message import Actor
from schemas.sealed import ContactIndex, MaskedContact

TICKET = UUID("1955f637-4fa5-5f1f-b1b5-5c2290afbe3f")
COMPLAINT = UUID("8f1c52f0-6a3b-5a7d-9a6e-0c1d2e3f4a5b")
AT = datetime(2026, 11, 21, 2, 0, tzinfo=UTC)
SYSTEM = Actor(kind=ActorKind.SYSTEM)


def opened() -> e.TicketOpened:
    """The first event."""
    return e.TicketOpened(
        **_identity(1, AT, COMPLAINT),
        state=TicketState.OPENED,
        complaint_id=COMPLAINT,
        number="2611-004217",
        channel=Channel.WEB,
        source=Source.EXTERNAL,
        language=Language.EN,
        received_at=AT,
        contact_ref=uuid4(),
        masked=MaskedContact(phone="138****8000"),
        contact_index=ContactIndex(),
        reachable_by=(),
        time_zone="Asia/Shanghai",
        waybills=("SF1234567890123",),
    )


def event(kind: type[e.TicketEvent], sequence: int, state: TicketState, **fields: Any) -> e.TicketEvent:
    """A later one."""
    cause = fields.pop("cause", None) or uuid4()
    given = _identity(sequence, AT + timedelta(hours=sequence), cause) | {"state": state}
    return kind(**(given | fields))


def classified(sequence: int = 2) -> e.TicketEvent:
    """It is about a parcel held up on the way."""
    said = Classification(
        primary=Category.DELAY,
        sub="transit",
        nature=Nature.FUNCTIONAL,
        grade=Grade.SYSTEM,
        severity=Severity.HIGH,
        confidence=0.9,
        carrier_matter=True,
        needs_review=False,
        evidence=(),
    )
    return event(e.TicketClassified, sequence, TicketState.INVESTIGATING, classification=said)


def life(*states: tuple[type[e.TicketEvent], TicketState, dict[str, Any]]) -> list[e.TicketEvent]:
    """An opening and what followed."""
    return [opened(), *(event(kind, n, state, **more) for n, (kind, state, more) in enumerate(states, start=2))]


def hidden(page: str, name: str) -> str:
    """The value of the first hidden field of that name."""
    found = re.search(rf'name="{name}" value="([^"]*)"', page)
    assert found
    return unescape(found[1])


def forms(page: str) -> Iterable[str]:
    """Where the page's forms go, by the last part of the path."""
    return re.findall(r'action="[^"]*/(\w*)\?lang', page)


def _identity(sequence: int, at: datetime, cause: UUID) -> dict[str, Any]:
    return {
        "routing_key": "w:SF1234567890123",
        "event_id": uuid4(),
        "ticket_id": TICKET,
        "sequence": sequence,
        "causation_id": cause,
        "occurred_at": at,
        "actor": SYSTEM,
    }
