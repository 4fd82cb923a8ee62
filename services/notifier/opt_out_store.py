"""Who does not want to be asked how it was: collection `survey_opt_outs`, by the digests that a contact is known by.

A person is whoever has the same number, address, open id or account: one who said no is not asked about later tickets
either, however they come in. The digests are those that the router keeps beside the sealed contact (`contacts.index`).
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from pymongo.errors import BulkWriteError

from services.runtime.mongo import Database, duplicate_indexes


class MongoOptOutStore:
    """Opt-outs, asked for by the reference of a contact."""

    def __init__(self, database: Database) -> None:
        self._contacts = database["contacts"]
        self._opt_outs = database["survey_opt_outs"]

    async def opt_out(self, refs: Iterable[UUID], at: datetime) -> None:
        """These people are not to be asked any more. May be called again."""
        digests = {digest for index in (await self._indexes(refs)).values() for digest in index}
        if not digests:
            return
        documents: list[dict[str, Any]] = [{"_id": digest, "at": at} for digest in sorted(digests)]
        try:
            await self._opt_outs.insert_many(documents, ordered=False)
        except BulkWriteError as refusal:
            duplicate_indexes(refusal)

    async def opted_out(self, refs: Iterable[UUID]) -> set[UUID]:
        """Those of the contacts that are of people who said no."""
        indexes = await self._indexes(refs)
        digests = {digest for index in indexes.values() for digest in index}
        if not digests:
            return set()
        found = self._opt_outs.find({"_id": {"$in": sorted(digests)}}, {"_id": 1})
        said_no = {d["_id"] async for d in found}
        return {ref for ref, index in indexes.items() if said_no & set(index)}

    async def _indexes(self, refs: Iterable[UUID]) -> dict[UUID, list[str]]:
        wanted = [str(ref) for ref in refs]
        if not wanted:
            return {}
        found = self._contacts.find({"_id": {"$in": wanted}}, {"index": 1})
        return {UUID(d["_id"]): d.get("index", []) async for d in found}
