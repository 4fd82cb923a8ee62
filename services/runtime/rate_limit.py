"""How much one client may ask for, counted in Redis for all processes together, in memory while Redis is away."""

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final

from limits import RateLimitItem, parse
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import FixedWindowRateLimiter
from redis.exceptions import RedisError

from services.runtime.logging import get_logger

log = get_logger(__name__)

AWAY_S: Final = 2.0
CHUNKS: Final = 100
"""A process takes a hundredth of the limit at a time, so that a busy client costs one question to Redis per hundred."""
CLIENTS_MAX: Final = 10_000
REDIS_S_MAX: Final = 0.2


class ClientLimit:
    """One limit for each client."""

    def __init__(self, limit: str, *, redis: str, now: Callable[[], float] = time.monotonic) -> None:
        """What it works with.

        Args:
            limit: as `limits` writes it, e.g. `100/second`.
            redis: address of Redis.
            now: seconds, for tests.
        """
        options: dict[str, Any] = {"socket_timeout": REDIS_S_MAX, "socket_connect_timeout": REDIS_S_MAX}
        self._item: RateLimitItem = parse(limit)
        self._chunk = max(1, self._item.amount // CHUNKS)
        self._shared = FixedWindowRateLimiter(RedisStorage(f"async+{redis}", implementation="redispy", **options))
        self._local = FixedWindowRateLimiter(MemoryStorage())
        self._now = now
        self._away_until = 0.0
        self._taken: dict[str, tuple[int, float]] = {}
        self._asking = asyncio.Lock()

    async def retry_after_s(self, client: str) -> float | None:
        """None when the client may go on, else the seconds after which it may ask again."""
        if self._spend(client):
            return None
        # One asks for all that wait: if each of a hundred requests under way took a hundredth, the limit would be gone.
        async with self._asking:
            if self._spend(client):
                return None
            now = self._now()
            if now >= self._away_until:
                try:
                    return await self._ask(self._shared, client, now)
                except (RedisError, OSError, TimeoutError) as error:
                    log.warning("redis.away", error=type(error).__name__)
                    self._away_until = now + AWAY_S
            return await self._ask(self._local, client, now)

    def _spend(self, client: str) -> bool:
        left, until = self._taken.get(client, (0, 0.0))
        if left <= 0 or self._now() >= until:
            return False
        self._taken[client] = (left - 1, until)
        return True

    async def _ask(self, limiter: FixedWindowRateLimiter, client: str, now: float) -> float | None:
        for amount in dict.fromkeys((self._chunk, 1)):
            if await limiter.hit(self._item, client, cost=amount):
                if len(self._taken) >= CLIENTS_MAX:
                    self._taken.clear()
                self._taken[client] = (amount - 1, now + self._item.get_expiry())
                return None
        reset_at = (await limiter.get_window_stats(self._item, client)).reset_time
        return max(1.0, float(reset_at) - time.time())
