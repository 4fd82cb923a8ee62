"""Consuming: batches from Faust to a handler, committed when they are finished and never before.

    Faust's stream -> take (ledger) -> pending -> batch -> Handling -> ledger -> commit

One batch runs at a time, so that what has one key is handled in order. Within a batch the handler may work on all keys
at once (`by_key`). While a batch runs or waits for a part that is away, the next one gathers, up to a bound; beyond it
Faust's queue and then the fetcher wait, and heartbeats go on.
"""

import asyncio
import contextlib
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from schemas.codec import UndecodableMessage, decode
from schemas.message import Message
from schemas.topics import Topic
from services.runtime.brokers import connection
from services.runtime.dead_letters import Original, Why, dead_letter, place_of
from services.runtime.faust_consumer import Application
from services.runtime.handling import Abandoned, BatchHandler, Handling, Received, Refusal
from services.runtime.ledger import Delivery, Ledger, Place
from services.runtime.logging import get_logger
from services.runtime.metrics import ConsumingMetrics
from services.runtime.ownership import Ownership
from services.runtime.producing import Producer, Record
from services.runtime.readiness import Readiness
from services.runtime.settings import RuntimeSettings
from services.runtime.unreadable import REASON, Unreadable

__all__ = ["BatchHandler", "Consumption", "Ownership", "Received", "Refusal", "by_key"]

log = get_logger(__name__)
M = TypeVar("M", bound=Message)

_PENDING_BATCHES_MAX: Final = 2
_DRAIN_S_MAX: Final = 3.0
"""How long a rebalance waits for the running batch, so that its work need not be done again by the next owner."""
_COMMIT_S_MAX: Final = 2.0


def by_key(batch: Sequence[Received[M]]) -> dict[str, list[Received[M]]]:
    """The batch by routing key, in order within each."""
    groups: dict[str, list[Received[M]]] = {}
    for received in batch:
        groups.setdefault(received.message.routing_key, []).append(received)
    return groups


