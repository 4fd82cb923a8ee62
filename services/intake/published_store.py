"""What was published lately, in Redis: spares a retry the database and the broker. Nothing depends on it."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final
from uuid import UUID

from redis.asyncio import Redis
from redis.exceptions import RedisError

from services.intake.handlers import Claim
from services.runtime.logging import get_logger

log = get_logger(__name__)

KEPT_S: Final = 24 * 3600
AWAY_S: Final = 2.0
"""How long a Redis that failed is left alone, so that its absence costs nothing."""


class RedisPublishedStore:
    """Fingerprints by complaint id. Whatever goes wrong counts as "not known". Takes a client that decodes."""

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
        try:
            values = await self._redis.mget([self._prefix + one.hex for one in ids])
        except (RedisError, OSError, TimeoutError) as error:
            self._leave_alone(error)
            return {}
        return {one: str(value) for one, value in zip(ids, values, strict=True) if value is not None}

    async def add(self, claims: Sequence[Claim]) -> None:
        """See `handlers.PublishedStore`."""
        if self._now() < self._away_until:
            return
        pipeline = self._redis.pipeline(transaction=False)
        for claim in claims:
            pipeline.set(self._prefix + claim.complaint_id.hex, claim.fingerprint, ex=KEPT_S)
        try:
            await pipeline.execute()
        except (RedisError, OSError, TimeoutError) as error:
            self._leave_alone(error)

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
