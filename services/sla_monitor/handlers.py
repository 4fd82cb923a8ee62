"""What the service does with messages and with deadlines: decide, save, then arm and publish.

Saving is the only step that may be lost by two workers that meet; who loses decides again from what the other saved.
Everything after it is repeated from what is stored when the message or the deadline comes again, so that a crash
between any two steps loses nothing and tells nothing else.
"""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache
from heapq import merge
from typing import Final, Protocol
from uuid import UUID

from schemas.codec import Encoded, encode
from schemas.events import TicketEvent
from schemas.message import Message
from schemas.notifications import NotificationDelivered
from schemas.sla import SlaBreached, SlaCorrected, SlaFact
from schemas.topics import SLA_BREACHED, SLA_EVENT
from services.runtime.deadline_store import Deadline, Due
from services.runtime.deadlines import StoodStill
from services.runtime.handling import Received, Refusal
from services.runtime.logging import get_logger
from services.runtime.producing import Record
from services.runtime.together import together
from services.service_levels.calendar import from_us, to_us
from services.service_levels.rulebook import Policies
from services.service_levels.ticket_sla import TicketSla
from services.sla_monitor.clock_store import Armed, Change, Stored, Told, next_revision
from services.sla_monitor.clocks import advance, due_facts, next_milestone

log = get_logger(__name__)

DEADLINE_PREFIX: Final = "sla:"
GROUP_MAX: Final = 150
"""Tickets that are saved together."""


class Clocks(Protocol):
    """The clocks of all tickets."""

    async def load(self, tickets: Collection[UUID], *, fresh: bool) -> dict[UUID, Stored]:
        """By ticket, where there are any; unless `fresh`, perhaps older than what is stored, which `save` notices."""

    async def save(self, changes: Sequence[Change]) -> set[UUID]:
        """Gives the tickets that were changed by another meanwhile."""

    async def told(self, causes: Mapping[UUID, Collection[str]], revisions: Mapping[UUID, int]) -> list[SlaFact]:
        """Facts that were told because of these, up to a revision of each ticket."""


class Armer(Protocol):
    """Deadlines."""

    async def arm(self, deadlines: Sequence[Deadline]) -> None:
        """Arm or move."""

    async def cancel(self, ids: Sequence[str]) -> None:
        """Take back."""


class Counting(Protocol):
    """What is counted."""

    def told(self, facts: Iterable[SlaFact]) -> None:
        """Facts were published for the first time."""

    def gap(self) -> None:
        """A ticket's event came before an earlier one."""

    def met_another(self, count: int) -> None:
        """Another worker had changed so many tickets meanwhile."""


@dataclass(slots=True)
class _Work:
    """What is to be told and armed after a round."""

    caught_up: Callable[[int], bool]
    """Whether a partition has, asked for each message of the round."""
    changes: list[Change] = field(default_factory=list)
    again: dict[UUID, set[str]] = field(default_factory=lambda: defaultdict(set))
    """Causes that were handled before: what they gave is told again."""
    revisions: dict[UUID, int] = field(default_factory=dict)
    """Of those tickets, before this round."""
    standing: dict[UUID, tuple[Stored, str]] = field(default_factory=dict)
    """Tickets that did not change, and their shard: their deadline is armed again."""
    over: dict[UUID, str] = field(default_factory=dict)
    """Deadlines that another has taken the place of."""

    def repeat(self, before: Stored, cause: str) -> None:
        """Tell again what a cause gave."""
        self.again[before.sla.ticket_id].add(cause)
        self.revisions[before.sla.ticket_id] = before.revision


