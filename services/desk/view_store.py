"""Saved views: collection `desk_views`."""

from typing import Any
from uuid import UUID

from services.desk.queue import Filters
from services.desk.view import VIEWS_MAX, View
from services.runtime.mongo import Database


class ViewStore:
    """Reads and writes views."""

    def __init__(self, database: Database) -> None:
        self._views = database["desk_views"]

    async def create_indexes(self) -> None:
        """Make the indexes. May be called by every process at every start."""
        await self._views.create_index("owner")
        await self._views.create_index("is_shared")

    async def seen_by(self, person: str) -> list[View]:
        """The person's own and those for all, by name."""
        own = [_view(d) async for d in self._views.find({"owner": person}).limit(VIEWS_MAX)]
        shared = [_view(d) async for d in self._views.find({"is_shared": True}).limit(VIEWS_MAX)]
        return sorted({view.id: view for view in (*shared, *own)}.values(), key=lambda v: (v.name, v.id))

    async def get(self, view: UUID) -> View | None:
        """One of them."""
        found = await self._views.find_one({"_id": str(view)})
        return _view(found) if found else None

    async def count_of(self, person: str) -> int:
        """How many a person has."""
        return await self._views.count_documents({"owner": person})

    async def add(self, view: View) -> None:
        """Keep a new one."""
        await self._views.insert_one(_document(view))

    async def replace(self, view: View) -> bool:
        """Write the next version of one; False: it has another version by now, or is gone."""
        done = await self._views.replace_one({"_id": str(view.id), "version": view.version - 1}, _document(view))
        return done.matched_count == 1

    async def remove(self, view: UUID, *, version: int) -> bool:
        """Remove one; False: it has another version by now, or is gone."""
        done = await self._views.delete_one({"_id": str(view), "version": version})
        return done.deleted_count == 1


def _document(view: View) -> dict[str, Any]:
    return {
        "_id": str(view.id),
        "owner": view.owner,
        "name": view.name,
        "filters": view.filters.model_dump(mode="json", exclude_defaults=True),
        "is_shared": view.is_shared,
        "updated_at": view.updated_at,
        "version": view.version,
    }


def _view(stored: dict[str, Any]) -> View:
    return View(
        id=UUID(stored["_id"]),
        owner=stored["owner"],
        name=stored["name"],
        filters=Filters.model_validate(stored["filters"]),
        is_shared=stored["is_shared"],
        updated_at=stored["updated_at"],
        version=stored["version"],
    )
