"""Publishing: one idempotent producer for the process, and nobody goes on before the broker has everything.

Faust's own producer is not used: its `flush` can return early and a failed send is only logged.
"""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Self

import stamina
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaConnectionError, KafkaError, MessageSizeTooLargeError
from aiokafka.partitioner import murmur2

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


class PublishFailed(Exception):  # noqa: N818 - part of the contract with the services
    """Not everything was acknowledged. What was is not known; publishing all of it again is harmless."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message for a topic."""

    topic: Topic
    message: Message
    traceparent: str | None = None
    """Of the message that gave rise to it."""


@dataclass(frozen=True, slots=True)
class Record:
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


def _partitioner(key: bytes | None, partitions: list[int], _available: list[int]) -> int:
    return partitions[0 if key is None else _hash(key) % len(partitions)]


class Producer:
    """Publishes batches; safe to use from many tasks at once."""

    def __init__(
        self, settings: RuntimeSettings, metrics: ProducingMetrics, *, publish_s_max: float = PUBLISH_S_MAX
    ) -> None:
        """A producer that is not started.

        Args:
            settings: where Kafka is.
            metrics: what is counted.
            publish_s_max: seconds after which `publish` gives up on an attempt.
        """
        self._connection = connection(settings)
        self._metrics = metrics
        self._publish_s_max = publish_s_max
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
        futures: list[asyncio.Future[Any]] = []
        failure: BaseException | None = None
        try:
            async with asyncio.timeout(self._publish_s_max):
                for record in records:
                    # Kafka knows no record with neither key nor value.
                    value = b"" if record.key is None and record.value is None else record.value
                    futures.append(
                        await live.producer.send(record.topic, value=value, key=record.key, headers=record.headers)
                    )
                await live.delivered(futures)
        except (KafkaError, TimeoutError) as error:
            failure = error
        unacknowledged = []
        for index, record in enumerate(records):
            future = futures[index] if index < len(futures) else None
            if future is None or not future.done() or future.cancelled():
                unacknowledged.append(record)
                failure = failure or KafkaConnectionError("the producer was closed")
            elif refusal := future.exception():
                unacknowledged.append(record)
                failure = failure or refusal
        return unacknowledged, failure

    async def _current(self) -> "_Live":
        async with self._renewing:
            if self._stopped:
                raise PublishFailed("The producer is stopped")
            if self._producer is None:
                self._producer = await _Live.connect(self._connection)
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
    async def connect(cls, connection: Connection) -> Self:
        producer = AIOKafkaProducer(
            **connection,
            enable_idempotence=True,
            acks="all",
            linger_ms=5,
            max_batch_size=256 * 1024,
            max_request_size=MESSAGE_BYTES_MAX,
            request_timeout_ms=10_000,
            partitioner=_partitioner,
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
