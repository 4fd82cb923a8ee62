"""Faust's application with those parts replaced that lose messages, or that we have no use for.

What is replaced in faust-streaming 0.15.3, and why:

- acknowledging and the choice of the offset to commit: `Ledger`, because Faust commits past what is in flight and, once
  a commit has failed, believes that it succeeded;
- seeking after a rebalance: to the ledger's offsets, because Faust leaves a partition where it is when nothing was ever
  committed, with whatever it had read and dropped gone;
- reading on behind what aiokafka cannot read, which would crash Faust again and again: `unreadable.py`;
- what takes an offset and is no record: passed over, or a partition that ends with a transaction never counts as read;
- its patience with the seek after a rebalance: it takes one that lasts 15 s for a stop, and lets nothing flow again,
  ever, while heartbeats go on;
- remembering what was read, and dropping what comes again: the ledger knows better;
- the way of records to the stream: one event per poll, not one with two tasks and a lock for each record, which cost
  half the throughput;
- pausing partitions under load: the queue's bound does that, without a second's sleep when all are paused;
- assignment: by range, so that partition p of every topic has the same owner (Faust's round robin does not);
- Faust's producer, monitor, web server and search for a livelock: not started.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, cast

import faust
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import ConsumerStoppedError, IllegalStateError, KafkaError
from aiokafka.structs import OffsetAndMetadata
from faust.sensors import Monitor
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from services.runtime.brokers import Connection
from services.runtime.ledger import Ledger, Place
from services.runtime.logging import get_logger
from services.runtime.unreadable import read_around

log = get_logger(__name__)
_FAUST_LOGGER = logging.getLogger("faust.amends")

SESSION_S: float = 6.0
HEARTBEAT_S: float = 2.0
REBALANCE_S: float = 30.0
_EVER_S: float = 7 * 24 * 3600.0
"""A consumer that waits stays in its group; our own watchdog finds one that hangs."""
_FETCH_BYTES_MAX = 256 * 1024
_QUEUE_MAX = 2
"""Polls that wait in the stream."""
_JAM_POLL_S = 0.002
_LOOK_AROUND_S = 1.0
_POLL_RECORDS_MAX = 1000

Offsets = dict[tuple[str, int], int]
Take = Callable[[Sequence[Any], Callable[[], bool]], Awaitable[None]]
"""Takes the records of a poll, in order of each partition, and may ask whether they are still of this assignment.
It is not called again before it returns."""


class _Thread(driver.AIOKafkaConsumerThread):
    """The thread that talks to Kafka, so that heartbeats go on while handlers compute."""

    logger = _FAUST_LOGGER

    @property
    def _application(self) -> "Application":
        return cast("Application", self.app)

    def _create_worker_consumer(self, transport: Any) -> AIOKafkaConsumer:  # noqa: ARG002 - Faust's signature
        app = self._application
        return AIOKafkaConsumer(
            **app.connection,
            client_id=app.conf.broker_client_id,
            group_id=app.conf.id,
            group_instance_id=app.instance,
            partition_assignment_strategy=[RangePartitionAssignor],
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_poll_records=_POLL_RECORDS_MAX,
            max_poll_interval_ms=int(_EVER_S * 1000),
            max_partition_fetch_bytes=_FETCH_BYTES_MAX,
            fetch_max_wait_ms=500,
            request_timeout_ms=15_000,
            session_timeout_ms=int(SESSION_S * 1000),
            heartbeat_interval_ms=int(HEARTBEAT_S * 1000),
            rebalance_timeout_ms=int(REBALANCE_S * 1000),
            metadata_max_age_ms=30_000,
        )

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        """Commit; whether the broker took it. A refusal is no crash: another owner does the work again."""
        try:
            await self._ensure_consumer().commit(
                {TopicPartition(*place): OffsetAndMetadata(offset, "") for place, offset in offsets.items()}
            )
        except (KafkaError, IllegalStateError) as error:
            log.warning("commit.refused", error=type(error).__name__)
            return False
        return True

    async def bounds(self) -> tuple[Offsets, Offsets]:
        """(first unfinished, end) offset of the assigned partitions."""
        return cast("tuple[Offsets, Offsets]", await self.call_thread(self._bounds))

    async def _bounds(self) -> tuple[Offsets, Offsets]:
        consumer = self._ensure_consumer()
        places = list(consumer.assignment())
        if not places:
            return {}, {}
        firsts = await consumer.beginning_offsets(places)
        ends = await consumer.end_offsets(places)
        committed = await consumer._coordinator.fetch_committed_offsets(places)  # noqa: SLF001 - all in one request
        starts: Offsets = {}
        for place in places:
            known = committed.get(place)
            offset = known.offset if known is not None else -1
            # A committed offset may have been deleted by retention, or lie past the end of a topic made anew.
            starts[Place(*place)] = offset if firsts[place] <= offset <= ends[place] else firsts[place]
        return starts, {Place(*place): ends[place] for place in places}

    async def ends(self) -> Offsets:
        """The end offsets of the assigned partitions now."""

        async def ask() -> Offsets:
            consumer = self._ensure_consumer()
            places = list(consumer.assignment())
            found = await consumer.end_offsets(places) if places else {}
            return {Place(*place): end for place, end in found.items()}

        return cast("Offsets", await self.call_thread(ask))

    async def reached(self) -> Offsets:
        """Where fetching goes on, by partition."""

        async def ask() -> Offsets:
            # `position` waits for one where there is none, and one of the thread's few workers with it.
            subscription = self._ensure_consumer()._subscription.subscription  # noqa: SLF001 - see above
            known = subscription.assignment.all_consumed_offsets() if subscription and subscription.assignment else {}
            return {Place(*place): of.offset for place, of in known.items()}

        return cast("Offsets", await self.call_thread(ask))

    async def read_around(self, starts: Offsets) -> list[Any]:
        """See `unreadable.read_around`."""

        async def read() -> list[Any]:
            return await read_around(self._ensure_consumer(), starts)

        return cast("list[Any]", await self.call_thread(read))

    async def seek_all(self, offsets: Offsets) -> None:
        """Read on from these offsets."""

        async def seek() -> None:
            consumer = self._ensure_consumer()
            assigned = consumer.assignment()
            for place, offset in offsets.items():
                if TopicPartition(*place) in assigned:
                    consumer.seek(TopicPartition(*place), offset)

        await self.call_thread(seek)


class _Forgetful(dict[Any, int | None]):
    """In the place of Faust's read offsets, by which it would drop what is fetched again on purpose."""

    def __missing__(self, _key: object) -> None:
        return None

    def __setitem__(self, _key: object, _value: int | None) -> None:
        return