class Consumption:
    """One service's reading of its topics.

    Attributes:
        ownership: The partitions that this process owns, and whether it has caught up with them.
        failure: Why consumption has ended by itself; None while all is well.
        metrics: What is counted.
    """

    def __init__(  # noqa: PLR0917 - the order is the sentence: who reads what, by what means
        self,
        service: str,
        topics: Sequence[Topic],
        handler: BatchHandler,
        settings: RuntimeSettings,
        producer: Producer,
        metrics: ConsumingMetrics,
        *,
        readiness: Readiness | None = None,
        batch_max: int = 500,
        linger_s: float = 0.02,
        instance: str | None = None,
        application: Callable[..., Application] = Application,
    ) -> None:
        """A consumption that is not started.

        Args:
            service: its name; the consumer group is `amends-<service>`.
            topics: what it reads; all have the same number of partitions.
            handler: gets each batch. It may be given a message again after any failure.
            settings: where Kafka is.
            producer: publishes dead letters; started before and stopped after this.
            metrics: what is counted.
            readiness: gets the condition `consuming`.
            batch_max: most messages of a batch.
            linger_s: seconds that a batch that is not full waits for more.
            instance: static membership, a name unique in the group and the same after a restart.
            application: what reads from Kafka.
        """
        self.group = f"amends-{service}"
        self.topics = {topic.name: topic for topic in topics}
        self._types = {topic.name: topic.by_type for topic in topics}
        self._settings = settings
        self.metrics = metrics
        self._readiness = readiness or Readiness()
        self._batch_max = batch_max
        self._pending_max = _PENDING_BATCHES_MAX * batch_max
        self._linger_s = linger_s
        self._instance = instance
        self._application = application
        self._ledger = Ledger()
        self.ownership = Ownership(self._ledger, self._ends)
        self.failure: BaseException | None = None
        self._failed = asyncio.Event()
        self._handling = Handling(
            handler,
            group=self.group,
            set_aside=producer.publish_records,
            metrics=metrics,
            on_waiting=self._waiting,
            still_ours=lambda: not self._stopping and self._batch_generation == self.ownership.generation,
        )
        self._pending: deque[Any] = deque()
        self._changed = asyncio.Event()
        self._room = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._commit_wanted = asyncio.Event()
        self._batch_generation = -1
        self._stopping = False
        self._paused = False
        self._waits_for: str | None = None
        self._finished = 0
        self._app: Application | None = None
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def finished(self) -> int:
        """Messages finished since the start: it grows while there is progress."""
        return self._finished

    @property
    def waits_for(self) -> str | None:
        """The part that is away, while the batch in hand is being retried because of it."""
        return self._waits_for

    async def start(self) -> None:
        """Join the group and begin. Partitions are assigned some seconds later; see `ownership`."""
        self._readiness.set("consuming", False, "no partitions are assigned yet")
        app = self._application(
            self.group,
            connection=connection(self._settings),
            instance=self._instance,
            ledger=self._ledger,
            when_revoked=self._when_revoked,
            when_assigned=self._when_assigned,
            when_begun=self._when_begun,
            when_crashed=self._crashed,
        )
        self._app = app
        await app.read(self.topics, self._take)
        self._tasks = [
            asyncio.create_task(self._guarded(self._batches()), name="batches"),
            asyncio.create_task(self._guarded(self._commits()), name="commits"),
        ]

    async def stop(self) -> None:
        """Let the running batch end, commit, leave the group. Within 60 % of `settings.stop_s_max`."""
        self._stopping = True
        self._changed.set()
        self._pending.clear()
        budget_s = self._settings.stop_s_max * 0.6
        if self._waits_for is None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._idle.wait(), budget_s / 2)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._app is None:
            return
        await self._commit_within(_COMMIT_S_MAX)
        self._own(frozenset())
        # Not `wait_for`, which waits for what it has cancelled: Faust swallows that.
        leaving = asyncio.create_task(self._app.stop())
        await asyncio.wait((leaving,), timeout=budget_s / 2)
        if not leaving.done():
            log.warning("consuming.stop_timed_out")

    async def wait_failed(self) -> BaseException:
        """Return when consumption has ended by itself, with the reason."""
        await self._failed.wait()
        return self.failure or RuntimeError("consuming ended")

    async def backlog(self) -> dict[Place, int]:
        """Messages of each owned partition that are not finished.

        Raises:
            TimeoutError: the consumer's thread or Kafka does not answer within 5 s, or has not told where to read on.
        """
        ends = await self._ends()
        positions = self._ledger.positions()
        if ends and not positions:
            raise TimeoutError("where to read on is not known yet")
        return {Place(*place): max(0, end - positions[place]) for place, end in ends.items() if place in positions}

    async def _ends(self) -> Mapping[tuple[str, int], int]:
        return await asyncio.wait_for(self._app.ends(), 5.0) if self._app else {}

    async def _take(self, records: Sequence[Any], is_current: Callable[[], bool]) -> None:
        """Hand over what arrives, and wait while there is no room."""
        for record in records:
            place = (record.topic, record.partition)
            delivery = self._ledger.deliver(place, record.offset)
            if delivery is Delivery.REREAD:
                log.warning("records.missing", topic=record.topic, partition=record.partition, before=record.offset)
                await self._app.reread(place)  # type: ignore[union-attr]
            if delivery is not Delivery.TAKE:
                continue
            self._pending.append(record)
            if len(self._pending) >= self._pending_max:
                await self._wait_for_room()
                # What was fetched for a former assignment is read again, by whoever owns it now.
                if not is_current():
                    break
        self._changed.set()

    async def _wait_for_room(self) -> None:
        self._changed.set()
        while len(self._pending) >= self._pending_max:
            self._room.clear()
            await self._room.wait()

    async def _batches(self) -> None:
        while True:
            batch = await self._next_batch()
            generation = self._batch_generation = self.ownership.generation
            self._idle.clear()
            started_at = time.perf_counter()
            try:
                await self._handling.finish(*self._decoded(batch))
            except Abandoned:
                log.info("batch.abandoned", size=len(batch))
                continue
            finally:
                self._idle.set()
            self.metrics.batch_seconds.observe(time.perf_counter() - started_at)
            if generation == self.ownership.generation:
                self._finish(batch)

    async def _next_batch(self) -> list[Any]:
        """Wait for messages, then a little for more of them."""
        while self._stopping or self._paused or not self._pending:
            self._changed.clear()
            await self._changed.wait()
        if len(self._pending) < self._batch_max and self._linger_s:
            loop = asyncio.get_running_loop()
            deadline = loop.time() + self._linger_s
            while (left := deadline - loop.time()) > 0 and len(self._pending) < self._batch_max:
                self._changed.clear()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._changed.wait(), left)
                if self._paused or self._stopping or not self._pending:
                    return await self._next_batch()
        batch = [self._pending.popleft() for _ in range(min(self._batch_max, len(self._pending)))]
        self._room.set()
        return batch

    def _decoded(self, batch: list[Any]) -> tuple[list[Received[Message]], list[Record]]:
        received: list[Received[Message]] = []
        undecodable: list[Record] = []
        for record in batch:
            original = Original(
                topic=record.topic,
                partition=record.partition,
                offset=record.offset,
                key=record.key,
                value=record.value,
                headers=list(record.headers or ()),
            )
            try:
                if isinstance(record, Unreadable):
                    raise UndecodableMessage(REASON)  # noqa: TRY301 - set aside as all that cannot be read
                decoded = decode(record.value, original.headers, types=self._types[record.topic])
                recorded_at = _in_its_place(record, decoded.message)
            except UndecodableMessage as refusal:
                log.warning(
                    "message.undecodable",
                    topic=record.topic,
                    partition=record.partition,
                    offset=record.offset,
                    reason=refusal.reason,
                )
                self.metrics.dead_letters.labels(topic=record.topic, why=Why.UNDECODABLE).inc()
                letter = dead_letter(
                    original,
                    consumer=self.group,
                    why=Why.UNDECODABLE,
                    reason=refusal.reason,
                    error=None,
                    at=datetime.now(UTC),
                )
                undecodable.append(letter)
                continue
            received.append(
                Received(
                    message=decoded.message,
                    topic=record.topic,
                    partition=record.partition,
                    offset=record.offset,
                    traceparent=decoded.traceparent,
                    original=original,
                    recorded_at=recorded_at,
                )
            )
        return received, undecodable

    def _finish(self, batch: list[Any]) -> None:
        for record in batch:
            self._ledger.finish((record.topic, record.partition), record.offset)
        for topic, count in Counter(record.topic for record in batch).items():
            self.metrics.handled.labels(topic=topic).inc(count)
        self._finished += len(batch)
        self._commit_wanted.set()

    async def _commits(self) -> None:
        """Commit after every batch, beside the next one."""
        while True:
            await self._commit_wanted.wait()
            self._commit_wanted.clear()
            if not await self._app.commit_finished():  # type: ignore[union-attr]
                self.metrics.commit_failures.inc()

    async def _commit_within(self, limit_s: float) -> None:
        try:
            await asyncio.wait_for(self._app.commit_finished(), limit_s)  # type: ignore[union-attr]
        except TimeoutError:
            log.warning("commit.timed_out")

    async def _when_revoked(self) -> None:
        """Give the running batch a moment, commit, then own nothing."""
        self._paused = True
        self._pending.clear()
        self._room.set()
        if not self._idle.is_set() and self._waits_for is None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._idle.wait(), _DRAIN_S_MAX)
        if not self._stopping:
            await self._commit_within(_COMMIT_S_MAX)
        self._ledger.clear()
        self._own(frozenset())

    def _when_assigned(self, places: frozenset[Place]) -> None:
        of_topic = [{p.partition for p in places if p.topic == name} for name in self.topics]
        self._pending.clear()
        self._room.set()
        self._own(frozenset(set.intersection(*of_topic)) if of_topic else frozenset())
        self._paused = False
        self._changed.set()
        self._readiness.set("consuming", not places, "where to read on is not known yet")

    def _when_begun(self) -> None:
        self._readiness.set("consuming", self._waits_for is None, self._waits_for or "")

    def _own(self, partitions: frozenset[int]) -> None:
        if partitions != self.ownership.partitions:
            log.info("ownership.changed", partitions=sorted(partitions))
        self.ownership.change(partitions)
        self.metrics.partitions.set(len(partitions))
        self.metrics.generation.set(self.ownership.generation)

    def _waiting(self, why: str | None) -> None:
        if why != self._waits_for:
            self._waits_for = why
            self._readiness.set("consuming", why is None, why or "")

    def _crashed(self, reason: BaseException) -> None:
        if self._stopping or self.failure is not None:
            return
        log.error("consuming.crashed", error=place_of(reason))
        self.failure = reason
        self._readiness.set("consuming", False, f"crashed by {type(reason).__name__}")
        self._failed.set()

    async def _guarded(self, work: Any) -> None:
        try:
            await work
        except (asyncio.CancelledError, GeneratorExit):
            raise
        except BaseException as error:  # noqa: BLE001 - a task that dies unseen would be a stall
            self._crashed(error)


def _in_its_place(record: Any, message: Message) -> datetime:
    """The record's time, if its key is the message's own: it lies in the partition whose reader has its ticket.

    Raises:
        UndecodableMessage: it has another key, or a time that no calendar has.
    """
    if record.key != message.routing_key.encode():
        raise UndecodableMessage("the record's key is not the routing_key of its message: its order would not hold")
    try:
        return datetime.fromtimestamp(record.timestamp / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        raise UndecodableMessage(f"the record's time, {record.timestamp} ms, is no date") from None
