"""How far complaints have come, read from what the router keeps (`complaints`, `tickets`); nothing is written."""

import asyncio
from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from services.intake.handlers import Unavailable
from services.intake.idempotency_store import COLLECTION as IDEMPOTENCY
from services.intake.progress import Progress
from services.runtime.mongo import FAILED, Database

FOLLOWED_UP: Final = "followed_up"


class MongoProgressStore:
    """Three look-ups by `_id`, whatever the number of complaints."""

    def __init__(self, database: Database, *, timeout_s: float) -> None:
        self._complaints = database["complaints"]
        self._tickets = database["tickets"]
        self._keys = database[IDEMPOTENCY]
        self._timeout_s = timeout_s

    async def read(self, ids: Sequence[UUID]) -> list[Progress | None]:
        """For each complaint how far it has come, None for one that no key or ticket names.

        Raises:
            Unavailable: the database does not answer.
        """
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._read(ids)
        except (*FAILED, TimeoutError) as error:
            raise Unavailable("the database does not answer") from error

    async def _read(self, ids: Sequence[UUID]) -> list[Progress | None]:
        wanted = list({str(one) for one in ids})
        fates = {
            d["_id"]: d async for d in self._complaints.find({"_id": {"$in": wanted}}, {"ticket_id": 1, "role": 1})
        }
        ticket_ids = list({fate["ticket_id"] for fate in fates.values()})
        tickets: dict[str, dict[str, Any]] = {}
        if ticket_ids:
            found = self._tickets.find({"_id": {"$in": ticket_ids}}, {"number": 1, "state": 1})
            tickets = {d["_id"]: d async for d in found}
        unknown = [one for one in wanted if one not in fates]
        claimed: set[str] = set()
        if unknown:
            claimed = {d["_id"] async for d in self._keys.find({"_id": {"$in": unknown}}, {"_id": 1})}
        return [
            _progress(one, fates[str(one)], tickets)
            if str(one) in fates
            else Progress(one)
            if str(one) in claimed
            else None
            for one in ids
        ]


def _progress(complaint_id: UUID, fate: dict[str, Any], tickets: dict[str, dict[str, Any]]) -> Progress:
    ticket = tickets.get(fate["ticket_id"], {})
    return Progress(
        complaint_id,
        ticket_id=UUID(fate["ticket_id"]),
        ticket_number=ticket.get("number"),
        ticket_state=ticket.get("state"),
        followed_up=fate["role"] == FOLLOWED_UP,
    )


class MemoryProgressStore:
    """The same in memory, for tests."""

    def __init__(self) -> None:
        self.known: dict[UUID, Progress] = {}

    async def read(self, ids: Sequence[UUID]) -> list[Progress | None]:
        """See `MongoProgressStore.read`."""
        return [self.known.get(one) for one in ids]