class _Consumer(driver.Consumer):
    """Faust's consumer, told by the ledger what to commit and where to read."""

    logger = _FAUST_LOGGER

    _thread: _Thread

    @property
    def _application(self) -> "Application":
        return cast("Application", self.app)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._read_offset = _Forgetful()
        self._committing = asyncio.Lock()
        self._passed_on: Offsets = {}
        """The last that the stream was given, by partition."""
        self._read_again: Offsets = {}
        """From where a partition is being read again, because it ends with what may be no record."""
        self._look_around_at = 0.0

    def _new_consumer_thread(self) -> _Thread:
        return _Thread(self, loop=self.loop, beacon=self.beacon)

    def ack(self, message: Any) -> bool:  # noqa: ARG002 - Faust's signature
        """Nothing is acknowledged one by one, whatever a cancelled or failing stream tries."""
        return False

    def on_buffer_full(self, tp: Any) -> None:
        """The queue's bound makes the fetcher wait."""

    def on_buffer_drop(self, tp: Any) -> None:
        """See `on_buffer_full`."""

    async def _drain_messages(self, fetcher: Any) -> None:
        """Put what is fetched before the stream, all records of a poll as one event.

        Faust makes an event and two tasks for each record and takes a lock, because a record may go to many agents that
        may come and go. Here there is one. An event of a former assignment that gets in is skipped by the stream.
        """
        (channel,) = self._application.topics
        try:
            while not (self.should_stop or fetcher.should_stop):
                if event := await self._poll():
                    if channel.queue.full():
                        await self._wait_for_room(channel.queue)
                    channel.queue.force_put_nowait(event)
                    self._passed_on.update({(r.topic, r.partition): r.offset for r in event.value})
                await self._pass_over()
                # A fetch that gives records at once, again and again, must not keep all others waiting.
                await asyncio.sleep(0)
        except (asyncio.CancelledError, ConsumerStoppedError):
            if not self.app.should_stop:
                raise

    async def _poll(self) -> Any:
        """An event whose value is a list of aiokafka's records, or None; as Faust's `getmany`, without its loop."""
        try:
            fetched, active = await self._wait_next_records(1.0)
        except UnicodeDecodeError:
            return await self._poll_around()
        if self.should_stop or fetched is None:
            return None
        if not self.flow_active:
            await self.perform_seek()
            return None
        return self._event([r for place, some in fetched.items() if active is None or place in active for r in some])

    async def _poll_around(self) -> Any:
        """As `_poll`, when there is a record that cannot be read."""
        try:
            return self._event(await self._thread.read_around(self._application.ledger.next_offsets()))
        except (KafkaError, IllegalStateError) as error:
            log.warning("unreadable.not_passed", error=type(error).__name__)
            return None

    async def _pass_over(self) -> None:
        """Let the ledger go past what takes offsets and is no record, as the marker that ends a transaction.

        Fetching has gone past it, and the stream was given nothing that the ledger has not. A record that was lost on
        the way would look the same; so it is read again first, and what does not come then, either, is none.
        """
        app, loop = self._application, asyncio.get_running_loop()
        generation = app.consumer_generation_id
        if loop.time() < self._look_around_at or generation != app.assigned_generation or app.rebalancing_now:
            return
        self._look_around_at = loop.time() + _LOOK_AROUND_S
        reached = await self._thread.reached()
        if generation != app.consumer_generation_id:
            return
        again: Offsets = {}
        for place, offset in app.ledger.next_offsets().items():
            if reached.get(place, 0) <= offset or self._passed_on.get(place, -1) >= offset:
                self._read_again.pop(place, None)
            elif self._read_again.get(place) == offset:
                del self._read_again[place]
                app.ledger.skip(place, reached[place])
            else:
                again[place] = self._read_again[place] = offset
        if again:
            await self._thread.seek_all(again)

    def _event(self, records: list[Any]) -> Any:
        if not records:
            return None
        first = records[0]
        message = self._to_message(TP(first.topic, first.partition), first)
        return self._application.create_event(None, records, None, message)

    async def _wait_for_room(self, queue: Any) -> None:
        while queue.full() and not self.should_stop:  # noqa: ASYNC110 - the queue has no event for it
            await asyncio.sleep(_JAM_POLL_S)

    async def verify_all_partitions_active(self) -> None:
        """Faust's search for a livelock writes a log and no more; our own watchdog ends a process that hangs."""

    async def commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:  # noqa: ARG002, FBT001, FBT002
        """Commit the smallest unfinished offsets; whether the broker took them or there was nothing to commit."""
        ledger = self._application.ledger
        async with self._committing:
            offsets = ledger.committable()
            if not offsets:
                return True
            if not await self._thread.commit({TP(*place): offset for place, offset in offsets.items()}):
                return False
            # Only now: what a failed commit was about is committed again with the next one.
            ledger.committed(offsets)
            return True

    async def force_commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:  # noqa: ARG002, FBT001, FBT002
        """As `commit`."""
        return await self.commit()

    async def perform_seek(self) -> None:
        """Begin the ledger of a new assignment, and read on from where it says."""
        app = self._application
        generation = app.consumer_generation_id
        if app.assigned_generation != generation:
            while True:
                try:
                    starts, ends = await self._thread.bounds()
                    break
                except KafkaError as error:
                    log.warning("offsets.unknown", error=type(error).__name__)
                    await asyncio.sleep(0.5)
            if generation != app.consumer_generation_id or app.rebalancing_now:
                return
            app.ledger.assign(starts=starts, ends=ends)
            app.assigned_generation = generation
            app.when_begun()
            self._passed_on.clear()
            self._read_again.clear()
        await self._thread.seek_all(app.ledger.next_offsets())

    async def reread(self, place: tuple[str, int]) -> None:
        """Read again what did not arrive."""
        offset = self._application.ledger.next_offsets().get(place)
        if offset is not None:
            await self._thread.seek_all({place: offset})

    async def ends(self) -> Offsets:
        """The end offsets of the assigned partitions now."""
        return await self._thread.ends()

    async def on_partitions_revoked(self, revoked: Any) -> None:
        """The group rebalances: finish what runs, commit, own nothing."""
        app = self._application
        app.rebalancing_now = True
        await app.when_revoked()
        await super().on_partitions_revoked(revoked)

    async def on_partitions_assigned(self, assigned: Any, generation_id: int = 0) -> None:
        """The group has rebalanced."""
        app = self._application
        app.rebalancing_now = False
        await super().on_partitions_assigned(assigned, generation_id)
        app.when_assigned(frozenset(Place(*place) for place in assigned))


