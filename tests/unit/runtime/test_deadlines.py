"""Deadlines with time and store in hand."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta

import pytest
from aiokafka.errors import KafkaConnectionError
from prometheus_client import CollectorRegistry

from services.runtime.deadline_store import Deadline, ShardState
from services.runtime.deadlines import Deadlines, Due, StoodStill, Timing
from services.runtime.metrics import DeadlineMetrics
from services.runtime.producing import PublishFailed
from tests.unit.runtime.fakes import MemoryDeadlineStore, VirtualClock

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


class Share:
    """An ownership that a test sets."""

    def __init__(self, *partitions: int, behind: tuple[int, ...] = ()) -> None:
        self.generation = 1 if partitions else 0
        self.partitions = frozenset(partitions)
        self.behind = set(behind)
        self.unread: set[int] = set()
        self.is_heard = True

    async def look_again(self) -> None:
        await self.hear()
        self.behind |= self.unread

    async def hear(self) -> None:
        if not self.is_heard:
            raise KafkaConnectionError

    def caught_up(self, partition: int) -> bool:
        return partition in self.partitions and partition not in self.behind

    def change(self, *partitions: int, behind: tuple[int, ...] = ()) -> None:
        self.generation += 1
        self.partitions = frozenset(partitions)
        self.behind = set(behind)


class Journal:
    """Remembers what was handed out, and when."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.fired: list[tuple[str, float]] = []
        self.then: Callable[[Sequence[Due]], object] = lambda _due: None

    @property
    def ids(self) -> list[str]:
        return [id_ for id_, _ in self.fired]

    async def on_due(self, due: Sequence[Due]) -> None:
        result = self.then(due)
        if asyncio.iscoroutine(result):
            await result
        self.fired += [(d.id, self.clock.time() - NOON.timestamp()) for d in due]


@pytest.fixture
def clock() -> VirtualClock:
    """Noon."""
    return VirtualClock(NOON.timestamp())


@pytest.fixture
def store() -> MemoryDeadlineStore:
    """Empty."""
    return MemoryDeadlineStore()


@pytest.fixture
def journal(clock: VirtualClock) -> Journal:
    """Empty."""
    return Journal(clock)


Start = Callable[..., Deadlines]


@pytest.fixture
async def start(clock: VirtualClock, store: MemoryDeadlineStore, journal: Journal) -> AsyncIterator[Start]:
    """Starts a worker with its share; all are abandoned at the end."""
    running: list[Deadlines] = []

    def _start(share: Share, **timing: float) -> Deadlines:
        metrics = DeadlineMetrics(CollectorRegistry())
        deadlines = Deadlines("sla", store, metrics, clock=clock, timing=Timing(**timing))  # type: ignore[arg-type]
        deadlines.start(journal.on_due, share)
        running.append(deadlines)
        return deadlines

    yield _start
    for deadlines in running:
        await deadlines.abandon()


def deadline(id_: str, after_s: float, *, partition: int = 1, revision: int = 0) -> Deadline:
    """One that is due some seconds after noon."""
    return Deadline(id_, f"sla:{partition}", NOON + timedelta(seconds=after_s), revision=revision)


async def test_fires_at_its_time_and_once(start: Start, clock: VirtualClock, journal: Journal) -> None:
    """What is armed fires within milliseconds of its due time, once, and is gone afterwards."""
    deadlines = start(Share(1))
    await clock.advance(1)
    await deadlines.arm([deadline("a", 10), deadline("b", 400)])
    await clock.advance(8.99)
    assert journal.fired == []
    await clock.advance(1000)
    assert journal.ids == ["a", "b"]
    for (_, at), due in zip(journal.fired, (10, 400), strict=True):
        assert due <= at <= due + 0.03