class SlaMonitor:
    """The handlers."""

    def __init__(
        self,
        *,
        service: str,
        clocks: Clocks,
        deadlines: Armer,
        policies: Callable[[], Policies],
        publish: Callable[[Sequence[Record]], Awaitable[None]],
        caught_up: Callable[[int], bool],
        has_followed_since: Callable[[datetime], bool],
        now: Callable[[], datetime],
        counting: Counting,
    ) -> None:
        """Wire them.

        Args:
            service: first part of the shards' names.
            clocks: where clocks are kept.
            deadlines: where the next step of each ticket is armed.
            policies: all versions that are loaded.
            publish: returns when the broker has everything.
            caught_up: whether everything that was there when this process took over a partition has been handled.
            has_followed_since: whether what is read has kept up all the time since.
            now: the time.
            counting: what is counted.
        """
        self._service = service
        self._clocks = clocks
        self._deadlines = deadlines
        self._policies = policies
        self._publish = publish
        self._caught_up = caught_up
        self._has_followed_since = has_followed_since
        self._now = now
        self._counting = counting

    async def on_messages(self, batch: Sequence[Received[Message]]) -> Sequence[Refusal]:
        """Handle a batch of ticket events and of what became of messages to complainants."""
        pending: dict[UUID, list[Received[Message]]] = defaultdict(list)
        for received in batch:
            if isinstance(received.message, TicketEvent | NotificationDelivered):
                pending[received.message.ce_subject].append(received)
        tickets = list(pending)
        groups = [tickets[i : i + GROUP_MAX] for i in range(0, len(tickets), GROUP_MAX)]
        # While the database works for one group, the next is decided.
        await together(*(self._handle({t: pending[t] for t in g}) for g in groups))
        return ()

    async def _handle(self, pending: Mapping[UUID, Sequence[Received[Message]]]) -> None:
        while pending:
            work = _Work(cache(self._caught_up))
            stored = await self._clocks.load(pending, fresh=False)
            for ticket, messages in pending.items():
                self._decide(ticket, messages, stored.get(ticket), work)
            lost = await self._finish(work)
            pending = {ticket: messages for ticket, messages in pending.items() if ticket in lost}

    async def on_due(self, due: Sequence[Due]) -> None:
        """Handle deadlines that have come.

        Raises:
            StoodStill: with some of them undecided, which something unread may have made void.
        """
        pending: dict[UUID, list[Due]] = defaultdict(list)
        for d in due:
            pending[_ticket_of(d.id)].append(d)
        while pending:
            work = _Work(self._caught_up)
            stored = await self._clocks.load(pending, fresh=False)
            # Whoever has its deadline come is saved, which notices what is old; for all others it has to be fresh.
            others = [t for t, come in pending.items() if t in stored and not all(_awaits(stored[t], d) for d in come)]
            if others:
                stored |= await self._clocks.load(others, fresh=True)
            if not self._has_followed_since(due[0].claimed_at):
                raise StoodStill
            for ticket, come in pending.items():
                for d in come:
                    if ticket in stored:
                        self._decide_due(d, stored[ticket], work)
            lost = await self._finish(work)
            pending = {ticket: come for ticket, come in pending.items() if ticket in lost}

    def _decide(self, ticket: UUID, messages: Sequence[Received[Message]], before: Stored | None, work: _Work) -> None:
        """Apply a ticket's messages."""
        sla = before.sla if before else None
        told: list[Told] = []
        now, policies = self._now(), self._policies()
        for received in _by_time(messages):
            message, cause = received.message, str(received.message.ce_id)
            assert isinstance(message, TicketEvent | NotificationDelivered)
            if isinstance(message, TicketEvent) and message.sequence > (sla.sequence if sla else 0) + 1:
                log.warning("ticket.gap", ticket_id=str(ticket), after=sla.sequence if sla else 0, got=message.sequence)
                self._counting.gap()
            caught_up = work.caught_up(received.partition)
            advanced = advance(sla, message, policies=policies, now=now, caught_up=caught_up)
            if advanced.sla is sla or (sla is None and advanced.sla == _nothing_known(advanced.sla)):
                if before:
                    work.repeat(before, cause)
            else:
                sla = advanced.sla
            told += [Told(cause, fact, encode(fact, traceparent=received.traceparent)) for fact in advanced.facts]
        told = _net(told)
        shard = f"{self._service}:{messages[0].partition}"
        if sla is not None and (before is None or sla is not before.sla):
            change = _change(sla, before, shard, told, is_to_arm=ticket in work.again)
            work.changes.append(change)
            if before and before.armed and before.armed != change.armed:
                work.over[ticket] = _deadline_id(sla, before.armed)
        elif before is not None:
            work.standing[ticket] = (before, shard)

    def _decide_due(self, due: Due, before: Stored, work: _Work) -> None:
        """Tell what has passed. The deadline is used up, so the next one is armed in any case."""
        cause = f"due:{due.revision}"
        if due.attempts:
            work.repeat(before, cause)
        if not _awaits(before, due):
            # Another has taken its place, perhaps by an earlier attempt that ended before it armed that one.
            if due.attempts:
                work.standing[before.sla.ticket_id] = (before, due.shard)
            return
        sla, facts = due_facts(before.sla, due.claimed_at, policies=self._policies(), now=self._now())
        used_up = replace(before, armed=None)
        work.changes.append(_change(sla, used_up, due.shard, [Told(cause, fact, encode(fact)) for fact in facts]))

    async def _finish(self, work: _Work) -> set[UUID]:
        """Save, then arm and publish what was saved; gives the tickets that were lost to another."""
        lost = await self._clocks.save(work.changes) if work.changes else set()
        if lost:
            self._counting.met_another(len(lost))
        saved = [c for c in work.changes if c.sla.ticket_id not in lost]
        again = {t: causes for t, causes in work.again.items() if t not in lost}
        repeated = [(f, encode(f)) for f in await self._clocks.told(again, work.revisions)] if again else []
        new = [(t.fact, t.encoded) for c in saved for t in c.told]
        over = [id_ for ticket, id_ in work.over.items() if ticket not in lost]
        await together(self._arm(saved, work.standing, over), self._tell([*repeated, *new]))
        self._counting.told(fact for fact, _ in new)
        return lost

    async def _arm(
        self, saved: Sequence[Change], standing: Mapping[UUID, tuple[Stored, str]], over: Sequence[str]
    ) -> None:
        now = to_us(self._now())
        # What was due before its cause reached us is late from now on only. What is armed again keeps its time.
        wanted = [(c.sla, c.armed, c.shard, now if _is_new(c) else 0) for c in saved if c.is_to_arm]
        wanted += [(stored.sla, stored.armed, shard, 0) for stored, shard in standing.values()]
        deadlines = [
            Deadline(_deadline_id(sla, armed), shard, from_us(max(armed.at, since)), revision=armed.revision)
            for sla, armed, shard, since in wanted
            if armed is not None
        ]
        if deadlines:
            await self._deadlines.arm(deadlines)
        if over:
            await self._deadlines.cancel(over)

    async def _tell(self, facts: Sequence[tuple[SlaFact, Encoded]]) -> None:
        records = []
        for fact, encoded in facts:
            topics = (SLA_EVENT, SLA_BREACHED) if isinstance(fact, SlaBreached) else (SLA_EVENT,)
            records += [Record(topic.name, encoded.key, encoded.value, encoded.headers) for topic in topics]
        if records:
            await self._publish(records)


