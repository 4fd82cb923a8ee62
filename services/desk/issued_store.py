"""What commands asked for, by their ids: collection `desk_commands`.

A command that is asked again is the same command; one with another content under the same id is a mistake of the
caller, and its words would be lost if it were taken for done.
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Final
from uuid import UUID

from pymongo.errors import BulkWriteError

from services.runtime.mongo import Database, duplicate_indexes

KEPT_S: Final = 30 * 24 * 3600


class IssuedStore:
    """`{_id: reference of the command on its ticket, content: digest under a key, at}`."""

    def __init__(self, database: Database) -> None:
        self._commands = database["desk_commands"]

    async def create_indexes(self) -> None:
        """May be called by every process at every start. What is old goes by itself."""
        await self._commands.create_index("at", expireAfterSeconds=KEPT_S)

    async def keep(self, contents: Mapping[UUID, str], *, at: datetime) -> None:
        """Keep digests by reference; what is kept already stays."""
        documents = [{"_id": str(ref), "content": content, "at": at} for ref, content in contents.items()]
        try:
            await self._commands.insert_many(documents, ordered=False)
        except BulkWriteError as error:
            duplicate_indexes(error)

    async def contents(self, refs: Collection[UUID]) -> dict[UUID, str]:
        """The digests that are kept."""
        cursor = self._commands.find({"_id": {"$in": [str(ref) for ref in refs]}}, {"content": 1})
        return {UUID(found["_id"]): found["content"] async for found in cursor}
