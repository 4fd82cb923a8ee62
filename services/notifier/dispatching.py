"""From a claimed record to a provider, and what follows: kept in the store, told to the world, looked at again.

    insert (claimed) -> send -> save -> publish -> deadlines
    due, or met again -> claim -> ask the provider where that is needed -> send -> save -> publish -> deadlines

Whatever is cut off leaves a claimed record with a lease; whoever meets it after that asks the provider first.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Protocol, TypeVar
from uuid import UUID

from schemas.codes import DeliveryChannel, Moment, TicketState
from schemas.complaint import Contact
from schemas.topics import NOTIFICATION_EVENT
from services.notifier import channels, notification
from services.notifier.gateway import (
    Envelope,
    Gateway,
    Later,
    LookupFailed,
    NotTaken,
    Outcome,
    Receipt,
    Refused,
    Taken,
    Unsure,
)
from services.notifier.moments import Notice, overtaken
from services.notifier.notification import FINAL, Notification, State, Wait, Why
from services.notifier.notification_store import NotificationStore
from services.notifier.policy import NotificationPolicy
from services.notifier.schedule.now import Now
from services.notifier.schedule.quiet_hours import next_allowed, spread
from services.notifier.templates import Templates
from services.notifier.told import Mark, event, marks
from services.runtime.deadlines import Deadline
from services.runtime.logging import get_logger
from services.runtime.metrics import NotifierMetrics
from services.runtime.producing import Outgoing, partition_for

log = get_logger(__name__)

SERVICE: Final = "notifier"
CHUNK: Final = 200
"""Messages that are marked and told together."""
_WRITES_MAX: Final = 5
_CONTACT_WAIT_S: Final = 2.0
_CONTACT_WAITS: Final = 15


T_ = TypeVar("T_")


class ContactStore(Protocol):
    """Where people's numbers and addresses are."""

    async def load(self, refs: Iterable[UUID]) -> dict[UUID, Contact]:
        """Those that are known."""


class TicketStates(Protocol):
    """Where tickets stand now, for messages that had to wait."""

    async def states(self, tickets: Iterable[UUID]) -> dict[UUID, TicketState]:
        """Those that are known."""


class Publisher(Protocol):
    """Where events go."""

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        """Return when the broker has all of them."""


class Alarm(Protocol):
    """What wakes us."""

    async def arm(self, deadlines: Sequence[Deadline]) -> None:
        """Arm, or move."""

    async def cancel(self, ids: Mapping[str, int]) -> None:
        """Take back those that were not armed by a higher revision."""


@dataclass(frozen=True, slots=True)
class Means:
    """What sending needs."""

    store: NotificationStore
    contacts: ContactStore
    tickets: TicketStates
    gateways: Mapping[DeliveryChannel, Gateway]
    templates: Templates
    policy: NotificationPolicy
    publisher: Publisher
    alarm: Alarm
    metrics: NotifierMetrics
    blind: Callable[[str, str], str]
    """Keyed digest of a number or address."""
    now: Now
    owner: str
    """Name of this process, of no other and of none before it."""
    partitions: int
    in_flight_max: int = 512


@dataclass(frozen=True, slots=True)
class _Known:
    """What was read before a record was claimed."""

    contact: Contact | None
    ways: tuple[DeliveryChannel, ...]
    ask: bool
    """Whether a provider may have it already."""
    state: TicketState | None
    """The ticket's, when the message had to wait; else None."""
    over_the_cap: bool


class Contended(ConnectionError):  # noqa: N818 - told of the record
    """Somebody else wrote again and again: an error that passes."""


def deadline_id(note: UUID) -> str:
    """The one deadline of a message."""
    return f"{SERVICE}:{note}"


def promise_id(note: UUID) -> str:
    """The deadline of a confirmation that has no record yet, because its clock has not started."""
    return f"{SERVICE}:{note}:promise"


def shard_of(routing_key: str, partitions: int) -> str:
    """Whose it is."""
    return f"{SERVICE}:{partition_for(routing_key, partitions)}"


def _attempt_called(note: Notification, provider_id: str) -> int | None:
    """Number of the attempt that a provider calls so."""
    return next((n for n, attempt in enumerate(note.attempts) if provider_id in attempt.provider_ids), None)


