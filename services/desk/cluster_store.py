"""What clusters are found by: complaints of the window, and the last days of the units that have many. `desk_tickets`.

Both are read along lines (`lines.py`), which stand side by side in an index and are bounded in time; what was found is
kept for a while for all who look.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from services.desk.clusters import DAY, DAYS, Cluster, Received, Window, candidates, clusters
from services.desk.kept_answers import KeptAnswers
from services.desk.lines import Segment, stretch
from services.runtime.mongo import Database

KEPT_S: Final = 20.0
RECENT_MAX: Final = 50_000
"""Complaints of one window that are looked at, the newest."""
HISTORY_MAX: Final = 20_000
UNITS_MAX: Final = 40
_FIELDS: Final = {"unit": 1, "category": 1, "received_at": 1}


@dataclass(frozen=True, slots=True)
class Found:
    """What was found, and when."""

    at: datetime
    clusters: list[Cluster]
    days: int
    """Of how many before the window anything is known, at most 14."""


class ClusterStore:
    """Finds clusters."""

    def __init__(
        self, database: Database, *, now: Callable[[], datetime], ticks: Callable[[], float] = time.monotonic
    ) -> None:
        """`now` is the end of windows, `ticks` how long an answer is kept."""
        self._rows = database["desk_tickets"]
        self._now = now
        self._kept = KeptAnswers[Window, Found](self._find, kept_s=KEPT_S, ticks=ticks)
        self._days_known = 0

    async def found(self, window: Window) -> Found:
        """Clusters of a window, some seconds old at most."""
        return await self._kept.get(window)

    async def _find(self, window: Window) -> Found:
        now = self._now()
        recent = await self._along("by_received", stretch("", newest=now, oldest=now - window.length), RECENT_MAX)
        units = candidates((one["unit"] for one in recent), count_max=UNITS_MAX)
        histories = {}
        for unit in units:
            line = stretch(f"{unit}|", newest=now, oldest=now - window.length - DAYS * DAY)
            told = await self._along("by_unit_received", line, HISTORY_MAX)
            histories[unit] = [Received(one["received_at"], one["category"] or "") for one in told]
        days = await self._days(now - window.length)
        return Found(now, clusters(histories, window=window, days=days, now=now), days)

    async def _days(self, before: datetime) -> int:
        """Of how many days before a time there is anything; what was there once stays."""
        for days in range(DAYS, self._days_known, -1):
            day = stretch("", newest=before - (days - 1) * DAY, oldest=before - days * DAY)
            if await self._along("by_received", day, 1):
                self._days_known = days
                break
        return self._days_known

    async def _along(self, line: str, segment: Segment, count_max: int) -> list[dict[str, Any]]:
        bounds = {"$gte": segment.begins(), "$lt": segment.until(None)}
        return await self._rows.find({line: bounds}, _FIELDS).sort(line, 1).limit(count_max).to_list(None)
