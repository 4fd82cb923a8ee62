"""Private links that were taken back, by the generations of `runtime/link_store.py`."""

import asyncio
from uuid import UUID

from services.portal.ticket_store import answering
from services.runtime.link_store import MongoLinkStore
from services.runtime.mongo import Database


class MongoRevocationStore:
    """See `handlers.Revocations`."""

    def __init__(self, database: Database, *, timeout_s: float) -> None:
        self._links = MongoLinkStore(database)
        self._timeout_s = timeout_s

    async def generation(self, ticket_id: UUID) -> int:
        """See `handlers.Revocations`."""
        with answering():
            async with asyncio.timeout(self._timeout_s):
                return (await self._links.generations([ticket_id])).get(ticket_id, 0)
