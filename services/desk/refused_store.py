"""What the intake refused: its collection `rejected`, of which the desk adds only `complaint_id` and `submitted_at`."""

from datetime import datetime
from typing import Any
from uuid import UUID

from services.desk.delivery import place_in
from services.runtime.mongo import Database
from services.runtime.rejected import COLLECTION, Rejected, rejected_of


class RefusedStore:
    """One document each."""

    def __init__(self, database: Database) -> None:
        self._rejected = database[COLLECTION]

    async def page(self, *, before: str | None, count_max: int) -> list[Rejected]:
        """The latest first."""
        query: dict[str, Any] = {}
        if before:
            at, last = place_in(before)
            query = {"$or": [{"at": {"$lt": at}}, {"at": at, "_id": {"$lt": str(last)}}]}
        found = self._rejected.find(query).sort([("at", -1), ("_id", -1)]).limit(count_max)
        return [rejected_of(document) async for document in found]

    async def get(self, rejected_id: UUID) -> Rejected | None:
        """One."""
        document = await self._rejected.find_one({"_id": str(rejected_id)})
        return rejected_of(document) if document else None

    async def submitted(self, rejected_id: UUID, complaint_id: UUID, at: datetime) -> None:
        """It was submitted again, as this complaint."""
        change = {"$set": {"complaint_id": str(complaint_id), "submitted_at": at}}
        await self._rejected.update_one({"_id": str(rejected_id)}, change)
