"""What whoever acted wants the complainant to read: collection `notes` (`schemas/notes.py`), opened here in memory."""

from collections.abc import Iterable
from uuid import UUID

from schemas.notes import Note
from schemas.sealed import Sealed
from services.runtime.logging import get_logger
from services.runtime.mongo import Database
from services.runtime.sealing import CannotOpen, Keyring

log = get_logger(__name__)


class SealedNoteStore:
    """Notes by their reference."""

    def __init__(self, database: Database, keyring: Keyring) -> None:
        self._notes = database["notes"]
        self._keyring = keyring

    async def words(self, wanted: Iterable[tuple[UUID, UUID]]) -> dict[UUID, str]:
        """Words for complainants, of (note, ticket).

        Missing: erased, never kept, of another ticket, or nothing that can be read. The message goes without them.
        """
        tickets = {str(note): str(ticket) for note, ticket in wanted}
        if not tickets:
            return {}
        found = self._notes.find({"_id": {"$in": list(tickets)}}, {"ticket_id": 1, "sealed": 1})
        words: dict[UUID, str] = {}
        async for document in found:
            id_ = UUID(document["_id"])
            if document["ticket_id"] != tickets[document["_id"]]:
                log.warning("note.of_another_ticket", note=str(id_))
                continue
            try:
                opened = self._keyring.open(Sealed.model_validate(document["sealed"]), about=id_)
                words[id_] = Note.from_seal_bytes(opened).for_customer
            except (CannotOpen, ValueError) as error:
                log.warning("note.cannot_open", note=str(id_), error=type(error).__name__)
        return words