class _SilentProducer(driver.Producer):
    """Faust wants one; `services.runtime.producing` is the one that publishes."""

    async def on_start(self) -> None:
        """Connect to nothing."""

    async def on_stop(self) -> None:
        """Nothing is connected."""

    async def flush(self) -> None:
        """Nothing is buffered."""


class _Transport(driver.Transport):
    Consumer = _Consumer
    Producer = _SilentProducer


class _SilentMonitor(Monitor):
    """Faust calls it for every record; counting is done per batch by our own metrics."""

    def track_tp_end_offset(self, tp: Any, offset: int) -> None:
        """Not wanted."""


class Application(faust.App):
    """One consumer group over some topics of equal partition count.

    Attributes:
        ledger: Begun anew by every assignment.
    """

    logger = _FAUST_LOGGER

    def __init__(
        self,
        group: str,
        *,
        connection: Connection,
        instance: str | None,
        ledger: Ledger,
        when_revoked: Callable[[], Awaitable[None]],
        when_assigned: Callable[[frozenset[Place]], None],
        when_begun: Callable[[], None],
        when_crashed: Callable[[BaseException], None],
    ) -> None:
        """An application that is not started.

        Args:
            group: Kafka's consumer group.
            connection: how to reach Kafka.
            instance: static membership: a name that no other process of the group has, the same after a restart.
            ledger: what is owned, delivered and finished.
            when_revoked: awaited before partitions are given up; seconds at most.
            when_assigned: called with the partitions that are owned.
            when_begun: called after it, once the ledger knows where to read on.
            when_crashed: called when any part of Faust has given up.
        """
        self.connection = connection
        self.instance = instance
        self.ledger = ledger
        self.when_revoked = when_revoked
        self.when_assigned = when_assigned
        self.when_begun = when_begun
        self.when_crashed = when_crashed
        self.assigned_generation: int | None = None
        self.rebalancing_now = False
        super().__init__(
            group,
            broker=[f"kafka://{server.strip()}" for server in connection["bootstrap_servers"].split(",")],
            monitor=_SilentMonitor(),
            autodiscover=False,
            web_enabled=False,
            topic_allow_declare=False,
            topic_disable_leader=True,
            processing_guarantee="at_least_once",
            broker_session_timeout=SESSION_S,
            broker_heartbeat_interval=HEARTBEAT_S,
            broker_request_timeout=_EVER_S,
            # Batches commit for themselves; this is a second chance for what could not be committed then.
            broker_commit_interval=1.0,
            broker_max_poll_records=_POLL_RECORDS_MAX,
            consumer_auto_offset_reset="earliest",
            stream_buffer_maxsize=_QUEUE_MAX,
            stream_wait_empty=False,
            stream_recovery_delay=0.0,
            store="memory://",
        )

    def _create_directories(self) -> None:
        """None is needed: nothing is kept in tables."""

    def on_init_dependencies(self) -> Any:
        """Faust's parts, but for the monitor among the sensors, which would be called for every record."""
        parts = super().on_init_dependencies()
        self.sensors.remove(self.monitor)
        return parts

    async def read(self, topics: Iterable[str], take: Take) -> None:
        """Join the group and begin; partitions are assigned some seconds later."""
        self.in_worker = True
        self.loop = asyncio.get_running_loop()
        topic = self.topic(*topics, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")

        async def consume(stream: Any) -> None:
            # An event brings all of a poll.
            async for event in stream.noack().events():
                generation = event.message.generation_id
                await take(event.value, lambda generation=generation: generation == self.consumer_generation_id)  # type: ignore[misc]

        self.agent(topic, name=f"{self.conf.id}-agent")(consume)
        self.finalize()
        await self.start()

    async def ends(self) -> Offsets:
        """The end offsets of the assigned partitions now."""
        return await self._reader.ends()

    async def reread(self, place: tuple[str, int]) -> None:
        """Read again what did not arrive at `place`."""
        await self._reader.reread(place)

    async def commit_finished(self) -> bool:
        """Commit the smallest unfinished offsets; whether the broker took them."""
        return await self._reader.commit()

    @property
    def _reader(self) -> _Consumer:
        return cast("_Consumer", self.consumer)

    def _new_transport(self) -> _Transport:
        return _Transport(self.conf.broker_consumer, self)

    def on_rebalance_return(self) -> None:
        """Faust would tell its sensors, of which there are none, and warn that they do not know."""

    def on_rebalance_end(self) -> None:
        """See `on_rebalance_return`."""
        self.rebalancing = False

    def _crash(self, reason: BaseException) -> None:
        super()._crash(reason)
        self.when_crashed(reason)
