"""What services rely on, of a broker: the simulated one and the real one, by the product's own two ways to them."""

import asyncio
from collections.abc import Sequence

import pytest
from aiokafka.errors import MessageSizeTooLargeError

from schemas.message import Message
from services.runtime import consuming
from services.runtime.consuming import Received, Refusal, by_key
from services.runtime.dead_letters import reasons
from services.runtime.producing import MESSAGE_BYTES_MAX, Record, partition_for
from tests.contract.simulated_broker import on_each_broker
from tests.integration.runtime.probing import PARTITIONS, Bench, Log, Probe, eventually, probes


class Gated(Log):
    """A log that begins with a batch and waits before it ends it."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = asyncio.Event()
        self.gate = asyncio.Event()
        self.attempts = 0

    async def __call__(self, batch: Sequence[Received[Message]]) -> Sequence[Refusal]:
        """Handle once the gate is open."""
        self.attempts += 1
        self.begun.set()
        await self.gate.wait()
        return await super().__call__(batch)


# -- publishing -------------------------------------------------------------------------------------------------------


@on_each_broker
async def test_what_publish_has_returned_from_can_be_read(bench: Bench) -> None:
    """All of it, at once, whether it went alone or in a batch."""
    topic = await bench.topic()
    there = 0
    for count in (1, 40, 3):
        await bench.publish(topic, probes(count, start=there))
        there += count
        assert len(await bench.records(topic.name)) == there


@on_each_broker
async def test_more_than_a_batch_holds_arrives_whole_and_in_the_order_of_each_key(bench: Bench) -> None:
    """Many records make several batches of one partition; none is lost or doubled, and each key has its partition."""
    topic = await bench.topic()
    sent = [Record(topic.name, b"key-%d" % (n % 5), b"%06d" % n + b"x" * 1000, [("n", b"%d" % n)]) for n in range(2000)]
    await bench.producer.publish_records(sent)
    arrived = await bench.records(topic.name)
    for key in {record.key for record in sent}:
        assert key is not None
        mine = [record for record in arrived if record.key == key]
        assert [record.value for record in mine] == [record.value for record in sent if record.key == key]
        assert {record.partition for record in mine} == {partition_for(key.decode(), PARTITIONS)}
    assert len(arrived) == len(sent)
    assert all(list(record.headers) == [("n", b"%d" % int(record.value[:6]))] for record in arrived)


@on_each_broker
async def test_a_record_that_no_broker_takes_is_refused_also_among_many(bench: Bench) -> None:
    """The publisher hears which rule it broke; what is published afterwards arrives."""
    topic = await bench.topic()
    small = [Record(topic.name, b"key-0", b"small", []) for _ in range(20)]
    large = Record(topic.name, b"key-0", b"x" * MESSAGE_BYTES_MAX, [])
    for records in ([large], [*small, large]):
        with pytest.raises(MessageSizeTooLargeError):
            await bench.producer.publish_records(records)
    await bench.producer.publish_records(small)
    assert len(await bench.records(topic.name)) >= len(small)


@on_each_broker
async def test_a_key_has_the_same_partition_in_every_topic(bench: Bench) -> None:
    """What belongs to one ticket has one owner."""
    one, two = await bench.topic("one"), await bench.topic("two")
    for topic in (one, two):
        await bench.publish(topic, probes(16))
    places = [{(r.key, r.partition) for r in await bench.records(topic.name)} for topic in (one, two)]
    assert places[0] == places[1]
    assert len(places[0]) == 8
    assert {partition for _, partition in places[0]} == set(range(PARTITIONS))


# -- reading ----------------------------------------------------------------------------------------------------------


@on_each_broker
async def test_everything_is_handled_once_and_committed_by_a_graceful_stop(bench: Bench) -> None:
    """Stopping commits what was handled, so a second process is given nothing again."""
    topic, first, second = await bench.topic(), Log(), Log()
    await bench.publish(topic, probes(1500))
    async with bench.consuming([topic], first):
        await eventually(lambda: len(first.received) == 1500)
    assert sorted(first.numbers) == list(range(1500))
    assert max(first.batches) <= 500
    assert await bench.committed(bench.group()) == 1500
    await bench.publish(topic, probes(1, start=1500))
    async with bench.consuming([topic], second):
        await eventually(lambda: second.received)
    assert second.numbers == [1500]


@on_each_broker
async def test_a_stop_waits_for_the_batch_that_runs_and_commits_it(bench: Bench) -> None:
    """And not what only waited."""
    topic, log, second = await bench.topic(), Gated(), Log()
    await bench.publish(topic, probes(60, keys=1))
    one = await bench.join([topic], log, batch_max=10)
    await log.begun.wait()
    stopping = asyncio.create_task(one.stop())
    await asyncio.sleep(0.1)
    log.gate.set()
    await stopping
    assert log.attempts == 1
    assert await bench.committed(bench.group()) == len(log.received) > 0
    async with bench.consuming([topic], second):
        await eventually(lambda: len(log.received) + len(second.received) >= 60)
    assert log.numbers + second.numbers == list(range(60))


@on_each_broker
async def test_records_come_in_the_order_of_their_partition(bench: Bench) -> None:
    """Whatever the batches: what is there before and what comes while it reads."""
    topic, log = await bench.topic(), Log()
    await bench.publish(topic, probes(300))
    async with bench.consuming([topic], log, batch_max=7):
        await bench.publish(topic, probes(300, start=300))
        await eventually(lambda: len(log.received) == 600)
    for partition in range(PARTITIONS):
        offsets = [r.offset for r in log.received if r.partition == partition]
        assert offsets == list(range(len(offsets)))
    for received in by_key(log.received).values():
        numbers = [r.message.number for r in received if isinstance(r.message, Probe)]
        assert numbers == sorted(numbers)


@on_each_broker
async def test_each_group_reads_everything(bench: Bench) -> None:
    """And commits for itself."""
    topic, one, two = await bench.topic(), Log(), Log()
    await bench.publish(topic, probes(20))
    async with bench.consuming([topic], one, name="one"), bench.consuming([topic], two, name="two"):
        await eventually(lambda: len(one.received) == len(two.received) == 20)
    assert [await bench.committed(bench.group(name)) for name in ("one", "two")] == [20, 20]


@on_each_broker
async def test_a_refused_message_goes_to_the_dead_letters_with_the_handlers_reason(bench: Bench) -> None:
    """A refusal costs the batch nothing."""
    topic = await bench.topic()

    async def handler(batch: Sequence[Received[Message]]) -> Sequence[Refusal]:
        return [Refusal(r, "the ticket is closed") for r in batch if r.message.routing_key == "key-1"]

    await bench.publish(topic, probes(16))
    async with bench.consuming([topic], handler) as consumption:
        await eventually(lambda: consumption.finished == 16)
    letters = await bench.records(topic.dead_letters)
    assert [reasons(letter.headers)["reason"] for letter in letters] == ["the ticket is closed"] * 2
    assert {letter.key for letter in letters} == {b"key-1"}
    assert await bench.committed(bench.group()) == 16


@on_each_broker
async def test_a_partition_is_caught_up_when_all_that_was_there_at_assignment_is_handled(bench: Bench) -> None:
    """Over all topics, and not before the handler has returned."""
    one, two, log = await bench.topic("one"), await bench.topic("two"), Gated()
    await bench.publish(one, probes(20))
    async with bench.consuming([one, two], log) as consumption:
        ownership = consumption.ownership
        assert ownership.partitions == frozenset(range(PARTITIONS))
        await log.begun.wait()
        assert not any(ownership.caught_up(p) for p in range(PARTITIONS))
        log.gate.set()
        await eventually(lambda: all(ownership.caught_up(p) for p in range(PARTITIONS)))
        assert len(log.received) == 20
        assert not ownership.caught_up(PARTITIONS)
        log.gate.clear()
        await bench.publish(two, probes(20))
        assert all(ownership.caught_up(p) for p in range(PARTITIONS))
        await ownership.look_again()
        assert not any(ownership.caught_up(p) for p in range(PARTITIONS))
        log.gate.set()
        await eventually(lambda: all(ownership.caught_up(p) for p in range(PARTITIONS)))


# -- groups -----------------------------------------------------------------------------------------------------------


@on_each_broker
async def test_partition_p_of_every_topic_has_one_owner(bench: Bench) -> None:
    """Also when the members do not divide the partitions."""
    one, two = await bench.topic("one", partitions=3), await bench.topic("two", partitions=3)
    log = Log()
    async with bench.consuming([one, two], log) as first, bench.consuming([one, two], log) as second:
        await eventually(lambda: len(first.ownership.partitions) + len(second.ownership.partitions) == 3)
        for consumption in (first, second):
            places = consumption._ledger.positions
            await eventually(lambda places=places: places())
            assert {p[1] for p in places() if p[0] == one.name} == {p[1] for p in places() if p[0] == two.name}


@on_each_broker
async def test_what_the_dead_did_not_commit_is_done_by_another_and_what_they_did_is_not(bench: Bench) -> None:
    """As soon as the group has missed the dead."""
    topic, first, second = await bench.topic(), Gated(), Log()
    await bench.publish(topic, probes(20))
    first.gate.set()
    one = await bench.join([topic], first)
    await eventually(lambda: _has_committed(bench, 20))
    first.gate.clear()
    first.begun.clear()
    await bench.publish(topic, probes(10, start=20))
    await first.begun.wait()
    await one.die()
    async with bench.consuming([topic], second):
        await eventually(lambda: len(second.received) >= 10)
    assert sorted(first.numbers) == list(range(20))
    assert sorted(second.numbers) == list(range(20, 30))


@on_each_broker
async def test_a_rebalance_in_the_middle_of_a_batch_loses_nothing_and_waits_for_the_batch(bench: Bench) -> None:
    """A second member joins while the first works: the batch is committed, not done again. One leaves: all is one's."""
    topic, first, second = await bench.topic(), Gated(), Log()
    await bench.publish(topic, probes(100))
    async with bench.consuming([topic], first) as one:
        changes: list[frozenset[int]] = []
        one.ownership.on_change(lambda: changes.append(one.ownership.partitions))
        await first.begun.wait()
        joining = asyncio.create_task(bench.join([topic], second))
        await eventually(lambda: one._paused, what="the rebalance")
        first.gate.set()
        two = await joining
        await eventually(lambda: two.partitions and one.ownership.partitions)
        assert one.ownership.partitions | two.partitions == frozenset(range(PARTITIONS))
        assert not one.ownership.partitions & two.partitions
        assert frozenset() in changes
        await bench.publish(topic, probes(50, start=100))
        await eventually(lambda: len(first.received) + len(second.received) >= 150)
        await two.stop()
        await eventually(lambda: one.ownership.partitions == frozenset(range(PARTITIONS)))
    assert sorted(first.numbers + second.numbers) == list(range(150))


