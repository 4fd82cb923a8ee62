"""Complaints, tickets and organisations to test with."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid5

from schemas.classification import Classification
from schemas.codes import ActorKind, Category, Channel, Grade, Language, Nature, Severity, Source
from schemas.commands import Action, TicketCommand
from schemas.complaint import ComplaintSubmitted
from schemas.events import TicketEvent
from schemas.message import Actor
from schemas.sealed import ContactIndex, MaskedContact, Sealed
from schemas.ticket import Ticket, fold
from services.organisation.directory import Organisation, organisation
from services.router.deciding import Assignment, Unassignable, decide
from services.router.opening import opening

NAMES = UUID("5b0e9f3c-6f0e-4c56-8a51-2f4a1f6f0c11")
AT = datetime(2026, 11, 20, 3, 0, tzinfo=UTC)
"""11:00 on a Friday in Shanghai."""
NOBODY = Assignment("outlets", None, None, "outlet", "last-mile", 1)


def complaint(name: str = "a", **fields: Any) -> ComplaintSubmitted:
    """A complaint; everything can be given."""
    complaint_id = uuid5(NAMES, name)
    sealed = Sealed(key_id="k1", nonce=b"0" * 12, ciphertext=b"c")
    given: dict[str, Any] = {
        "routing_key": str(complaint_id),
        "complaint_id": complaint_id,
        "channel": Channel.WEB,
        "source": Source.EXTERNAL,
        "language": Language.ZH,
        "received_at": AT,
        "submitted_at": AT,
        "contact": sealed,
        "masked": MaskedContact(phone="138****8000"),
        "contact_index": ContactIndex(phone="digest-of-a-phone"),
        "wording": sealed,
        "text_fingerprint": "fingerprint",
    }
    return ComplaintSubmitted(**given | fields)


def said(primary: Category = Category.DELAY, **fields: Any) -> Classification:
    """A classification."""
    given: dict[str, Any] = {
        "primary": primary,
        "sub": None,
        "nature": Nature.FUNCTIONAL,
        "grade": Grade.STAFF,
        "severity": Severity.NORMAL,
        "confidence": 0.9,
        "carrier_matter": True,
        "needs_review": False,
    }
    return Classification(**given | fields)


def ticket(*, needs_review: bool = False) -> Ticket:
    """A ticket just opened."""
    events = opening(
        complaint(),
        number="2611-000015",
        said=said(needs_review=needs_review),
        major=False,
        waybills=("YT1",),
        places=(),
        assignment=None if needs_review else NOBODY,
    )
    return fold(events)


def command(of: Ticket, action: Action, name: str = "1", **fields: Any) -> TicketCommand:
    """A command for a ticket, by an agent."""
    given: dict[str, Any] = {
        "routing_key": of.routing_key,
        "command_id": uuid5(of.id, name),
        "ticket_id": of.id,
        "issued_at": AT,
        "actor": Actor(kind=ActorKind.AGENT, id="agent-1", via="desk"),
        "action": action,
    }
    return TicketCommand(**given | fields)


def decided(of: Ticket, asked: TicketCommand, assignment: Assignment | Unassignable | None = None) -> list[TicketEvent]:
    """What a command does that the broker took when it was issued."""
    return decide(of, asked, assignment, taken_at=asked.issued_at, organisation=small_network())


def small_network(**sections: Any) -> Organisation:
    """Two departments, a hub, an outlet, three people."""
    return organisation(
        {
            "version": 1,
            "departments": [
                {"code": "outlets", "name": "Outlets", "calendar": "outlet"},
                {"code": "finance", "name": "Finance", "calendar": "office"},
            ],
            "units": [
                {"code": "NET-1001", "kind": "outlet", "name": "Pudong", "calendar": "pudong"},
                {"code": "HUB-01", "kind": "hub", "name": "Shanghai", "calendar": "hub"},
            ],
            "people": [
                {"id": "ann", "department": "outlets", "capacity": 2},
                {"id": "bo", "department": "outlets", "capacity": 2, "skills": ["damage"]},
                {"id": "desk", "department": "outlets", "unit": "NET-1001", "capacity": 1},
            ],
            "assignment": {
                "rules": [
                    {"name": "money", "when": {"category": ["finance"]}, "department": "finance"},
                    {"name": "named", "when": {"place": ["outlet"]}, "department": "outlets", "unit": "place"},
                    {"name": "rest", "department": "outlets"},
                ]
            },
            **sections,
        }
    )
