"""What the intake refused: its collection `rejected`, of which the desk adds only `complaint_id` and `submitted_at`."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from schemas.sealed import Sealed
from services.desk.delivery import place_in
from services.desk.rejected import Rejected
from services.runtime.mongo import Database


class RefusedStore:
    """One document each."""

    def __init__(self, database: Database) -> None:
        self._rejected = database["rejected"]

    async def page(self, *, before: str | None, count_max: int) -> list[Rejected]:
        """The latest first."""
        query: dict[str, Any] = {}
        if before:
            at, last = place_in(before)
            query = {"$or": [{"at": {"$lt": at}}, {"at": at, "_id": {"$lt": str(last)}}]}
        found = self._rejected.find(query).sort([("at", -1), ("_id", -1)]).limit(count_max)
        return [_rejected(document) async for document in found]

    async def get(self, rejected_id: UUID) -> Rejected | None:
        """One."""
        document = await self._rejected.find_one({"_id": str(rejected_id)})
        return _rejected(document) if document else None

    async def submitted(self, rejected_id: UUID, complaint_id: UUID, at: datetime) -> None:
        """It was submitted again, as this complaint."""
        change = {"$set": {"complaint_id": str(complaint_id), "submitted_at": at}}
        await self._rejected.update_one({"_id": str(rejected_id)}, change)


def _rejected(document: dict[str, Any]) -> Rejected:
    complaint = document.get("complaint_id")
    return Rejected(
        id=UUID(document["_id"]),
        at=document["at"].astimezone(UTC),
        route=document["route"],
        channel=document["channel"],
        kind=document["kind"],
        reasons=tuple((reason["field"], reason["code"]) for reason in document["reasons"]),
        body=Sealed.model_validate(document["body"]),
        body_bytes=document["body_bytes"],
        complaint_id=UUID(complaint) if complaint else None,
    )
