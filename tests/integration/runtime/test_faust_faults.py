"""Each known fault of faust-streaming 0.15.3: what plain Faust loses, and that ours does not.

Not shown here, because they cannot be or need not be:

- "The stall check never fires, livelock is only logged": to see nothing happen takes Faust's five minutes; that ours
  fires is shown in `test_worker.py`.
- "Tables are slow to recover", "the Prometheus sensor costs half": we use neither; `test_nothing_that_we_do_not_use`
  shows that nothing of them runs.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from typing import Any

import faust
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, OutOfOrderSequenceNumber
from faust.tables.recovery import Recovery, ServiceStopped

from schemas.message import Message
from services.runtime import faust_consumer
from services.runtime.consuming import Received, Refusal
from services.runtime.producing import Outgoing
from tests.integration.runtime.probing import PARTITIONS, Bench, Log, Probe, eventually, probes

Batch = Sequence[Received[Message]]


class _Hangs:
    """A handler that begins and never ends."""

    def __init__(self) -> None:
        self.started = asyncio.Event()

    async def __call__(self, batch: Batch) -> Sequence[Refusal]:
        """Never returns."""
        self.started.set()
        await asyncio.Event().wait()
        return []


async def test_an_exception_in_take_acknowledges_the_whole_batch(bench: Bench) -> None:
    """Plain Faust commits ten messages that nobody handled, whatever `stream_ack_exceptions` says; ours tries again."""
    topic = await bench.topic()
    await bench.publish(topic, probes(10))
    handled: list[Any] = []

    async def agent(stream: faust.Stream) -> None:
        async for batch in stream.take(10, within=0.5):
            raise ConnectionError("database")
            handled.extend(batch)

    async with bench.plain_faust(topic, agent):
        await eventually(lambda: _is(bench, "plain", 10), what="the loss by plain Faust")
    assert handled == []

    attempts, log = 0, Log()

    async def handler(batch: Batch) -> Sequence[Refusal]:
        nonlocal attempts
        attempts += 1
        if attempts < 4:
            assert await bench.committed(bench.group()) == 0
            raise ConnectionError("database")
        return await log(batch)

    async with bench.consuming([topic], handler):
        await eventually(lambda: len(log.received) == 10)
    assert await bench.committed(bench.group()) == 10


async def test_a_stop_in_the_middle_of_take_acknowledges_the_whole_batch(bench: Bench) -> None:
    """Plain Faust, stopped while a batch is in work, commits it in spite of `stream_ack_cancelled_tasks=False`."""
    topic, started = await bench.topic(), asyncio.Event()
    await bench.publish(topic, probes(10))

    async def agent(stream: faust.Stream) -> None:
        async for _ in stream.take(10, within=0.5):
            started.set()
            await asyncio.Event().wait()

    async with bench.plain_faust(topic, agent):
        await started.wait()
    assert await bench.committed(bench.group("plain")) > 0, "plain Faust has not lost the batch"

    hangs, log = _Hangs(), Log()
    async with bench.consuming([topic], hangs) as consumption:
        await hangs.started.wait()
        for one in consumption._app.agents.values() if consumption._app else ():
            one.cancel()
        for task in consumption._tasks:
            task.cancel()
        await asyncio.sleep(1.5)  # longer than the interval of the second chance to commit
        assert await bench.committed(bench.group()) == 0
    async with bench.consuming([topic], log):
        await eventually(lambda: sorted(log.numbers) == list(range(10)))


async def test_a_later_acknowledgement_commits_past_what_is_in_flight(bench: Bench) -> None:
    """Plain Faust commits offset 2 while offset 0 is in work; ours never passes the smallest unfinished one."""
    topic = await bench.topic()
    await bench.publish(topic, [Probe(number=n, routing_key="same") for n in range(6)])
    held: list[Any] = []

    async def agent(stream: faust.Stream) -> None:
        async for event in stream.noack().events():
            held.append(event)
            if len(held) == 2:
                await stream.ack(event)

    async with bench.plain_faust(topic, agent):
        await eventually(lambda: _is(bench, "plain", 2), what="the loss by plain Faust")
        assert not held[0].acked

    hangs = _Hangs()
    async with bench.consuming([topic], hangs, batch_max=1) as consumption:
        await hangs.started.wait()
        place = next(p for p in consumption._ledger.positions() if len(consumption._ledger._tracks[p].outstanding) > 1)
        consumption._ledger.finish(place, 1)
        assert await consumption._app.commit_finished()  # type: ignore[union-attr]
        assert await bench.committed(bench.group()) == 0


async def test_concurrent_actors_commit_past_a_slow_one(bench: Bench) -> None:
    """Plain Faust with two actors: the fast one's acknowledgements commit the slow one's message."""
    topic, fast = await bench.topic(partitions=1), 0
    await bench.publish(topic, probes(9))

    async def agent(stream: faust.Stream) -> None:
        nonlocal fast
        async for event in stream.events():
            if event.message.offset == 0:
                await asyncio.Event().wait()
            fast += 1

    async with bench.plain_faust(topic, agent, concurrency=2):
        await eventually(lambda: _at_least(bench, "plain", 2), what="the loss by plain Faust")

    log, slow, gate = Log(), asyncio.Event(), asyncio.Event()

    async def handler(batch: Batch) -> Sequence[Refusal]:
        slow.set()
        await gate.wait()
        return await log(batch)

    async with bench.consuming([topic], handler, batch_max=3):
        await slow.wait()
        await asyncio.sleep(1.5)
        assert await bench.committed(bench.group()) == 0
        gate.set()
        await eventually(lambda: len(log.received) == 9)
    assert await bench.committed(bench.group()) == 9


async def test_a_failed_commit_is_believed_to_have_succeeded(bench: Bench) -> None:
    """Plain Faust never commits those offsets again; ours does with the next chance."""
    topic = await bench.topic()
    await bench.publish(topic, probes(10))

    async def agent(stream: faust.Stream) -> None:
        async for _ in stream.events():
            pass

    async def refused(_offsets: object) -> bool:
        return False

    async with bench.plain_faust(topic, agent, broker_commit_interval=60.0) as app:
        consumer = app.consumer
        await eventually(lambda: sum(len(acked) for acked in consumer._acked.values()) == 10)
        taken, consumer._commit = consumer._commit, refused
        await consumer.commit()
        consumer._commit = taken
        await consumer.commit()
        assert sum(offset or 0 for offset in consumer._committed_offset.values()) == 10
        assert await bench.committed(bench.group("plain")) == 0

    log = Log()
    async with bench.consuming([topic], log) as consumption:
        thread = consumption._app._reader._thread  # type: ignore[union-attr]
        taken, thread.commit = thread.commit, refused
        await eventually(lambda: len(log.received) == 10)
        assert not await consumption._app.commit_finished()  # type: ignore[union-attr]
        assert await bench.committed(bench.group()) == 0
        thread.commit = taken
        await eventually(lambda: _is(bench, "service", 10))


async def test_a_send_that_fails_later_is_only_logged(bench: Bench) -> None:
    """Plain Faust goes on and commits when the broker refuses what was sent; ours sets the message aside."""
    topic, small = await bench.topic(), await bench.topic("small", **{"max.message.bytes": "300"})
    await bench.publish(topic, probes(3))

    async def agent(stream: faust.Stream) -> None:
        async for event in stream.events():
            await event.app.topic(small.name, value_serializer="raw").send(value=b"x" * 2000)

    async with bench.plain_faust(topic, agent):
        await eventually(lambda: _is(bench, "plain", 3), what="the loss by plain Faust")
    assert await bench.records(small.name) == []

    async def handler(batch: Batch) -> Sequence[Refusal]:
        await bench.producer.publish([Outgoing(small, Probe(number=1, routing_key="k" * 200)) for _ in batch])
        return []

    async with bench.consuming([topic], handler) as consumption:
        await eventually(lambda: consumption.finished == 3)
    assert len(await bench.records(topic.dead_letters)) == 3


async def test_a_producer_that_has_lost_its_sequence_is_replaced(bench: Bench) -> None:
    """An idempotent aiokafka producer that met OutOfOrderSequence fails for ever; ours publishes by a new one.

    A healthy broker does not give that error, so its effect on the producer is made by hand.
    """
    topic = await bench.topic()
    plain = AIOKafkaProducer(bootstrap_servers=bench.kafka, enable_idempotence=True)
    await plain.start()
    plain._message_accumulator.fail_all(OutOfOrderSequenceNumber())
    for _ in range(2):
        with pytest.raises(OutOfOrderSequenceNumber):
            await plain.send_and_wait(topic.name, b"x", key=b"k")
    with suppress(KafkaError):
        await plain.stop()

    live = await bench.producer._current()
    live.producer._message_accumulator.fail_all(OutOfOrderSequenceNumber())
    await bench.publish(topic, probes(5))
    assert len(await bench.records(topic.name)) == 5


async def test_what_is_dropped_while_the_group_rebalances_is_read_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Plain Faust seeks to committed offsets after a rebalance: where there are none, what it dropped is gone."""
    topic = await bench.topic()
    await bench.publish(topic, probes(10))
    seen: list[Any] = []

    async def agent(stream: faust.Stream) -> None:
        async for event in stream.noack().events():
            seen.append(event)  # noqa: PERF401 - the stream never ends

    async with bench.plain_faust(topic, agent) as app:
        await eventually(lambda: len(seen) == 10)
        await app.consumer.perform_seek()
        await bench.publish(topic, probes(1, start=10))
        await eventually(lambda: len(seen) > 10)
        assert len(seen) == 11, "plain Faust has not lost the ten that it should have read again"

    log = Log()
    async with bench.consuming([topic], log) as consumption:
        app = consumption._app
        assert app is not None
        await eventually(lambda: len(log.received) == 11)
        # Some records are taken by Faust and vanish on their way.
        (channel,), dropped = app.topics, []
        put = channel.queue.force_put_nowait

        def losing(event: Any) -> None:
            while len(dropped) < 4 and len(event.value) > 1:
                dropped.append(event.value.pop(0))
            put(event)

        monkeypatch.setattr(channel.queue, "force_put_nowait", losing)
        await bench.publish(topic, probes(40, start=11))
        await eventually(lambda: len(log.received) == 51)
    assert len(dropped) == 4
    assert sorted(log.numbers) == list(range(51))


