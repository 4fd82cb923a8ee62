"""Words that people write: collection `notes`, see `schemas/notes.py`. Sealed before they are kept."""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from pymongo.errors import DuplicateKeyError

from schemas.notes import Note
from schemas.sealed import Sealed
from services.runtime.logging import get_logger
from services.runtime.mongo import Database
from services.runtime.sealing import CannotOpen, Keyring

log = get_logger(__name__)


class NoteStore:
    """Notes by their reference."""

    def __init__(self, database: Database, keyring: Keyring) -> None:
        self._notes = database["notes"]
        self._keyring = keyring

    async def put(self, ref: UUID, note: Note, *, ticket: UUID, at: datetime) -> None:
        """Keep a note. The reference follows from the command, so what is there already is the same."""
        sealed = self._keyring.seal(note.seal_bytes(), about=ref)
        kept = {"key_id": sealed.key_id, "nonce": sealed.nonce, "ciphertext": sealed.ciphertext}
        try:
            await self._notes.insert_one({"_id": str(ref), "ticket_id": str(ticket), "sealed": kept, "written_at": at})
        except DuplicateKeyError:
            return

    async def of_ticket(self, ticket: UUID, refs: Collection[UUID]) -> dict[UUID, Note]:
        """The notes of one ticket by reference. One that was erased, or cannot be opened, is left out."""
        if not refs:
            return {}
        query = {"_id": {"$in": [str(ref) for ref in refs]}, "ticket_id": str(ticket)}
        notes: dict[UUID, Note] = {}
        async for document in self._notes.find(query):
            ref = UUID(document["_id"])
            try:
                opened = self._keyring.open(Sealed.model_validate(document["sealed"]), about=ref)
            except CannotOpen as error:
                log.warning("note.cannot_open", note=str(ref), reason=str(error))
            else:
                notes[ref] = Note.from_seal_bytes(opened)
        return notes
