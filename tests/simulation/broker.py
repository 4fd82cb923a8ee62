"""A broker: partitions, consumer groups with rebalances, and the two clients that services use, in their shapes."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from aiokafka.errors import KafkaConnectionError, KafkaError, MessageSizeTooLargeError, RequestTimedOutError

from services.runtime.ledger import Ledger, Place
from tests.simulation.loop import WORLD, Process, VirtualLoop, current
from tests.simulation.network import Mishap, Way, resolve

SESSION_S = 6.0
HEARTBEAT_S = 2.0
REBALANCE_S = 10.0
COMMIT_AGAIN_S = 1.0
POLL_MAX = 500
Headers = list[tuple[str, bytes]]


@dataclass(slots=True)
class Stored:
    """A record as a consumer sees it."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers


@dataclass(slots=True)
class Log:
    """What the broker has: topics of equally many partitions."""

    partitions: int
    records: dict[Place, list[Stored]] = field(default_factory=lambda: defaultdict(list))
    arrived: list[Stored] = field(default_factory=list)
    """All, in the order in which the broker took them."""
    watchers: list[Callable[[Stored], None]] = field(default_factory=list)

    def append(self, topic: str, partition: int, key: bytes | None, value: bytes | None, headers: Headers) -> Stored:
        """Take a record."""
        kept = self.records[Place(topic, partition)]
        at = int(datetime.now(UTC).timestamp() * 1000)
        record = Stored(topic, partition, len(kept), at, key, value, headers)
        kept.append(record)
        self.arrived.append(record)
        for watcher in self.watchers:
            watcher(record)
        return record

    def end(self, place: Place) -> int:
        """The offset of the next record."""
        return len(self.records[place]) if place in self.records else 0


class Broker:
    """The log, and the groups that read it."""

    def __init__(self, loop: VirtualLoop, way: Way, *, partitions: int) -> None:
        self.loop = loop
        self.way = way
        self.log = Log(partitions)
        self.groups: dict[str, Group] = {}
        self.log.watchers.append(self._wake)

    def group(self, name: str) -> "Group":
        """The group of that name."""
        return self.groups.setdefault(name, Group(self))

    def lag(self) -> dict[str, int]:
        """By group, the records that are not handled. A commit may still come late and tell of fewer."""
        return {
            name: sum(self.log.end(place) - group.position(place) for place in group.places)
            for name, group in self.groups.items()
        }

    def _wake(self, record: Stored) -> None:
        for group in self.groups.values():
            member = group.owners.get((record.topic, record.partition))
            if member is not None:
                member.has_news()


