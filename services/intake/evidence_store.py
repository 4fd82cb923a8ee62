"""Where files of evidence are kept, sealed: whoever reads the database or its backup sees no photo of a front door."""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from bson.binary import Binary
from gridfs.errors import NoFile

from schemas.sealed import Sealed
from services.intake.handlers import Unavailable
from services.runtime import evidence as owners
from services.runtime.evidence import BUCKET
from services.runtime.mongo import FAILED, Bucket, Database, bucket
from services.runtime.sealing import Keyring


@dataclass(frozen=True, slots=True)
class Evidence:
    """One file."""

    evidence_id: UUID
    media_type: str
    """Told by its content."""
    content: bytes
    uploaded_at: datetime


class EvidenceStore(Protocol):
    """Keeps files."""

    async def put(self, evidence: Evidence) -> None:
        """Keep one; durable when this returns.

        Raises:
            Unavailable: it may not be kept.
        """

    async def get(self, evidence_id: UUID) -> Evidence | None:
        """One, opened.

        Raises:
            Unavailable: nobody can tell now.
        """

    async def missing(self, ids: Collection[UUID]) -> set[UUID]:
        """Those that are not there.

        Raises:
            Unavailable: nobody can tell now.
        """

    async def claim(self, ids: Collection[UUID], *, of: UUID) -> None:
        """Make some a complaint's, unless they are somebody's already.

        Raises:
            Unavailable: nobody knows whether they are.
        """


class GridFsEvidenceStore:
    """In GridFS (`evidence.files`, `evidence.chunks`). Another object store is another class of this shape."""

    def __init__(self, database: Database, keyring: Keyring, *, timeout_s: float) -> None:
        self._database = database
        self._files = database[f"{BUCKET}.files"]
        self._keyring = keyring
        self._timeout_s = timeout_s

    def _bucket(self) -> Bucket:
        # The driver ties a bucket to the event loop that is there when it is made; a database it does not.
        return bucket(self._database, name=BUCKET)

    async def put(self, evidence: Evidence) -> None:
        """See `EvidenceStore.put`."""
        sealed = self._keyring.seal(evidence.content, about=evidence.evidence_id)
        about = {
            "media_type": evidence.media_type,
            "size": len(evidence.content),
            "uploaded_at": evidence.uploaded_at,
            "key_id": sealed.key_id,
            "nonce": Binary(sealed.nonce),
        }
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._bucket().upload_from_stream_with_id(
                    str(evidence.evidence_id), BUCKET, sealed.ciphertext, metadata=about
                )
        except (*FAILED, TimeoutError) as error:
            raise Unavailable("the database does not answer") from error

    async def get(self, evidence_id: UUID) -> Evidence | None:
        """See `EvidenceStore.get`."""
        try:
            async with asyncio.timeout(self._timeout_s):
                stream = await self._bucket().open_download_stream(str(evidence_id))
                ciphertext: bytes = await stream.read()
        except NoFile:
            return None
        except (*FAILED, TimeoutError) as error:
            raise Unavailable("the database does not answer") from error
        about: dict[str, Any] = stream.metadata
        sealed = Sealed(key_id=about["key_id"], nonce=bytes(about["nonce"]), ciphertext=ciphertext)
        content = self._keyring.open(sealed, about=evidence_id)
        return Evidence(evidence_id, about["media_type"], content, about["uploaded_at"])

    async def missing(self, ids: Collection[UUID]) -> set[UUID]:
        """See `EvidenceStore.missing`."""
        try:
            async with asyncio.timeout(self._timeout_s):
                found = self._files.find({"_id": {"$in": [str(one) for one in ids]}}, {"_id": 1})
                return set(ids) - {UUID(document["_id"]) async for document in found}
        except (*FAILED, TimeoutError) as error:
            raise Unavailable("the database does not answer") from error

    async def claim(self, ids: Collection[UUID], *, of: UUID) -> None:
        """See `EvidenceStore.claim`."""
        try:
            async with asyncio.timeout(self._timeout_s):
                await owners.claim(self._database, ids, of=of)
        except (*FAILED, TimeoutError) as error:
            raise Unavailable("the database does not answer") from error


class MemoryEvidenceStore:
    """The same in memory, for tests."""

    def __init__(self) -> None:
        self._kept: dict[UUID, Evidence] = {}
        self.owners: dict[UUID, UUID] = {}

    async def put(self, evidence: Evidence) -> None:
        """See `EvidenceStore.put`."""
        self._kept[evidence.evidence_id] = evidence

    async def get(self, evidence_id: UUID) -> Evidence | None:
        """See `EvidenceStore.get`."""
        return self._kept.get(evidence_id)

    async def missing(self, ids: Collection[UUID]) -> set[UUID]:
        """See `EvidenceStore.missing`."""
        return {one for one in ids if one not in self._kept}

    async def claim(self, ids: Collection[UUID], *, of: UUID) -> None:
        """See `EvidenceStore.claim`."""
        self.owners = {**dict.fromkeys(ids, of), **self.owners}
