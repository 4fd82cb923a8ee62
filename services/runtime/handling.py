"""What is done with a batch until every message of it is finished or set aside."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Generic, NamedTuple, TypeVar

import stamina

from schemas.message import Message
from services.runtime.dead_letters import Original, Why, dead_letter, place_of
from services.runtime.logging import get_logger
from services.runtime.metrics import ConsumingMetrics
from services.runtime.producing import Record
from services.runtime.retries import is_unavailable

log = get_logger(__name__)

M_co = TypeVar("M_co", bound=Message, covariant=True)
R = TypeVar("R")

WAIT_S_MAX: Final = 2.0
"""Between two attempts; the first come 0.1 s apart."""


class Received(NamedTuple, Generic[M_co]):
    """A message and where it came from."""

    message: M_co
    topic: str
    partition: int
    offset: int
    traceparent: str | None
    original: Original
    recorded_at: datetime
    """The record's time: when the broker took it, on topics that the broker dates; else what the producer said."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A message that cannot be processed, now or later."""

    received: Received[Message]
    reason: str
    """A sentence without personal data."""


BatchHandler = Callable[[Sequence[Received[Message]]], Awaitable[Sequence[Refusal]]]


class Abandoned(Exception):  # noqa: N818 - it tells of a decision, not of a fault
    """The batch is no longer ours: nothing of it may be called finished."""


class Handling:
    """Calls a handler so that no exception loses a message."""

    def __init__(
        self,
        handler: BatchHandler,
        *,
        group: str,
        set_aside: Callable[[Sequence[Record]], Awaitable[None]],
        metrics: ConsumingMetrics,
        on_waiting: Callable[[str | None], None],
        still_ours: Callable[[], bool],
    ) -> None:
        """Wire it.

        Args:
            handler: what the service does with a batch.
            group: the consumer group, which dead letters name.
            set_aside: publishes dead letters and returns when the broker has them.
            metrics: what is counted.
            on_waiting: told why a batch is being retried, and None when that is over.
            still_ours: whether the batch in hand may still be retried by this process.
        """
        self._handler = handler
        self._group = group
        self._set_aside = set_aside
        self._metrics = metrics
        self._on_waiting = on_waiting
        self._still_ours = still_ours

    async def finish(self, batch: Sequence[Received[Message]], undecodable: Sequence[Record] = ()) -> None:
        """Return when every message is handled, or dead-lettered with the broker's acknowledgement.

        Raises:
            Abandoned: the partitions got another owner while a part that we need was away.
            asyncio.CancelledError: this process stops.
        """
        letters = list(undecodable)
        if batch:
            letters += await self._handle(batch)
        if letters:
            await self._patiently(lambda: self._set_aside(letters))

    async def _handle(self, batch: Sequence[Received[Message]]) -> list[Record]:
        try:
            refusals = await self._patiently(lambda: self._handler(batch))
        except Abandoned:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a handler raises, one message is to blame, and only that one is lost to it
            if len(batch) == 1:
                return [self._failed(batch[0], error)]
            log.warning("batch.bisected", size=len(batch), error=place_of(error))
            middle = len(batch) // 2
            # One after the other, because both halves may hold messages of one key.
            return await self._handle(batch[:middle]) + await self._handle(batch[middle:])
        return [self._refused(refusal) for refusal in refusals]

    async def _patiently(self, work: Callable[[], Awaitable[R]]) -> R:
        """Do it, again and again while a part is away."""

        def again(error: Exception) -> bool:
            if not is_unavailable(error):
                return False
            if not self._still_ours():
                raise Abandoned from error
            self._metrics.retries.inc()
            self._on_waiting(f"{type(error).__name__}: a part that is needed does not answer")
            return True

        try:
            async for attempt in stamina.retry_context(
                on=again, attempts=None, timeout=None, wait_initial=0.1, wait_max=WAIT_S_MAX
            ):
                with attempt:
                    return await work()
        finally:
            self._on_waiting(None)
        raise AssertionError("retries have no end")

    def _failed(self, received: Received[Message], error: Exception) -> Record:
        log.error("message.failed", error=place_of(error), **_where(received))
        self._metrics.dead_letters.labels(topic=received.topic, why=Why.FAILED).inc()
        return self._letter(received, why=Why.FAILED, reason="the handler failed", error=error)

    def _refused(self, refusal: Refusal) -> Record:
        log.warning("message.refused", reason=refusal.reason, **_where(refusal.received))
        self._metrics.dead_letters.labels(topic=refusal.received.topic, why=Why.REFUSED).inc()
        return self._letter(refusal.received, why=Why.REFUSED, reason=refusal.reason)

    def _letter(self, received: Received[Message], *, why: Why, reason: str, error: Exception | None = None) -> Record:
        return dead_letter(
            received.original, consumer=self._group, why=why, reason=reason, error=error, at=datetime.now(UTC)
        )


def _where(received: Received[Message]) -> dict[str, object]:
    return {
        "topic": received.topic,
        "partition": received.partition,
        "offset": received.offset,
        "message_id": str(received.message.ce_id),
        "subject": str(received.message.ce_subject),
    }
