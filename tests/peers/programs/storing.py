"""How one complaint is stored with motor: one awaited call after the other, as the driver's tutorial shows it."""

from typing import Any

from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError

from schemas.events import TicketEvent
from tests.peers.job import Case, event_documents, opened_document, ticket_document


async def store(database: Any, case: Case) -> list[TicketEvent]:
    """Decide between ticket and follow-up, write every document; the events to publish."""
    held = await _holder(database, case)
    fate = case.fate(held)
    try:
        await database["complaints"].insert_one(fate)
    except DuplicateKeyError:
        return []  # It was handled before.
    await database["contacts"].insert_one(case.contact(fate))
    if held is None:
        counter = await database["numbers"].find_one_and_update(
            {"_id": case.month}, {"$inc": {"last": 1}}, return_document=ReturnDocument.AFTER
        )
        events = case.opened(counter["last"])
        await database["ticket_events"].insert_many(event_documents(events))
        await database["tickets"].insert_one(opened_document(events))
        return events
    stored = await database["ticket_events"].find({"ticket_id": fate["ticket_id"]}).sort("sequence", 1).to_list(None)
    events = case.followed_up(fate, stored)
    documents = event_documents(events)
    await database["ticket_events"].insert_many(documents)
    await database["tickets"].replace_one({"_id": fate["ticket_id"]}, ticket_document([*stored, *documents]))
    return events


async def _holder(database: Any, case: Case) -> dict[str, Any] | None:
    """Lay the complaint's claims; who holds the first that is somebody else's."""
    for claim in case.claims:
        try:
            await database["claims"].insert_one(case.claim(claim))
        except DuplicateKeyError:
            held: dict[str, Any] = await database["claims"].find_one({"_id": claim.id})
            if held["complaint_id"] != case.id and claim.same_matter(waybills=held["waybills"]):
                return held
    return None
