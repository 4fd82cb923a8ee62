"""Claimed records on their way to providers, many at a time; each leaves in another state. Nothing is stored here."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from schemas.codes import DeliveryChannel
from services.notifier import notification
from services.notifier.gateway import Envelope, Gateway, Later, LookupFailed, NotTaken, Outcome, Refused, Taken, Unsure
from services.notifier.knowledge import Known
from services.notifier.means import Means
from services.notifier.notification import Notification, State, Wait, Why
from services.notifier.schedule.quiet_hours import next_allowed, spread
from services.notifier.standing import is_overtaken, is_withdrawn
from services.runtime.dead_letters import place_of
from services.runtime.logging import get_logger
from services.wording import channels
from services.wording.templates import Saying

log = get_logger(__name__)

_CONTACT_WAIT_S: Final = 2.0
_CONTACT_WAITS: Final = 15

Faults = dict[UUID, Exception]


class Sender:
    """Decides whether a message goes now, by which way, and what the provider's answer means for it."""

    def __init__(self, means: Means) -> None:
        self._means = means

    async def send(self, notes: Sequence[Notification], known: Mapping[UUID, Known]) -> Faults:
        """Send claimed records as far as it goes now, and give the faults of ours, by message.

        A record with a fault stays claimed; its neighbours are seen to. What happens to many at a time happens at one
        time, so that it is stored in one write.
        """
        now, faults = self._means.now(), Faults()
        asked = [n for n in notes if known[n.id].ask and n.remaining(known[n.id].ways)]
        answers = await asyncio.gather(*(self._ask(n, known[n.id].ways) for n in asked), return_exceptions=True)
        faults |= {n.id: answer for n, answer in zip(asked, answers, strict=True) if isinstance(answer, Exception)}
        going = []
        for note in notes:
            if note.state is not State.CLAIMED or note.id in faults:
                continue
            try:
                if not self._is_held_back(note, known[note.id], now=now):
                    going.append(note)
            except Exception as fault:  # noqa: BLE001 - whatever it is, the neighbours are seen to
                faults[note.id] = fault
        lease_until = min((n.lease_until for n in going if n.lease_until), default=now)
        while going:
            now = self._means.now()
            # With less of the lease left no provider would have time to answer before somebody takes us for dead.
            has_time = lease_until - now >= timedelta(seconds=self._means.policy.lease_s / 2)
            for note in going:
                if has_time:
                    note.state, note.wait, note.wake_at = State.CLAIMED, None, lease_until
                else:
                    notification.wait(note, Wait.FALLBACK, until=now)
            going = await self._try_channels(going, known, faults) if has_time else []
        return faults

    def _is_held_back(self, note: Notification, known: Known, *, now: datetime) -> bool:
        means, notice = self._means, note.notice
        if known.contact is None and self._should_be_reachable(note, now=now):
            notification.wait(note, Wait.RETRY, until=now + timedelta(seconds=_CONTACT_WAIT_S))
        elif known.contact is None or not note.remaining(known.ways):
            notification.exhausted(note, now=now)
        elif now - notice.at > timedelta(seconds=means.policy.stale_after_s) and not note.attempts:
            notification.suppress(note, Why.STALE, now=now)
        elif is_withdrawn(notice, known.standing):
            notification.suppress(note, Why.WITHDRAWN, now=now)
        elif known.had_to_wait and is_overtaken(notice, known.standing):
            notification.suppress(note, Why.OVERTAKEN, now=now)
        elif known.opted_out:
            note.recipient = ""
            notification.suppress(note, Why.OPTED_OUT, now=now)
        elif known.over_the_cap:
            note.recipient = ""  # What is not sent does not count.
            notification.suppress(note, Why.FREQUENCY_CAP, now=now)
        elif not means.policy.goes_at_night(notice.moment, notice.severity):
            quiet = means.policy.quiet_hours
            allowed = next_allowed(now, zone=notice.person.time_zone, start=quiet.start, end=quiet.end)
            if allowed > now:
                allowed += spread(note.id, seconds=quiet.spread_s)
                notification.wait(note, Wait.MORNING, until=allowed)
        return note.state is not State.CLAIMED

    def _should_be_reachable(self, note: Notification, *, now: datetime) -> bool:
        """Whether the contact is missing for a moment only: there is one, and it may not have been kept yet."""
        masked = note.notice.person.masked
        patience = timedelta(seconds=_CONTACT_WAIT_S * _CONTACT_WAITS)
        return bool(masked.phone or masked.email) and now - note.requested_at < patience

    async def _ask(self, note: Notification, ways: Sequence[DeliveryChannel]) -> None:
        """Ask providers whether one has it. It stays claimed if it is to be sent."""
        means = self._means
        unknown: DeliveryChannel | None = None
        for channel in note.remaining(ways):
            try:
                found = await means.gateways[channel].lookup(note.id)
            except LookupFailed:
                notification.unsure(note, now=means.now(), policy=means.policy)
                return
            if isinstance(found, Taken) and not _is_part(note, channel, found):
                self._take(note, channel, found)
                return
            if not isinstance(found, (Taken, NotTaken)):
                unknown = unknown or channel
        if unknown and means.policy.when_unknown == "count_as_sent":
            self._take(note, unknown, Taken())

    def _take(self, note: Notification, channel: DeliveryChannel, found: Taken) -> None:
        now = self._means.now()
        kind = "sms" if channel is DeliveryChannel.SMS else "email"
        template = f"{note.notice.moment}.{kind}.{note.notice.person.language}"
        notification.begin(note, channel, template=template, now=now)
        notification.taken(note, found.provider_ids, now=now, policy=self._means.policy)
        if found.arrived:
            for provider_id in found.provider_ids:
                notification.receipt(note, provider_id, arrived=True, now=now)

    async def _try_channels(
        self, notes: Sequence[Notification], known: Mapping[UUID, Known], faults: Faults
    ) -> list[Notification]:
        """Try the next channel of each, and give those that are to be tried by another one at once."""
        means, now = self._means, self._means.now()
        letters: dict[DeliveryChannel, list[tuple[Notification, Envelope]]] = defaultdict(list)
        for note in notes:
            try:
                channel, envelope = self._letter(note, known[note.id], now=now)
            except Exception as fault:  # noqa: BLE001 - as in `send`
                faults[note.id] = fault
            else:
                letters[channel].append((note, envelope))
        answers = await asyncio.gather(
            *(_sent(means.gateways[channel], [envelope for _, envelope in some]) for channel, some in letters.items())
        )
        now = means.now()
        return [
            note
            for (channel, some), outcomes in zip(letters.items(), answers, strict=True)
            for (note, _), outcome in zip(some, outcomes, strict=True)
            if self._goes_on(note, channel, outcome, known[note.id].ways, now=now)
        ]

    def _letter(self, note: Notification, known: Known, *, now: datetime) -> tuple[DeliveryChannel, Envelope]:
        contact, left, current = known.contact, note.remaining(known.ways), note.current
        assert contact is not None
        channel = current.channel if current and current.channel in left else left[0]
        # Whoever was nearly told something is told it in the same words, whatever is in force by now.
        begun = current.template if current and current.channel is channel else ""
        saying = _saying(note, known)
        rendered = self._means.wordings.render(saying, channel, name=contact.name, now=now, begun=begun)
        notification.begin(note, channel, template=rendered.template, now=now)
        address = channels.address(contact, channel)
        assert address is not None
        return channel, Envelope(note.id, address, rendered, known.language(note))

    def _goes_on(
        self,
        note: Notification,
        channel: DeliveryChannel,
        outcome: Outcome,
        ways: Sequence[DeliveryChannel],
        *,
        now: datetime,
    ) -> bool:
        """Take in a provider's answer; whether another channel is to be tried at once."""
        policy, failures = self._means.policy, self._means.metrics.failures
        match outcome:
            case Taken(provider_ids=ids):
                notification.taken(note, ids, now=now, policy=policy)
            case Refused(why=why):
                failures.labels(channel=channel, why=why).inc()
                notification.refused(note, why, now=now, channels=ways)
            case Later(why=why):
                failures.labels(channel=channel, why=why).inc()
                notification.later(note, why, now=now, policy=policy, channels=ways)
            case Unsure(segments=segments):
                failures.labels(channel=channel, why="connection_broke").inc()
                notification.unsure(note, now=now, policy=policy, segments=segments)
        return note.wait is Wait.FALLBACK


def _is_part(note: Notification, channel: DeliveryChannel, found: Taken) -> bool:
    """Whether a provider has some segments only. Sent again: a telephone joins what has one reference."""
    attempt = note.current
    return attempt is not None and attempt.channel is channel and found.segments < attempt.segments


async def _sent(gateway: Gateway, envelopes: Sequence[Envelope]) -> Sequence[Outcome]:
    """What became of each. Of a gateway that fails in a way nobody foresaw nothing is known: it is asked first."""
    try:
        return await gateway.send(envelopes)
    except Exception as fault:  # noqa: BLE001 - whatever it is, nobody is written to twice
        log.error("gateway.failed", channel=gateway.channel.value, count=len(envelopes), error=place_of(fault))  # noqa: TRY400
        return [Unsure()] * len(envelopes)


def _saying(note: Notification, known: Known) -> Saying:
    notice, language = note.notice, known.language(note)
    return Saying(notice.moment, language, notice.person.time_zone, notice.facts, words=known.words, link=known.link)
