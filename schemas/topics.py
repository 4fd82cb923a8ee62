"""The topic registry: what flows where, under which key, from whom to whom, and for how long it is kept.

Everything of one ticket has one key, its `routing_key`, and every topic the same number of partitions, so that
partition p of each belongs together and the order of one ticket's messages holds across topics.
"""

from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType
from typing import Final

from schemas import commands, complaint, events, notifications, sla
from schemas.message import Message

PARTITIONS_DEFAULT: Final = 12
"""Of every topic, dead letters included. The most workers of one service that can share the load."""


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic as its producers and consumers agree on it."""

    name: str
    about: str
    messages: tuple[type[Message], ...]
    producers: tuple[str, ...]
    consumers: tuple[str, ...]
    retention: timedelta | None
    """None keeps messages for ever."""
    dated_by_broker: bool = False
    """Whether a record's time is when the broker took it, whatever its producer says."""

    @property
    def dead_letters(self) -> str:
        """Where a message goes that cannot be processed."""
        return f"{self.name}-dlq"

    @property
    def by_type(self) -> dict[str, type[Message]]:
        """Models by their CloudEvents type."""
        return {m.ce_type(): m for m in self.messages}


TICKET_EVENTS: Final[tuple[type[events.TicketEvent], ...]] = (
    events.TicketOpened,
    events.TicketClassified,
    events.TicketAssigned,
    events.TicketFollowedUp,
    events.TicketRepeatLinked,
    events.TicketReopened,
    events.TicketSeverityChanged,
    events.TicketLanguageChosen,
    events.TicketReviewStarted,
    events.TicketReviewCompleted,
    events.TicketLinked,
    events.TicketHandedOver,
    events.TicketReturned,
    events.TicketFindingsRecorded,
    events.TicketEvidenceAdded,
    events.TicketNoted,
    events.TicketLiabilityShared,
    events.TicketUnitResponded,
    events.TicketLossEstimated,
    events.TicketFirstActionTaken,
    events.TicketApprovalRequested,
    events.TicketApproved,
    events.TicketApprovalRefused,
    events.TicketApprovalDelegated,
    events.TicketAnswered,
    events.TicketAccepted,
    events.TicketAppealed,
    events.TicketAppealDecided,
    events.TicketResolved,
    events.TicketCustomerAwaited,
    events.TicketThirdPartyAwaited,
    events.TicketResumed,
    events.TicketWithdrawn,
    events.TicketClosed,
    events.TicketArchived,
    events.TicketApologised,
    events.TicketClaimAgreed,
    events.TicketClaimPaid,
    events.TicketRegulatorAnswered,
    events.TicketPlatformActed,
    events.TicketSurveyRequested,
    events.TicketSurveyAnswered,
    events.TicketSurveyExhausted,
    events.TicketCorrectiveActionPlanned,
    events.TicketCorrectiveActionCompleted,
    events.TicketCorrectiveActionVerified,
    events.TicketCommandRefused,
)

SLA_FACTS: Final[tuple[type[sla.SlaFact], ...]] = (
    sla.SlaStarted,
    sla.SlaPaused,
    sla.SlaResumed,
    sla.SlaWarned,
    sla.SlaBreached,
    sla.SlaEscalated,
    sla.SlaMet,
    sla.SlaStoppedLate,
    sla.SlaRetargeted,
    sla.SlaCorrected,
)

NOTIFICATION_EVENTS: Final[tuple[type[notifications.NotificationEvent], ...]] = (
    notifications.NotificationRequested,
    notifications.NotificationSent,
    notifications.NotificationDelivered,
    notifications.NotificationFailed,
    notifications.NotificationSuppressed,
)

COMPLAINT_SUBMITTED: Final = Topic(
    name="complaint-submitted",
    about="Accepted complaints, personal data sealed. Short retention.",
    messages=(complaint.ComplaintSubmitted,),
    producers=("intake",),
    consumers=("router",),
    retention=timedelta(days=7),
)
TICKET_COMMAND: Final = Topic(
    name="ticket-command",
    about="What people and other parts ask of a ticket.",
    messages=(commands.TicketCommand,),
    producers=("desk", "portal", "router"),
    consumers=("router",),
    retention=timedelta(days=30),
    dated_by_broker=True,
)
TICKET_EVENT: Final = Topic(
    name="ticket-event",
    about="What happened to tickets, numbered per ticket.",
    messages=TICKET_EVENTS,
    producers=("router",),
    consumers=("sla_monitor", "notifier", "desk", "downstream"),
    retention=None,
)
SLA_EVENT: Final = Topic(
    name="sla-event",
    about="Every fact about promised time limits.",
    messages=SLA_FACTS,
    producers=("sla_monitor",),
    consumers=("notifier", "desk", "downstream"),
    retention=None,
)
SLA_BREACHED: Final = Topic(
    name="sla-breached",
    about="Breaches alone, for settlement, penalties, BI and the regulator gateway. A breach that does not hold"
    " after all is taken back by a `corrected` on `sla-event`, whose `corrects` is the breach's `fact_id`: follow both"
    " to keep what stands.",
    messages=(sla.SlaBreached,),
    producers=("sla_monitor",),
    consumers=("downstream",),
    retention=None,
)
NOTIFICATION_EVENT: Final = Topic(
    name="notification-event",
    about="What became of messages to complainants.",
    messages=NOTIFICATION_EVENTS,
    producers=("notifier",),
    consumers=("sla_monitor", "desk", "downstream"),
    retention=None,
)

TOPICS: Final = MappingProxyType(
    {
        t.name: t
        for t in (COMPLAINT_SUBMITTED, TICKET_COMMAND, TICKET_EVENT, SLA_EVENT, SLA_BREACHED, NOTIFICATION_EVENT)
    },
)

MESSAGES: Final = MappingProxyType({m.ce_type(): m for t in TOPICS.values() for m in t.messages})
"""Every published type by its CloudEvents name."""
