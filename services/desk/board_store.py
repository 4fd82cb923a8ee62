"""What the wall board counts: the open rows of `desk_tickets`, read at most once in a while for all who look."""

import time
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from services.desk.board import Standing, standings
from services.desk.kept_answers import KeptAnswers
from services.desk.queue import Scope
from services.runtime.mongo import Database

_Units = frozenset[str] | None
"""Those whose tickets are counted; None: all."""
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
        self._kept = KeptAnswers[_Units, tuple[datetime, list[Standing]]](self._count, kept_s=KEPT_S, ticks=ticks)

    async def standings(self, scope: Scope) -> tuple[datetime, list[Standing]]:
        """When it was counted, and what of the tickets that may be seen: a few seconds old at most."""
        at, found = await self._kept.get(scope.units)
        # Whoever sees a department sees all of it, so that these share one count.
        return at, [one for one in found if scope.departments is None or one.department in scope.departments]

    async def _count(self, units: _Units) -> tuple[datetime, list[Standing]]:
        now = self._now()
        # Lines of open tickets begin with this letter, see `lines.py`: the index holds them side by side.
        wanted: dict[str, Any] = {"by_due": {"$gte": "o", "$lt": "p"}}
        if units is not None:
            wanted["units"] = {"$in": sorted(units)}
        found = await self._rows.find(wanted, _FIELDS).to_list(None)
        tickets = ((d.get("department"), d.get("next_due_at"), bool(d.get("breached"))) for d in found)
        return now, standings(tickets, now=now)
