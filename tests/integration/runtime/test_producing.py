"""Publishing: whole batches per partition, in order, acknowledged, and nothing too large for the broker."""

import pytest
from aiokafka.errors import MessageSizeTooLargeError

from services.runtime.producing import MESSAGE_BYTES_MAX, Record, partition_for
from tests.integration.runtime.probing import PARTITIONS, Bench


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
    assert all(record.headers == (("n", b"%d" % int(record.value[:6])),) for record in arrived)


async def test_a_record_that_no_broker_takes_is_refused_also_among_many(bench: Bench) -> None:
    """The publisher hears which rule it broke; what is published afterwards arrives."""
    topic = await bench.topic()
    small = [Record(topic.name, b"key-0", b"small", []) for _ in range(20)]
    with pytest.raises(MessageSizeTooLargeError):
        await bench.producer.publish_records([*small, Record(topic.name, b"key-0", b"x" * MESSAGE_BYTES_MAX, [])])
    await bench.producer.publish_records(small)
    assert len(await bench.records(topic.name)) >= len(small)
