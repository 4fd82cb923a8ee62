"""What the world is told of a message: events that follow from its record, the same every time they are told. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from schemas import ids
from schemas.codes import DeliveryChannel
from schemas.notifications import (
    NotificationDelivered,
    NotificationEvent,
    NotificationFailed,
    NotificationRequested,
    NotificationSent,
    NotificationSuppressed,
)
from services.notifier.notification import FINAL, Attempt, Notification, State


@dataclass(frozen=True, slots=True)
class Mark:
    """Something of a record that is worth an event."""

    kind: str
    attempt: int = 0


def marks(note: Notification) -> tuple[Mark, ...]:
    """Everything that the record tells, in order."""
    return tuple(_marks(note))


def attempt_of(note: Notification, mark: Mark) -> Attempt | None:
    """The attempt that a mark is about; None when it is about the whole message."""
    return note.attempts[mark.attempt] if mark.kind in {"sent", "delivered", "failed"} and note.attempts else None


def event(note: Notification, mark: Mark) -> NotificationEvent:
    """The event of one mark."""
    attempt = attempt_of(note, mark)
    match mark.kind, attempt:
        case "requested", _:
            return NotificationRequested(
                **_identity(note, mark, at=note.requested_at, channel=None), language=note.notice.person.language
            )
        case "sent", Attempt(channel=channel, sent_at=datetime() as at):
            return NotificationSent(
                **_identity(note, mark, at=at, channel=channel),
                channel=channel,
                provider_id=attempt.provider_ids[0][:64] if attempt and attempt.provider_ids else None,
                template=attempt.template if attempt else "",
            )
        case "delivered", Attempt(channel=channel, delivered_at=datetime() as at):
            return NotificationDelivered(**_identity(note, mark, at=at, channel=channel), channel=channel)
        case "failed", Attempt(channel=channel, failed_at=datetime() as at, why=why):
            final = note.state is State.FAILED and mark.attempt == len(note.attempts) - 1
            return NotificationFailed(
                **_identity(note, mark, at=at, channel=channel), channel=channel, why=why or "unknown", final=final
            )
        case "suppressed", _ if note.ended_at:
            return NotificationSuppressed(**_identity(note, mark, at=note.ended_at, channel=None), why=note.why)
        case _:
            raise ValueError(f"{mark} is no mark of notification {note.id}")


def _marks(note: Notification) -> Iterator[Mark]:
    yield Mark("requested")
    for number, attempt in enumerate(note.attempts):
        if attempt.sent_at:
            yield Mark("sent", number)
        # Whether a failure is the last one is known when the next channel has begun or none is left; until then it
        # is not told, because an event is told once.
        if attempt.failed_at and (number < len(note.attempts) - 1 or note.state in FINAL):
            yield Mark("failed", number)
        if attempt.delivered_at:
            yield Mark("delivered", number)
    if note.state is State.SUPPRESSED:
        # Suppressed again, it is another event.
        yield Mark("suppressed", len(note.attempts) + note.notice.telling - 1)


def _identity(note: Notification, mark: Mark, *, at: datetime, channel: DeliveryChannel | None) -> dict[str, Any]:
    masked = note.notice.person.masked
    to = {DeliveryChannel.SMS: masked.phone, DeliveryChannel.EMAIL: masked.email, None: masked.phone or masked.email}
    return {
        "routing_key": note.notice.routing_key,
        "event_id": ids.notification_event_id(note.id, mark.kind, mark.attempt),
        "notification_id": note.id,
        "ticket_id": note.notice.ticket_id,
        "moment": note.notice.moment,
        "occasion": note.notice.occasion,
        "at": at,
        "to": to.get(channel) or "",
    }