class Group:
    """A consumer group: who is in it, what each owns, and what is committed."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.generation = 0
        self.committed: dict[Place, int] = {}
        self.places: list[Place] = []
        self.owners: dict[tuple[str, int], Application] = {}
        self.members: list[Application] = []
        self.rebalancing = False
        self._round = 0
        self._joining: dict[Application, asyncio.Future[tuple[int, list[Place]]]] = {}

    def join(self, member: "Application", topics: Iterable[str]) -> "asyncio.Future[tuple[int, list[Place]]]":
        """Take part in the next generation: gives its number and what is owned then."""
        self.places = [Place(t, p) for t in sorted(topics) for p in range(self.broker.log.partitions)]
        if member not in self.members:
            self.members.append(member)
        future = self.broker.loop.create_future()
        self._joining[member] = future
        self.rebalance()
        return future

    def position(self, place: Place) -> int:
        """Everything before it is handled."""
        owner = self.owners.get(place)
        return max(self.committed.get(place, 0), owner.position(place) if owner else 0)

    def rebalance(self) -> None:
        """Begin a round: members that live come again, the others are waited for as long as a session lasts."""
        if not self.rebalancing:
            self.rebalancing = True
            self._round += 1
            chance = self.broker.way.chance
            for member in self.members:
                if member not in self._joining:
                    self.broker.loop.later(chance.uniform(0, HEARTBEAT_S), member.notice)
            self.broker.loop.later(REBALANCE_S, self._give_up, self._round)
        self._settle()

    def leave(self, member: "Application") -> None:
        """It said goodbye, or its session has ended."""
        if member in self.members:
            self.members.remove(member)
            self._joining.pop(member, None)
            if self.members:
                self.rebalance()
            else:
                self.owners = {}

    def _give_up(self, number: int) -> None:
        if self.rebalancing and number == self._round:
            self.members = [m for m in self.members if m in self._joining]
            self._settle()

    def _settle(self) -> None:
        if not self.rebalancing:
            return
        if self.broker.way.away:
            self.broker.loop.later(0.5, self._settle)
            return
        if any(member not in self._joining for member in self.members):
            return
        self.rebalancing = False
        self.generation += 1
        joining, self._joining = self._joining, {}
        count = len(self.members)
        self.owners = {place: self.members[place.partition % count] for place in self.places} if count else {}
        for member, future in joining.items():
            if not future.done():
                future.set_result((self.generation, [p for p, owner in self.owners.items() if owner is member]))

    def commit(self, member: "Application", generation: int, offsets: Mapping[tuple[str, int], int]) -> None:
        """Keep offsets.

        Raises:
            KafkaError: the member's generation is over.
        """
        if member not in self.members or generation != self.generation:
            raise KafkaError("the group has rebalanced")
        self.committed.update({Place(*place): offset for place, offset in offsets.items()})


class Application:
    """In the shape of `services.runtime.faust_consumer.Application`: a member of a group."""

    def __init__(
        self,
        broker: Broker,
        group: str,
        *,
        ledger: Ledger,
        when_revoked: Callable[[], Awaitable[None]],
        when_assigned: Callable[[frozenset[Place]], None],
        when_begun: Callable[[], None],
        **_other: Any,
    ) -> None:
        self._broker = broker
        self._group = broker.group(group)
        self._ledger = ledger
        self._when_revoked = when_revoked
        self._when_assigned = when_assigned
        self._when_begun = when_begun
        self._process = _this_process()
        self._generation = -1
        self._places: list[Place] = []
        self._news = asyncio.Event()
        self._asked = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._topics: list[str] = []
        self._process.on_death.append(self._expire_later)
        self._process.on_freeze.append(lambda: broker.loop.later(SESSION_S, self._expire_frozen))
        self._process.on_thaw.append(self._look_up)

    async def read(self, topics: Iterable[str], take: Callable[..., Awaitable[None]]) -> None:
        """See there."""
        self._topics = list(topics)
        self._tasks = [asyncio.create_task(self._belong()), asyncio.create_task(self._fetch(take))]

    async def stop(self) -> None:
        """Leave the group."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._broker.loop.later(0.0, self._group.leave, self)

    async def ends(self) -> dict[tuple[str, int], int]:
        """See there."""
        found: dict[tuple[str, int], int] = {}
        places = list(self._places)
        await self._ask([lambda: found.update({p: self._broker.log.end(p) for p in places})])
        return found

    async def reread(self, place: tuple[str, int]) -> None:
        """What is fetched next begins where the ledger says anyway."""

    async def commit_finished(self) -> bool:
        """See there."""
        offsets = self._ledger.committable()
        if not offsets:
            return True
        generation = self._generation
        try:
            await self._ask([lambda: self._group.commit(self, generation, offsets)])
        except KafkaError:
            self._tasks.append(asyncio.create_task(self._commit_again()))
            return False
        self._ledger.committed(offsets)
        return True

    async def _commit_again(self) -> None:
        """The second chance that Faust gives to what could not be committed."""
        await asyncio.sleep(COMMIT_AGAIN_S)
        await self.commit_finished()

    def position(self, place: Place) -> int:
        """Everything before it is handled here."""
        return self._ledger.positions().get(place, 0)

    def notice(self) -> None:
        """The coordinator's answer to a heartbeat: the group rebalances."""
        self._process.call(self._asked.set)

    def has_news(self) -> None:
        """There is something to fetch."""
        self._process.call(self._news.set)

    def _expire_frozen(self) -> None:
        if self._process.frozen:
            self._group.leave(self)

    def _look_up(self) -> None:
        """The first heartbeat after a long time tells that the group has gone on without us."""
        if self not in self._group.members:
            self._broker.loop.later(self._broker.way.chance.uniform(0, HEARTBEAT_S), self.notice)

    async def _belong(self) -> None:
        """Be a member, through all rebalances."""
        loop = self._broker.loop
        while True:
            self._asked.clear()
            joined: asyncio.Future[tuple[int, list[Place]]] = loop.create_future()
            loop.later(self._broker.way.latency(), self._join, joined)
            self._generation, self._places = await joined
            self._when_assigned(frozenset(self._places))
            await self._begin()
            await self._asked.wait()
            self._places = []
            await self._when_revoked()

    async def _begin(self) -> None:
        """Learn where to read on, and begin."""
        starts: dict[tuple[str, int], int] = {}
        ends: dict[tuple[str, int], int] = {}

        def look() -> None:
            starts.update({p: self._group.committed.get(p, 0) for p in self._places})
            ends.update({p: self._broker.log.end(p) for p in self._places})

        while self._is_member():
            try:
                await self._ask([look])
            except KafkaError:
                await asyncio.sleep(0.5)
                continue
            self._ledger.assign(starts=starts, ends=ends)
            self._when_begun()
            self._news.set()
            return

    def _join(self, joined: "asyncio.Future[tuple[int, list[Place]]]") -> None:
        if self._process.dead:
            return
        if self._broker.way.away:
            self._broker.loop.later(0.5, self._join, joined)
            return
        found = self._group.join(self, self._topics)
        found.add_done_callback(lambda f: joined.done() or joined.set_result(f.result()), context=WORLD)

    def _is_member(self) -> bool:
        return self._generation == self._group.generation and not self._asked.is_set()

    async def _fetch(self, take: Callable[..., Awaitable[None]]) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            generation, places = self._generation, list(self._places)
            found: list[Stored] = []

            def look(places: Sequence[Place] = places, found: list[Stored] = found) -> None:
                # Brokers answer one after the other, each with some of its partitions, and perhaps not this time.
                nexts, log, chance = self._ledger.next_offsets(), self._broker.log, self._broker.way.chance
                ready = [place for place in places if place in nexts and log.end(place) > nexts[place]]
                if len(ready) > 1:
                    answering = len(ready) if chance.random() < 0.4 else chance.randrange(1, len(ready))
                    ready = chance.sample(ready, answering)
                for place in ready:
                    found += log.records[place][nexts[place] : nexts[place] + POLL_MAX]

            try:
                await self._ask([look])
            except KafkaError:
                await asyncio.sleep(0.2)
                self._news.set()
                continue
            if found and generation == self._generation:
                await take(found, lambda generation=generation: generation == self._generation)
            if generation == self._generation and any(
                self._broker.log.end(Place(*p)) > o for p, o in self._ledger.next_offsets().items()
            ):
                self._news.set()

    async def _ask(self, effects: Sequence[Callable[[], Any]]) -> None:
        await self._broker.way.request(effects, RequestTimedOutError)

    def _expire_later(self) -> None:
        self._broker.loop.later(SESSION_S, self._group.leave, self)


