"""The time, as an argument: what runs on deadlines takes a `Clock`, so that a test can be the time."""

import asyncio
import contextlib
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Wall-clock time, and waiting."""

    def time(self) -> float:
        """Seconds since 1970, UTC. May jump when somebody sets that clock."""

    async def sync(self) -> None:
        """Ask whoever keeps the time, if that was not done of late.

        Raises:
            Exception: of `UNAVAILABLE`, when nobody answers; the time goes on as it was known.
        """

    async def wait(self, wake: asyncio.Event | None, seconds: float) -> None:
        """Return when `wake` is set or the seconds have passed, whichever is first. Never fails."""


def utc_of(clock: Clock) -> datetime:
    """The time of a clock."""
    return datetime.fromtimestamp(clock.time(), UTC)


class SystemClock:
    """The machine's clock; waiting is by the monotonic one, so a jump cannot make it long."""

    def time(self) -> float:
        """See `Clock`."""
        return time.time()

    async def sync(self) -> None:
        """See `Clock`."""

    async def wait(self, wake: asyncio.Event | None, seconds: float) -> None:
        """See `Clock`."""
        if wake is None:
            await asyncio.sleep(max(seconds, 0.0))
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(seconds, 0.0)):
                await wake.wait()
