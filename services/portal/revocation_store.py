"""Private links that were taken back: collection `link_revocations`, `{_id: ticket id, before}`."""

import asyncio
from datetime import datetime
from uuid import UUID

from services.portal.ticket_store import answering
from services.runtime.mongo import Database


class MongoRevocationStore:
    """See `handlers.Revocations`."""

    def __init__(self, database: Database, *, timeout_s: float) -> None:
        self._revocations = database["link_revocations"]
        self._timeout_s = timeout_s

    async def before(self, ticket_id: UUID) -> datetime | None:
        """See `handlers.Revocations`."""
        with answering():
            async with asyncio.timeout(self._timeout_s):
                found = await self._revocations.find_one({"_id": str(ticket_id)})
        before: datetime | None = found["before"] if found else None
        return before
