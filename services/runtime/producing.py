"""Publishing: one idempotent producer for the process, and nobody goes on before the broker has everything.

Faust's own producer is not used: its `flush` can return early and a failed send is only logged.
"""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple, Self

import stamina
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaConnectionError, KafkaError, MessageSizeTooLargeError
from aiokafka.partitioner import murmur2
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from schemas.codec import Headers, encode
from schemas.message import Message
from schemas.topics import Topic
from services.runtime.brokers import Connection, connection
from services.runtime.logging import get_logger
from services.runtime.metrics import ProducingMetrics
from services.runtime.settings import RuntimeSettings

log = get_logger(__name__)

MESSAGE_BYTES_MAX: Final = 1_900_000
"""Room for a dead letter: the original, at most 1 MB by the broker's default, and the headers that say why."""
PUBLISH_S_MAX: Final = 15.0
_ATTEMPTS_MAX: Final = 3
_START_S_MAX: Final = 5.0
_ALONE_MAX: Final = 4
"""So many for one partition go one by one and share batches with what other tasks publish at this moment; more make
batches of their own, at a tenth of the cost of a message sent alone."""

_Sent = tuple[asyncio.Future[Any], Sequence["Record"]]
"""A delivery, and what it delivers."""


class PublishFailed(Exception):  # noqa: N818 - part of the contract with the services
    """Not everything was acknowledged. What was is not known; publishing all of it again is harmless."""


class Outgoing(NamedTuple):
    """A message for a topic."""

    topic: Topic
    message: Message
    traceparent: str | None = None
    """Of the message that gave rise to it."""


