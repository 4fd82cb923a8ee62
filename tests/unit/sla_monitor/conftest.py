"""A ticket's story as the clocks see it: events in order and deliveries, at minutes after its receipt."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

import pytest

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
    TicketAppealDecided,
    TicketAppealed,
    TicketApprovalRequested,
    TicketApproved,
    TicketAssigned,
    TicketClaimAgreed,
    TicketClassified,
    TicketClosed,
    TicketCustomerAwaited,
    TicketEvent,
    TicketFirstActionTaken,
    TicketLiabilityShared,
    TicketLinked,
    TicketOpened,
    TicketReopened,
    TicketResolved,
    TicketResumed,
    TicketReturned,
    TicketReviewCompleted,
    TicketSeverityChanged,
    TicketUnitResponded,
    TicketWithdrawn,
)
from schemas.message import Actor
from schemas.notifications import NotificationDelivered
from schemas.sealed import ContactIndex, MaskedContact
from schemas.sla import SlaFact
from services.service_levels.policy import read_policy
from services.service_levels.rulebook import Policies
from services.service_levels.ticket_sla import Cycle, TicketSla
from services.sla_monitor.clocks import advance, due_facts

TICKET = UUID("5f1f7a52-2f6c-5a8e-9d8b-0d6f9b9a6c11")
# A Monday at ten in the morning in Shanghai, one hour after the centre opens.
RECEIVED = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
POLICIES = Policies([read_policy()])

STATES = {
    TicketOpened: TicketState.OPENED,
    TicketClassified: TicketState.OPENED,
    TicketAssigned: TicketState.INVESTIGATING,
    TicketReviewCompleted: TicketState.INVESTIGATING,
    TicketFirstActionTaken: TicketState.INVESTIGATING,
    TicketCustomerAwaited: TicketState.WAITING_CUSTOMER,
    TicketResumed: TicketState.INVESTIGATING,
    TicketSeverityChanged: TicketState.INVESTIGATING,
    TicketAnswered: TicketState.ANSWERED,
    TicketResolved: TicketState.RESOLVED,
    TicketWithdrawn: TicketState.WITHDRAWN,
    TicketReopened: TicketState.OPENED,
    TicketReturned: TicketState.IN_REVIEW,
    TicketLinked: TicketState.CLOSED,
    TicketAppealed: TicketState.APPEALED,
    TicketAppealDecided: TicketState.APPEAL_DECIDED,
    TicketClosed: TicketState.CLOSED,
}
"""Where events lead; the others leave a ticket where it is."""

EUROS = {"amount": "30", "currency": "EUR"}
FIELDS: dict[type[TicketEvent], dict[str, Any]] = {
    TicketLinked: {"to_ticket": uuid5(TICKET, "other"), "to_routing_key": "SF2"},
    TicketReturned: {"before_department": "hubs", "before_unit": "HUB-01"},
    TicketApprovalRequested: {"command": "answer", "amount": EUROS, "chain": ["supervisor", "centre_manager"]},
    TicketApproved: {"role": "centre_manager"},
    TicketAppealed: {"before": "answered"},
    TicketAppealDecided: {"changed": False},
    TicketClaimAgreed: {"amount": EUROS},
}
"""What events say where a story does not."""


def minute(n: float) -> datetime:
    """So many minutes after the complaint was received."""
    return RECEIVED + timedelta(minutes=n)


class Story:
    """Applies events to one ticket and keeps what came of it."""

    def __init__(self, policies: Policies = POLICIES) -> None:
        self.policies = policies
        self.sla: TicketSla | None = None
        self.facts: list[SlaFact] = []
        self.events: list[TicketEvent | NotificationDelivered] = []
        self._sequence = 0
        self.state = TicketState.OPENED

    def event(self, kind: type[TicketEvent], at: float, **fields: Any) -> TicketEvent:
        """The ticket's next event."""
        self._sequence += 1
        common = {
            "routing_key": "SF1",
            "event_id": uuid5(TICKET, f"event-{self._sequence}"),
            "ticket_id": TICKET,
            "sequence": self._sequence,
            "causation_id": TICKET,
            "occurred_at": minute(at),
            "actor": Actor(kind=ActorKind.SYSTEM),
            "state": STATES.get(kind, self.state),
        }
        event = kind.model_validate(common | FIELDS.get(kind, {}) | fields)
        self.state = event.state
        return event

    def apply(
        self,
        event: TicketEvent | NotificationDelivered,
        *,
        now: float | None = None,
        caught_up: bool = True,
    ) -> list[SlaFact]:
        """What the event gave rise to."""
        self.events.append(event)
        at = event.at if isinstance(event, NotificationDelivered) else event.occurred_at
        seen = minute(now) if now is not None else at
        self.sla, facts = advance(self.sla, event, policies=self.policies, now=seen, caught_up=caught_up)
        self.facts += facts
        return list(facts)

    def opened(self, at: float = 0, **fields: Any) -> list[SlaFact]:
        """The complaint becomes a ticket."""
        defaults: dict[str, Any] = {
            "complaint_id": TICKET,
            "number": "2611-000017",
            "channel": Channel.WEB,
            "source": Source.EXTERNAL,
            "language": Language.ZH,
            "received_at": RECEIVED,
            "contact_ref": TICKET,
            "masked": MaskedContact(),
            "contact_index": ContactIndex(),
            "reachable_by": (DeliveryChannel.SMS,),
            "time_zone": "Asia/Shanghai",
        }
        return self.apply(self.event(TicketOpened, at, **(defaults | fields)))

    def classified(
        self, at: float = 0, *, severity: int = 2, needs_review: bool = False, major: bool = False
    ) -> list[SlaFact]:
        """The complaint is understood."""
        understood = Classification(
            primary=Category.DELAY,
            sub="transit",
            nature=Nature.FUNCTIONAL,
            grade=Grade.STAFF,
            severity=Severity(severity),
            confidence=0.9,
            carrier_matter=True,
            needs_review=needs_review,
        )
        return self.apply(self.event(TicketClassified, at, classification=understood, major=major))

    def assigned(
        self, at: float = 0, *, unit: str = "HUB-01", person: str = "p1", unit_calendar: str = "centre"
    ) -> list[SlaFact]:
        """A unit and a person have it."""
        fields = {"department": "hubs", "unit": unit, "person": person, "unit_calendar": unit_calendar, "rule": "r"}
        return self.apply(self.event(TicketAssigned, at, **fields))

    def shared(self, at: float, *units: str, calendars: str = "centre", department: str = "hubs") -> list[SlaFact]:
        """Liability is shared among units, whose responses are awaited."""
        shares = [
            {"unit": unit, "percent": 1, "unit_calendar": calendars, "department": f"{department}-{unit}"}
            for unit in units
        ]
        return self.then(TicketLiabilityShared, at, shares=shares)

    def responded(self, at: float, unit: str) -> list[SlaFact]:
        """One of them says what it has to say."""
        return self.then(TicketUnitResponded, at, unit=unit)

    def opening(self, *, severity: int = 2, unit_calendar: str = "centre", reviewed: bool = True) -> "Story":
        """Opened, classified and assigned at once, as a router does it."""
        self.opened()
        self.classified(severity=severity, needs_review=not reviewed)
        self.assigned(unit_calendar=unit_calendar)
        return self

    def then(self, kind: type[TicketEvent], at: float, **fields: Any) -> list[SlaFact]:
        """The next event of that type."""
        return self.apply(self.event(kind, at, **fields))

    def delivery(self, at: float, moment: Moment = Moment.RECEIVED) -> NotificationDelivered:
        """A receipt for the message about a moment."""
        return NotificationDelivered(
            routing_key="SF1",
            event_id=uuid5(TICKET, f"delivered-{moment}-{at}"),
            notification_id=uuid5(TICKET, moment),
            ticket_id=TICKET,
            moment=moment,
            occasion=TICKET,
            at=minute(at),
            to="138****1234",
            channel=DeliveryChannel.SMS,
        )

    def delivered(self, at: float, moment: Moment = Moment.RECEIVED, *, now: float | None = None) -> list[SlaFact]:
        """A message reached the complainant."""
        return self.apply(self.delivery(at, moment), now=now)

    def wait(self, until: float) -> list[SlaFact]:
        """Time passes."""
        assert self.sla is not None
        self.sla, facts = due_facts(self.sla, minute(until), policies=self.policies)
        self.facts += facts
        return list(facts)

    def cycle(self, clock: str, number: int = 1) -> Cycle:
        """One cycle of a clock."""
        assert self.sla is not None
        return next(c for c in self.sla.cycles if c.clock == clock and c.number == number)

    def told(self, clock: str | None = None) -> list[str]:
        """Types of the facts so far, e.g. `breached`, of one clock."""
        return [kind(fact) for fact in self.facts if clock in (None, fact.clock)]


def kind(fact: SlaFact) -> str:
    """The last part of a fact's type."""
    return fact.TYPE.rpartition(".")[2]


@pytest.fixture
def story() -> Story:
    """A ticket to which nothing has happened."""
    return Story()


@pytest.fixture(scope="session")
def new_story() -> Callable[..., Story]:
    """Makes tickets to which nothing has happened."""
    return Story
