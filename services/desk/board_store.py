"""What the wall board counts: the open rows of `desk_tickets`, read at most once in a while for all who look."""

import time
from collections.abc import Callable
from datetime import datetime
from typing import Final

from services.desk.board import Standing, standings
from services.desk.kept_answers import KeptAnswers
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
        self._kept = KeptAnswers[None, tuple[datetime, list[Standing]]](self._count, kept_s=KEPT_S, ticks=ticks)

    async def standings(self) -> tuple[datetime, list[Standing]]:
        """When it was counted, and what: a few seconds old at most."""
        return await self._kept.get(None)

    async def _count(self, _: None) -> tuple[datetime, list[Standing]]:
        now = self._now()
        # Lines of open tickets begin with this letter, see `lines.py`: the index holds them side by side.
        found = await self._rows.find({"by_due": {"$gte": "o", "$lt": "p"}}, _FIELDS).to_list(None)
        tickets = ((d.get("department"), d.get("next_due_at"), bool(d.get("breached"))) for d in found)
        return now, standings(tickets, now=now)