def _change(
    sla: TicketSla, before: Stored | None, shard: str, told: Sequence[Told], *, is_to_arm: bool = False
) -> Change:
    """The change, with the deadline that is armed after it; `is_to_arm`: in any case, it may have been lost on its way.

    A deadline is armed for the earliest step and never moved. One for an earlier time than needed stays: most steps
    never come, because clocks are stopped in time, and taking its place costs as much as letting it come once in vain.
    """
    wanted = next_milestone(sla)
    armed = before.armed if before else None
    if wanted is None:
        armed = None
    elif armed is None or to_us(wanted) < armed.at:
        armed, is_to_arm = Armed(to_us(wanted), next_revision(before)), True
    return Change(sla=sla, before=before, armed=armed, shard=shard, told=tuple(told), is_to_arm=is_to_arm)


def _net(told: Sequence[Told]) -> list[Told]:
    """Without what was taken back in the same breath: nobody has heard of it, and a replay would not tell it either."""
    left = {t.fact.fact_id: t for t in told}
    for t in reversed(told):
        fact = t.fact
        if isinstance(fact, SlaCorrected) and fact.fact_id in left and fact.corrects in left:
            del left[fact.fact_id], left[fact.corrects]
    return list(left.values())


def _awaits(stored: Stored, due: Due) -> bool:
    """Whether it is the deadline that is armed for the ticket."""
    return stored.armed is not None and stored.armed.revision == due.revision


def _is_new(change: Change) -> bool:
    return change.armed is not None and change.armed.revision == change.revision


def _deadline_id(sla: TicketSla, armed: Armed) -> str:
    return f"{DEADLINE_PREFIX}{sla.ticket_id}:{armed.revision}"


def _ticket_of(deadline_id: str) -> UUID:
    return UUID(deadline_id.removeprefix(DEADLINE_PREFIX).partition(":")[0])


def _by_time(messages: Sequence[Received[Message]]) -> Iterator[Received[Message]]:
    """Each topic in its order, and by time between them: after an outage one may be far ahead of the other."""
    topics: dict[str, list[Received[Message]]] = defaultdict(list)
    for received in messages:
        topics[received.topic].append(received)
    if len(topics) == 1:
        return iter(messages)
    return merge(*topics.values(), key=lambda received: received.message.ce_time)


def _nothing_known(sla: TicketSla) -> TicketSla:
    return TicketSla(ticket_id=sla.ticket_id, routing_key=sla.routing_key)
