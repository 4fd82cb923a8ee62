"""Consumption on a real broker: what is finished is committed, what is not is never lost."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from aiokafka import AIOKafkaProducer
from aiokafka.record.util import calc_crc32c

from schemas.codec import encode
from schemas.message import Message
from services.runtime.consuming import Received, Refusal
from services.runtime.dead_letters import reasons
from services.runtime.topics import create_topics_async
from tests.integration.runtime.probing import PARTITIONS, Bench, Log, Probe, eventually, probe_topic, probes


async def test_a_topic_that_the_broker_dates_is_dated_by_the_broker(bench: Bench) -> None:
    """Whatever time a producer gives its record, the handler is told when the broker took it."""
    topic, log = replace(probe_topic(f"{bench.prefix}dated"), dated_by_broker=True), Log()
    await create_topics_async(bench.settings(), [topic])
    began = datetime.now(UTC) - timedelta(seconds=1)
    producer = AIOKafkaProducer(bootstrap_servers=bench.kafka)
    await producer.start()
    encoded = encode(probes(1)[0])
    try:
        ahead_ms = int((began + timedelta(days=30_000)).timestamp() * 1000)
        await producer.send_and_wait(
            topic.name, encoded.value, key=encoded.key, headers=encoded.headers, timestamp_ms=ahead_ms
        )
    finally:
        await producer.stop()
    async with bench.consuming([topic], log):
        await eventually(lambda: log.received)
    assert began <= log.received[0].recorded_at <= datetime.now(UTC) + timedelta(seconds=1)


async def test_a_poison_message_goes_to_the_dead_letters_and_its_neighbours_are_processed(bench: Bench) -> None:
    """The exception's kind and place, origin, key, headers and bytes are kept; its text, which may quote, is not."""
    topic, done = await bench.topic(), Log()

    async def handler(batch: Sequence[Received[Message]]) -> Sequence[Refusal]:
        for received in batch:
            if isinstance(received.message, Probe) and received.message.number == 37:
                raise ValueError("call 13800138000")
        return await done(batch)

    await bench.publish(topic, probes(100))
    async with bench.consuming([topic], handler):
        await eventually(lambda: len(done.received) == 99)
    assert sorted(done.numbers) == [n for n in range(100) if n != 37]
    (letter,) = await bench.records(topic.dead_letters)
    told = reasons(letter.headers)
    assert told["exception"].startswith("ValueError at test_consuming.py")
    assert told["topic"] == topic.name
    assert told["why"] == "failed"
    assert "13800138000" not in str(letter.headers)
    encoded = encode(Probe(number=37, routing_key="key-5"))
    assert (letter.key, letter.value) == (encoded.key, encoded.value)
    assert set(encoded.headers) <= set(letter.headers)
    (origin,) = [r for r in await bench.records(topic.name) if r.value == letter.value]
    assert (int(told["partition"]), int(told["offset"])) == (origin.partition, origin.offset)
    assert await bench.committed(bench.group()) == 100


async def test_bytes_that_are_no_message_are_dead_lettered_without_reaching_the_handler(bench: Bench) -> None:
    """The broken record's headers and bytes are kept, its neighbours go through."""
    topic, log = await bench.topic(), Log()
    await bench.publish(topic, probes(5))
    await bench.publish_bytes(topic, b"\xff\x00 no JSON")
    await bench.publish(topic, probes(5, start=5))
    async with bench.consuming([topic], log) as consumption:
        await eventually(lambda: consumption.finished == 11)
    assert sorted(log.numbers) == list(range(10))
    (letter,) = await bench.records(topic.dead_letters)
    assert letter.value == b"\xff\x00 no JSON"
    assert dict(letter.headers)["x-origin"] == b"elsewhere"
    assert reasons(letter.headers)["why"] == "undecodable"
    assert "ce_type is missing" in reasons(letter.headers)["reason"]


async def test_what_is_large_when_it_is_unpacked_stops_nobody(bench: Bench) -> None:
    """Compressed it fits its topic, and no dead letter holds it whole: its neighbours are handled, the rest is kept."""
    topic, log = await bench.topic(), Log()
    await bench.publish(topic, probes(5))
    packed = AIOKafkaProducer(bootstrap_servers=bench.kafka, compression_type="gzip", max_request_size=4_000_000)
    async with packed:
        at = await packed.send_and_wait(topic.name, b"x" * 2_500_000, key=b"key-0")
    await bench.publish(topic, probes(5, start=5))
    async with bench.consuming([topic], log):
        await eventually(lambda: len(log.received) == 10)
        await eventually(lambda: bench.records(topic.dead_letters))
    (letter,) = await bench.records(topic.dead_letters)
    told = reasons(letter.headers)
    assert (told["partition"], told["offset"], told["cut"]) == (str(at.partition), str(at.offset), "2500000")


