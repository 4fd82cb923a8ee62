"""The audit: collection `audit`, to which entries are added and in which nothing is ever changed."""

from typing import Any, Final

from services.desk.audit import Entry, Sought, time_part
from services.runtime.mongo import Database

_PAGE_MAX: Final = 500


class AuditStore:
    """`{_id, at, who, role, action, ticket, about, fields, reason, address}`. There is no method that changes one."""

    def __init__(self, database: Database) -> None:
        self._audit = database["audit"]

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
        exact = {"who": sought.who, "action": sought.action, "ticket": sought.ticket}
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
