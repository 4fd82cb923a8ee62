"""What happened to a ticket: `ticket-event`. A ticket is the fold of these, numbered 1..n without gaps."""

from datetime import date, datetime
from typing import ClassVar, Final
from uuid import UUID

from pydantic import AwareDatetime, Field

from schemas.classification import Classification
from schemas.codes import (
    ApologyTier,
    Channel,
    DeliveryChannel,
    Language,
    RiskFlag,
    Role,
    Severity,
    Source,
    SpecialIdentity,
    StaffRole,
    TicketState,
)
from schemas.commands import Files, Remark, Share
from schemas.complaint import Money
from schemas.message import Actor, Code, Message, RoutingKey
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
    note_ref: UUID | None = None
    """Where the words that belong to it are kept, sealed."""

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


class TicketRepeatLinked(TicketFollowedUp):
    """Another ticket turned out to tell of the same matter: its complainant is answered with this one."""

    TYPE: ClassVar[str] = "amends.ticket.repeat_linked"

    from_ticket: UUID


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


class TicketLanguageChosen(TicketEvent):
    """What is written to its complainants is in this language from now on."""

    TYPE: ClassVar[str] = "amends.ticket.language_chosen"

    language: Language


class TicketReviewStarted(TicketEvent):
    """The centre looks at it."""

    TYPE: ClassVar[str] = "amends.ticket.review_started"


class TicketReviewCompleted(TicketEvent):
    """The preliminary check is done."""

    TYPE: ClassVar[str] = "amends.ticket.review_completed"


class TicketLinked(TicketEvent):
    """It tells of the same matter as another ticket, which is followed up in its place."""

    TYPE: ClassVar[str] = "amends.ticket.linked"

    to_ticket: UUID
    to_routing_key: RoutingKey


class TicketHandedOver(TicketEvent):
    """A department gave it to another, which the assignment that follows names."""

    TYPE: ClassVar[str] = "amends.ticket.handed_over"

    before_department: Code | None
    before_unit: Code | None = None


class TicketReturned(TicketEvent):
    """Whoever had it says that it is not theirs: the centre looks again."""

    TYPE: ClassVar[str] = "amends.ticket.returned"

    before_department: Code | None
    before_unit: Code | None = None


class TicketFindingsRecorded(TicketEvent):
    """The investigation found this; facts and the chain of whys are in the note."""

    TYPE: ClassVar[str] = "amends.ticket.findings_recorded"

    cause: Remark
    whys: int = 0
    responsible_unit: Code | None = None
    evidence: Files = ()


class TicketEvidenceAdded(TicketEvent):
    """Files that bear on the case."""

    TYPE: ClassVar[str] = "amends.ticket.evidence_added"

    evidence: Files


class TicketNoted(TicketEvent):
    """Somebody wrote something down."""

    TYPE: ClassVar[str] = "amends.ticket.noted"


class Liable(Share):
    """A unit with its share, and the hours in which it has to respond."""

    unit_calendar: Code
    department: Code | None = None


class TicketLiabilityShared(TicketEvent):
    """The fault lies with several units. Who is not named any more need not respond any more."""

    TYPE: ClassVar[str] = "amends.ticket.liability_shared"

    shares: tuple[Liable, ...]


class TicketUnitResponded(TicketEvent):
    """One of the units that share liability has responded."""

    TYPE: ClassVar[str] = "amends.ticket.unit_responded"

    unit: Code


class TicketLossEstimated(TicketEvent):
    """What the customer has lost, and what policy suggests as goodwill."""

    TYPE: ClassVar[str] = "amends.ticket.loss_estimated"

    loss: Money
    goodwill: Money


class TicketFirstActionTaken(TicketEvent):
    """The responsible unit has begun."""

    TYPE: ClassVar[str] = "amends.ticket.first_action_taken"


class TicketApprovalRequested(TicketEvent):
    """A remedy is beyond the authority of whoever proposed it."""

    TYPE: ClassVar[str] = "amends.ticket.approval_requested"

    command: Code
    """What happens when it is approved: `answer` or `decide_appeal`."""
    remedy: Remark = ""
    amount: Money
    changed: bool | None = None
    """Of a decision on an appeal."""
    chain: tuple[StaffRole, ...]
    """Who has to approve, one after the other."""
    directory_version: int = 0
    """The version of the policy that says so."""