@on_each_broker
async def test_what_a_batch_of_a_former_generation_finished_is_not_committed(bench: Bench) -> None:
    """A batch that outlasts the rebalance may have a new owner, so it is handled again."""
    topic, slow, second = await bench.topic(), Gated(), Log()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(consuming, "_DRAIN_S_MAX", 0.1)
        await bench.publish(topic, probes(40))
        async with bench.consuming([topic], slow) as one:
            await slow.begun.wait()
            generation = one.ownership.generation
            async with bench.consuming([topic], second):
                await eventually(lambda: one.ownership.partitions and one.ownership.generation > generation)
                assert slow.attempts == 1
                assert one.finished == 0
                slow.gate.set()
                await eventually(lambda: one.finished and {*slow.numbers, *second.numbers} == set(range(40)))
    assert len(slow.numbers) + len(second.numbers) > 40
    assert await bench.committed(bench.group()) == 40


@on_each_broker
async def test_while_a_part_is_away_nothing_is_committed_memory_is_bounded_and_all_resumes_by_itself(
    bench: Bench,
) -> None:
    """Readiness says why; the group keeps its member; after the return everything is handled."""
    topic, log, away = await bench.topic(), Log(), True

    async def handler(batch: Sequence[Received[Message]]) -> Sequence[Refusal]:
        if away:
            raise ConnectionError("database")
        return await log(batch)

    await bench.publish(topic, probes(6000))
    async with bench.consuming([topic], handler, batch_max=50) as consumption:
        await eventually(lambda: consumption.waits_for)
        generation = consumption.ownership.generation
        await asyncio.sleep(7)  # longer than the session's timeout: without heartbeats the member would be out
        assert consumption.ownership.generation == generation
        assert "ConnectionError" in bench.readiness.reasons["consuming"]
        assert len(consumption._pending) <= 100
        assert await bench.committed(bench.group()) == 0
        away = False
        await eventually(lambda: len(log.received) == 6000)
        assert "consuming" not in bench.readiness.reasons
    assert sorted(log.numbers) == list(range(6000))


@on_each_broker
async def test_a_commit_of_one_whom_the_group_has_left_behind_is_refused(bench: Bench) -> None:
    """It finds its place again, and does the work again that it could not commit."""
    topic, log = await bench.topic(), Gated()
    await bench.publish(topic, probes(10))
    one = await bench.join([topic], log)
    await log.begun.wait()
    generation = one.consumption.ownership.generation
    await one.fall_behind()
    assert not log.received
    log.gate.set()
    await eventually(lambda: len(log.received) >= 20)
    await eventually(lambda: _has_committed(bench, 10))
    assert one.consumption.ownership.generation > generation
    assert sorted(log.numbers) == sorted([*range(10), *range(10)])
    await one.stop()


async def _has_committed(bench: Bench, count: int) -> bool:
    return await bench.committed(bench.group()) == count
