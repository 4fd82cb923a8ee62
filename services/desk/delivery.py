"""What became of messages to complainants, over all tickets: never to whom, never what. Pure."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from schemas.codes import DeliveryChannel, Moment
from services.desk.accounts import Wrong
from services.desk.refusal import Refusal

PAGE: Final = 50
PAGE_MAX: Final = 500


class Result(StrEnum):
    """Where a message stands, in the words of its events."""

    REQUESTED = "requested"
    SENT = "sent"
    DELIVERED = "delivered"
    FAILED = "failed"
    SUPPRESSED = "suppressed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Which are wanted. None: whichever."""

    result: Result | None = None
    moment: Moment | None = None
    channel: DeliveryChannel | None = None
    ticket: UUID | None = None
    before: str | None = None
    """Cursor: `place` of the last one of the page before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One message."""

    id: UUID
    ticket: UUID
    moment: Moment
    result: Result
    requested_at: datetime
    ended_at: datetime | None
    channels: tuple[DeliveryChannel, ...]
    """Those that were tried, in order."""
    why: str
    """Why it did not go or arrive; a code of the notifier's, or of the last provider's."""

    @property
    def place(self) -> str:
        """Where a page ends that ends with it."""
        return f"{int(self.requested_at.timestamp() * 1000)}~{self.id}"

    @property
    def needs_call(self) -> bool:
        """Whether the complainant was not told, and somebody should tell him or her in another way."""
        return self.result is Result.FAILED

    def told(self, number: str | None) -> dict[str, Any]:
        """As JSON; `number` is the ticket's."""
        return {
            "id": str(self.id),
            "ticket": str(self.ticket),
            "number": number,
            "moment": self.moment.value,
            "result": self.result.value,
            "requested_at": self.requested_at,
            "ended_at": self.ended_at,
            "channels": [channel.value for channel in self.channels],
            "why": self.why,
            "needs_call": self.needs_call,
        }


def place_in(cursor: str) -> tuple[datetime, UUID]:
    """What a cursor, `milliseconds~id`, says.

    Raises:
        Refusal: `wrong-fields`, when it is none.
    """
    milliseconds, _, last = cursor.partition("~")
    try:
        return datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=int(milliseconds)), UUID(last)
    except (ValueError, OverflowError):
        wrong = Wrong("before", "wrong_cursor", cursor[:100])
        raise Refusal("wrong-fields", problems=[wrong]) from None
