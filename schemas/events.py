"""What happened to a ticket: `ticket-event`. A ticket is the fold of these, numbered 1..n without gaps."""

from datetime import datetime
from typing import ClassVar
from uuid import UUID

from pydantic import AwareDatetime, Field

from schemas.classification import Classification
from schemas.codes import (
    Channel,
    DeliveryChannel,
    Language,
    RiskFlag,
    Role,
    Severity,
    Source,
    SpecialIdentity,
    TicketState,
)
from schemas.commands import Remark
from schemas.complaint import Money
from schemas.message import Actor, Code, Message
from schemas.sealed import ContactIndex, MaskedContact


class TicketEvent(Message):
    """One change of one ticket."""

    SOURCE: ClassVar[str] = "/amends/router"

    event_id: UUID
    ticket_id: UUID
    sequence: int = Field(ge=1)
    causation_id: UUID
    """The complaint or command that this follows from."""
    occurred_at: AwareDatetime
    """The time that the cause carries; never the time of processing."""
    actor: Actor
    state: TicketState
    """The ticket's state after this event."""
    reason: Remark = ""

    @property
    def ce_id(self) -> UUID:
        """Identity of the event."""
        return self.event_id

    @property
    def ce_subject(self) -> UUID:
        """The ticket."""
        return self.ticket_id

    @property
    def ce_time(self) -> datetime:
        """When it happened."""
        return self.occurred_at

    @property
    def ce_sequence(self) -> int:
        """The ticket's event number."""
        return self.sequence


class TicketOpened(TicketEvent):
    """A complaint became a ticket."""

    TYPE: ClassVar[str] = "amends.ticket.opened"

    complaint_id: UUID
    number: Code
    """For people, e.g. `2611-004217`."""
    channel: Channel
    source: Source
    language: Language
    received_at: AwareDatetime
    contact_ref: UUID
    masked: MaskedContact
    contact_index: ContactIndex
    reachable_by: tuple[DeliveryChannel, ...]
    role: Role | None = None
    special_identity: SpecialIdentity | None = None
    customer_tier: Code | None = None
    region: Code | None = None
    time_zone: Code
    waybills: tuple[Code, ...] = ()
    places: tuple[Code, ...] = ()
    product: Code | None = None
    case_number: Code | None = None
    evidence: tuple[UUID, ...] = ()
    declared_value: Money | None = None
    insured: bool | None = None


class TicketClassified(TicketEvent):
    """The complaint was understood, by the machine or by a person."""

    TYPE: ClassVar[str] = "amends.ticket.classified"

    classification: Classification
    major: bool = False
    """A major complaint has the stricter limits and starts one escalation level up."""


class TicketAssigned(TicketEvent):
    """A department has the ticket, and in it a unit and person where one was free."""

    TYPE: ClassVar[str] = "amends.ticket.assigned"

    department: Code
    unit: Code | None = None
    """Outlet, hub or team."""
    person: Code | None = None
    """None: nobody was free, the ticket waits in the department's queue."""
    unit_calendar: Code
    """Name of the calendar whose hours the unit works."""
    rule: Code
    """Name of the policy rule that chose the department."""
    directory_version: int = 0


class TicketFollowedUp(TicketEvent):
    """The same complaint came again."""

    TYPE: ClassVar[str] = "amends.ticket.followed_up"

    complaint_id: UUID
    channel: Channel
    received_at: AwareDatetime
    contact_ref: UUID
    masked: MaskedContact
    matched_by: Code
    repeats: int = Field(ge=1)
    """How often it has come again, this time included."""
    flags: tuple[RiskFlag, ...] = ()


class TicketReopened(TicketEvent):
    """It was settled, and is to be worked on again: the department stays responsible, no person has it."""

    TYPE: ClassVar[str] = "amends.ticket.reopened"

    before: TicketState
    received_at: AwareDatetime
    """When the network got what reopened it; new cycles of clocks are counted from here or from this event."""


class TicketSeverityChanged(TicketEvent):
    """The case weighs more or less than before."""

    TYPE: ClassVar[str] = "amends.ticket.severity_changed"

    before: Severity
    severity: Severity


class TicketReviewStarted(TicketEvent):
    """The centre looks at it."""

    TYPE: ClassVar[str] = "amends.ticket.review_started"


class TicketReviewCompleted(TicketEvent):
    """The preliminary check is done."""

    TYPE: ClassVar[str] = "amends.ticket.review_completed"


class TicketFirstActionTaken(TicketEvent):
    """The responsible unit has begun."""

    TYPE: ClassVar[str] = "amends.ticket.first_action_taken"


class TicketAnswered(TicketEvent):
    """The preliminary handling opinion was given."""

    TYPE: ClassVar[str] = "amends.ticket.answered"

    remedy: Remark = ""


class TicketResolved(TicketEvent):
    """The matter is settled."""

    TYPE: ClassVar[str] = "amends.ticket.resolved"

    outcome: Remark = ""


class TicketCustomerAwaited(TicketEvent):
    """The complainant was asked for something."""

    TYPE: ClassVar[str] = "amends.ticket.customer_awaited"

    what: Remark = ""


class TicketThirdPartyAwaited(TicketEvent):
    """Somebody outside the network was asked for something."""

    TYPE: ClassVar[str] = "amends.ticket.third_party_awaited"

    whom: Remark = ""


class TicketResumed(TicketEvent):
    """What was waited for has come."""

    TYPE: ClassVar[str] = "amends.ticket.resumed"


class TicketWithdrawn(TicketEvent):
    """The complainant took the complaint back."""

    TYPE: ClassVar[str] = "amends.ticket.withdrawn"


class TicketClosed(TicketEvent):
    """The case is done."""

    TYPE: ClassVar[str] = "amends.ticket.closed"


class TicketCommandRefused(TicketEvent):
    """A command was not legal in the state the ticket was in, or was based on an older one."""

    TYPE: ClassVar[str] = "amends.ticket.command_refused"

    command: Code
    why: Code
    """Reason code, e.g. `illegal_in_state`, `version_moved_on`, `no_such_unit`."""
    possible: tuple[Code, ...] = ()
    """What could be asked for instead."""
