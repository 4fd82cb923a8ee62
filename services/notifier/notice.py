"""One moment that one person is to be told about, without a word of personal data. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from schemas import ids
from schemas.codes import Channel, Language, Moment, Severity
from schemas.sealed import MaskedContact


@dataclass(frozen=True, slots=True)
class Person:
    """Whom a message is for, without a word of personal data."""

    complaint_id: UUID
    contact_ref: UUID
    masked: MaskedContact
    used: Channel
    """The channel the person came through."""
    language: Language
    time_zone: str
    received_at: datetime
    """When the network got what this person sent."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One moment of one ticket that one person is to be told about."""

    ticket_id: UUID
    routing_key: str
    moment: Moment
    occasion: UUID
    at: datetime
    """When the occasion happened."""
    person: Person
    severity: Severity
    facts: Mapping[str, Any]
    """What the text may say: codes, numbers and aware times under the names that templates declare."""
    note_ref: UUID | None = None
    """Where the words of whoever acted are kept, sealed."""
    withdrawn: bool = False
    """Whether its occasion was taken back before it was claimed. Not stored: later the ticket's standing tells it."""
    telling: int = 1
    """How often its occasion was told. What was taken back before it was sent goes when it is told anew."""
    id: UUID = field(init=False)
    """The same whenever and wherever the occasion is met."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "id", ids.notification_id(self.ticket_id, self.moment, str(self.occasion)))