class Dispatcher:
    """Sends what it is given, once."""

    def __init__(self, means: Means) -> None:
        self._means = means
        self._slots = asyncio.Semaphore(means.in_flight_max)
        self._in_hand: set[UUID] = set()
        self._unsaved: dict[UUID, Notification] = {}
        self._unmarked: dict[str, asyncio.Event] = {}

    async def take_in(self, notices: Sequence[tuple[Notice, str | None]]) -> None:
        """Write to people, each notice with its trace. One that was met before is not sent again, but seen to its end.

        Messages of one ticket go in order.
        """
        waves: list[list[tuple[Notice, str | None]]] = []
        position: Counter[UUID] = Counter()
        for notice, trace in {n.id: (n, t) for n, t in notices}.values():
            number = position[notice.ticket_id]
            position[notice.ticket_id] += 1
            if number == len(waves):
                waves.append([])
            waves[number].append((notice, trace))
        for wave in waves:
            await self._in_chunks(self._take_in, wave)

    async def take_up(self, ids: Sequence[UUID]) -> None:
        """See to messages whose time has come."""
        known = await self._means.store.load(ids)
        await self._in_chunks(self._see_to, list(known.values()))

    def marked(self, provider_id: str) -> asyncio.Event | None:
        """Set when the message that a provider calls so is marked; None when it is not being sent here."""
        return self._unmarked.get(provider_id)

    async def follow(self, notes: Sequence[Notification], *, told: Mapping[UUID, Sequence[Mark]]) -> None:
        """Tell what is new of saved records, and see that they are looked at again.

        Args:
            notes: as they are stored.
            told: marks of each that were told before; without any, all are told (again), which is harmless.
        """
        means = self._means
        outgoing = []
        for note in notes:
            before = told.get(note.id, ())
            for mark in marks(note):
                if mark not in before:
                    outgoing.append(Outgoing(NOTIFICATION_EVENT, event(note, mark), note.trace))
                    self._count(note, mark)
        if outgoing:
            await means.publisher.publish(outgoing)
        waking = [n for n in notes if n.wake_at and n.state not in FINAL]
        if waking:
            await means.alarm.arm([self._deadline(n) for n in waking])
        if ended := {deadline_id(n.id): n.version for n in notes if n.state in FINAL}:
            await means.alarm.cancel(ended)

    async def _in_chunks(self, work: Callable[[list[T_]], Awaitable[None]], items: list[T_]) -> None:
        parts = [items[i : i + CHUNK] for i in range(0, len(items), CHUNK)]
        if len(parts) == 1:
            await work(parts[0])
            return
        # All of them end before an error is raised: what is in hand must not be met again meanwhile.
        results = await asyncio.gather(*(work(part) for part in parts), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result

    async def _take_in(self, notices: list[tuple[Notice, str | None]]) -> None:
        means, now = self._means, self._means.now()
        notes = [notification.fresh(n, trace=t, owner=means.owner, now=now, policy=means.policy) for n, t in notices]
        knowledge = await self._knowledge(notes)
        existing = await means.store.insert(notes)
        fresh = [n for n in notes if n.id not in existing]
        if fresh:
            await self._send(fresh, knowledge, told={})
        if existing:
            await self._see_to(list((await means.store.load(existing)).values()))

    async def _see_to(self, notes: list[Notification]) -> None:
        """Go on with records as they are stored."""
        now = self._means.now()
        leave: list[Notification] = []
        take: list[Notification] = []
        unwritten: list[Notification] = []
        for stored in notes:
            known = self._unsaved.pop(stored.id, None)
            if known is not None and known.version == stored.version:
                unwritten.append(known)  # What we did and could not write then is written now.
            elif stored.id in self._in_hand or stored.state in FINAL or stored.wake_at is None:
                leave.append(stored)
            elif self._was_cut_off(stored) or stored.wake_at <= now:
                take.append(stored)
            else:
                leave.append(stored)
        if unwritten:
            await self._save(unwritten)
            await self._match_parked(unwritten)
        await self.follow([*leave, *unwritten], told={})
        if take:
            await self._claim_and_send(take)

    def _was_cut_off(self, note: Notification) -> bool:
        """Whether an error came between our claim and the sending. What was sent is in hand, or known as unwritten."""
        return note.state is State.CLAIMED and note.owner == self._means.owner

    async def _claim_and_send(self, notes: list[Notification]) -> None:
        means, now = self._means, self._means.now()
        # Of one that was cut off nothing may have been told.
        told = {n.id: marks(n) for n in notes if n.state is not State.CLAIMED}
        ask: set[UUID] = set()
        late: set[UUID] = set()
        for note in notes:
            if note.wait is Wait.LOOKUP or (note.state is State.CLAIMED and not self._was_cut_off(note)):
                ask.add(note.id)
            if note.wait in {Wait.MORNING, Wait.RETRY}:
                late.add(note.id)
            if note.state is State.SENT:
                notification.no_receipt(note, now=now)
            notification.claim(note, owner=means.owner, now=now, policy=means.policy)
        knowledge = await self._knowledge(notes, ask=ask, late=late)
        lost = await means.store.save(notes)
        await self._send([n for n in notes if n.id not in lost], knowledge, told=told)

    async def _knowledge(
        self,
        notes: Sequence[Notification],
        *,
        ask: frozenset[UUID] | set[UUID] = frozenset(),
        late: frozenset[UUID] | set[UUID] = frozenset(),
    ) -> dict[UUID, "_Known"]:
        """All that sending needs of the database, read before anything is claimed: after it there is only sending."""
        contacts = await self._means.contacts.load({n.notice.person.contact_ref for n in notes})
        states = await self._means.tickets.states({n.notice.ticket_id for n in notes if n.id in late})
        over = await self._over_the_cap(notes, contacts)
        known = {}
        for note in notes:
            contact = contacts.get(note.notice.person.contact_ref)
            known[note.id] = _Known(
                contact=contact,
                ways=self._ways(note, contact) if contact else (),
                ask=note.id in ask,
                state=states.get(note.notice.ticket_id),
                over_the_cap=note.id in over,
            )
        return known

    async def _send(
        self, notes: list[Notification], knowledge: Mapping[UUID, "_Known"], *, told: Mapping[UUID, Sequence[Mark]]
    ) -> None:
        """Send claimed records, mark them, and follow.

        Raises:
            Exception: of the first that failed by a fault of ours; it stays claimed, its neighbours are seen to.
        """
        ids = [n.id for n in notes]
        self._in_hand.update(ids)
        self._means.metrics.pending.labels(what="sending").inc(len(ids))
        done = asyncio.Event()
        try:
            results = await asyncio.gather(
                *(self._act(note, knowledge[note.id], done=done) for note in notes), return_exceptions=True
            )
            acted = [n for n, result in zip(notes, results, strict=True) if result is None]
            await self._save(acted)
        finally:
            for note in notes:
                for attempt in note.attempts:
                    for provider_id in attempt.provider_ids:
                        self._unmarked.pop(provider_id, None)
            done.set()
            self._in_hand.difference_update(ids)
            self._means.metrics.pending.labels(what="sending").dec(len(ids))
        await self.follow(acted, told=told)
        await self._match_parked(acted)
        for result in results:
            if result is not None:
                raise result

    async def _save(self, notes: list[Notification]) -> None:
        """Write what became of them. Records that somebody took over are replaced by what is stored, in place."""
        self._unsaved.update((n.id, n) for n in notes)
        lost = await self._means.store.save(notes)
        for note in notes:
            del self._unsaved[note.id]
        if lost:
            log.warning("notifications.taken_over", count=len(lost))
            stored = await self._means.store.load(lost)
            notes[:] = [stored.get(n.id, n) for n in notes]

    async def apply(self, receipts: Sequence[Receipt]) -> list[Receipt]:
        """Take in what receipts say, and tell it.

        Gives those to keep: their message is not marked yet, or not known, or other segments of it are not heard of.

        Raises:
            Contended: others kept changing the same records; the receipts are to come again.
        """
        store, waiting, unmatched = self._means.store, list(receipts), []
        for _ in range(_WRITES_MAX):
            named = await store.by_provider_ids([r.provider_id for r in waiting])
            heard = {r.provider_id for r in waiting}
            others = {id_ for id_ in named if id_ not in heard}
            earlier = await store.parked(sorted(others)) if others else []
            told, now = {n.id: marks(n) for n in named.values()}, self._means.now()
            for receipt in [*earlier, *waiting]:
                note = named.get(receipt.provider_id)
                if note and note.state is not State.CLAIMED:
                    notification.receipt(note, receipt.provider_id, arrived=receipt.arrived, now=now)
            keep, delivered, failed, again = self._sorted(waiting, named, told)
            lost = await store.deliver(delivered) | await store.save(failed)
            done = [n for n in (*(n for n, _ in delivered), *failed) if n.id not in lost]
            # One that changes nothing came twice, perhaps because we died before it was told: so it is told again.
            await self.follow([*done, *again], told={n.id: told[n.id] for n in done})
            over = {id_ for n in done for a in n.attempts for id_ in a.provider_ids}
            await store.unpark([r.provider_id for r in earlier if r.provider_id in over])
            unmatched += keep
            waiting = [r for r in waiting if r.provider_id in named and named[r.provider_id].id in lost]
            if not waiting:
                return unmatched
        raise Contended(f"{len(waiting)} receipts after {_WRITES_MAX} attempts")

    def _sorted(
        self, receipts: Sequence[Receipt], named: Mapping[str, Notification], told: Mapping[UUID, Sequence[Mark]]
    ) -> tuple[list[Receipt], list[tuple[Notification, int]], list[Notification], list[Notification]]:
        """Receipts to keep; records that were delivered, by which attempt; that failed; that are as they were."""
        keep: list[Receipt] = []
        delivered: dict[UUID, tuple[Notification, int]] = {}
        failed: dict[UUID, Notification] = {}
        again: dict[UUID, Notification] = {}
        count = self._means.metrics.receipts
        for receipt in receipts:
            note = named.get(receipt.provider_id)
            number = _attempt_called(note, receipt.provider_id) if note else None
            if note is None or number is None or note.state is State.CLAIMED:
                keep.append(receipt)
            elif note.attempts[number].delivered_at:
                if Mark("delivered", number) in told[note.id]:
                    again[note.id] = note
                    count.labels(what="late_or_doubled").inc()
                else:
                    delivered[note.id] = (note, number)
                    count.labels(what="used").inc()
            elif receipt.arrived:
                keep.append(receipt)
            elif note.wait is Wait.FALLBACK and note.attempts[number].why == Why.UNDELIVERABLE:
                failed[note.id] = note
                count.labels(what="used").inc()
            else:
                again[note.id] = note
                count.labels(what="late_or_doubled").inc()
        return keep, list(delivered.values()), list(failed.values()), list(again.values())

    async def _match_parked(self, notes: Sequence[Notification]) -> None:
        """Receipts that came to another process before we had marked their message."""
        sent = [id_ for n in notes if n.state is State.SENT for a in n.attempts for id_ in a.provider_ids]
        found = await self._means.store.parked(sent)
        if found:
            left = {r.provider_id for r in await self.apply(found)}
            await self._means.store.unpark([r.provider_id for r in found if r.provider_id not in left])

    async def _over_the_cap(self, notes: Sequence[Notification], contacts: Mapping[UUID, Contact]) -> set[UUID]:
        """Those that their recipient would have too many of. Counted over all tickets, this chunk included."""
        means = self._means
        counted: dict[str, list[Notification]] = defaultdict(list)
        for note in notes:
            contact = contacts.get(note.notice.person.contact_ref)
            if contact is None or not means.policy.moments[note.notice.moment].capped:
                continue
            first_time = not note.recipient
            for channel in self._ways(note, contact)[:1]:
                note.recipient = means.blind(channel.value, channels.address(contact, channel) or "")
            if first_time and note.recipient:
                counted[note.recipient].append(note)
        if not counted:
            return set()
        since = means.now() - timedelta(seconds=means.policy.cap.within_s)
        before = await means.store.capped_since(counted, since)
        over: set[UUID] = set()
        for recipient, those in counted.items():
            room = max(0, means.policy.cap.messages - before.get(recipient, 0))
            over |= {n.id for n in those[room:]}
        return over

    def _ways(self, note: Notification, contact: Contact) -> tuple[DeliveryChannel, ...]:
        return channels.order(note.notice.person.used, contact, provided=self._means.gateways.keys())

    async def _act(self, note: Notification, known: "_Known", *, done: asyncio.Event) -> None:
        """Do what is to be done with one claimed record, and leave it in another state."""
        async with self._slots:
            if known.contact is None and self._should_be_reachable(note):
                notification.wait(note, Wait.RETRY, until=self._means.now() + timedelta(seconds=_CONTACT_WAIT_S))
            elif known.contact is None or not note.remaining(known.ways):
                notification.exhausted(note, now=self._means.now())
            elif known.ask and await self._is_settled_by_asking(note, known.ways):
                pass
            elif not self._is_held_back(note, known):
                await self._try_channels(note, known.contact, known.ways)
            for provider_id in note.attempts[-1].provider_ids if note.attempts else ():
                self._unmarked[provider_id] = done

    def _should_be_reachable(self, note: Notification) -> bool:
        """Whether the contact is missing for a moment only: there is one, and it may not have been kept yet."""
        masked = note.notice.person.masked
        patience = timedelta(seconds=_CONTACT_WAIT_S * _CONTACT_WAITS)
        return bool(masked.phone or masked.email) and self._means.now() - note.requested_at < patience

    def _is_held_back(self, note: Notification, known: "_Known") -> bool:
        means, now, notice = self._means, self._means.now(), note.notice
        if now - notice.at > timedelta(seconds=means.policy.stale_after_s) and not note.attempts:
            notification.suppress(note, Why.STALE, now=now)
        elif known.state and overtaken(notice, known.state):
            notification.suppress(note, Why.OVERTAKEN, now=now)
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

    async def _is_settled_by_asking(self, note: Notification, ways: Sequence[DeliveryChannel]) -> bool:
        """Whether a provider has it, or nothing may be sent before one has said so."""
        means = self._means
        unknown: DeliveryChannel | None = None
        for channel in note.remaining(ways):
            try:
                found = await means.gateways[channel].lookup(note.id)
            except LookupFailed:
                notification.unsure(note, now=means.now(), policy=means.policy)
                return True
            if isinstance(found, Taken):
                self._take(note, channel, found)
                return True
            if not isinstance(found, NotTaken):
                unknown = unknown or channel
        if unknown and means.policy.when_unknown == "count_as_sent":
            self._take(note, unknown, Taken())
            return True
        return False

    def _take(self, note: Notification, channel: DeliveryChannel, found: Taken) -> None:
        now = self._means.now()
        kind = "sms" if channel is DeliveryChannel.SMS else "email"
        template = f"{note.notice.moment}.{kind}.{note.notice.person.language}"
        notification.begin(note, channel, template=template, now=now)
        notification.taken(note, found.provider_ids, now=now, policy=self._means.policy)
        if found.arrived:
            for provider_id in found.provider_ids:
                notification.receipt(note, provider_id, arrived=True, now=now)

    async def _try_channels(self, note: Notification, contact: Contact, ways: Sequence[DeliveryChannel]) -> None:
        """Try what is left, until one takes it or says later."""
        means, notice, lease_until = self._means, note.notice, note.lease_until
        assert lease_until is not None
        while True:
            now = means.now()
            if lease_until - now < timedelta(seconds=means.policy.lease_s / 2):
                # No provider would have time to answer before somebody takes us for dead.
                notification.wait(note, Wait.FALLBACK, until=now)
                return
            left = note.remaining(ways)
            current = note.current
            channel = current.channel if current and current.channel in left else left[0]
            rendered = means.templates.render(notice, channel, name=contact.name)
            notification.begin(note, channel, template=rendered.template, now=now)
            address = channels.address(contact, channel)
            assert address is not None
            outcome = await means.gateways[channel].send(Envelope(note.id, address, rendered, notice.person.language))
            self._judge(note, channel, outcome, ways)
            if note.wait is not Wait.FALLBACK:
                return
            note.state, note.wait, note.wake_at = State.CLAIMED, None, lease_until

    def _judge(
        self, note: Notification, channel: DeliveryChannel, outcome: Outcome, ways: Sequence[DeliveryChannel]
    ) -> None:
        means, now = self._means, self._means.now()
        failures = means.metrics.failures
        match outcome:
            case Taken(provider_ids=ids):
                notification.taken(note, ids, now=now, policy=means.policy)
            case Refused(why=why):
                failures.labels(channel=channel, why=why).inc()
                notification.refused(note, why, now=now, channels=ways)
            case Later(why=why):
                failures.labels(channel=channel, why=why).inc()
                notification.later(note, why, now=now, policy=means.policy, channels=ways)
            case Unsure():
                failures.labels(channel=channel, why="connection_broke").inc()
                notification.unsure(note, now=now, policy=means.policy)

    def _deadline(self, note: Notification) -> Deadline:
        assert note.wake_at is not None
        return Deadline(
            id=deadline_id(note.id),
            shard=shard_of(note.notice.routing_key, self._means.partitions),
            due_at=note.wake_at,
            payload={"ticket": str(note.notice.ticket_id)},
            revision=note.version,
        )

    def _count(self, note: Notification, mark: Mark) -> None:
        metrics, moment = self._means.metrics, note.notice.moment
        has_attempt = mark.kind in {"sent", "delivered", "failed"}
        channel = note.attempts[mark.attempt].channel.value if has_attempt else "none"
        metrics.outcomes.labels(moment=moment, channel=channel, result=mark.kind).inc()
        if moment is Moment.RECEIVED and has_attempt and mark.kind != "failed":
            attempt = note.attempts[mark.attempt]
            at = attempt.sent_at if mark.kind == "sent" else attempt.delivered_at
            histogram = metrics.handed_over_seconds if mark.kind == "sent" else metrics.delivered_seconds
            if at:
                histogram.labels(channel=channel).observe((at - note.notice.person.received_at).total_seconds())
