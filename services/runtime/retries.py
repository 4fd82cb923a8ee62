"""What is tried again for as long as it takes."""

import asyncio
import contextlib
from collections.abc import AsyncIterable, Awaitable, Callable
from typing import Final

import stamina
from aiokafka.errors import KafkaConnectionError
from redis.exceptions import ConnectionError as RedisConnectionError

from services.runtime import mongo
from services.runtime.producing import PublishFailed

UNAVAILABLE: Final[tuple[type[BaseException], ...]] = (
    *mongo.UNAVAILABLE,
    PublishFailed,
    KafkaConnectionError,
    RedisConnectionError,
    ConnectionError,
)
"""A part that we need could not be asked. It says nothing about the message in hand, so trying again is right."""

FAILED: Final[tuple[type[BaseException], ...]] = (*UNAVAILABLE, *mongo.FAILED)
"""For work that comes again by itself in any case: also what the database answered that it did not do."""


def is_unavailable(error: BaseException) -> bool:
    """Whether it is one of `UNAVAILABLE`, or the database answered that it is unable, e.g. because its disk is full."""
    return isinstance(error, UNAVAILABLE) or mongo.is_unable(error)


def until_available() -> AsyncIterable[stamina.Attempt]:
    """Attempts of what a service does before its first message, for as long as a part that it needs is away."""
    return stamina.retry_context(on=is_unavailable, attempts=None, timeout=None, wait_initial=0.2, wait_max=2.0)


async def every(period_s: float, work: Callable[[], Awaitable[None]]) -> None:
    """Do it at once and then once a period, without end.

    Where a part that it needs is away, whoever depends on it waits and says so; the next turn tries again.
    """
    loop = asyncio.get_running_loop()
    while True:
        started_at = loop.time()
        with contextlib.suppress(*FAILED):
            await work()
        await asyncio.sleep(max(0.0, started_at + period_s - loop.time()))
