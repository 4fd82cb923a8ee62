"""The handlers on stores in memory: any crash between two steps is made good by redelivery."""

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from schemas.codec import decode
from schemas.codes import Clock, Moment, Severity
from schemas.events import (
    TicketAnswered,
    TicketCustomerAwaited,
    TicketEvent,
    TicketResolved,
    TicketResumed,
    TicketSeverityChanged,
)
from schemas.message import Message
from schemas.notifications import NotificationDelivered
from schemas.sla import SlaBreached, SlaCorrected, SlaFact
from schemas.topics import TOPICS
from services.runtime.dead_letters import Original
from services.runtime.deadline_store import Deadline, Due
from services.runtime.deadlines import StoodStill
from services.runtime.handling import Received
from services.runtime.producing import Outgoing, Record
from services.service_levels.policy import read_policy
from services.service_levels.rulebook import Policies
from services.service_levels.ticket_sla import TicketSla
from services.sla_monitor.clock_store import Change, Stored
from services.sla_monitor.handlers import SlaMonitor

POLICIES = Policies([read_policy()])
PARTITION = 3


class CrashError(Exception):
    """The process is gone."""


class World:
    """What outlives a process: clocks, deadlines and topics. It can end a process at any step."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
        self.documents: dict[UUID, dict[str, Any]] = {}
        self.remembered: dict[UUID, dict[str, Any]] = {}
        """What a process has in memory, and another has perhaps changed since."""
        self.facts: dict[UUID, list[tuple[str, SlaFact]]] = {}
        self.armed: dict[str, Deadline] = {}
        self.published: list[Outgoing] = []
        self.counted: list[SlaFact] = []
        self.gaps = 0
        self.conflicts = 0
        self.steps = 0
        self.crash_at = -1
        self.is_following = True
        self.meanwhile: Callable[[], Awaitable[None]] = _nothing

    def step(self) -> None:
        """A point at which a process may die."""
        self.steps += 1
        if self.steps == self.crash_at:
            raise CrashError

    def process(self) -> SlaMonitor:
        """A process that was just started."""
        return SlaMonitor(
            service="sla_monitor",
            clocks=self,
            deadlines=self,
            policies=lambda: POLICIES,
            publish=self.publish,
            caught_up=lambda _partition: True,
            has_followed_since=lambda _claimed_at: self.is_following,
            now=lambda: self.now,
            counting=Counts(self),
        )

    # Clocks

    async def load(self, tickets: Collection[UUID], *, fresh: bool) -> dict[UUID, Stored]:
        documents = self.documents | ({} if fresh else self.remembered)
        there = {t: documents[t] for t in tickets if t in documents}
        return {t: Stored(TicketSla.from_doc(d["state"]), d["revision"], d["armed"]) for t, d in there.items()}

    async def save(self, changes: Sequence[Change]) -> set[UUID]:
        meanwhile, self.meanwhile = self.meanwhile, _nothing
        await meanwhile()
        self.step()
        lost = set()
        for change in changes:
            ticket = change.sla.ticket_id
            self.remembered.pop(ticket, None)
            if self.documents.get(ticket, {"revision": 0})["revision"] != change.revision - 1:
                lost.add(ticket)
                continue
            state = {"state": change.sla.to_doc(), "revision": change.revision, "armed": change.armed}
            self.documents[ticket] = state
            self.facts.setdefault(ticket, []).extend((t.cause, t.fact) for t in change.told)
        self.step()
        return lost

    async def told(self, causes: Mapping[UUID, Collection[str]], revisions: Mapping[UUID, int]) -> list[SlaFact]:
        assert causes.keys() == revisions.keys()
        return [f for t, named in causes.items() for c, f in self.facts[t] if c in named]

    # Deadlines

    async def arm(self, deadlines: Sequence[Deadline]) -> None:
        self.step()
        for d in deadlines:
            if d.id not in self.armed or self.armed[d.id].revision <= d.revision:
                self.armed[d.id] = d
        self.step()

    async def cancel(self, ids: Sequence[str]) -> None:
        for id_ in ids:
            self.armed.pop(id_, None)

    # Topics

    async def publish(self, records: Sequence[Record]) -> None:
        self.step()
        for r in records:
            self.published.append(Outgoing(TOPICS[r.topic], decode(r.value, r.headers).message))
        self.step()

    def distinct(self) -> dict[str, str]:
        """What stands on `sla-event`, each id once, without the time at which it was seen."""
        return {str(o.message.ce_id): _content(o.message) for o in self.published if o.topic.name == "sla-event"}

    # Running

    async def deliver(self, *messages: Message) -> None:
        """As the consumption does: until a process gets through."""
        batch = [received(message) for message in messages]
        while True:
            try:
                await self.process().on_messages(batch)
            except CrashError:
                continue
            return

    async def pass_time(self, until: datetime) -> None:
        """As the deadlines do: each at its time, again while its handler dies, gone when it is through."""
        while due := sorted((d for d in self.armed.values() if d.due_at <= until), key=lambda d: d.due_at):
            deadline, attempts = due[0], 0
            self.now = max(self.now, deadline.due_at)
            while True:
                try:
                    await self.process().on_due([_due(deadline, attempts, claimed_at=self.now)])
                except CrashError:
                    attempts += 1
                    continue
                break
            if self.armed.get(deadline.id) is deadline:
                del self.armed[deadline.id]
        self.now = until


async def _nothing() -> None:
    """Nobody else is at work."""


class Counts:
    """What is counted."""

    def __init__(self, world: World) -> None:
        self._world = world

    def told(self, facts: Iterable[SlaFact]) -> None:
        self._world.counted += facts

    def gap(self) -> None:
        self._world.gaps += 1

    def met_another(self, count: int) -> None:
        self._world.conflicts += count


def received(message: Message) -> Received[Message]:
    """As it comes from its topic."""
    topic = next(topic.name for topic in TOPICS.values() if type(message) in topic.by_type.values())
    original = Original(topic=topic, partition=PARTITION, offset=0, key=b"", value=b"", headers=[])
    return Received(message, topic, PARTITION, 0, None, original, message.ce_time)


def _due(deadline: Deadline, attempts: int, *, claimed_at: datetime) -> Due:
    return Due(deadline.id, deadline.shard, deadline.due_at, {}, deadline.revision, attempts, claimed_at)


def _content(message: Message) -> str:
    return message.model_dump_json(exclude={"detected_at"})


@pytest.fixture
def life(new_story: Callable[..., Any]) -> list[TicketEvent | NotificationDelivered]:
    """Everything that happens to one ticket in two days; the acknowledgement comes late, the resolution pauses."""
    story = new_story()
    story.opening(reviewed=False)
    story.delivered(20)
    story.then(TicketCustomerAwaited, 60)
    story.then(TicketResumed, 200)
    story.then(TicketAnswered, 2 * 24 * 60 + 30)
    story.delivered(2 * 24 * 60 + 31, Moment.ANSWERED)
    story.then(TicketResolved, 6 * 24 * 60)
    events: list[TicketEvent | NotificationDelivered] = story.events
    return events


async def live(world: World, life: list[TicketEvent | NotificationDelivered]) -> None:
    """Let the ticket live, time and all."""
    opening, later = life[:3], life[3:]
    await world.deliver(*opening)
    for event in later:
        await world.pass_time(event.ce_time)
        await world.deliver(event)
    await world.pass_time(later[-1].ce_time + timedelta(days=30))


async def test_any_crash_is_made_good(life: list[TicketEvent | NotificationDelivered]) -> None:
    """Whichever step a process dies at, the same facts come out, and nothing stays armed."""
    quiet = World()
    await live(quiet, life)
    facts = quiet.distinct()
    assert len(facts) > 15
    for crash_at in range(1, quiet.steps + 1):
        world = World()
        world.crash_at = crash_at
        await live(world, life)
        assert world.distinct() == facts, f"a crash at step {crash_at}"
        assert not world.armed


async def test_breaches_stand_on_both_topics(life: list[TicketEvent | NotificationDelivered]) -> None:
    """Every breach is on `sla-breached`, and nothing else is."""
    world = World()
    await live(world, life)
    on_own = [o.message for o in world.published if o.topic.name == "sla-breached"]
    assert {type(m) for m in on_own} == {SlaBreached}
    breaches = [o.message.ce_id for o in world.published if isinstance(o.message, SlaBreached)]
    assert len(breaches) == 2 * len(on_own)


async def test_redelivery_of_everything_tells_the_same(life: list[TicketEvent | NotificationDelivered]) -> None:
    """All events again give facts that were told before, and no others; deadlines stay as they are."""
    world = World()
    await live(world, life[:5])
    before, armed = world.distinct(), dict(world.armed)
    world.published.clear()
    await world.deliver(*life[:5])
    again = world.distinct()
    assert again
    assert again.items() <= before.items()
    assert {i: d.due_at for i, d in world.armed.items()} == {i: d.due_at for i, d in armed.items()}


async def test_a_worker_that_stood_still_tells_what_had_passed_when_it_claimed(
    life: list[TicketEvent | NotificationDelivered],
) -> None:
    """What came meanwhile may have stopped the clock, and is read before anything later is told."""
    world = World()
    await world.deliver(*life[:1])
    first = min(world.armed.values(), key=lambda d: d.due_at)
    before = len(world.published)
    world.now = first.due_at + timedelta(days=30)
    await world.process().on_due([_due(first, 0, claimed_at=first.due_at)])
    told = [o.message for o in world.published[before:]]
    assert told
    assert all(fact.ce_time <= first.due_at for fact in told)
    assert [d.due_at > first.due_at for d in world.armed.values() if d.id != first.id] == [True]


async def test_a_worker_that_stood_still_in_the_middle_decides_nothing(
    life: list[TicketEvent | NotificationDelivered],
) -> None:
    """It is to read first what came meanwhile."""
    world = World()
    await world.deliver(*life[:1])
    first = min(world.armed.values(), key=lambda d: d.due_at)
    before = dict(world.armed), len(world.published)
    world.now, world.is_following = first.due_at, False
    with pytest.raises(StoodStill):
        await world.process().on_due([_due(first, 0, claimed_at=first.due_at)])
    assert (dict(world.armed), len(world.published)) == before


async def test_one_topic_may_be_ahead_of_the_other(new_story: Callable[..., Any]) -> None:
    """After an outage a later event may come before the receipt that stopped a clock in time."""
    story = new_story()
    story.opening(reviewed=False)
    story.delivered(1)
    story.then(TicketCustomerAwaited, 24 * 60)
    *opening, receipt, later = story.events
    world = World()
    await world.deliver(*opening, later, receipt)
    told = [o.message for o in world.published if o.topic.name == "sla-event"]
    assert [type(fact).__name__ for fact in told if fact.clock is Clock.ACKNOWLEDGE] == ["SlaStarted", "SlaMet"]


async def test_what_is_taken_back_in_the_same_breath_is_not_told(new_story: Callable[..., Any]) -> None:
    """Read one by one, the second of two changes takes back the breach that the first one showed."""
    story = new_story()
    story.opening(reviewed=False)
    story.then(TicketSeverityChanged, 6 * 24 * 60, before=Severity.NORMAL, severity=Severity.HIGH)
    story.then(TicketSeverityChanged, 6 * 24 * 60, before=Severity.HIGH, severity=Severity.CRITICAL)
    *opening, high, critical = story.events
    singly, together = World(), World()
    for message in (*opening, high, critical):
        await singly.deliver(message)
    await together.deliver(*opening, high, critical)
    assert any(isinstance(o.message, SlaCorrected) for o in singly.published)
    assert not any(isinstance(o.message, SlaCorrected) for o in together.published)
    breached = [o.message for o in together.published if isinstance(o.message, SlaBreached)]
    assert [(b.clock, b.severity) for b in breached if b.clock is Clock.RESOLUTION] == [(Clock.RESOLUTION, 4)] * 2
    assert together.documents.keys() == singly.documents.keys()
    assert together.distinct().items() <= singly.distinct().items()


async def test_two_workers_that_meet(life: list[TicketEvent | NotificationDelivered]) -> None:
    """Who finds the clocks changed decides again from what the other has saved, and tells it once."""
    quiet, world = World(), World()
    for each in (quiet, world):
        await each.deliver(*life[:3])
        each.now = life[3].ce_time + timedelta(minutes=1)

    async def meanwhile() -> None:
        deadline = next(iter(world.armed.values()))
        await world.process().on_due([_due(deadline, 0, claimed_at=world.now)])

    world.meanwhile = meanwhile
    await world.deliver(life[3])
    await quiet.pass_time(quiet.now)
    await quiet.deliver(life[3])
    assert world.conflicts == 1
    assert world.distinct() == quiet.distinct()


async def test_what_is_remembered_may_be_old(life: list[TicketEvent | NotificationDelivered]) -> None:
    """A deadline is decided by what is stored, whether or not it is the one that the memory knows of."""
    opened, ticket = World(), life[0].ticket_id
    await opened.deliver(*life[:3])
    (first,) = opened.armed.values()
    old = opened.documents[ticket]
    await opened.pass_time(first.due_at)
    (second,) = opened.armed.values()
    for due, conflicts in ((first, 1), (second, 0)):
        world = World()
        world.documents, world.facts, world.armed = dict(opened.documents), opened.facts, dict(opened.armed)
        world.remembered, world.now = {ticket: old}, second.due_at
        await world.process().on_due([_due(due, 0, claimed_at=world.now)])
        assert world.conflicts == conflicts
        assert [f.message.ce_time for f in world.published] == ([second.due_at] if due is second else [])


async def test_a_gap_is_counted_and_does_not_stop(life: list[TicketEvent | NotificationDelivered]) -> None:
    """An event that comes before an earlier one is applied all the same."""
    world = World()
    await world.deliver(life[0])
    await world.deliver(life[2])
    assert world.gaps == 1
    assert world.documents[life[0].ticket_id]["state"]["sequence"] == 3


async def test_a_deadline_that_can_wait_is_not_moved(life: list[TicketEvent | NotificationDelivered]) -> None:
    """A later next step leaves the deadline where it is, and it comes once in vain."""
    world = World()
    await world.deliver(*life[:3])
    (before,) = world.armed.values()
    await world.deliver(life[3].model_copy(update={"at": life[0].ce_time + timedelta(minutes=1)}))
    (after,) = world.armed.values()
    assert after is before
    published = len(world.published)
    await world.pass_time(before.due_at)
    (moved,) = world.armed.values()
    assert moved.due_at > before.due_at
    assert len(world.published) == published


async def test_what_an_event_that_came_late_takes_back_is_due_when_it_came(
    life: list[TicketEvent | NotificationDelivered],
) -> None:
    """The breach that passes anew is told at once, and is no later than the event that it had to wait for."""
    world = World()
    await world.deliver(*life[:3])
    came_at = life[0].ce_time + timedelta(minutes=20)
    await world.pass_time(came_at)
    late = life[2].model_copy(
        update={"sequence": 4, "event_id": UUID(int=4), "occurred_at": came_at - timedelta(minutes=6)}
    )
    world.armed.clear()
    await world.deliver(late)
    assert [d.due_at for d in world.armed.values()] == [came_at]
    await world.pass_time(came_at)
    breaches = [o.message for o in world.published if o.topic.name == "sla-breached"]
    assert [b.ticket_sequence for b in breaches if isinstance(b, SlaBreached)] == [3, 4]
