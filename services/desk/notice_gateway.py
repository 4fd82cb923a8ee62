"""Notices by way of Redis, which may vanish: published as well as can be, and heard by each desk process."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from services.desk.notice import Notice, pieces
from services.runtime.logging import get_logger
from services.runtime.metrics import DeskMetrics

log = get_logger(__name__)

AWAY: Final = (RedisError, OSError, TimeoutError)
AWAY_S: Final = 2.0
"""So long nothing is tried after a failure."""
REDIS_S_MAX: Final = 0.5
SILENCE_S: Final = 2.0
"""After so long without a word Redis is asked whether it is there."""
PENDING_MAX: Final = 10_000


def redis_client(url: str) -> Redis:
    """A client that never waits long, and leaves it to us when to try again."""
    return Redis.from_url(
        url, socket_timeout=REDIS_S_MAX, socket_connect_timeout=REDIS_S_MAX, retry=Retry(NoBackoff(), 0)
    )


class NoticePublisher:
    """Publishes what it is given, behind the back of who gives it."""

    def __init__(self, redis: Redis, *, channel: str, metrics: DeskMetrics) -> None:
        self._redis = redis
        self._channel = channel
        self._metrics = metrics
        self._pending: deque[Notice] = deque()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin."""
        self._task = asyncio.create_task(self._run(), name="notices")

    async def stop(self) -> None:
        """What is pending is dropped: who listens looks by itself, too."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def offer(self, notices: Sequence[Notice]) -> None:
        """Take notices; of too many the oldest are dropped."""
        self._pending.extend(notices)
        if excess := max(0, len(self._pending) - PENDING_MAX):
            for _ in range(excess):
                self._pending.popleft()
            self._metrics.notices.labels(result="dropped").inc(excess)
        self._wake.set()

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            taken = list(self._pending)
            self._pending.clear()
            try:
                for piece in pieces(taken):
                    await self._redis.publish(self._channel, piece)
                self._metrics.notices.labels(result="published").inc(len(taken))
            except AWAY as error:
                log.warning("redis.away", error=type(error).__name__)
                self._metrics.notices.labels(result="dropped").inc(len(taken))
                await asyncio.sleep(AWAY_S)


class NoticeSubscription:
    """Hears what publishers say."""

    def __init__(self, redis: Redis, *, channel: str) -> None:
        self._redis = redis
        self._channel = channel

    @asynccontextmanager
    async def open(self) -> AsyncIterator[AsyncIterator[bytes]]:
        """Pieces from now on. Both this and reading on raise `ConnectionError` when Redis is away."""
        subscription = self._redis.pubsub(ignore_subscribe_messages=True)
        try:
            try:
                await subscription.subscribe(self._channel)
            except AWAY as error:
                raise ConnectionError("Redis does not answer") from error
            yield self._heard(subscription)
        finally:
            try:
                await subscription.aclose()  # type: ignore[no-untyped-call]  # redis gives it no types
            except AWAY:
                log.debug("redis.away")

    async def _heard(self, subscription: PubSub) -> AsyncIterator[bytes]:
        is_asked = False
        while True:
            try:
                message = await subscription.get_message(timeout=SILENCE_S)
                if message is None and not is_asked:
                    await subscription.ping()
            except AWAY as error:
                raise ConnectionError("Redis is gone") from error
            if message is None and is_asked:
                raise ConnectionError("Redis is silent")
            is_asked = message is None
            if message is not None and message["type"] == "message":
                yield message["data"]
