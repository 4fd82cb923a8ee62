"""Records that aiokafka cannot read, and those before them, which it would lose.

A header whose name is not UTF-8 makes aiokafka's `getmany` raise, for ever: whatever it had taken from its buffer for
that answer is dropped, and the position does not move. So what is there is read again one by one, up to the record that
cannot be read; in its place comes an `Unreadable`, and reading goes on behind it.
"""

from collections.abc import Mapping
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

REASON: Final = "the name of a header is not UTF-8: nothing of the record can be read, it is in its topic alone"
RECORDS_MAX: Final = 10_000
"""Read one by one before what was found is handed on."""
_WAIT_MS: Final = 1000
NO_SIZE: Final = -1


class Unreadable(ConsumerRecord[bytes, bytes]):  # type: ignore[misc]  # aiokafka has no types
    """The place of a record, without key, value and headers."""

    def __init__(self, place: TopicPartition, offset: int) -> None:
        super().__init__(place.topic, place.partition, offset, 0, 0, None, None, None, NO_SIZE, NO_SIZE, ())


async def read_around(consumer: AIOKafkaConsumer, starts: Mapping[tuple[str, int], int]) -> list[Any]:
    """What comes next of the first partition that holds a record that cannot be read; none when there is no such.

    Args:
        consumer: reads on from there afterwards, and from `starts` in all other partitions.
        starts: the offset to read from, by partition.

    Returns:
        Records in their order, the last of them an `Unreadable`, unless there are very many before it.

    Raises:
        KafkaError: the broker does not answer.
        IllegalStateError: a partition was taken away meanwhile.
    """
    places = [place for place in consumer.assignment() if place in starts]
    ends = await consumer.end_offsets(places) if places else {}
    for place in places:
        consumer.seek(place, starts[place])
    for place in places:
        found: list[Any] = []
        try:
            while starts[place] < ends[place] and len(found) < RECORDS_MAX:
                some = await consumer.getmany(place, timeout_ms=_WAIT_MS, max_records=1)
                if not some:
                    break
                found += some[place]
        except UnicodeDecodeError:
            offset = await consumer.position(place)
            consumer.seek(place, offset + 1)
            return [*found, Unreadable(place, offset)]
        if len(found) >= RECORDS_MAX:
            return found
        consumer.seek(place, starts[place])
    return []