async def test_a_seek_that_lasts_is_taken_for_a_stop(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Plain Faust never reads again and goes on as a member; ours is not ready meanwhile, and reads once it can."""
    topic, seen, gave_up = await bench.topic(), [], asyncio.Event()

    async def agent(stream: faust.Stream) -> None:
        async for event in stream.noack().events():
            seen.append(event)  # noqa: PERF401 - the stream never ends

    wait = Recovery._wait

    async def hurried(recovery: Recovery, coro: Any, timeout: float | None = None) -> None:  # noqa: ASYNC109 - Faust's
        """Fifteen times as impatient."""
        try:
            await wait(recovery, coro, timeout=timeout and timeout / 15)
        except ServiceStopped:
            gave_up.set()
            raise

    monkeypatch.setattr(Recovery, "_wait", hurried)
    async with bench.plain_faust(topic, agent, broker_request_timeout=15.0, broker_session_timeout=10.0) as app:
        monkeypatch.setattr(app.consumer, "perform_seek", lambda: asyncio.Event().wait())
        app.consumer._thread._ensure_consumer()._coordinator.generation -= 1
        await gave_up.wait()
        assert not app.should_stop
        assert not app.consumer.flow_active

    gave_up.clear()
    log, may_seek = Log(), asyncio.Event()
    asks = faust_consumer._Thread.bounds

    async def late(thread: faust_consumer._Thread) -> Any:
        await may_seek.wait()
        return await asks(thread)

    async with bench.consuming([topic], log) as consumption:
        await eventually(lambda: bench.readiness.ready)
        monkeypatch.setattr(faust_consumer._Thread, "bounds", late)
        generation = consumption.ownership.generation
        await bench.members[-1].fall_behind()
        await eventually(lambda: consumption.ownership.generation > generation and consumption.ownership.partitions)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(gave_up.wait(), 2.0)
        assert bench.readiness.reasons["consuming"] == "where to read on is not known yet"
        with pytest.raises(TimeoutError, match="where to read on"):
            await consumption.backlog()
        await bench.publish(topic, probes(10))
        may_seek.set()
        await eventually(lambda: len(log.received) == 10)
        assert bench.readiness.reasons == {}
    assert sorted(log.numbers) == list(range(10))


async def test_faust_waits_without_limit_for_a_handler_that_hangs(bench: Bench) -> None:
    """Plain Faust's stop does not end; ours ends in time, commits nothing of the batch, and leaves the group."""
    topic, started = await bench.topic(), asyncio.Event()
    await bench.publish(topic, probes(5))

    async def agent(stream: faust.Stream) -> AsyncIterator[None]:
        async for _ in stream.events():
            started.set()
            await asyncio.Event().wait()
            yield

    async with bench.plain_faust(topic, agent, stream_wait_empty=True) as app:
        await started.wait()
        stopping = asyncio.create_task(app.stop())
        await asyncio.wait((stopping,), timeout=3)
        assert not stopping.done()
        app.consumer._unacked_messages.clear()
        await asyncio.wait((stopping,), timeout=10)

    hangs, log = _Hangs(), Log()
    consumption = bench.consumption([topic], hangs)
    await consumption.start()
    await hangs.started.wait()
    before = asyncio.get_running_loop().time()
    await consumption.stop()
    assert asyncio.get_running_loop().time() - before < bench.settings().stop_s_max
    assert await bench.committed(bench.group()) == 0
    async with bench.consuming([topic], log):
        await eventually(lambda: len(log.received) == 5)


async def test_nothing_that_we_do_not_use_runs(bench: Bench) -> None:
    """No sensor on the hot path, no table, no topic of Faust's own, no second producer, and our own settings."""
    topic, log = await bench.topic(), Log()
    async with bench.consuming([topic], log) as consumption:
        app = consumption._app
        assert app is not None
        assert not list(app.sensors)
        assert not app.tables
        assert app.producer._producer is None
        consumer = app._reader._thread._ensure_consumer()
        assert consumer._coordinator._session_timeout_ms == 6000
        assert consumer._coordinator._heartbeat_interval_ms == 2000
        async with bench.admin() as admin:
            ours = [name for name in await admin.list_topics() if bench.prefix in name]
        assert sorted(ours) == [topic.name, topic.dead_letters]
    assert PARTITIONS == 2


async def _is(bench: Bench, name: str, offset: int) -> bool:
    return await bench.committed(bench.group(name)) == offset


async def _at_least(bench: Bench, name: str, offset: int) -> bool:
    return await bench.committed(bench.group(name)) >= offset
