"""Read topics from their first record to their present end, as plain JSON: what a checker from outside sees."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from services.runtime.brokers import connection
from services.runtime.letters import time_of
from services.runtime.settings import RuntimeSettings


@dataclass(frozen=True, slots=True)
class Record:
    """One record, its payload parsed but not validated; None where it is no JSON."""

    topic: str
    partition: int
    offset: int
    at: datetime
    """The broker's time where the topic is dated by it, else its producer's."""
    type: str
    headers: dict[str, bytes]
    payload: dict[str, Any] | None


async def read_to_end(settings: RuntimeSettings, topics: Sequence[str]) -> AsyncIterator[Record]:
    """Every record of the topics, in order within a partition, up to the end offsets at the start of the call.

    A topic that does not exist has no records.
    """
    consumer = AIOKafkaConsumer(
        **connection(settings),
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_bytes=16 * 1024 * 1024,
        max_partition_fetch_bytes=4 * 1024 * 1024,
    )
    await consumer.start()
    try:
        partitions = await _partitions(settings, topics)
        if not partitions:
            return
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        ends = await consumer.end_offsets(partitions)
        open_ends = {tp: end for tp, end in ends.items() if end > await consumer.position(tp)}
        while open_ends:
            for tp, records in (await consumer.getmany(timeout_ms=500, max_records=10_000)).items():
                for record in records:
                    if record.offset < ends[tp]:
                        yield _parsed(record)
            for tp in list(open_ends):
                if await consumer.position(tp) >= open_ends[tp]:
                    del open_ends[tp]
    finally:
        await consumer.stop()


async def follow(settings: RuntimeSettings, topics: Sequence[str]) -> AsyncIterator[Record]:
    """Every record of the topics from the first on, for as long as the caller asks for more."""
    consumer = AIOKafkaConsumer(*topics, **connection(settings), enable_auto_commit=False, auto_offset_reset="earliest")
    await consumer.start()
    try:
        async for record in consumer:
            yield _parsed(record)
    finally:
        await consumer.stop()


async def lag(settings: RuntimeSettings, groups: Sequence[str]) -> int:
    """Records that these consumer groups have read in part and not yet committed, all partitions together."""
    admin, consumer = AIOKafkaAdminClient(**connection(settings)), AIOKafkaConsumer(**connection(settings))
    await admin.start()
    try:
        await consumer.start()
        committed = [await admin.list_consumer_group_offsets(group) for group in groups]
        ends = await consumer.end_offsets({place for offsets in committed for place in offsets})
        return sum(ends[place] - max(0, found.offset) for offsets in committed for place, found in offsets.items())
    finally:
        await consumer.stop()
        await admin.close()


async def _partitions(settings: RuntimeSettings, topics: Sequence[str]) -> list[TopicPartition]:
    admin = AIOKafkaAdminClient(**connection(settings))
    await admin.start()
    try:
        # Asking for a topic that does not exist could make it, so ask only for those that do.
        known = sorted(set(topics) & set(await admin.list_topics()))
        described = await admin.describe_topics(known) if known else []
    finally:
        await admin.close()
    return [TopicPartition(topic["topic"], p["partition"]) for topic in described for p in topic["partitions"]]


def _parsed(record: Any) -> Record:
    headers = {name: value or b"" for name, value in record.headers}
    try:
        payload = orjson.loads(record.value) if record.value is not None else None
    except orjson.JSONDecodeError:
        payload = None
    return Record(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        at=time_of(record),
        type=headers.get("ce_type", b"").decode("ascii", "replace"),
        headers=headers,
        payload=payload if isinstance(payload, dict) else None,
    )
