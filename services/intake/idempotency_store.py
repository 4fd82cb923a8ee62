"""Claims of idempotency keys, durable in the database."""

import asyncio
from collections.abc import Sequence
from datetime import UTC
from typing import Any, Final
from uuid import UUID

from pymongo.errors import BulkWriteError

from services.intake.handlers import Claim, Unavailable
from services.runtime.mongo import FAILED, Database, duplicate_indexes

COLLECTION: Final = "idempotency"


class MongoIdempotencyStore:
    """One document per key: `_id` the complaint id, `fingerprint`, `accepted_at`. Written once, never changed."""

    def __init__(self, database: Database, *, timeout_s: float) -> None:
        self._claims = database[COLLECTION]
        self._timeout_s = timeout_s

    async def claim(self, wanted: Sequence[Claim]) -> Sequence[Claim]:
        """See `handlers.IdempotencyStore`. The unique `_id` decides between two that race."""
        first = {claim.complaint_id: claim for claim in reversed(wanted)}
        try:
            async with asyncio.timeout(self._timeout_s):
                held = await self._insert(list(first.values()))
        except (*FAILED, TimeoutError) as error:
            raise Unavailable("the database does not answer") from error
        return [held[claim.complaint_id] for claim in wanted]

    async def _insert(self, claims: list[Claim]) -> dict[UUID, Claim]:
        held = {claim.complaint_id: claim for claim in claims}
        documents = [
            {"_id": str(claim.complaint_id), "fingerprint": claim.fingerprint, "accepted_at": claim.accepted_at}
            for claim in claims
        ]
        try:
            await self._claims.insert_many(documents, ordered=False)
        except BulkWriteError as refusal:
            taken = [str(claims[index].complaint_id) for index in duplicate_indexes(refusal)]
            async for document in self._claims.find({"_id": {"$in": taken}}):
                claim = _claim(document)
                held[claim.complaint_id] = claim
        return held


class MemoryIdempotencyStore:
    """The same in memory, for tests."""

    def __init__(self) -> None:
        self._claims: dict[UUID, Claim] = {}

    async def claim(self, wanted: Sequence[Claim]) -> Sequence[Claim]:
        """See `handlers.IdempotencyStore`."""
        return [self._claims.setdefault(claim.complaint_id, claim) for claim in wanted]


def _claim(document: dict[str, Any]) -> Claim:
    return Claim(UUID(document["_id"]), document["fingerprint"], document["accepted_at"].astimezone(UTC))
