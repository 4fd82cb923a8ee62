"""The HTTP surface of saved views."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Protocol
from uuid import UUID, uuid4

import orjson
from fastapi import APIRouter, Depends, Header, Query
from starlette.responses import Response

from services.desk.accounts import Wrong
from services.desk.asking import Asking
from services.desk.person import Person
from services.desk.queue import Scope
from services.desk.refusal import Refusal
from services.desk.row_store import COUNT_MAX
from services.desk.tickets_http import NO_STORE, Allows
from services.desk.view import VIEWS_MAX, View, WrittenView, may_change, may_share


class Views(Protocol):
    """Where views are kept."""

    async def seen_by(self, person: str) -> Sequence[View]:
        """Own and shared."""

    async def get(self, view: UUID) -> View | None:
        """One."""

    async def count_of(self, person: str) -> int:
        """How many a person has."""

    async def add(self, view: View) -> None:
        """Keep a new one."""

    async def replace(self, view: View) -> bool:
        """The next version."""

    async def remove(self, view: UUID, *, version: int) -> bool:
        """Remove one."""


@dataclass(frozen=True, kw_only=True)
class ViewRoutes:
    """Everything under `/v1/views`."""

    views: Views
    asking: Asking
    allows: Allows
    scope_of: Callable[[Person], Scope]

    def router(self) -> APIRouter:
        """The routes."""
        router = APIRouter(tags=["views"])
        Signed = Annotated[Person, Depends(self.allows("save_view"))]  # noqa: N806  # a type
        Version = Annotated[str, Header(alias="If-Match")]  # noqa: N806  # a type

        @router.get("/v1/views", summary="Own and shared views, with counts where they are wanted")
        async def seen(person: Signed, count: Annotated[bool, Query()] = False) -> Response:  # noqa: FBT002
            views = await self.views.seen_by(person.id)
            counts = {view.id: await self._count(view, person) for view in views} if count else {}
            return _json({"views": [_told(view, person, counts.get(view.id)) for view in views]})

        @router.post("/v1/views", summary="Save a view", status_code=201)
        async def add(person: Signed, written: WrittenView) -> Response:
            _may_write(written, person)
            if await self.views.count_of(person.id) >= VIEWS_MAX:
                raise Refusal("wrong-fields", problems=[Wrong("", "too_many_views", details={"max": VIEWS_MAX})])
            view = _view(written, person, self.asking.now(), id_=uuid4(), version=1)
            await self.views.add(view)
            return _json(_told(view, person), 201, {"Location": f"/v1/views/{view.id}", "ETag": '"1"'})

        @router.put("/v1/views/{view}", summary="Change a view")
        async def change(person: Signed, view: UUID, written: WrittenView, if_match: Version) -> Response:
            before = await self._own(view, person)
            _may_write(written, person)
            after = _view(written, person, self.asking.now(), id_=before.id, version=_version(if_match, before) + 1)
            if not await self.views.replace(after):
                raise Refusal("moved-on")
            return _json(_told(after, person), 200, {"ETag": f'"{after.version}"'})

        @router.delete("/v1/views/{view}", summary="Remove a view", status_code=204)
        async def remove(person: Signed, view: UUID, if_match: Version) -> Response:
            before = await self._own(view, person)
            if not await self.views.remove(before.id, version=_version(if_match, before)):
                raise Refusal("moved-on")
            return Response(status_code=204)

        return router

    async def _count(self, view: View, person: Person) -> int:
        return await self.asking.count(view.filters, person=person, scope=self.scope_of(person))

    async def _own(self, view: UUID, person: Person) -> View:
        found = await self.views.get(view)
        if found is None or not (found.is_shared or found.owner == person.id):
            raise Refusal("no-such-view")
        if not may_change(found, person):
            raise Refusal("view-of-another")
        return found


def _may_write(written: WrittenView, person: Person) -> None:
    if written.is_shared and not may_share(person):
        raise Refusal("not-allowed", more={"action": "share_view"}, role=person.role.value)


def _version(if_match: str, before: View) -> int:
    if if_match.strip() != f'"{before.version}"':
        raise Refusal("moved-on")
    return before.version


def _view(written: WrittenView, person: Person, now: Any, *, id_: UUID, version: int) -> View:
    return View(
        id=id_,
        owner=person.id,
        name=written.name,
        filters=written.filters,
        is_shared=written.is_shared,
        updated_at=now,
        version=version,
    )


def _told(view: View, person: Person, count: int | None = None) -> dict[str, Any]:
    told = {
        "id": str(view.id),
        "name": view.name,
        "filters": view.filters.model_dump(mode="json", exclude_defaults=True),
        "is_shared": view.is_shared,
        "is_own": view.owner == person.id,
        "updated_at": view.updated_at,
        "version": view.version,
    }
    if count is None:
        return told
    return {**told, "count": {"at_least": min(count, COUNT_MAX), "is_exact": count <= COUNT_MAX}}


def _json(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(orjson.dumps(content), status, {**NO_STORE, **(headers or {})}, "application/json")
