"""What became of the messages to complainants: `notification-event`."""

from datetime import datetime
from typing import ClassVar
from uuid import UUID

from pydantic import AwareDatetime

from schemas.codes import DeliveryChannel, Language, Moment
from schemas.message import Code, Message


class NotificationEvent(Message):
    """One thing that happened to one message."""

    SOURCE: ClassVar[str] = "/amends/notifier"

    event_id: UUID
    notification_id: UUID
    ticket_id: UUID
    moment: Moment
    occasion: UUID
    """The event or fact that gave rise to the message."""
    at: AwareDatetime
    to: str
    """Masked, e.g. `138****1234`."""

    @property
    def ce_id(self) -> UUID:
        """Identity of this event."""
        return self.event_id

    @property
    def ce_subject(self) -> UUID:
        """The ticket."""
        return self.ticket_id

    @property
    def ce_time(self) -> datetime:
        """When it happened."""
        return self.at


class NotificationRequested(NotificationEvent):
    """The complainant is to be told."""

    TYPE: ClassVar[str] = "amends.notification.requested"

    language: Language


class NotificationSent(NotificationEvent):
    """A provider took it."""

    TYPE: ClassVar[str] = "amends.notification.sent"

    channel: DeliveryChannel
    provider_id: Code | None = None
    template: Code


class NotificationDelivered(NotificationEvent):
    """A receipt says that it reached the person's device or mailbox."""

    TYPE: ClassVar[str] = "amends.notification.delivered"

    channel: DeliveryChannel


class NotificationFailed(NotificationEvent):
    """A channel did not work; `final` when no other is left."""

    TYPE: ClassVar[str] = "amends.notification.failed"

    channel: DeliveryChannel | None
    why: Code
    final: bool


class NotificationSuppressed(NotificationEvent):
    """It will not be sent, for the reason given, e.g. `no_way_to_reach`, `frequency_cap`."""

    TYPE: ClassVar[str] = "amends.notification.suppressed"

    why: Code
