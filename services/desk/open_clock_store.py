"""The clocks of tickets as the SLA monitor keeps them: collection `clocks`, read only."""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

import orjson
from anyio import to_thread

from services.runtime.mongo import Database
from services.service_levels.ticket_sla import TicketSla

_PIECE: Final = 500


class OpenClockStore:
    """Reads them."""

    def __init__(self, database: Database) -> None:
        self._clocks = database["clocks"]

    async def of(self, tickets: Sequence[UUID]) -> list[TicketSla]:
        """Those of these tickets that have any."""
        found: list[TicketSla] = []
        for begin in range(0, len(tickets), _PIECE):
            wanted = [str(ticket) for ticket in tickets[begin : begin + _PIECE]]
            fields = {"current": 1, "revision": 1, "state": 1}
            documents = await self._clocks.find({"current": {"$in": wanted}}, fields).to_list(None)
            found += await to_thread.run_sync(_read, documents)
        return found


def _read(documents: list[dict[str, Any]]) -> list[TicketSla]:
    # Two revisions of a ticket are current for a moment after every save.
    latest = {d["current"]: d["state"] for d in sorted(documents, key=lambda d: int(d["revision"]))}
    return [TicketSla.from_doc(orjson.loads(state)) for state in latest.values()]
