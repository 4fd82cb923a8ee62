"""What the wall board counts: the open rows of `desk_tickets`, read at most once in a while for all who look."""

import asyncio
import time
from collections.abc import Callable
from datetime import datetime
from typing import Final

from services.desk.board import Standing, standings
from services.runtime.mongo import Database

KEPT_S: Final = 5.0
_FIELDS: Final = {"department": 1, "next_due_at": 1, "breached": 1}


class BoardStore:
    """How departments stand."""

    def __init__(
        self, database: Database, *, now: Callable[[], datetime], ticks: Callable[[], float] = time.monotonic
    ) -> None:
        """`now` is the time that due times are compared with, `ticks` how long an answer is kept."""
        self._rows = database["desk_tickets"]
        self._now = now
        self._ticks = ticks
        self._read_at = float("-inf")
        self._known: tuple[datetime, list[Standing]] | None = None
        self._reading = asyncio.Lock()

    async def standings(self) -> tuple[datetime, list[Standing]]:
        """When it was counted, and what: a few seconds old at most."""
        async with self._reading:
            if self._known is None or self._ticks() - self._read_at >= KEPT_S:
                now = self._now()
                # Lines of open tickets begin with this letter, see `lines.py`: the index holds them side by side.
                found = await self._rows.find({"by_due": {"$gte": "o", "$lt": "p"}}, _FIELDS).to_list(None)
                tickets = ((d.get("department"), d.get("next_due_at"), bool(d.get("breached"))) for d in found)
                self._known, self._read_at = (now, standings(tickets, now=now)), self._ticks()
            return self._known
