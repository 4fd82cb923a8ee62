"""Requests to erase (collection `erasures`), and the collections of other services in which a customer is found."""

import json
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from schemas import ids
from schemas.sealed import MaskedContact
from services.desk.erasing import Erasure, ErasureState
from services.runtime.evidence import open_to
from services.runtime.mongo import Database

_FILES, _CHUNKS = "evidence.files", "evidence.chunks"
_NOBODY: Final = MaskedContact().model_dump()


class ErasureStore:
    """`{_id, asked_at, asked_by, reason, digests, state, complaints, files, done_at}`."""

    def __init__(self, database: Database) -> None:
        self._erasures = database["erasures"]
        self._contacts = database["contacts"]
        self._events = database["ticket_events"]
        self._files = database[_FILES]
        self._chunks = database[_CHUNKS]
        self._notifications = database["notifications"]
        self._addressees = database["addressees"]
        self._notes = database["notes"]

    async def create_indexes(self) -> None:
        """May be called by every process at every start."""
        await self._erasures.create_index([("state", 1), ("asked_at", 1)])

    async def ask(self, erasure: Erasure) -> Erasure:
        """Keep a request; gives the one that waits already for the same customer, if there is one."""
        for one in await self.waiting():
            if set(one.digests) == set(erasure.digests):
                return one
        await self._erasures.insert_one(_document(erasure))
        return erasure

    async def get(self, erasure: UUID) -> Erasure | None:
        """One."""
        document = await self._erasures.find_one({"_id": str(erasure)})
        return _erasure(document) if document else None

    async def waiting(self) -> list[Erasure]:
        """See `erasing.Erasures`."""
        found = self._erasures.find({"state": ErasureState.ASKED.value}).sort("asked_at", 1)
        return [_erasure(document) async for document in found]

    async def evidence_of(self, ticket: UUID, complaint: UUID) -> Sequence[UUID]:
        """See `erasing.Erasures`. Of a follow-up the contact names the files."""
        if ids.ticket_id(complaint) != ticket:
            return ()
        documents = await self._events.find({"ticket_id": str(ticket)}).to_list(None)
        # What was appended together is carried by the first of it until each has a document of its own.
        events = [*documents, *(json.loads(payload) for d in documents for _, payload in d.get("then", ()))]
        named = dict.fromkeys(UUID(one) for event in events for one in event.get("evidence") or ())
        return tuple(named)

    async def erase_files(self, evidence: Sequence[UUID], *, of: Collection[UUID]) -> int:
        """See `erasing.Erasures`. The bytes go first: a file without them is found again, they alone are not."""
        if not evidence:
            return 0
        wanted = [document["_id"] async for document in self._files.find(open_to(evidence, of=of), {"_id": 1})]
        await self._chunks.delete_many({"files_id": {"$in": wanted}})
        await self._files.delete_many({"_id": {"$in": wanted}})
        return len(wanted)

    async def erase_traces(self, ticket: UUID, complaint: UUID) -> None:
        """See `erasing.Erasures`."""
        theirs = {"ticket_id": str(ticket), "person.complaint_id": str(complaint)}
        await self._notifications.update_many(theirs, {"$set": {"person.masked": _NOBODY}, "$unset": {"recipient": ""}})
        known = {"_id": str(ticket), "person.complaint_id": str(complaint)}
        await self._addressees.update_many(known, {"$set": {"person.masked": _NOBODY}})
        # People are named in what colleagues write, and nobody can tell where. The events lead nowhere then.
        await self._notes.delete_many({"ticket_id": str(ticket)})

    async def erase_contact(self, complaint: UUID, *, at: datetime) -> None:
        """See `erasing.Erasures`."""
        gone: dict[str, Any] = {"contact": None, "wording": None, "masked": _NOBODY, "index": [], "evidence": []}
        await self._contacts.update_one({"_id": str(ids.contact_ref(complaint))}, {"$set": {**gone, "erased_at": at}})

    async def count(self, erasure: UUID, *, complaints: int, files: int) -> None:
        """See `erasing.Erasures`."""
        await self._erasures.update_one({"_id": str(erasure)}, {"$inc": {"complaints": complaints, "files": files}})

    async def finish(self, erasure: UUID, *, at: datetime) -> None:
        """See `erasing.Erasures`."""
        done = {"state": ErasureState.DONE.value, "done_at": at, "digests": [], "reason": ""}
        await self._erasures.update_one({"_id": str(erasure), "state": ErasureState.ASKED.value}, {"$set": done})

    async def messages_of(self, tickets: Sequence[UUID], complaints: Sequence[UUID]) -> list[dict[str, Any]]:
        """`{moment, at, channels, state}` of each message to the customer; never its words or where it went."""
        found = self._notifications.find({"ticket_id": {"$in": [str(ticket) for ticket in tickets]}})
        theirs = {str(complaint) for complaint in complaints}
        return [
            {
                "ticket_id": d["ticket_id"],
                "moment": d["moment"],
                "at": d["at"].isoformat(),
                "channels": [attempt["channel"] for attempt in d["attempts"]],
                "state": d["state"],
            }
            async for d in found
            if d["person"]["complaint_id"] in theirs
        ]


def _document(erasure: Erasure) -> dict[str, Any]:
    return {
        "_id": str(erasure.id),
        "asked_at": erasure.asked_at,
        "asked_by": erasure.asked_by,
        "reason": erasure.reason,
        "digests": list(erasure.digests),
        "state": erasure.state.value,
        "complaints": erasure.complaints,
        "files": erasure.files,
        "done_at": erasure.done_at,
    }


def _erasure(document: dict[str, Any]) -> Erasure:
    return Erasure(
        id=UUID(document["_id"]),
        asked_at=document["asked_at"],
        asked_by=document["asked_by"],
        reason=document["reason"],
        digests=tuple(document["digests"]),
        state=ErasureState(document["state"]),
        complaints=document["complaints"],
        files=document["files"],
        done_at=document["done_at"],
    )
