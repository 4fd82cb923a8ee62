"""How to reach people: collection `contacts`, written by the router, opened here in memory and nowhere kept."""

from collections.abc import Iterable
from uuid import UUID

from schemas.complaint import Contact
from schemas.sealed import Sealed
from services.runtime.logging import get_logger
from services.runtime.mongo import Database
from services.runtime.sealing import CannotOpen, Keyring

log = get_logger(__name__)


class SealedContactStore:
    """Contacts by their reference."""

    def __init__(self, database: Database, keyring: Keyring) -> None:
        self._contacts = database["contacts"]
        self._keyring = keyring

    async def load(self, refs: Iterable[UUID]) -> dict[UUID, Contact]:
        """Those that are known. Missing: not kept yet, erased, anonymous, or sealed with a key that is gone."""
        wanted = [str(ref) for ref in refs]
        if not wanted:
            return {}
        found = self._contacts.find({"_id": {"$in": wanted}}, {"complaint_id": 1, "contact": 1})
        opened: dict[UUID, Contact] = {}
        async for document in found:
            if document["contact"] is None:
                continue
            about = UUID(document["complaint_id"])
            try:
                plain = self._keyring.open(Sealed.model_validate(document["contact"]), about=about)
            except CannotOpen as error:
                log.warning("contact.cannot_open", complaint_id=str(about), reason=str(error))
                continue
            opened[UUID(document["_id"])] = Contact.from_seal_bytes(plain)
        return opened