async def test_a_partition_that_ends_with_a_transaction_is_caught_up_with(bench: Bench) -> None:
    """Its last offset is a marker and no record: nothing waits, and what comes after it is read once."""
    topic, log = await bench.topic(), Log()
    async with AIOKafkaProducer(bootstrap_servers=bench.kafka, transactional_id=f"{bench.prefix}tx") as producer:
        for start in (0, 10):
            async with producer.transaction():
                for message in probes(10, start=start):
                    encoded = encode(message)
                    await producer.send_and_wait(topic.name, encoded.value, key=encoded.key, headers=encoded.headers)
    async with bench.consuming([topic], log) as consumption:

        def is_caught_up() -> bool:
            owned = consumption.ownership.partitions
            return len(owned) == PARTITIONS and all(map(consumption.ownership.caught_up, owned))

        await eventually(is_caught_up, what="all partitions are caught up with")
        assert sum((await consumption.backlog()).values()) == 0
        await bench.publish(topic, probes(10, start=20))
        await eventually(lambda: len(log.received) >= 30)
    assert sorted(log.numbers) == list(range(30))


async def test_a_static_member_comes_back_to_its_partitions_without_a_rebalance(bench: Bench) -> None:
    """A restart within the session's timeout changes nothing for the others."""
    topic, log = await bench.topic(), Log()
    async with bench.consuming([topic], log, instance="worker-1"):
        await bench.publish(topic, probes(5))
        await eventually(lambda: len(log.received) == 5)
    async with bench.consuming([topic], log, instance="worker-1") as again:
        await bench.publish(topic, probes(5, start=5))
        await eventually(lambda: len(log.received) == 10)
        assert again.ownership.partitions == frozenset(range(PARTITIONS))
    assert sorted(log.numbers) == list(range(10))


async def test_a_header_that_cannot_be_read_stops_nobody(bench: Bench) -> None:
    """Its record is told of among the dead letters, all around it is handled once, and the offset goes past it."""
    topic, log = await bench.topic(), Log()
    await bench.publish(topic, probes(20))
    garbled = {await _garbled(bench, topic.name)}
    others = probes(40)[20:]
    await bench.publish(topic, others[:10])
    garbled.add(await _garbled(bench, topic.name))
    async with bench.consuming([topic], log):
        await eventually(lambda: len(log.received) >= 30, what="what lies around them is handled")
        await bench.publish(topic, others[10:])
        await eventually(lambda: len(log.received) >= 40, what="what comes later is handled")
        await eventually(lambda: _committed(bench, 42), what="both are passed")
    assert sorted(log.numbers) == list(range(40))
    letters = await bench.records(topic.dead_letters)
    told = [reasons(letter.headers) for letter in letters]
    assert {(one["topic"], int(one["partition"]), int(one["offset"])) for one in told} == garbled
    assert len(told) == len(garbled)
    assert all("not UTF-8" in one["reason"] for one in told)


async def _committed(bench: Bench, count: int) -> bool:
    return await bench.committed(bench.group()) == count


async def _garbled(bench: Bench, topic: str) -> tuple[str, int, int]:
    """Put a record into partition 0 whose header has a name that no producer of ours can write; where it lies."""
    producer = AIOKafkaProducer(bootstrap_servers=bench.kafka)
    await producer.start()
    try:
        batch = producer.create_batch()
        batch.append(key=b"k", value=b"v", timestamp=None, headers=[("name", b"")])
        batch.close()
        built = bytearray(batch._build())
        at = built.index(b"name")
        built[at : at + 4] = b"\xff\xfe\xff\xfe"
        # The checksum is over all that follows it.
        built[17:21] = calc_crc32c(bytes(built[21:])).to_bytes(4, "big")
        batch._buffer = built
        sent = await (await producer.send_batch(batch, topic, partition=0))
        return sent.topic, sent.partition, sent.offset
    finally:
        await producer.stop()
