"""What became of each complaint: collection `complaints`, the document that decides between ticket and follow-up.

`{_id: complaint id, ticket_id, role: opened | followed_up, opened_by, routing_key, matched_by}`. It is inserted once;
whoever inserts it first has decided, also for a complaint that somebody else is still working on.
"""

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from pymongo import UpdateOne
from pymongo.errors import BulkWriteError

from schemas import ids
from services.router.fate import Fate
from services.runtime.mongo import Database, duplicate_indexes


class ComplaintStore:
    """Fates of complaints."""

    def __init__(self, database: Database) -> None:
        self._fates = database["complaints"]

    async def fates(self, complaints: Iterable[UUID]) -> dict[UUID, Fate]:
        """Those that are decided."""
        wanted = [str(c) for c in complaints]
        if not wanted:
            return {}
        found = await self._fates.find({"_id": {"$in": wanted}}).to_list(None)
        return {fate.complaint_id: fate for fate in map(_fate, found)}

    async def decide(self, fates: Sequence[Fate]) -> dict[UUID, Fate]:
        """Insert what nobody has decided yet.

        Returns:
            For each complaint the fate that holds: the given one, or the one that was there before.
        """
        holds = {fate.complaint_id: fate for fate in fates}
        if not fates:
            return holds
        try:
            await self._fates.insert_many([_document(fate) for fate in holds.values()], ordered=False)
        except BulkWriteError as refusal:
            given = list(holds)
            holds |= await self.fates(given[i] for i in duplicate_indexes(refusal))
        return holds

    async def redirect(self, fates: Sequence[Fate]) -> None:
        """Let follow-ups of a complaint that itself turned out to be one name the ticket they reached."""
        if fates:
            await self._fates.bulk_write(
                [UpdateOne({"_id": str(f.complaint_id)}, {"$set": _document(f)}) for f in fates], ordered=False
            )


def _document(fate: Fate) -> dict[str, Any]:
    return {
        "_id": ids.text(fate.complaint_id),
        "ticket_id": ids.text(fate.ticket_id),
        "role": fate.role,
        "opened_by": ids.text(fate.opened_by),
        "routing_key": fate.routing_key,
        "matched_by": fate.matched_by,
    }


def _fate(document: dict[str, Any]) -> Fate:
    return Fate(
        complaint_id=UUID(document["_id"]),
        opened_by=UUID(document["opened_by"]),
        routing_key=document["routing_key"],
        matched_by=document["matched_by"],
    )
