"""Words about tickets: collection `notes`, see `schemas/notes.py`. Opened in memory, with their reference."""

import asyncio
from collections.abc import Collection, Mapping
from datetime import datetime
from uuid import UUID

from pymongo.errors import DuplicateKeyError

from schemas.notes import Note
from schemas.sealed import Sealed
from services.portal.ticket_store import answering
from services.runtime.logging import get_logger
from services.runtime.mongo import Database
from services.runtime.sealing import CannotOpen, Keyring

log = get_logger(__name__)


class MongoNoteStore:
    """Reads what is for the complainant, and keeps what the complainant writes."""

    def __init__(self, database: Database, keyring: Keyring, *, timeout_s: float) -> None:
        self._notes = database["notes"]
        self._keyring = keyring
        self._timeout_s = timeout_s

    async def for_customer(self, refs: Collection[UUID], *, ticket: UUID) -> Mapping[UUID, str]:
        """See `handlers.Notes`. A note that was erased, or belongs to another ticket, has no words."""
        if not refs:
            return {}
        with answering():
            async with asyncio.timeout(self._timeout_s):
                query = {"_id": {"$in": [str(ref) for ref in refs]}, "ticket_id": str(ticket)}
                found = await self._notes.find(query).to_list(None)
        words: dict[UUID, str] = {}
        for document in found:
            ref = UUID(document["_id"])
            try:
                opened = self._keyring.open(Sealed.model_validate(document["sealed"]), about=ref)
            except CannotOpen as error:
                log.warning("note.cannot_open", note_ref=str(ref), reason=str(error))
                continue
            if told := Note.from_seal_bytes(opened).for_customer:
                words[ref] = told
        return words

    async def put(self, ref: UUID, note: Note, *, ticket: UUID, at: datetime) -> None:
        """See `handlers.Notes`."""
        sealed = self._keyring.seal(note.seal_bytes(), about=ref)
        document = {
            "_id": str(ref),
            "ticket_id": str(ticket),
            "written_at": at,
            "sealed": {"key_id": sealed.key_id, "nonce": sealed.nonce, "ciphertext": sealed.ciphertext},
        }
        try:
            with answering():
                async with asyncio.timeout(self._timeout_s):
                    await self._notes.insert_one(document)
        except DuplicateKeyError:
            return  # The reference follows from the words: the same are there already.
