r"""One message to one person, from the occasion to the receipt: what may happen to it, and what follows. Pure.

claimed -> sent -> delivered                    claimed: a worker with a lease is sending it
   |  ^      |  \\-> failed                      waiting: until `wake_at`, for what `wait` says
   v  |      v                                  sent: a provider has it, a receipt is awaited
 waiting  waiting (next channel)                delivered, failed, suppressed: the end
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from schemas.codes import DeliveryChannel
from services.notifier.notice import Notice
from services.notifier.policy import NotificationPolicy


class State(StrEnum):
    """Where a message stands."""

    CLAIMED = "claimed"
    WAITING = "waiting"
    SENT = "sent"
    DELIVERED = "delivered"
    FAILED = "failed"
    SUPPRESSED = "suppressed"


FINAL: Final = frozenset({State.DELIVERED, State.FAILED, State.SUPPRESSED})


class Wait(StrEnum):
    """What a waiting message waits for."""

    MORNING = "morning"
    RETRY = "retry"
    LOOKUP = "lookup"
    """Whether a provider took it is not known: it is asked before anything is sent."""
    FALLBACK = "fallback"
    """The next channel is to be tried."""


class Why(StrEnum):
    """Why something was not done."""

    NO_WAY_TO_REACH = "no_way_to_reach"
    FREQUENCY_CAP = "frequency_cap"
    OVERTAKEN = "overtaken"
    """By what became of the ticket while it waited."""
    WITHDRAWN = "withdrawn"
    """What it would have told turned out not to hold."""
    OPTED_OUT = "opted_out"
    """Of being asked how it was."""
    STALE = "stale"
    NO_RECEIPT = "no_receipt"
    UNDELIVERABLE = "undeliverable"
    UNREACHABLE_PROVIDER = "unreachable_provider"


@dataclass(slots=True)
class Attempt:
    """One channel that was tried."""

    channel: DeliveryChannel
    template: str
    begun_at: datetime
    tries: int = 0
    sent_at: datetime | None = None
    provider_ids: tuple[str, ...] = ()
    """What the provider calls it, one id for each segment. Empty though it was sent: its answer was lost."""
    delivered: frozenset[str] = frozenset()
    """Those of which a receipt said that they arrived."""
    segments: int = 0
    """How many were being given to a provider when its answer was lost. 0: that did not happen."""
    delivered_at: datetime | None = None
    failed_at: datetime | None = None
    why: str = ""


@dataclass(slots=True)
class Notification:
    """The stored record of one message."""

    notice: Notice
    state: State
    requested_at: datetime
    trace: str | None = None
    """W3C `traceparent` of the message that gave rise to it."""
    version: int = 1
    """Grows with every change; who writes names the version that was read."""
    owner: str = ""
    lease_until: datetime | None = None
    wake_at: datetime | None = None
    """When to look at it again. None: never."""
    wait: Wait | None = None
    recipient: str = ""
    """Keyed digest of the number or address, for the frequency cap."""
    attempts: list[Attempt] = field(default_factory=list)
    ended_at: datetime | None = None
    why: str = ""
    """Why it was suppressed or has failed."""
    stored: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)
    """What its store keeps of it, for the store to see what has changed."""

    @property
    def id(self) -> UUID:
        """Identity, and the provider's out id."""
        return self.notice.id

    @property
    def tried(self) -> frozenset[DeliveryChannel]:
        """Channels that have failed."""
        return frozenset(a.channel for a in self.attempts if a.failed_at)

    def holds_after_all(self, notice: Notice) -> bool:
        """Whether it was taken back before any of it was sent, and is now told anew."""
        unsent = self.why == Why.WITHDRAWN and not any(a.sent_at for a in self.attempts)
        return unsent and not notice.withdrawn and notice.telling > self.notice.telling

    @property
    def current(self) -> Attempt | None:
        """The channel that is being tried."""
        return self.attempts[-1] if self.attempts and not self.attempts[-1].failed_at else None

    def remaining(self, channels: Sequence[DeliveryChannel]) -> list[DeliveryChannel]:
        """Those of `channels` that have not failed."""
        return [c for c in channels if c not in self.tried]


def fresh(notice: Notice, *, trace: str | None, owner: str, now: datetime, policy: NotificationPolicy) -> Notification:
    """A record claimed by the worker that makes it."""
    note = Notification(notice, State.CLAIMED, requested_at=now, trace=trace)
    claim(note, owner=owner, now=now, policy=policy)
    return note


def claim(note: Notification, *, owner: str, now: datetime, policy: NotificationPolicy) -> None:
    """This worker sends it, until the lease ends."""
    note.state, note.wait, note.owner = State.CLAIMED, None, owner
    note.lease_until = note.wake_at = now + timedelta(seconds=policy.lease_s)


