"""Follow-ups of a ticket that is not there yet: collection `parked`, `{_id: command id, ticket_id, command}`.

A complaint may learn whose repeat it is before the first one's ticket is written, e.g. when that router just died.
Whoever parks looks for the ticket once more afterwards, and whoever opens looks here afterwards, so one of them sees
the other.
"""

from collections.abc import Iterable, Sequence
from uuid import UUID

from pymongo.errors import BulkWriteError

from schemas.commands import TicketCommand
from services.runtime.mongo import Database, duplicate_indexes


class ParkedStore:
    """Commands that wait for a ticket."""

    def __init__(self, database: Database) -> None:
        self._parked = database["parked"]

    async def create_indexes(self) -> None:
        """For finding by ticket."""
        await self._parked.create_index("ticket_id")

    async def park(self, commands: Sequence[TicketCommand]) -> None:
        """Keep commands until their ticket is there."""
        if not commands:
            return
        documents = [
            {"_id": str(c.command_id), "ticket_id": str(c.ticket_id), "command": c.model_dump_json()} for c in commands
        ]
        try:
            await self._parked.insert_many(documents, ordered=False)
        except BulkWriteError as refusal:
            duplicate_indexes(refusal)

    async def waiting_for(self, tickets: Iterable[UUID]) -> list[TicketCommand]:
        """Those that wait for one of these tickets."""
        wanted = [str(t) for t in tickets]
        if not wanted:
            return []
        cursor = self._parked.find({"ticket_id": {"$in": wanted}})
        return [TicketCommand.model_validate_json(d["command"]) async for d in cursor]

    async def count(self) -> int:
        """How many wait."""
        return await self._parked.count_documents({})

    async def unpark(self, commands: Iterable[TicketCommand]) -> None:
        """They have been published again."""
        done = [str(c.command_id) for c in commands]
        if done:
            await self._parked.delete_many({"_id": {"$in": done}})
