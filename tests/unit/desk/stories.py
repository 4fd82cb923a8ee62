"""Tickets as the other services tell of them: events, the facts of the real clocks, and events of messages."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

from schemas import events as e
from schemas import notifications as n
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
    RiskFlag,
    Severity,
    Source,
    TicketState,
)
from schemas.message import Actor, Message
from schemas.sealed import ContactIndex, MaskedContact
from schemas.sla import SlaFact
from services.desk.row import Row, fold
from services.service_levels.policy import read_policy
from services.service_levels.rulebook import Policies
from services.service_levels.ticket_sla import TicketSla
from services.sla_monitor.clocks import advance, due_facts

TICKET = UUID("5f1f7a52-2f6c-5a8e-9d8b-0d6f9b9a6c11")
# A Monday at ten in the morning in Shanghai.
RECEIVED = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
POLICIES = Policies([read_policy()])
LATER: dict[str, tuple[type[e.TicketEvent], TicketState, dict[str, Any]]] = {
    "review": (e.TicketReviewCompleted, TicketState.INVESTIGATING, {}),
    "act": (e.TicketFirstActionTaken, TicketState.INVESTIGATING, {}),
    "wait": (e.TicketCustomerAwaited, TicketState.WAITING_CUSTOMER, {}),
    "resume": (e.TicketResumed, TicketState.INVESTIGATING, {}),
    "worse": (e.TicketSeverityChanged, TicketState.INVESTIGATING, {"before": 2, "severity": 4}),
    "answer": (e.TicketAnswered, TicketState.ANSWERED, {}),
    "resolve": (e.TicketResolved, TicketState.RESOLVED, {}),
    "withdraw": (e.TicketWithdrawn, TicketState.WITHDRAWN, {}),
}


@dataclass
class Story:
    """One ticket, told message by message; `at` is in minutes after its receipt."""

    ticket: UUID = TICKET
    number: str = "2611-000017"
    received_at: datetime = RECEIVED
    opened: dict[str, Any] = field(default_factory=dict)
    classified: dict[str, Any] = field(default_factory=dict)
    assigned: dict[str, Any] = field(default_factory=dict)
    events: list[e.TicketEvent] = field(default_factory=list)
    facts: list[SlaFact] = field(default_factory=list)
    messages: list[n.NotificationEvent] = field(default_factory=list)
    sla: TicketSla | None = None

    def __post_init__(self) -> None:
        """Opened, classified, assigned."""
        self.tell(e.TicketOpened, TicketState.OPENED, 0, **self._opened(), **self.opened)
        said = Classification(**self._said() | self.classified.pop("said", {}))
        self.tell(e.TicketClassified, TicketState.OPENED, 0, classification=said, **self.classified)
        given = {"department": "hubs", "unit": "HUB-01", "person": "p1", "unit_calendar": "hub", "rule": "r"}
        self.tell(e.TicketAssigned, TicketState.INVESTIGATING, 0, **given | self.assigned)

    def tell(self, kind: type[e.TicketEvent], state: TicketState, at: float, **fields: Any) -> None:
        """The next event, and what the clocks make of it."""
        sequence = len(self.events) + 1
        event = kind(
            routing_key="k",
            event_id=uuid5(self.ticket, str(sequence)),
            ticket_id=self.ticket,
            sequence=sequence,
            causation_id=self.ticket,
            occurred_at=self.received_at + timedelta(minutes=at),
            actor=Actor(kind=ActorKind.SYSTEM),
            state=state,
            **fields,
        )
        self.events.append(event)
        self._clocked(event, at)

    def step(self, name: str, at: float) -> None:
        """One of `LATER`."""
        kind, state, fields = LATER[name]
        self.tell(kind, state, at, **fields)

    def deliver(self, at: float) -> None:
        """The confirmation is requested, sent and in the customer's hand."""
        note = uuid5(self.ticket, "received")
        common = {
            "routing_key": "k", "notification_id": note, "ticket_id": self.ticket, "moment": Moment.RECEIVED,
            "occasion": self.events[0].event_id, "to": "138****1234",
            "at": self.received_at + timedelta(minutes=at),
        }  # fmt: skip
        sms = {"channel": DeliveryChannel.SMS}
        delivered = n.NotificationDelivered(**common, **sms, event_id=uuid5(note, "delivered"))
        self.messages += [
            n.NotificationRequested(**common, event_id=uuid5(note, "requested"), language=Language.ZH),
            n.NotificationSent(**common, **sms, event_id=uuid5(note, "sent"), template="t"),
            delivered,
        ]
        self._clocked(delivered, at)

    def pass_until(self, at: float) -> None:
        """Time passes: warnings, breaches, escalations."""
        assert self.sla
        self.sla, facts = due_facts(self.sla, self.received_at + timedelta(minutes=at), policies=POLICIES)
        self.facts += facts

    @property
    def all(self) -> list[Message]:
        """Everything, topic by topic."""
        return [*self.events, *self.facts, *self.messages]

    def row(self) -> Row:
        """The row that it makes."""
        return folded(self.all, ticket=self.ticket)

    def _clocked(self, event: e.TicketEvent | n.NotificationDelivered, at: float) -> None:
        now = self.received_at + timedelta(minutes=at)
        self.sla, facts = advance(self.sla, event, policies=POLICIES, now=now)
        self.facts += facts

    def _opened(self) -> dict[str, Any]:
        common: dict[str, Any] = {
            "complaint_id": self.ticket,
            "number": self.number,
            "channel": Channel.WEB,
            "source": Source.EXTERNAL,
            "language": Language.ZH,
            "received_at": self.received_at,
            "contact_ref": self.ticket,
            "masked": MaskedContact(phone="138****1234"),
            "contact_index": ContactIndex(phone="a" * 64),
            "reachable_by": (DeliveryChannel.SMS,),
            "time_zone": "Asia/Shanghai",
            "waybills": ("YT0000000000017",),
            "places": ("HUB-01",),
        }
        return {name: value for name, value in common.items() if name not in self.opened}

    @staticmethod
    def _said() -> dict[str, Any]:
        return {
            "primary": Category.DELAY,
            "sub": "transit",
            "nature": Nature.FUNCTIONAL,
            "grade": Grade.STAFF,
            "severity": Severity.NORMAL,
            "confidence": 0.9,
            "carrier_matter": True,
            "needs_review": False,
            "flags": (RiskFlag.REGULATOR,),
        }


def folded(messages: Iterable[Message], *, ticket: UUID = TICKET, row: Row | None = None) -> Row:
    """The row that messages make, in this order."""
    row = row or Row(id=ticket)
    for message in messages:
        row = fold(row, message)
    return row


def stories(names: Sequence[str], **fields: Any) -> list[Story]:
    """Tickets by the end of their numbers."""
    return [Story(ticket=uuid5(TICKET, name), number=f"2611-{int(name):06d}", **fields) for name in names]