def begin_anew(note: Notification, notice: Notice, *, owner: str, now: datetime, policy: NotificationPolicy) -> None:
    """This worker sends what had been suppressed."""
    note.notice, note.ended_at, note.why = notice, None, ""
    claim(note, owner=owner, now=now, policy=policy)


def begin(note: Notification, channel: DeliveryChannel, *, template: str, now: datetime) -> Attempt:
    """Another try on a channel; one that was not yet tried gets an attempt of its own."""
    attempt = note.current
    if attempt is None or attempt.channel is not channel:
        attempt = Attempt(channel, template, begun_at=now)
        note.attempts.append(attempt)
    attempt.tries += 1
    return attempt


def taken(note: Notification, provider_ids: tuple[str, ...], *, now: datetime, policy: NotificationPolicy) -> None:
    """A provider has it."""
    attempt = note.attempts[-1]
    attempt.sent_at = attempt.sent_at or now
    attempt.provider_ids = provider_ids
    if attempt.channel is DeliveryChannel.EMAIL:
        _settle(note, State.SENT, now=now)
        note.wake_at = None
        if policy.email_counts_as_delivered:
            attempt.delivered_at = now
            _settle(note, State.DELIVERED, now=now)
    else:
        _settle(note, State.SENT, now=now)
        note.wake_at = now + timedelta(seconds=policy.receipt_wait_s)


def later(
    note: Notification, why: str, *, now: datetime, policy: NotificationPolicy, channels: Sequence[DeliveryChannel]
) -> None:
    """A provider did not take it for now: again after a while, then by another channel, then not at all."""
    attempt = note.attempts[-1]
    others = len(note.remaining(channels)) > 1
    patience_s = policy.retry.channel_s_max if others else policy.retry.give_up_s
    if now - attempt.begun_at >= timedelta(seconds=patience_s):
        refused(note, why, now=now, channels=channels)
    else:
        attempt.why = why
        wait(note, Wait.RETRY, until=now + policy.retry.wait(attempt.tries))


def refused(note: Notification, why: str, *, now: datetime, channels: Sequence[DeliveryChannel]) -> None:
    """A channel has failed. What is left is tried at once; nothing left is the end."""
    attempt = note.attempts[-1]
    attempt.failed_at, attempt.why = now, why
    if note.remaining(channels):
        wait(note, Wait.FALLBACK, until=now)
    else:
        note.why = why
        _settle(note, State.FAILED, now=now)


def receipt(note: Notification, provider_id: str, *, arrived: bool, now: datetime) -> bool:
    """Take in what a receipt says; False when it changes nothing (doubled, or of a message that is done with).

    A receipt of a channel that was given up still counts: the person has the message.
    """
    attempt = next((a for a in note.attempts if provider_id in a.provider_ids), None)
    if attempt is None or attempt.delivered_at:
        return False
    if not arrived:
        if attempt is not note.current or note.state is not State.SENT:
            return False
        attempt.failed_at, attempt.why = now, Why.UNDELIVERABLE
        # Which ways are left is seen with the contact at hand: by whoever takes it up, which is at once.
        wait(note, Wait.FALLBACK, until=now)
        return True
    if provider_id in attempt.delivered:
        return False
    attempt.delivered |= {provider_id}
    if attempt.delivered >= set(attempt.provider_ids):
        attempt.delivered_at = now
        if note.state not in FINAL:
            _settle(note, State.DELIVERED, now=now)
    return True


def no_receipt(note: Notification, *, now: datetime) -> None:
    """The receipt did not come in time."""
    attempt = note.attempts[-1]
    attempt.failed_at, attempt.why = now, Why.NO_RECEIPT
    wait(note, Wait.FALLBACK, until=now)


def unsure(note: Notification, *, now: datetime, policy: NotificationPolicy, segments: int = 0) -> None:
    """The connection broke when it may have been taken, all of its segments or some."""
    if segments:
        note.attempts[-1].segments = segments
    wait(note, Wait.LOOKUP, until=now + timedelta(seconds=policy.lookup_after_s))


def exhausted(note: Notification, *, now: datetime) -> None:
    """No channel is left."""
    if note.attempts:
        note.why = note.attempts[-1].why
        _settle(note, State.FAILED, now=now)
    else:
        suppress(note, Why.NO_WAY_TO_REACH, now=now)


def suppress(note: Notification, why: Why, *, now: datetime) -> None:
    """It will not be sent."""
    note.why = why
    _settle(note, State.SUPPRESSED, now=now)


def wait(note: Notification, why: Wait, *, until: datetime) -> None:
    """Leave it until a time."""
    note.state, note.wait, note.wake_at = State.WAITING, why, until
    note.owner, note.lease_until = "", None


def _settle(note: Notification, state: State, *, now: datetime) -> None:
    note.state, note.wait = state, None
    note.owner, note.lease_until = "", None
    if state in FINAL:
        note.wake_at, note.ended_at = None, now
