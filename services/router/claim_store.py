"""Who holds which identity: collection `claims`, `{_id: claim, complaint_id, routing_key, received_at, waybills}`.

A claim is never let go of: whoever meets one whose ticket is over takes it over, unless that was linked to another.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from pymongo import UpdateOne
from pymongo.errors import BulkWriteError

from schemas import ids
from services.router.claims import Claim, Held
from services.runtime.mongo import Database, duplicate_indexes


class ClaimStore:
    """Claims."""

    def __init__(self, database: Database) -> None:
        self._claims = database["claims"]

    async def lay(self, claims: Sequence[Held]) -> dict[str, Held]:
        """Lay claims that nobody holds.

        Args:
            claims: at most one per id.

        Returns:
            Who holds each of them afterwards.
        """
        holds = {held.claim.id: held for held in claims}
        if not claims:
            return holds
        try:
            await self._claims.insert_many([_document(held) for held in claims], ordered=False)
        except BulkWriteError as refusal:
            holds |= await self._holders([claims[i].claim for i in duplicate_indexes(refusal)])
        return holds

    async def take_over(self, claims: Sequence[tuple[Held, UUID]]) -> dict[str, Held]:
        """Compare and set the holder of claims whose ticket is over.

        Args:
            claims: each as it shall be, with the complaint that holds it now.

        Returns:
            Who holds each of them afterwards.
        """
        if not claims:
            return {}
        await self._claims.bulk_write(
            [
                UpdateOne({"_id": held.claim.id, "complaint_id": str(holder)}, {"$set": _document(held)})
                for held, holder in claims
            ],
            ordered=False,
        )
        return await self._holders([held.claim for held, _ in claims])

    async def _holders(self, claims: Sequence[Claim]) -> dict[str, Held]:
        kinds = {claim.id: claim.kind for claim in claims}
        found = await self._claims.find({"_id": {"$in": list(kinds)}}).to_list(None)
        return {d["_id"]: _held(d, kinds[d["_id"]]) for d in found}


def _document(held: Held) -> dict[str, Any]:
    return {
        "_id": held.claim.id,
        "complaint_id": ids.text(held.complaint_id),
        "routing_key": held.routing_key,
        "received_at": held.claim.received_at.isoformat(),
        "waybills": list(held.claim.waybills),
    }


def _held(document: dict[str, Any], kind: str) -> Held:
    return Held(
        claim=Claim(
            id=document["_id"],
            kind=kind,
            received_at=datetime.fromisoformat(document["received_at"]),
            waybills=tuple(document["waybills"]),
        ),
        complaint_id=UUID(document["complaint_id"]),
        routing_key=document["routing_key"],
    )
