"""What the portal reads of a ticket, on a database in memory."""

from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID, uuid5

from schemas import ids
from services.portal.ticket_store import MongoTicketStore
from services.runtime.mongo import Database
from tests.simulation.database import Store

TICKET = UUID(int=1)
AT = datetime(2026, 11, 20, 9, tzinfo=UTC)
FIRST, LATER, OTHER, ERASED = (uuid5(TICKET, name) for name in ("first", "later", "other", "erased"))


def _contact(complaint: UUID, index: list[str] | None) -> dict[str, Any]:
    return {"_id": str(ids.contact_ref(complaint)), **({} if index is None else {"index": index})}


def _message(complaint: UUID, moment: str) -> dict[str, Any]:
    return {
        "_id": f"{complaint}:{moment}",
        "ticket_id": str(TICKET),
        "person": {"complaint_id": str(complaint), "masked": {"phone": "138****8000"}},
        "moment": moment,
        "state": "sent",
        "requested_at": AT,
        "attempts": [{"channel": "sms", "sent_at": AT}],
    }


async def test_who_follows_up_sees_all_messages_and_nobody_those_of_others() -> None:
    """The same phone is the same person, by whichever channel; an erased contact is nobody's."""
    database = cast("Database", Store().database())
    await database["contacts"].insert_many(
        [
            _contact(FIRST, ["phone-a", "mail-a"]),
            _contact(LATER, ["phone-a"]),
            _contact(OTHER, ["phone-b"]),
            _contact(ERASED, None),
        ]
    )
    await database["notifications"].insert_many(
        [_message(complaint, "received") for complaint in (FIRST, LATER, OTHER, ERASED)]
        + [_message(LATER, "followed_up")]
    )
    store = MongoTicketStore(database, timeout_s=5)
    counts = {one: len(await store.messages(TICKET, one)) for one in (FIRST, LATER, OTHER, ERASED)}
    assert counts == {FIRST: 3, LATER: 3, OTHER: 1, ERASED: 1}
