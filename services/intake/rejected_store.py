"""What was refused, with its reasons: nothing that somebody sent disappears."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Protocol
from uuid import UUID

from services.intake.handlers import Unavailable
from services.runtime.mongo import FAILED, Database
from services.runtime.rejected import COLLECTION, Rejected, document_of, rejected_of


class RejectedStore(Protocol):
    """Where they are kept."""

    async def add(self, rejected: Sequence[Rejected]) -> None:
        """Keep.

        Raises:
            Unavailable: they may not be kept.
        """

    def latest(self, count: int) -> AsyncIterator[Rejected]:
        """The latest first."""

    async def find(self, rejected_id: UUID) -> Rejected | None:
        """One."""


class MongoRejectedStore:
    """In the collection `rejected`."""

    def __init__(self, database: Database, *, timeout_s: float, kept_s: int) -> None:
        self._rejected = database[COLLECTION]
        self._timeout_s = timeout_s
        self._kept_s = kept_s

    async def prepare(self) -> None:
        """Let old ones go by themselves."""
        await self._rejected.create_index("at", expireAfterSeconds=self._kept_s)

    async def add(self, rejected: Sequence[Rejected]) -> None:
        """See `RejectedStore.add`."""
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._rejected.insert_many([document_of(one) for one in rejected], ordered=False)
        except (*FAILED, TimeoutError) as error:
            raise Unavailable("the database does not answer") from error

    async def latest(self, count: int) -> AsyncIterator[Rejected]:
        """See `RejectedStore.latest`."""
        async for document in self._rejected.find().sort("at", -1).limit(count):
            yield rejected_of(document)

    async def find(self, rejected_id: UUID) -> Rejected | None:
        """See `RejectedStore.find`."""
        document = await self._rejected.find_one({"_id": str(rejected_id)})
        return rejected_of(document) if document else None


class MemoryRejectedStore:
    """The same in memory, for tests."""

    def __init__(self) -> None:
        self.kept: list[Rejected] = []

    async def add(self, rejected: Sequence[Rejected]) -> None:
        """See `RejectedStore.add`."""
        self.kept += rejected

    async def latest(self, count: int) -> AsyncIterator[Rejected]:
        """See `RejectedStore.latest`."""
        for one in sorted(self.kept, key=lambda one: one.at, reverse=True)[:count]:
            yield one

    async def find(self, rejected_id: UUID) -> Rejected | None:
        """See `RejectedStore.find`."""
        return next((one for one in self.kept if one.rejected_id == rejected_id), None)