class TicketApproved(TicketEvent):
    """One more of the chain has approved."""

    TYPE: ClassVar[str] = "amends.ticket.approved"

    role: StaffRole
    """In whose place of the chain."""
    remaining: tuple[StaffRole, ...] = ()


class TicketApprovalRefused(TicketEvent):
    """It was not approved: another proposal is wanted."""

    TYPE: ClassVar[str] = "amends.ticket.approval_refused"


class TicketApprovalDelegated(TicketEvent):
    """Another person decides in the place of the next of the chain."""

    TYPE: ClassVar[str] = "amends.ticket.approval_delegated"

    to: Code
    role: StaffRole


class TicketAnswered(TicketEvent):
    """The handling opinion was given."""

    TYPE: ClassVar[str] = "amends.ticket.answered"

    remedy: Remark = ""
    amount: Money | None = None


class TicketAccepted(TicketEvent):
    """The complainant agrees."""

    TYPE: ClassVar[str] = "amends.ticket.accepted"


class TicketAppealed(TicketEvent):
    """The complainant does not agree; why is in the note."""

    TYPE: ClassVar[str] = "amends.ticket.appealed"

    before: TicketState


class TicketAppealDecided(TicketEvent):
    """The final decision."""

    TYPE: ClassVar[str] = "amends.ticket.appeal_decided"

    changed: bool
    remedy: Remark = ""
    amount: Money | None = None


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


class TicketArchived(TicketEvent):
    """It joined what others learn from."""

    TYPE: ClassVar[str] = "amends.ticket.archived"

    cause: Remark
    remedy: Remark = ""


class TicketApologised(TicketEvent):
    """Somebody said sorry for the network."""

    TYPE: ClassVar[str] = "amends.ticket.apologised"

    tier: ApologyTier


class TicketClaimAgreed(TicketEvent):
    """The network owes this."""

    TYPE: ClassVar[str] = "amends.ticket.claim_agreed"

    amount: Money


class TicketClaimPaid(TicketEvent):
    """It was paid."""

    TYPE: ClassVar[str] = "amends.ticket.claim_paid"

    amount: Money


class TicketRegulatorAnswered(TicketEvent):
    """The regulator was told the result."""

    TYPE: ClassVar[str] = "amends.ticket.regulator_answered"


class TicketPlatformActed(TicketEvent):
    """The platform was told what is done."""

    TYPE: ClassVar[str] = "amends.ticket.platform_acted"


class TicketSurveyRequested(TicketEvent):
    """The complainant is asked how it was."""

    TYPE: ClassVar[str] = "amends.ticket.survey_requested"

    attempt: int = Field(ge=1)


class TicketSurveyAnswered(TicketEvent):
    """The complainant said how it was."""

    TYPE: ClassVar[str] = "amends.ticket.survey_answered"

    score: int = Field(ge=1, le=5)
    satisfied: bool


SURVEYS_STOPPED: Final = "stopped"
"""Reason of a survey that is exhausted because the complainant does not want to be asked, now or ever again."""


class TicketSurveyExhausted(TicketEvent):
    """Asked as often as policy allows, or not to be asked: no answer will come."""

    TYPE: ClassVar[str] = "amends.ticket.survey_exhausted"

    attempts: int


class TicketCorrectiveActionPlanned(TicketEvent):
    """A task so that it does not happen again; what is to be done is in the note."""

    TYPE: ClassVar[str] = "amends.ticket.corrective_action_planned"

    corrective_action: UUID
    owner: Code
    unit: Code | None = None
    due_on: date


class TicketCorrectiveActionCompleted(TicketEvent):
    """It is done."""

    TYPE: ClassVar[str] = "amends.ticket.corrective_action_completed"

    corrective_action: UUID


class TicketCorrectiveActionVerified(TicketEvent):
    """Whether it had the effect; if not, it is open again."""

    TYPE: ClassVar[str] = "amends.ticket.corrective_action_verified"

    corrective_action: UUID
    effective: bool


class TicketCommandRefused(TicketEvent):
    """A command was not legal in the state the ticket was in, or was based on an older one."""

    TYPE: ClassVar[str] = "amends.ticket.command_refused"

    command: Code
    why: Code
    """Reason code, e.g. `illegal_in_state`, `version_moved_on`, `no_such_unit`."""
    possible: tuple[Code, ...] = ()
    """What could be asked for instead."""
