"""The audit: collection `audit`, to which entries are added and in which nothing is ever changed."""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from services.desk.audit import Entry, Sought, time_part
from services.desk.finding import row_named
from services.desk.row_store import RowStore
from services.runtime.mongo import Database

_PAGE_MAX: Final = 500


class AuditStore:
    """`{_id, at, who, role, action, ticket, about, fields, reason, address}`. There is no method that changes one."""

    def __init__(self, database: Database) -> None:
        self._audit = database["audit"]
        self._rows = RowStore(database)

    async def create_indexes(self) -> None:
        """May be called by every process at every start."""
        for name in ("who", "action", "ticket"):
            await self._audit.create_index([(name, 1), ("_id", -1)])

    async def add(self, *entries: Entry) -> None:
        """Keep them; durable when this returns. Personal data leaves only after that.

        Raises:
            PyMongoError: it may not be kept, so nothing may be shown.
        """
        if entries:
            await self._audit.insert_many([_document(one) for one in entries])

    async def page(self, sought: Sought, *, count_max: int = 50) -> list[Entry]:
        """The latest first."""
        ticket = await self._id(sought.ticket) if sought.ticket is not None else None
        exact = {"who": sought.who, "action": sought.action, "ticket": ticket}
        query: dict[str, Any] = {name: value for name, value in exact.items() if value is not None}
        bounds: dict[str, str] = {}
        if sought.since:
            bounds["$gte"] = time_part(sought.since)
        upper = [key for key in (sought.before, time_part(sought.until) if sought.until else None) if key]
        if upper:
            bounds["$lt"] = min(upper)
        if bounds:
            query["_id"] = bounds
        found = self._audit.find(query).sort("_id", -1).limit(min(count_max, _PAGE_MAX))
        return [_entry(document) async for document in found]

    async def numbers(self, entries: Sequence[Entry]) -> dict[str, str]:
        """Ticket numbers by id, of the tickets that entries are about."""
        wanted = {UUID(one.ticket) for one in entries if one.ticket}
        return {str(id_): kept.row.number for id_, kept in (await self._rows.load(wanted)).items()}

    async def _id(self, named: str) -> str:
        kept = await row_named(self._rows, named)
        return str(kept.row.id) if kept else named


def _document(one: Entry) -> dict[str, Any]:
    return {
        "_id": one.id,
        "at": one.at,
        "who": one.who,
        "role": one.role,
        "action": one.action,
        "ticket": one.ticket,
        "about": one.about,
        "fields": list(one.fields),
        "reason": one.reason,
        "address": one.address,
    }


def _entry(document: dict[str, Any]) -> Entry:
    return Entry(
        id=document["_id"],
        at=document["at"],
        who=document["who"],
        role=document["role"],
        action=document["action"],
        ticket=document["ticket"],
        about=document["about"],
        fields=tuple(document["fields"]),
        reason=document["reason"],
        address=document["address"],
    )
