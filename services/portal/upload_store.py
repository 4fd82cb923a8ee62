"""Which file of which form is which evidence: collection `portal_uploads`, for a week.

`{_id: "<form>:<sha256>", evidence_id, at}`. It is inserted once: whoever sends a form twice sends the same evidence.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from pymongo.errors import DuplicateKeyError

from services.portal.ticket_store import answering
from services.runtime import evidence as owners
from services.runtime.mongo import Database

KEPT_S = 7 * 24 * 3600


class MongoUploadStore:
    """See `uploads.UploadStore`."""

    def __init__(self, database: Database, *, timeout_s: float, now: Callable[[], datetime]) -> None:
        self._database = database
        self._uploads = database["portal_uploads"]
        self._timeout_s = timeout_s
        self._now = now

    async def prepare(self) -> None:
        """Let old ones go. May be called by every process at every start."""
        await self._uploads.create_index("at", expireAfterSeconds=KEPT_S)

    async def add(self, form: str, sha256: str, evidence: UUID) -> None:
        """See `uploads.UploadStore`."""
        document = {"_id": f"{form}:{sha256}", "evidence_id": str(evidence), "at": self._now()}
        try:
            with answering():
                async with asyncio.timeout(self._timeout_s):
                    await self._uploads.insert_one(document)
        except DuplicateKeyError:
            return

    async def find(self, form: str, checksums: Sequence[str]) -> Mapping[str, UUID]:
        """See `uploads.UploadStore`."""
        wanted = {f"{form}:{sha256}": sha256 for sha256 in checksums}
        with answering():
            async with asyncio.timeout(self._timeout_s):
                found = await self._uploads.find({"_id": {"$in": list(wanted)}}).to_list(None)
        return {wanted[document["_id"]]: UUID(document["evidence_id"]) for document in found}

    async def claim(self, evidence: Collection[UUID], *, of: UUID) -> None:
        """See `uploads.UploadStore`."""
        with answering():
            async with asyncio.timeout(self._timeout_s):
                await owners.claim(self._database, evidence, of=of)