async def test_armed_before_the_start_fires(
    start: Start, clock: VirtualClock, journal: Journal, store: MemoryDeadlineStore
) -> None:
    """What passed while nobody was at work fires at once; the rest at its time."""
    await store.put([deadline("passed", -3600), deadline("soon", 50), deadline("later", 500)])
    start(Share(1))
    await clock.advance(0.5)
    assert journal.ids == ["passed"]
    await clock.advance(600)
    assert journal.ids == ["passed", "soon", "later"]
    assert not store.kept


async def test_a_claim_that_was_given_up_and_carried_out_later_is_taken_up(
    start: Start, clock: VirtualClock, journal: Journal, store: MemoryDeadlineStore
) -> None:
    """The worker's own claim stands in the store and nobody handles it: it lives, and takes it up itself."""
    deadlines = start(Share(1))
    await clock.advance(1)
    await deadlines.arm([deadline("a", 5)])
    store.kept["a"].fired_by = f"{deadlines._worker}:given-up"
    await clock.advance(10)
    assert journal.ids == ["a"]
    assert not store.kept


async def test_looks_again_before_it_follows_for_the_first_time(
    start: Start, clock: VirtualClock, journal: Journal, store: MemoryDeadlineStore
) -> None:
    """It may have stood still right behind its assignment: what others wrote meanwhile is read before it fires."""
    await store.put([deadline("void", -1)])
    share = Share(1)
    share.unread = {1}
    start(share)
    await clock.advance(5)
    assert journal.fired == []
    share.behind.clear()
    await clock.advance(1)
    assert journal.ids == ["void"]


async def test_what_was_claimed_before_standing_still_waits_for_what_came_meanwhile(
    start: Start, clock: VirtualClock, journal: Journal, store: MemoryDeadlineStore
) -> None:
    """The claim was answered; then the process stood still: what came meanwhile makes a deadline void."""
    share = Share(1)
    deadlines = start(share)
    await clock.advance(1)
    await deadlines.arm([deadline("void", 5), deadline("holds", 5)])

    def stand_still(call: str) -> None:
        if call == "claim":
            store.after = lambda _call: None
            share.unread = {1}
            clock.jump(16)

    store.after = stand_still
    await clock.advance(20)
    assert journal.fired == []
    await deadlines.cancel(["void"])
    share.unread.clear()
    share.behind.clear()
    await clock.advance(2)
    assert journal.ids == ["holds"]
    assert not store.kept


async def test_what_is_handled_when_standing_still_waits_for_what_came_meanwhile(
    start: Start, clock: VirtualClock, journal: Journal
) -> None:
    """Its handler notices and decides nothing: it is handed out again when that is read."""
    share = Share(1)
    deadlines = start(share)
    await clock.advance(1)
    await deadlines.arm([deadline("void", 5), deadline("holds", 5)])

    def stand_still(due: Sequence[Due]) -> None:
        share.unread = {1}
        clock.jump(16)
        if not deadlines.has_followed_since(due[0].claimed_at):
            raise StoodStill

    journal.then = stand_still
    await clock.advance(20)
    assert journal.fired == []
    journal.then = lambda _due: None
    await deadlines.cancel(["void"])
    share.unread.clear()
    share.behind.clear()
    await clock.advance(2)
    assert journal.ids == ["holds"]


async def test_while_kafka_is_not_heard_nothing_is_computed(
    start: Start, clock: VirtualClock, journal: Journal
) -> None:
    """What was there to be read when it went away may make a deadline void; it is read before any fires."""
    share = Share(1)
    deadlines = start(share)
    await clock.advance(5)
    await deadlines.arm([deadline("void", 10), deadline("holds", 11)])
    share.is_heard, share.unread = False, {1}
    await clock.advance(20)
    assert journal.ids == []
    share.is_heard = True
    await clock.advance(2)
    assert journal.ids == []
    await deadlines.cancel(["void"])
    share.unread.clear()
    share.behind.clear()
    await clock.advance(1)
    assert journal.ids == ["holds"]


