"""The database's clock, which all workers share: one whose own clock is wrong fires nothing early and nothing late."""

import time
from collections.abc import Awaitable, Callable
from typing import Final

from services.runtime.mongo import Database
from services.runtime.time_source import SystemClock

SYNC_S: Final = 5.0
"""How old what is known of the database's clock may be: a quartz drifts less than 1 ms in that time."""
_MILLISECOND: Final = 0.001
"""What a server cuts its time to."""


class DatabaseClock(SystemClock):
    """The clock of the database's server, read now and then and counted on by this machine's monotonic clock.

    Until it was read once, it is this machine's clock.
    """

    def __init__(self, ask: Callable[[], Awaitable[float]], *, counted: Callable[[], float] = time.monotonic) -> None:
        """`ask` gives the server's time, in seconds since 1970; `counted` seconds since any moment."""
        self._ask = ask
        self._counted = counted
        self._ahead = time.time() - counted()
        self._sync_at: float | None = None

    @classmethod
    def of(cls, database: Database) -> "DatabaseClock":
        """The clock of this database's server; of the primary where there are several."""

        async def ask() -> float:
            answer = await database.client.admin.command("hello")
            return float(answer["localTime"].timestamp())

        return cls(ask)

    def time(self) -> float:
        """See `Clock`."""
        return self._counted() + self._ahead

    async def sync(self) -> None:
        """See `Clock`."""
        asked_at = self._counted()
        if self._sync_at is not None and asked_at < self._sync_at:
            return
        told = await self._ask()
        answered_at = self._counted()
        # The server looked at its clock between asking and answering. While what is known fits that, it stays as it is;
        # else it is the least that fits: a clock that is behind by a way there and back fires nothing early.
        least, most = told - answered_at, told + _MILLISECOND - asked_at
        if self._sync_at is None or not least <= self._ahead <= most:
            self._ahead = least
        self._sync_at = answered_at + SYNC_S