class Record(NamedTuple):
    """Bytes for a topic, for what is not a message of ours: dead letters and their replay."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers


def partition_for(key: str, partitions: int) -> int:
    """The partition of a routing key, the same in every topic, by the hash that all Kafka clients share.

    Args:
        key: a message's `routing_key`.
        partitions: how many every topic has, `settings.partitions`.
    """
    return _hash(key.encode()) % partitions


@lru_cache(maxsize=50_000)
def _hash(key: bytes) -> int:
    # aiokafka computes it in Python for every message; keys repeat, so remembering is worth it.
    return int(murmur2(key) & 0x7FFFFFFF)


def _value(record: Record) -> bytes | None:
    # Kafka knows no record with neither key nor value.
    return b"" if record.key is None and record.value is None else record.value


def size_of(record: Record) -> int:
    """Bytes that it has on the wire, without compression, at most."""
    return int(DefaultRecordBatchBuilder.estimate_size_in_bytes(record.key, record.value, record.headers))


def _require_size(record: Record) -> None:
    """What aiokafka does for a message, and leaves out for a batch.

    Raises:
        MessageSizeTooLargeError: no broker of ours would take it.
    """
    size = size_of(record)
    if size > MESSAGE_BYTES_MAX:
        raise MessageSizeTooLargeError(f"a message of {size} bytes is larger than {MESSAGE_BYTES_MAX}")


class Producer:
    """Publishes batches; safe to use from many tasks at once."""

    def __init__(
        self,
        settings: RuntimeSettings,
        metrics: ProducingMetrics,
        *,
        publish_s_max: float = PUBLISH_S_MAX,
        client: Callable[..., AIOKafkaProducer] = AIOKafkaProducer,
    ) -> None:
        """A producer that is not started.

        Args:
            settings: where Kafka is.
            metrics: what is counted.
            publish_s_max: seconds after which `publish` gives up on an attempt.
            client: what talks to Kafka.
        """
        self._connection = connection(settings)
        self._metrics = metrics
        self._publish_s_max = publish_s_max
        self._client = client
        self._producer: _Live | None = None
        self._renewing = asyncio.Lock()
        self._stopped = False

    async def start(self) -> None:
        """Connect; waits for as long as Kafka is away."""
        async for attempt in stamina.retry_context(
            on=PublishFailed, attempts=None, timeout=None, wait_initial=0.2, wait_max=2.0
        ):
            with attempt:
                await self._current()

    async def stop(self) -> None:
        """Close. What is in flight has been awaited by its publisher."""
        self._stopped = True
        live, self._producer = self._producer, None
        if live is not None:
            await live.close()

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        """Publish all, in order per key, and return when every one is acknowledged by all replicas in sync.

        Raises:
            PublishFailed: Kafka is away or refuses. Any part may have been published; publish all of it again.
        """
        records = []
        for outgoing in messages:
            encoded = encode(outgoing.message, traceparent=outgoing.traceparent)
            records.append(
                Record(topic=outgoing.topic.name, key=encoded.key, value=encoded.value, headers=encoded.headers)
            )
        await self.publish_records(records)

    async def publish_records(self, records: Sequence[Record]) -> None:
        """As `publish`, for bytes.

        Raises:
            PublishFailed: as `publish`.
        """
        started_at = time.perf_counter()
        waiting = list(records)
        for number in range(1, _ATTEMPTS_MAX + 1):
            live = await self._current()
            waiting, failure = await self._attempt(live, waiting)
            if failure is None:
                break
            self._metrics.failures.inc()
            log.warning("publish.failed", error=type(failure).__name__, unacknowledged=len(waiting), attempt=number)
            if isinstance(failure, MessageSizeTooLargeError):
                raise failure
            await self._drop(live)
            if number == _ATTEMPTS_MAX or isinstance(failure, TimeoutError):
                raise PublishFailed(f"{len(waiting)} of {len(records)} messages were not acknowledged") from failure
        for topic, count in Counter(record.topic for record in records).items():
            self._metrics.published.labels(topic=topic).inc(count)
        self._metrics.seconds.observe(time.perf_counter() - started_at)

    async def _attempt(self, live: "_Live", records: list[Record]) -> tuple[list[Record], BaseException | None]:
        """Send all and await all; gives what is not acknowledged and why."""
        sent: list[_Sent] = []
        failure: BaseException | None = None
        try:
            async with asyncio.timeout(self._publish_s_max):
                for place, some in (await live.by_partition(records)).items():
                    await live.send(place, some, sent)
                await live.delivered([delivery for delivery, _ in sent])
        except (KafkaError, TimeoutError) as error:
            failure = error
        acknowledged: set[int] = set()
        for delivery, delivered in sent:
            if not delivery.done() or delivery.cancelled():
                continue
            if refusal := delivery.exception():
                failure = failure or refusal
            else:
                acknowledged.update(map(id, delivered))
        unacknowledged = [record for record in records if id(record) not in acknowledged]
        if unacknowledged and failure is None:
            failure = KafkaConnectionError("the producer was closed")
        return unacknowledged, failure

    async def _current(self) -> "_Live":
        async with self._renewing:
            if self._stopped:
                raise PublishFailed("The producer is stopped")
            if self._producer is None:
                self._producer = await _Live.connect(self._client, self._connection)
            return self._producer

    async def _drop(self, failed: "_Live") -> None:
        """Part with a producer that failed: an idempotent one may never recover from a lost sequence number."""
        async with self._renewing:
            if self._producer is failed:
                self._producer = None
        await failed.close()


class _Live:
    """A connected producer, and the news of its end for those who wait for a delivery by it."""

    def __init__(self, producer: AIOKafkaProducer) -> None:
        self.producer = producer
        self._closing = asyncio.Event()

    @classmethod
    async def connect(cls, client: Callable[..., AIOKafkaProducer], connection: Connection) -> Self:
        producer = client(
            **connection,
            enable_idempotence=True,
            acks="all",
            linger_ms=5,
            max_batch_size=256 * 1024,
            max_request_size=MESSAGE_BYTES_MAX,
            request_timeout_ms=10_000,
        )
        live = cls(producer)
        try:
            async with asyncio.timeout(_START_S_MAX):
                await producer.start()
        except (KafkaError, OSError, TimeoutError) as error:
            await live.close()
            raise PublishFailed(f"Kafka at {connection['bootstrap_servers']} does not answer") from error
        except BaseException:
            await live.close()
            raise
        return live

    async def by_partition(self, records: Sequence[Record]) -> dict[TopicPartition, list[Record]]:
        """Records by where they go, in order within each."""
        counts = {topic: len(await self.producer.partitions_for(topic)) for topic in {r.topic for r in records}}
        places: dict[TopicPartition, list[Record]] = {}
        for record in records:
            number = 0 if record.key is None else _hash(record.key) % counts[record.topic]
            places.setdefault(TopicPartition(record.topic, number), []).append(record)
        return places

    async def send(self, place: TopicPartition, records: Sequence[Record], sent: list[_Sent]) -> None:
        """Send records to one partition, in order; `sent` gets the deliveries as they are under way."""
        if len(records) <= _ALONE_MAX:
            for record in records:
                delivery = await self.producer.send(
                    record.topic,
                    value=_value(record),
                    key=record.key,
                    headers=record.headers,
                    partition=place.partition,
                )
                sent.append((delivery, [record]))
            return
        waiting = list(records)
        while waiting:
            batch = self.producer.create_batch()
            taken = 0
            for record in waiting:
                _require_size(record)
                if not batch.append(key=record.key, value=_value(record), timestamp=None, headers=record.headers):
                    break
                taken += 1
            batch.close()
            sent.append(
                (await self.producer.send_batch(batch, place.topic, partition=place.partition), waiting[:taken])
            )
            waiting = waiting[taken:]

    async def delivered(self, futures: Sequence[asyncio.Future[Any]]) -> None:
        """Return when all are done, or when this producer is being closed."""
        if not futures:
            return
        all_done = asyncio.ensure_future(asyncio.wait(futures))
        closing = asyncio.ensure_future(self._closing.wait())
        try:
            await asyncio.wait((all_done, closing), return_when=asyncio.FIRST_COMPLETED)
        finally:
            all_done.cancel()
            closing.cancel()

    async def close(self) -> None:
        """Close within three seconds, whether or not the broker answers."""
        if self._closing.is_set():
            return
        self._closing.set()
        for step in (
            self.producer.stop,
            # `stop` waits for the queue to empty, for ever when Kafka is away; these end its tasks and connections.
            self.producer._sender.close,  # noqa: SLF001 - there is no public way
            self.producer.client.close,
        ):
            with contextlib.suppress(TimeoutError, KafkaError, asyncio.CancelledError):
                await asyncio.wait_for(step(), 1.0)