async def test_a_moment_without_kafka_delays_nothing(start: Start, clock: VirtualClock, journal: Journal) -> None:
    """A leader that moves is no outage."""
    share = Share(1)
    deadlines = start(share)
    await clock.advance(5)
    await deadlines.arm([deadline("a", 6)])
    share.is_heard, share.unread = False, {1}
    await clock.advance(2)
    share.is_heard = True
    await clock.advance(2)
    ((_, at),) = journal.fired
    assert 6 <= at < 6.5


class SlowToRead(MemoryDeadlineStore):
    """Reading ahead takes the database a while."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__()
        self.clock = clock

    async def ahead(self, shard: str, *, until: float, limit: int) -> list[tuple[float, str]]:
        await self.clock.wait(None, 0.3)
        return await super().ahead(shard, until=until, limit=limit)


async def test_a_shard_that_was_closed_fires_nothing_from_memory(clock: VirtualClock, journal: Journal) -> None:
    """Who stood still follows again because of one shard; what is remembered of another one is not handed out."""
    store, share = SlowToRead(clock), Share(1, 2)
    worker = Deadlines("sla", store, DeadlineMetrics(CollectorRegistry()), clock=clock, timing=Timing())
    worker.start(journal.on_due, share)
    await clock.advance(2)
    share.unread = {2}
    clock.jump(10)
    await clock.advance(0.25)
    await worker.arm([deadline("void", 6, partition=2), deadline("holds", 6, partition=1)])
    await clock.advance(3)
    assert journal.ids == ["holds"]
    await worker.abandon()


async def test_moving_to_later_and_to_earlier(start: Start, clock: VirtualClock, journal: Journal) -> None:
    """Only the last due time counts."""
    deadlines = start(Share(1))
    await clock.advance(1)
    await deadlines.arm([deadline("late", 10), deadline("early", 200)])
    await deadlines.arm([deadline("late", 50), deadline("early", 20)])
    await clock.advance(300)
    assert [(i, round(at)) for i, at in journal.fired] == [("early", 20), ("late", 50)]


async def test_cancelled_does_not_fire(start: Start, clock: VirtualClock, journal: Journal) -> None:
    """A deadline that is taken back in time never fires; by an older revision it is not taken back."""
    deadlines = start(Share(1))
    await clock.advance(1)
    await deadlines.arm([deadline("a", 10), deadline("b", 10, revision=5), deadline("c", 10, revision=5)])
    await deadlines.cancel(["a"])
    await deadlines.cancel({"b": 5, "c": 4})
    await clock.advance(60)
    assert journal.ids == ["c"]


async def test_arming_again_while_it_is_handled(start: Start, clock: VirtualClock, journal: Journal) -> None:
    """A handler arms the same id for its next time, and that one is not lost."""
    deadlines = start(Share(1))

    async def next_one(due: Sequence[Due]) -> None:
        if due[0].revision < 3:
            await deadlines.arm([deadline("a", 10.0 * (due[0].revision + 2), revision=due[0].revision + 1)])

    journal.then = next_one
    await clock.advance(1)
    await deadlines.arm([deadline("a", 10)])
    await clock.advance(100)
    assert [round(at) for _, at in journal.fired] == [10, 20, 30, 40]


async def test_waits_until_the_owner_has_caught_up(
    start: Start, clock: VirtualClock, journal: Journal, store: MemoryDeadlineStore
) -> None:
    """After an outage nothing fires that an unread event may have made void; other shards do not wait."""
    await store.set_shards(["sla:1", "sla:2"], state=ShardState.OPEN, now=clock.time() - 3600)
    await store.put([deadline("void", -10), deadline("other", -10, partition=2)])
    share = Share(1, 2, behind=(1,))
    deadlines = start(share)
    await clock.advance(30)
    assert journal.ids == ["other"]
    await deadlines.cancel(["void"])
    share.behind.clear()
    await clock.advance(1)
    await deadlines.arm([deadline("next", 32)])
    await clock.advance(5)
    assert journal.ids == ["other", "next"]


async def test_a_dead_owner_delays_nothing_past_a_second(
    start: Start, clock: VirtualClock, journal: Journal, store: MemoryDeadlineStore
) -> None:
    """Another worker fires what a dead one had, long before the partitions find a new owner."""
    first, second = start(Share(1)), start(Share(2))
    await clock.advance(1)
    await first.arm([deadline(f"a{n}", 5 + n / 10) for n in range(100)])
    await clock.advance(8.95)
    await first.abandon()
    assert 0 < len(journal.fired) < 100
    await clock.advance(120)
    assert sorted(journal.ids) == sorted(f"a{n}" for n in range(100))
    assert all(at - 5 - int(id_[1:]) / 10 < 1 for id_, at in journal.fired)
    assert second is not first


async def test_a_takeover_keeps_an_open_shard_open(
    start: Start, clock: VirtualClock, journal: Journal, store: MemoryDeadlineStore
) -> None:
    """While any worker lives, a new owner does not hold deadlines back until it has caught up."""
    share = Share(2)
    first = start(Share(1))
    start(share)
    await clock.advance(1)
    await first.abandon()
    await clock.advance(10)
    share.change(1, 2, behind=(1,))
    await store.put([deadline("a", 12)])
    await clock.advance(10)
    assert journal.ids == ["a"]


async def test_a_started_worker_sweeps_nobody_elses_before_the_group_is_known(
    start: Start, clock: VirtualClock, journal: Journal, store: MemoryDeadlineStore
) -> None:
    """After the death of all, what was open is not fired by the first to return, before its owner has caught up."""
    await store.set_shards(["sla:1", "sla:2"], state=ShardState.OPEN, now=clock.time() - 1)
    await store.put([deadline("a", -5), deadline("b", -5, partition=2)])
    start(Share(2))
    await clock.advance(5)
    assert journal.ids == ["b"]


async def test_armed_by_another_process_below_the_read_level(
    start: Start, clock: VirtualClock, journal: Journal, store: MemoryDeadlineStore
) -> None:
    """A deadline that its owner never heard of fires within a second."""
    start(Share(1))
    await clock.advance(1)
    await store.put([deadline("a", 7)])
    await clock.advance(30)
    ((_, at),) = journal.fired
    assert 7 <= at < 8


async def test_armed_while_the_window_is_read(
    start: Start, clock: VirtualClock, journal: Journal, store: MemoryDeadlineStore
) -> None:
    """What is armed behind the back of a reading under way still fires at its time."""
    deadlines = start(Share(1), window_s=20)
    await clock.advance(1)
    ahead = store.ahead

    async def slow(shard: str, *, until: float, limit: int) -> list[tuple[float, str]]:
        read = await ahead(shard, until=until, limit=limit)
        await deadlines.arm([deadline("a", 20)])
        return read

    store.ahead = slow  # type: ignore[method-assign]
    await clock.advance(11)
    store.ahead = ahead  # type: ignore[method-assign]
    await clock.advance(20)
    ((_, at),) = journal.fired
    assert 20 <= at < 20.05


async def test_more_than_fits_in_memory(start: Start, clock: VirtualClock, journal: Journal) -> None:
    """With room for few entries all fire all the same, and no more are held than allowed."""
    deadlines = start(Share(1, 2), window_size_max=20, batch_max=5)
    await clock.advance(1)
    await deadlines.arm([deadline(str(n), 2 + n / 20, partition=1 + n % 2) for n in range(400)])
    assert len(deadlines._window) <= 40
    await clock.advance(60)
    assert sorted(map(int, journal.ids)) == list(range(400))
    late = {n: at - 2 - int(n) / 20 for n, at in journal.fired}
    assert min(late.values()) > -0.001
    assert max(late.values()) < 1


async def test_store_away_loses_nothing(
    start: Start, clock: VirtualClock, journal: Journal, store: MemoryDeadlineStore
) -> None:
    """While the database is away nothing fires; when it is back, everything that passed does."""
    deadlines = start(Share(1))
    await clock.advance(1)
    await deadlines.arm([deadline(str(n), 2 + n) for n in range(20)])

    def away(_call: str) -> None:
        raise ConnectionError

    store.before = away
    await clock.advance(60)
    assert journal.fired == []
    store.before = lambda _call: None
    await clock.advance(2)
    assert sorted(map(int, journal.ids)) == list(range(20))


async def test_after_the_store_was_away_the_owner_catches_up_first(
    start: Start, clock: VirtualClock, journal: Journal, store: MemoryDeadlineStore
) -> None:
    """What became void by an event that nobody could handle meanwhile does not fire, though its owner lived on."""
    share = Share(1, 2)
    deadlines = start(share)
    await clock.advance(1)
    await deadlines.arm([deadline("void", 20), deadline("other", 20, partition=2)])

    def away(_call: str) -> None:
        raise ConnectionError

    store.before = away
    await clock.advance(30)
    share.unread = {1}
    store.before = lambda _call: None
    await clock.advance(5)
    assert journal.ids == ["other"]
    await deadlines.cancel(["void"])
    share.behind.clear()
    await clock.advance(5)
    assert journal.ids == ["other"]


async def test_a_claim_whose_answer_is_lost(
    start: Start, clock: VirtualClock, journal: Journal, store: MemoryDeadlineStore
) -> None:
    """A claim that the store made but could not say so is found again by its token, within the lease."""
    deadlines = start(Share(1))
    await clock.advance(1)
    await deadlines.arm([deadline("a", 2)])
    lost = iter([True])

    def after(call: str) -> None:
        if call == "claim" and next(lost, False):
            raise ConnectionError

    store.after = after
    await clock.advance(5)
    ((_, at),) = journal.fired
    assert at < 2.2


async def test_handler_away_is_retried_and_keeps_its_lease(start: Start, clock: VirtualClock, journal: Journal) -> None:
    """While Kafka is away the batch stays with its worker; nobody else takes it, and it is done afterwards."""
    first = start(Share(1))
    start(Share(2))
    back_at = NOON.timestamp() + 30
    calls = 0

    async def publish(_due: Sequence[Due]) -> None:
        nonlocal calls
        calls += 1
        if clock.time() < back_at:
            raise ConnectionError

    journal.then = publish
    await clock.advance(1)
    await first.arm([deadline("a", 2)])
    await clock.advance(60)
    assert journal.ids == ["a"]
    assert journal.fired[0][1] < 31.1
    assert calls < 50


async def test_a_worker_that_is_cut_off_from_kafka_gives_way_to_one_that_is_not(
    clock: VirtualClock, store: MemoryDeadlineStore, journal: Journal
) -> None:
    """What it has in hand and what comes due are told by the other; when Kafka is back it takes part again."""
    is_away = True

    async def cut_off(due: Sequence[Due]) -> None:
        if is_away:
            raise PublishFailed
        await journal.on_due(due)

    first, second = (Deadlines("sla", store, DeadlineMetrics(CollectorRegistry()), clock=clock, timing=Timing())
                     for _ in range(2))  # fmt: skip
    first.start(cut_off, Share(1))
    second.start(journal.on_due, Share(2))
    await clock.advance(1)
    await first.arm([deadline("in hand", 2), deadline("later", 60)])
    await clock.advance(90)
    assert journal.ids == ["in hand", "later"]
    assert [at < due + 1.2 for (_, at), due in zip(journal.fired, (2, 60), strict=True)] == [True, True]
    await second.abandon()
    is_away = False
    await clock.advance(5)
    await first.arm([deadline("again", 100)])
    await clock.advance(10)
    await first.abandon()
    assert [(id_, round(at)) for id_, at in journal.fired if id_ == "again"] == [("again", 100)]


async def test_who_died_before_the_clock_was_set_back_holds_nothing(
    clock: VirtualClock, store: MemoryDeadlineStore, journal: Journal
) -> None:
    """That it lived at a time to come says nothing."""

    async def never(_due: Sequence[Due]) -> None:
        await asyncio.Event().wait()

    first, second = (Deadlines("sla", store, DeadlineMetrics(CollectorRegistry()), clock=clock, timing=Timing())
                     for _ in range(2))  # fmt: skip
    first.start(never, Share(1))
    second.start(journal.on_due, Share(2))
    await clock.advance(1)
    await first.arm([deadline("a", 2)])
    await clock.advance(1.1)
    await first.abandon()
    clock.jump(-600)
    await clock.advance(610)
    await second.abandon()
    assert journal.ids == ["a"]
    assert journal.fired[0][1] < 4


async def test_a_failing_one_does_not_hold_up_its_neighbours(
    start: Start, clock: VirtualClock, journal: Journal, store: MemoryDeadlineStore
) -> None:
    """A deadline that its handler cannot take is put off and tried again; the others of its batch are done."""
    deadlines = start(Share(1))
    good = False

    async def fail(due: Sequence[Due]) -> None:
        if not good and any(d.id == "7" for d in due):
            raise ValueError

    journal.then = fail
    await clock.advance(1)
    await deadlines.arm([deadline(str(n), 2) for n in range(20)])
    await clock.advance(1.5)
    assert sorted(map(int, journal.ids)) == [n for n in range(20) if n != 7]
    await clock.advance(10)
    good = True
    await clock.advance(20)
    assert "7" in journal.ids
    assert not store.kept


async def test_crash_in_the_handler_is_taken_over(start: Start, clock: VirtualClock, journal: Journal) -> None:
    """A worker that dies with a batch in hand is replaced within a second; the batch comes as a second attempt."""
    first = start(Share(1))
    start(Share(2))
    attempts: list[int] = []

    async def die_first(due: Sequence[Due]) -> None:
        attempts.append(due[0].attempts)
        if due[0].attempts == 0:
            await asyncio.Event().wait()

    journal.then = die_first
    await clock.advance(1)
    await first.arm([deadline("a", 2)])
    await clock.advance(1.05)
    await first.abandon()
    await clock.advance(5)
    ((_, at),) = journal.fired
    assert at < 3
    assert attempts == [0, 1]


@pytest.mark.parametrize("jump_s", [-600.0, 600.0])
async def test_wall_clock_set(start: Start, clock: VirtualClock, journal: Journal, jump_s: float) -> None:
    """When somebody sets the machine's clock, what is due by the new time fires, and nothing is lost."""
    deadlines = start(Share(1))
    await clock.advance(1)
    await deadlines.arm([deadline("a", 10), deadline("b", 700)])
    clock.jump(jump_s)
    await clock.advance(2)
    assert journal.ids == (["a"] if jump_s > 0 else [])
    await clock.advance(1300)
    assert journal.ids == ["a", "b"]


async def test_stop_finishes_what_is_in_hand(
    start: Start, clock: VirtualClock, journal: Journal, store: MemoryDeadlineStore
) -> None:
    """A graceful stop waits for the batch under way and leaves the rest armed."""
    deadlines = start(Share(1))
    gate = asyncio.Event()
    journal.then = lambda _due: gate.wait()
    await clock.advance(1)
    await deadlines.arm([deadline("a", 2), deadline("b", 3)])
    await clock.advance(1.5)
    stopping = asyncio.create_task(deadlines.stop())
    await clock.settle()
    assert not stopping.done()
    gate.set()
    await stopping
    await clock.advance(10)
    assert journal.ids == ["a"]
    assert list(store.kept) == ["b"]


async def test_a_fault_of_ours_ends_the_wait(start: Start, clock: VirtualClock, store: MemoryDeadlineStore) -> None:
    """An error that no waiting cures comes out of `wait`, so that the process ends instead of missing deadlines."""
    deadlines = start(Share(1))

    def broken(_call: str) -> None:
        raise ZeroDivisionError

    store.before = broken
    await clock.advance(1)
    with pytest.raises(ZeroDivisionError):
        await deadlines.wait()
