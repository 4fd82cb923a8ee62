"""What the tests of consuming share: a message of their own, topics nobody else has, and looks at the broker."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from uuid import NAMESPACE_URL, UUID, uuid5

import faust
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.structs import ConsumerRecord
from prometheus_client import CollectorRegistry

from schemas.message import Message
from schemas.topics import Topic
from services.runtime.consuming import BatchHandler, Consumption, Received, Refusal
from services.runtime.metrics import ConsumingMetrics, ProducingMetrics
from services.runtime.producing import MESSAGE_BYTES_MAX, Outgoing, Producer, Record
from services.runtime.readiness import Readiness
from services.runtime.settings import RuntimeSettings

PARTITIONS = 2


class Probe(Message):
    """A numbered message."""

    TYPE: ClassVar[str] = "amends.probe.made"
    SOURCE: ClassVar[str] = "/amends/tests"

    number: int

    @property
    def ce_id(self) -> UUID:
        """Follows from the number."""
        return uuid5(NAMESPACE_URL, str(self.number))

    @property
    def ce_subject(self) -> UUID:
        """Itself."""
        return self.ce_id

    @property
    def ce_time(self) -> datetime:
        """Always the same."""
        return datetime(2026, 1, 1, tzinfo=UTC)


def probes(count: int, *, keys: int = 8, start: int = 0) -> list[Probe]:
    """Numbered from `start`, spread over `keys` keys."""
    return [Probe(number=n, routing_key=f"key-{n % keys}") for n in range(start, start + count)]


def probe_topic(name: str) -> Topic:
    """A topic of probes."""
    return Topic(name, "", (Probe,), (), (), timedelta(days=1))


async def eventually(holds: Callable[[], Any], *, limit_s: float = 60.0, what: str = "") -> None:
    """Return when `holds()`, a function or a coroutine function, is true."""
    deadline = asyncio.get_running_loop().time() + limit_s
    while True:
        answer = holds()
        if isinstance(answer, Awaitable):
            answer = await answer
        if answer:
            return
        assert asyncio.get_running_loop().time() < deadline, f"not within {limit_s} s: {what or holds}"
        await asyncio.sleep(0.05)


class Member:
    """A consumption that takes part, and its ways to end."""

    def __init__(self, consumption: Consumption) -> None:
        self.consumption = consumption
        self.ended = False

    @property
    def partitions(self) -> frozenset[int]:
        """What it owns."""
        return self.consumption.ownership.partitions

    async def assigned(self, partitions: int = 1) -> None:
        """Return when it owns at least so many."""
        await eventually(lambda: len(self.partitions) >= partitions, what="an assignment")

    async def stop(self) -> None:
        """Gracefully."""
        self.ended = True
        await self.consumption.stop()

    async def die(self) -> None:
        """What others see of `kill -9`: nothing more is done or committed, and nobody says goodbye."""
        self.ended = True
        for task in self.consumption._tasks:
            task.cancel()
        self.consumption._ledger.committable = dict  # type: ignore[method-assign]
        self._coordinator._maybe_leave_group = _nothing
        await self.consumption._app.stop()  # type: ignore[union-attr]

    async def fall_behind(self) -> None:
        """What the group sees of one that stood still: it speaks for a generation that is over."""
        self._coordinator.generation -= 1

    @property
    def _coordinator(self) -> Any:
        return self.consumption._app._reader._thread._ensure_consumer()._coordinator  # type: ignore[union-attr]


async def _nothing() -> None:
    """In the place of a farewell."""


class Bench:
    """Topics and groups of one test on a broker."""

    def __init__(self, kafka: str, prefix: str) -> None:
        self.kafka = kafka
        self.prefix = prefix
        self.registry = CollectorRegistry()
        self.readiness = Readiness()
        self.members: list[Member] = []
        self.producer = Producer(self.settings(), ProducingMetrics(self.registry), publish_s_max=5.0)

    def settings(self, **given: Any) -> RuntimeSettings:
        """Settings for this broker."""
        return RuntimeSettings(kafka=self.kafka, partitions=PARTITIONS, **given)

    async def topic(self, name: str = "in", *, partitions: int = PARTITIONS, **configs: str) -> Topic:
        """Make a topic of probes and its dead letters."""
        topic = probe_topic(self.prefix + name)
        large = {"max.message.bytes": str(MESSAGE_BYTES_MAX + 100_000)}
        async with self.admin() as admin:
            await admin.create_topics(
                [
                    NewTopic(topic.name, partitions, 1, topic_configs=configs),
                    NewTopic(topic.dead_letters, partitions, 1, topic_configs=large),
                ]
            )
        return topic

    @asynccontextmanager
    async def admin(self) -> AsyncIterator[AIOKafkaAdminClient]:
        """A connected client."""
        client = AIOKafkaAdminClient(bootstrap_servers=self.kafka)
        await client.start()
        try:
            yield client
        finally:
            await client.close()

    async def publish(self, topic: Topic, messages: Iterable[Message]) -> None:
        """Publish and await."""
        await self.producer.publish([Outgoing(topic, message) for message in messages])

    async def publish_bytes(self, topic: Topic, value: bytes, *, key: bytes = b"key-0") -> None:
        """Publish what is no message."""
        headers = [("x-origin", b"elsewhere")]
        await self.producer.publish_records([Record(topic=topic.name, key=key, value=value, headers=headers)])

    async def committed(self, group: str) -> int:
        """The sum of the offsets that the group has committed."""
        async with self.admin() as admin:
            offsets = await admin.list_consumer_group_offsets(group)
        return sum(max(0, found.offset) for found in offsets.values())

    async def records(self, topic: str) -> list[ConsumerRecord[bytes, bytes]]:
        """Everything in a topic."""
        async with self.admin() as admin:
            (described,) = await admin.describe_topics([topic])
        places = [TopicPartition(topic, found["partition"]) for found in described["partitions"]]
        consumer = AIOKafkaConsumer(bootstrap_servers=self.kafka, auto_offset_reset="earliest")
        await consumer.start()
        try:
            consumer.assign(places)
            ends = await consumer.end_offsets(places)
            found: list[ConsumerRecord[bytes, bytes]] = []
            while len(found) < sum(ends.values()):
                for some in (await consumer.getmany(timeout_ms=500)).values():
                    found += some
            return found
        finally:
            await consumer.stop()

    def group(self, name: str = "service") -> str:
        """The group of `consumption(name)`."""
        return f"amends-{self.prefix}{name}"

    def consumption(
        self, topics: Sequence[Topic], handler: BatchHandler, *, name: str = "service", **given: Any
    ) -> Consumption:
        """Ours, not started."""
        return Consumption(
            self.prefix + name,
            topics,
            handler,
            self.settings(),
            self.producer,
            ConsumingMetrics(CollectorRegistry()),
            readiness=self.readiness,
            **given,
        )

    async def join(self, topics: Sequence[Topic], handler: BatchHandler, **given: Any) -> "Member":
        """Ours, started; partitions come some seconds later."""
        consumption = self.consumption(topics, handler, **given)
        member = Member(consumption)
        self.members.append(member)
        await consumption.start()
        return member

    @asynccontextmanager
    async def consuming(
        self, topics: Sequence[Topic], handler: BatchHandler, **given: Any
    ) -> AsyncIterator[Consumption]:
        """Ours, running and assigned."""
        member = await self.join(topics, handler, **given)
        try:
            await member.assigned()
            yield member.consumption
        finally:
            await member.stop()

    @asynccontextmanager
    async def plain_faust(
        self, topic: Topic, agent: Callable[[Any], Any], *, concurrency: int = 1, **conf: Any
    ) -> AsyncIterator[faust.App]:
        """Faust as it comes, one agent, committing every 0.3 s. On exit it is stopped as Faust stops."""
        # It makes a folder as it starts, in the working directory unless another is named.
        folder = await asyncio.to_thread(tempfile.TemporaryDirectory, prefix="faust-")
        app = faust.App(
            self.group("plain"),
            datadir=folder.name,
            broker=f"kafka://{self.kafka}",
            web_enabled=False,
            topic_disable_leader=True,
            store="memory://",
            **{
                "broker_commit_interval": 0.3,
                "stream_wait_empty": False,
                "consumer_auto_offset_reset": "earliest",
                "stream_ack_exceptions": False,
                "stream_ack_cancelled_tasks": False,
            }
            | conf,
        )
        channel = app.topic(topic.name, value_type=bytes, key_type=bytes, value_serializer="raw", key_serializer="raw")
        app.agent(channel, name="plain", concurrency=concurrency)(agent)
        app.finalize()
        app.in_worker = True
        await app.start()
        try:
            yield app
        finally:
            await asyncio.wait_for(app.stop(), 15)
            await asyncio.to_thread(folder.cleanup)


class Log:
    """A handler that writes down what it was given."""

    def __init__(self) -> None:
        self.received: list[Received[Message]] = []
        self.batches: list[int] = []

    async def __call__(self, batch: Sequence[Received[Message]]) -> Sequence[Refusal]:
        """Handle without fault."""
        self.batches.append(len(batch))
        self.received += batch
        return []

    @property
    def numbers(self) -> list[int]:
        """In order of arrival."""
        return [r.message.number for r in self.received if isinstance(r.message, Probe)]
