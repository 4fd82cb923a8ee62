"""Deadlines under random work, crashes and failures: each fires once for what it was last armed with, never early."""

import asyncio
import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from services.runtime.deadline_store import Deadline
from services.runtime.deadlines import Deadlines, Due, Timing
from services.runtime.metrics import DeadlineMetrics
from tests.unit.runtime.fakes import MemoryDeadlineStore, VirtualClock

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
PARTITIONS = 3


class Share:
    """An ownership that the simulation sets."""

    def __init__(self) -> None:
        self.generation = 0
        self.partitions: frozenset[int] = frozenset()

    async def look_again(self) -> None:
        """There is never anything to be read."""

    async def hear(self) -> None:
        """Kafka always answers."""

    def caught_up(self, partition: int) -> bool:
        return partition in self.partitions

    def change(self, partitions: frozenset[int]) -> None:
        self.generation += 1
        self.partitions = partitions


class World:
    """Some workers on one store, a broker that gives each partition to one of them, and a record of effects."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.clock = VirtualClock(NOON.timestamp())
        self.store = MemoryDeadlineStore()
        self.store.before = self.store.after = self._network
        self.faults = True
        self.workers: list[tuple[Deadlines, Share]] = []
        self.revisions: dict[str, int] = {}
        self.wanted: dict[str, Deadline] = {}
        """What was last armed, by id, and not taken back."""
        self.effects: list[tuple[str, int]] = []
        self.early: list[str] = []

    def _network(self, _call: str) -> None:
        if self.faults and self.random.random() < 0.02:
            raise ConnectionError

    async def on_due(self, due: Sequence[Due]) -> None:
        if self.faults and self.random.random() < 0.1:
            await self.clock.wait(asyncio.Event(), self.random.choice((0.05, 0.4, 1.5)))
        for d in due:
            if d.due_at.timestamp() > self.clock.time() + 0.001:
                self.early.append(d.id)
            wanted = self.wanted.get(d.id)
            # As every handler does: what is done for this revision already is not done again.
            if wanted is not None and wanted.revision == d.revision and (d.id, d.revision) not in self.effects:
                self.effects.append((d.id, d.revision))

    def start(self) -> None:
        deadlines = Deadlines(
            "sla",
            self.store,
            DeadlineMetrics(CollectorRegistry()),
            clock=self.clock,
            timing=Timing(window_s=20, window_size_max=30, batch_max=7),
        )
        share = Share()
        deadlines.start(self.on_due, share)
        self.workers.append((deadlines, share))
        self.rebalance()

    async def kill(self) -> None:
        deadlines, _ = self.workers.pop(self.random.randrange(len(self.workers)))
        await deadlines.abandon()

    def rebalance(self) -> None:
        for index, (_, share) in enumerate(self.workers):
            share.change(frozenset(p for p in range(PARTITIONS) if p % len(self.workers) == index))

    async def arm(self) -> None:
        id_ = f"d{self.random.randrange(40)}"
        old = self.wanted.get(id_)
        if (
            old is not None
            and (id_, old.revision) not in self.effects
            and old.due_at.timestamp() < self.clock.time() + 1
        ):
            return  # About to fire: which of the two wins is not said.
        after = timedelta(
            seconds=self.random.choice((1.5, 3, 8, 30, 70)), microseconds=self.random.randrange(1_000_000)
        )
        revision = self.revisions[id_] = self.revisions.get(id_, 0) + 1
        at = datetime.fromtimestamp(self.clock.time(), UTC) + after
        deadline = Deadline(id_, f"sla:{hash(id_) % PARTITIONS}", at, revision=revision)
        self.wanted[id_] = deadline
        await self.surely(lambda d: d.arm([deadline]))

    async def cancel(self) -> None:
        far = [d for d in self.wanted.values() if d.due_at.timestamp() > self.clock.time() + 1]
        if far:
            deadline = self.random.choice(far)
            del self.wanted[deadline.id]
            await self.surely(lambda d: d.cancel({deadline.id: deadline.revision}))

    async def surely(self, act: object) -> None:
        """As a caller does: again until the store has it."""
        while True:
            deadlines, _ = self.random.choice(self.workers)
            try:
                await act(deadlines)  # type: ignore[operator]
            except ConnectionError:
                continue
            return


async def simulate(seed: int, *, steps: int) -> World:
    """Random steps, then peace until everything has come."""
    world = World(seed)
    world.start()
    for _ in range(steps):
        step = world.random.random()
        if step < 0.5:
            await world.arm()
        elif step < 0.6:
            await world.cancel()
        elif step < 0.65 and len(world.workers) < PARTITIONS:
            world.start()
        elif step < 0.7 and len(world.workers) > 1:
            await world.kill()
        elif step < 0.75:
            world.rebalance()
        await world.clock.advance(world.random.choice((0.0, 0.02, 0.3, 2.0)))
    world.faults = False
    world.rebalance()
    await world.clock.advance(75)
    for deadlines, _ in world.workers:
        await deadlines.abandon()
    return world


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_each_fires_once_and_never_early(seed: int) -> None:
    """Whatever is armed, moved, taken back, killed and failed: what stands fires, what does not stand does not."""
    world = asyncio.run(simulate(seed, steps=60))
    assert not world.early
    assert {(d.id, d.revision) for d in world.wanted.values()} <= set(world.effects)
    assert not world.store.kept, "what has fired is gone, and nothing else is left"


def test_no_faults_no_second_call() -> None:
    """While nothing breaks, each deadline is handed out exactly once."""

    async def run() -> list[tuple[str, int]]:
        world = World(1)
        world.faults = False
        world.start()
        world.start()
        calls: list[tuple[str, int]] = []

        async def count(due: Sequence[Due]) -> None:
            calls.extend((d.id, d.attempts) for d in due)

        for deadlines, _ in world.workers:
            deadlines._on_due = count
        await world.clock.advance(1)
        deadlines, _ = world.workers[0]
        await deadlines.arm(
            [Deadline(f"d{n}", f"sla:{n % 3}", NOON + timedelta(seconds=2 + n % 50 / 10)) for n in range(200)]
        )
        await world.clock.advance(30)
        for deadlines, _ in world.workers:
            await deadlines.abandon()
        return calls

    assert sorted(asyncio.run(run())) == sorted((f"d{n}", 0) for n in range(200))