class Producer:
    """In the shape of `aiokafka.AIOKafkaProducer`, as far as it is used. One that lost a batch takes no more."""

    def __init__(self, broker: Broker, *, max_request_size: int, **_options: Any) -> None:
        self._broker = broker
        self._bytes_max = max_request_size
        self._sender = self.client = self
        self._failed = False
        self._last: dict[tuple[str, int], float] = {}

    async def start(self) -> None:
        """Connect."""
        await self._broker.way.request([_nothing], KafkaConnectionError)

    async def stop(self) -> None:
        """Disconnect; what is under way may arrive all the same."""

    async def close(self) -> None:
        """See `stop`."""

    async def partitions_for(self, _topic: str) -> set[int]:
        """Numbers of the topic's partitions."""
        return set(range(self._broker.log.partitions))

    async def send(
        self,
        topic: str,
        *,
        value: bytes | None,
        key: bytes | None,
        headers: Sequence[tuple[str, bytes]],
        partition: int,
    ) -> "asyncio.Future[None]":
        """One record.

        Raises:
            MessageSizeTooLargeError: it is larger than a request may be.
        """
        if len(key or b"") + len(value or b"") >= self._bytes_max:
            raise MessageSizeTooLargeError
        return self._deliver(topic, partition, [(key, value, list(headers))])

    def create_batch(self) -> "Batch":
        """An empty one."""
        return Batch()

    async def send_batch(self, batch: "Batch", topic: str, *, partition: int) -> "asyncio.Future[None]":
        """All of a batch, or nothing of it."""
        return self._deliver(topic, partition, batch.records)

    def _deliver(self, topic: str, partition: int, records: list[Any]) -> "asyncio.Future[None]":
        way, loop, log = self._broker.way, self._broker.loop, self._broker.log
        delivery: asyncio.Future[None] = loop.create_future()
        mishap = way.next_mishap()
        if self._failed or mishap in (Mishap.LOST, Mishap.PARTIAL):
            # The broker refuses whatever comes after a sequence number that it never saw.
            self._failed = True
            loop.later(way.patience_s, resolve, delivery, RequestTimedOutError())
            return delivery
        # In the order in which they were sent, whatever time each takes.
        delay_s = way.latency() + (way.chance.uniform(0.5, 20.0) if mishap is Mishap.SLOW else 0.0)
        at = max(self._last.get((topic, partition), 0.0) + 1e-6, loop.now + delay_s)
        self._last[topic, partition] = at
        told = mishap not in (Mishap.UNANSWERED, Mishap.LATE)

        def arrive() -> None:
            if way.away:
                self._failed = True
            if self._failed:
                loop.later(way.patience_s, resolve, delivery, RequestTimedOutError())
                return
            for key, value, headers in records:
                log.append(topic, partition, key, value, headers)
            if told:
                resolve(delivery, None)
            else:
                self._failed = True
                loop.later(way.patience_s, resolve, delivery, RequestTimedOutError())

        loop.call_at(at, arrive, context=WORLD)
        return delivery


class Batch:
    """In the shape of aiokafka's batch builder."""

    def __init__(self) -> None:
        self.records: list[tuple[bytes | None, bytes | None, Headers]] = []

    def append(
        self,
        *,
        key: bytes | None,
        value: bytes | None,
        timestamp: int | None,
        headers: Sequence[tuple[str, bytes]],
    ) -> bool:
        """Add one."""
        self.records.append((key, value, list(headers)))
        return True

    def close(self) -> None:
        """No more of them."""


def _nothing() -> None:
    """It is enough to have asked."""


def _this_process() -> Process:
    process = current()
    assert process is not None, "only a process has clients"
    return process
