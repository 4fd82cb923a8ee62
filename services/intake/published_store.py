"""What was published lately, in Redis: spares a retry the broker. Nothing depends on it."""

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from redis.asyncio import Redis
from redis.exceptions import RedisError

from services.intake.handlers import Claim
from services.runtime.logging import get_logger

log = get_logger(__name__)

KEPT_S: Final = 2 * 24 * 3600
AWAY_S: Final = 2.0
"""How long a Redis that failed is left alone, so that its absence costs nothing."""


class RedisPublishedStore:
    """Fingerprints by complaint id. Whatever goes wrong counts as "not known". Takes a client that decodes.

    One hash a day, and the day before is looked at, too: a command per complaint, as keys with a time to live would
    need, cost as much as checking the complaint.
    """

    def __init__(
        self, redis: Redis, *, prefix: str = "amends:published:", now: Callable[[], float] = time.monotonic
    ) -> None:
        self._redis = redis
        self._prefix = prefix
        self._now = now
        self._away_until = 0.0

    async def get(self, ids: Sequence[UUID]) -> Mapping[UUID, str]:
        """See `handlers.PublishedStore`."""
        if self._now() < self._away_until:
            return {}
        fields = [one.bytes for one in ids]
        pipeline = self._redis.pipeline(transaction=False)
        for day in self._days():
            pipeline.hmget(day, fields)
        try:
            found = await pipeline.execute()
        except (RedisError, OSError, TimeoutError) as error:
            self._leave_alone(error)
            return {}
        return {one: today or before for one, today, before in zip(ids, *found, strict=True) if today or before}

    async def add(self, claims: Sequence[Claim]) -> None:
        """See `handlers.PublishedStore`."""
        if self._now() < self._away_until:
            return
        today, _ = self._days()
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.hset(today, items=[part for claim in claims for part in (claim.complaint_id.bytes, claim.fingerprint)])
        pipeline.expire(today, KEPT_S)
        try:
            await pipeline.execute()
        except (RedisError, OSError, TimeoutError) as error:
            self._leave_alone(error)

    def _days(self) -> tuple[str, str]:
        today = datetime.now(UTC).date()
        return f"{self._prefix}{today}", f"{self._prefix}{today - timedelta(days=1)}"

    def _leave_alone(self, error: Exception) -> None:
        if self._now() >= self._away_until:  # the first of those that were under way tells it
            log.warning("redis.away", error=type(error).__name__)
        self._away_until = self._now() + AWAY_S


class MemoryPublishedStore:
    """The same in memory, for tests; `forget` is FLUSHALL."""

    def __init__(self) -> None:
        self._known: dict[UUID, str] = {}

    async def get(self, ids: Sequence[UUID]) -> Mapping[UUID, str]:
        """See `handlers.PublishedStore`."""
        return {one: self._known[one] for one in ids if one in self._known}

    async def add(self, claims: Sequence[Claim]) -> None:
        """See `handlers.PublishedStore`."""
        self._known.update({claim.complaint_id: claim.fingerprint for claim in claims})

    def forget(self) -> None:
        """Lose everything."""
        self._known.clear()
