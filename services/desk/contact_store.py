"""Who complained and in which words: collection `contacts`, opened in memory and nowhere kept."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from schemas import ids
from schemas.codes import Channel
from schemas.complaint import Contact, Wording
from schemas.sealed import MaskedContact, Sealed
from services.runtime.mongo import Database
from services.runtime.sealing import Keyring


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What is kept of one complaint, closed."""

    complaint_id: UUID
    ticket_id: UUID
    channel: Channel
    masked: MaskedContact
    evidence: tuple[UUID, ...]
    is_erased: bool


class ContactStore:
    """Contacts and wordings."""

    def __init__(self, database: Database, keyring: Keyring) -> None:
        self._contacts = database["contacts"]
        self._keyring = keyring

    async def contacts(self, complaints: Iterable[UUID]) -> dict[UUID, Contact]:
        """Contacts by complaint. Missing: anonymous, erased, or not kept yet.

        Raises:
            CannotOpen: the key of one is gone.
        """
        opened = await self._opened(complaints, "contact")
        return {complaint: Contact.from_seal_bytes(plain) for complaint, plain in opened.items()}

    async def wordings(self, complaints: Iterable[UUID]) -> dict[UUID, Wording]:
        """Wordings by complaint; see `contacts`."""
        opened = await self._opened(complaints, "wording")
        return {complaint: Wording.from_seal_bytes(plain) for complaint, plain in opened.items()}

    async def evidence(self, complaints: Iterable[UUID]) -> list[tuple[UUID, UUID]]:
        """Files that came with complaints, as (complaint, file)."""
        refs = [str(ids.contact_ref(complaint)) for complaint in complaints]
        found = await self._contacts.find({"_id": {"$in": refs}}, {"complaint_id": 1, "evidence": 1}).to_list(None)
        return [(UUID(d["complaint_id"]), UUID(file)) for d in found for file in d.get("evidence") or ()]

    async def of_customer(self, digests: Sequence[str]) -> list[Kept]:
        """What is kept of whoever has one of these digests of number, address or open id.

        It looks through all contacts: this is asked seldom, and an index would have to be kept at every complaint.
        """
        found = self._contacts.find({"index": {"$in": list(digests)}})
        return [_kept(document) async for document in found]

    async def _opened(self, complaints: Iterable[UUID], part: str) -> dict[UUID, bytes]:
        refs = [str(ids.contact_ref(complaint)) for complaint in complaints]
        if not refs:
            return {}
        found = await self._contacts.find({"_id": {"$in": refs}}, {"complaint_id": 1, part: 1}).to_list(None)
        sealed = {UUID(d["complaint_id"]): d[part] for d in found if d.get(part)}
        return {
            complaint: self._keyring.open(Sealed.model_validate(document), about=complaint)
            for complaint, document in sealed.items()
        }


def _kept(document: dict[str, Any]) -> Kept:
    return Kept(
        complaint_id=UUID(document["complaint_id"]),
        ticket_id=UUID(document["ticket_id"]),
        channel=Channel(document["channel"]),
        masked=MaskedContact.model_validate(document["masked"]),
        evidence=tuple(UUID(one) for one in document.get("evidence") or ()),
        is_erased="erased_at" in document,
    )
