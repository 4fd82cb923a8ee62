"""Who complained and in which words: collection `contacts`, sealed as the intake sealed it. Erasure deletes here."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from pymongo import UpdateOne
from pymongo.errors import BulkWriteError

from schemas import ids
from schemas.complaint import ComplaintSubmitted
from schemas.sealed import Sealed
from services.runtime.mongo import Database, duplicate_indexes


class ContactStore:
    """One document per complaint.

    `{_id: contact_ref, complaint_id, ticket_id, contact, wording, masked, index, evidence, language, channel,
    time_zone}`. `contact` (None for an anonymous complaint) and `wording` are `schemas.sealed.Sealed`, opened with the
    complaint id. `index` says which documents are about one person. No database index is over it: erasure is rare and
    may look through all, while an index would have to be kept at every complaint. What was erased stays as a tombstone
    (`erased_at`, neither contact nor wording), so that reading the complaint again does not keep them again.
    """

    def __init__(self, database: Database) -> None:
        self._contacts = database["contacts"]

    async def keep(self, complaints: Sequence[tuple[ComplaintSubmitted, UUID]]) -> None:
        """Keep contact and wording of complaints, each with the ticket that it belongs to."""
        if not complaints:
            return
        try:
            await self._contacts.insert_many([_document(c, ticket) for c, ticket in complaints], ordered=False)
        except BulkWriteError as refusal:
            duplicate_indexes(refusal)

    async def redirect(self, complaints: Sequence[tuple[UUID, UUID]]) -> None:
        """Name another ticket for (complaint, ticket)."""
        if complaints:
            await self._contacts.bulk_write(
                [
                    UpdateOne({"_id": str(ids.contact_ref(complaint))}, {"$set": {"ticket_id": str(ticket)}})
                    for complaint, ticket in complaints
                ],
                ordered=False,
            )


def _document(complaint: ComplaintSubmitted, ticket: UUID) -> dict[str, Any]:
    return {
        "_id": ids.text(ids.contact_ref(complaint.complaint_id)),
        "complaint_id": ids.text(complaint.complaint_id),
        "ticket_id": ids.text(ticket),
        "contact": _sealed(complaint.contact) if complaint.contact else None,
        "wording": _sealed(complaint.wording),
        "masked": complaint.masked.model_dump(),
        "index": list(complaint.contact_index.values()),
        "evidence": [ids.text(one) for one in complaint.evidence],
        "language": complaint.language.value,
        "channel": complaint.channel.value,
        "time_zone": complaint.time_zone,
    }


def _sealed(sealed: Sealed) -> dict[str, Any]:
    return {"key_id": sealed.key_id, "nonce": sealed.nonce, "ciphertext": sealed.ciphertext}
