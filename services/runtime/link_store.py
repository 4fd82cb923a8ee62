"""Whose private links were revoked: collection `link_revocations`, `{_id: ticket, generation, at}`.

A ticket that is not there has generation 0. Whoever revokes raises it, messages from then on carry links of the new
one, and the page opens none of an older one.
"""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from services.runtime.mongo import Database
from services.runtime.private_link import GENERATIONS_MAX


class MongoLinkStore:
    """Generations of links by ticket."""

    def __init__(self, database: Database) -> None:
        self._revocations = database["link_revocations"]

    async def generations(self, tickets: Iterable[UUID]) -> dict[UUID, int]:
        """Those of which links were revoked."""
        wanted = [str(ticket) for ticket in tickets]
        if not wanted:
            return {}
        found = self._revocations.find({"_id": {"$in": wanted}})
        return {UUID(d["_id"]): min(d["generation"], GENERATIONS_MAX) async for d in found}

    async def revoke(self, ticket: UUID, at: datetime) -> None:
        """No link of a ticket that was sent until now opens its page any more."""
        await self._revocations.update_one(
            {"_id": str(ticket)}, {"$inc": {"generation": 1}, "$set": {"at": at}}, upsert=True
        )
