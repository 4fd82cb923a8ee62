"""Where people belong: read from the collection `directory`, whose newest version is in force."""

import time
from collections.abc import Callable
from typing import Any, Final

from services.desk.accounts import Membership
from services.runtime.mongo import Database

LOOKED_AT_EVERY_S: Final = 2.0


class MembershipStore:
    """Departments and units of people, and of those who manage one."""

    def __init__(self, database: Database, *, now: Callable[[], float] = time.monotonic) -> None:
        self._directory = database["directory"]
        self._now = now
        self._looked_at = float("-inf")
        self._version: int | None = None
        self._by_person: dict[str, Membership] = {}

    async def of(self, person: str) -> Membership:
        """Of one; nowhere when the directory does not know the person. A change is followed within two seconds."""
        if self._now() - self._looked_at >= LOOKED_AT_EVERY_S:
            newest = await self._directory.find({}, {"_id": 1}).sort("_id", -1).limit(1).to_list(None)
            version = newest[0]["_id"] if newest else None
            if version != self._version:
                document = await self._directory.find_one({"_id": version}) or {}
                self._by_person, self._version = _memberships(document), version
            self._looked_at = self._now()
        return self._by_person.get(person, Membership())


def _memberships(directory: dict[str, Any]) -> dict[str, Membership]:
    departments: dict[str, list[str]] = {}
    units: dict[str, list[str]] = {}
    for person in directory.get("people", ()):
        departments.setdefault(person["id"], []).append(person["department"])
        if person.get("unit"):
            units.setdefault(person["id"], []).append(person["unit"])
    for kind, belongs in (("departments", departments), ("units", units)):
        for each in directory.get(kind, ()):
            if each.get("manager"):
                belongs.setdefault(each["manager"], []).append(each["code"])
    return {
        person: Membership(tuple(departments.get(person, ())), tuple(units.get(person, ())))
        for person in departments.keys() | units.keys()
    }
