"""The HTTP surface of tickets: the queue, a ticket with its trail, exports, live changes. It changes nothing."""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final, Protocol
from uuid import UUID
from zoneinfo import ZoneInfo

import orjson
from anyio import to_thread
from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, StringConstraints
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import FileResponse, Response, StreamingResponse

from schemas.events import TicketEvent
from services.desk.asking import Asking
from services.desk.customer_request import customer_keys
from services.desk.doors import audited
from services.desk.export import BYTE_ORDER_MARK, COLUMNS, Workbook, cells, csv_lines
from services.desk.finding import Rows, row_named
from services.desk.live import Live, Told
from services.desk.person import Person
from services.desk.queue import Filters, PageAsked, Scope
from services.desk.refusal import Refusal
from services.desk.row import Row
from services.desk.row_store import COUNT_MAX
from services.desk.signing_in import Auditing
from services.desk.telling import all_messages_told, clocks_told, event_told, row_told
from services.runtime.retries import FAILED

NO_STORE: Final = {"Cache-Control": "no-store"}
_PING_S: Final = 15
_STILL_S: Final = 30.0
_ABOUT_CHARACTERS_MAX: Final = 500
_XLSX: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"

Allows = Callable[[str], Callable[..., Awaitable[Person]]]
"""Gives a FastAPI dependency: the signed-in person, whose role has a right to an action; see `doors.allowed`."""


class Trail(Protocol):
    """What is told of a ticket elsewhere."""

    async def events(self, tickets: list[UUID]) -> Mapping[UUID, list[TicketEvent]]:
        """All events, in order."""

    async def messages(self, ids: list[UUID]) -> list[Mapping[str, Any]]:
        """Records of messages."""


class CustomerWanted(BaseModel):
    """A customer as a person names one."""

    model_config = ConfigDict(extra="forbid")

    contact: Annotated[str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True)]


@dataclass(frozen=True, kw_only=True)
class TicketRoutes:
    """Everything under `/v1/tickets`, `/v1/customers` and `/v1/live`."""

    asking: Asking
    rows: Rows
    trail: Trail
    live: Live
    blind: Callable[[str, str], str]
    allows: Allows
    scope_of: Callable[[Person], Scope]
    auditing: Auditing
    export_rows_max: int
    is_still: Callable[[Person, Request], Awaitable[bool]]
    """Whether a request is still that person's, with the same rights."""

    def router(self) -> APIRouter:
        """The routes."""
        router = APIRouter(tags=["tickets"])
        Reader = Annotated[Person, Depends(self.allows("list_tickets"))]  # noqa: N806  # a type
        Exporter = Annotated[Person, Depends(self.allows("export"))]  # noqa: N806
        Finder = Annotated[Person, Depends(self.allows("find_customer"))]  # noqa: N806

        @router.get("/v1/tickets", summary="A page of the queue")
        async def page(person: Reader, asked: Annotated[PageAsked, Query()]) -> Response:
            scope = self.scope_of(person)
            answer = await self.asking.page(asked, person=person, scope=scope)
            told: dict[str, Any] = {"tickets": [row_told(row, scope) for row in answer.rows], "next": answer.next}
            if answer.count is not None:
                told["count"] = {"at_least": min(answer.count, COUNT_MAX), "is_exact": answer.count <= COUNT_MAX}
            return _json(told)

        @router.get(
            "/v1/tickets.csv",
            summary="What the same filters find, as CSV",
            response_class=Response,
            responses={200: {"content": {"text/csv": {}}}},
        )
        async def as_csv(request: Request, person: Exporter, asked: Annotated[Filters, Query()]) -> Response:
            await self._audit(request, person)
            return StreamingResponse(self._csv(asked, person), media_type="text/csv", headers=_download("tickets.csv"))

        @router.get(
            "/v1/tickets.xlsx",
            summary="What the same filters find, as a spreadsheet",
            response_class=Response,
            responses={200: {"content": {_XLSX: {}}}},
        )
        async def as_xlsx(request: Request, person: Exporter, asked: Annotated[Filters, Query()]) -> Response:
            await self._audit(request, person)
            return await self._xlsx(asked, person)

        @router.get("/v1/tickets/{ticket}", summary="A ticket with its trail, by id or number")
        async def one(person: Reader, ticket: str) -> Response:
            scope = self.scope_of(person)
            async with self.asking.measured("ticket"):
                row = await self._visible(ticket, scope)
                told = await self._ticket(row, scope)
            return _json(told, {"ETag": f'"{row.version}"'})

        @router.get("/v1/tickets/{ticket}/events", summary="A ticket's events behind a number")
        async def events(person: Reader, ticket: str, after: Annotated[int, Query(ge=0)] = 0) -> Response:
            scope = self.scope_of(person)
            async with self.asking.measured("ticket"):
                row = await self._visible(ticket, scope)
                found = (await self.trail.events([row.id])).get(row.id, [])
            return _json({"events": [event_told(e, scope) for e in found if e.sequence > after]})

        @router.post("/v1/customers", summary="The keys by which a customer's tickets are found")
        async def customer(_: Finder, wanted: CustomerWanted) -> Response:
            return _json({"customer": customer_keys(wanted.contact, blind=self.blind)})

        @router.get("/v1/live", summary="Changes as they happen, as server-sent events")
        async def changes(request: Request, person: Reader) -> Response:
            told = tellings(self.live, self.scope_of(person), is_still=partial(self.is_still, person, request))
            return EventSourceResponse(told, ping=_PING_S, send_timeout=30)

        return router

    async def _audit(self, request: Request, person: Person) -> None:
        """Keep who takes which list away; filters name no person, see `Filters`."""
        about = request.url.path.rpartition("/")[2] + (f"?{request.url.query}" if request.url.query else "")
        await self.auditing.add(audited(request, person, "export", about=about[:_ABOUT_CHARACTERS_MAX]))

    async def _visible(self, named: str, scope: Scope) -> Row:
        kept = await row_named(self.rows, named)
        # Whoever may not see it is not told that it exists.
        if kept is None or not scope.shows(department=kept.row.department, units=kept.row.units):
            raise Refusal("no-such-ticket")
        return kept.row

    async def _ticket(self, row: Row, scope: Scope) -> dict[str, Any]:
        events = (await self.trail.events([row.id])).get(row.id, [])
        records = await self.trail.messages([message.id for message in row.messages])
        return {
            **row_told(row, scope),
            "clocks": clocks_told(row, only_open=False),
            "events": [event_told(event, scope) for event in events],
            "messages": all_messages_told(row, records),
        }

    async def _csv(self, asked: Filters, person: Person) -> AsyncIterator[str]:
        scope, zone = self.scope_of(person), ZoneInfo(person.time_zone)
        yield BYTE_ORDER_MARK + csv_lines([COLUMNS])
        async for rows in self.asking.pieces(asked, person=person, scope=scope, rows_max=self.export_rows_max):
            yield csv_lines(cells(row, zone) for row in rows)

    async def _xlsx(self, asked: Filters, person: Person) -> Response:
        scope, zone = self.scope_of(person), ZoneInfo(person.time_zone)
        folder = tempfile.TemporaryDirectory(prefix="amends-export-")
        try:
            path = Path(folder.name) / "tickets.xlsx"
            book = Workbook(path)
            async for rows in self.asking.pieces(asked, person=person, scope=scope, rows_max=self.export_rows_max):
                await to_thread.run_sync(book.write, [cells(row, zone) for row in rows])
            await to_thread.run_sync(book.close)
        except BaseException:
            folder.cleanup()
            raise
        return FileResponse(
            path, media_type=_XLSX, headers=_download("tickets.xlsx"), background=BackgroundTask(folder.cleanup)
        )


async def tellings(
    live: Live, scope: Scope, *, is_still: Callable[[], Awaitable[bool]], asked_every_s: float = _STILL_S
) -> AsyncIterator[ServerSentEvent]:
    """What one browser is told: `mode`, `changed`, `refresh`.

    Ends when the desk stops, or soon after whoever listens was signed out or may see something else.
    """
    with live.listen(scope) as listener:
        asked_at = time.monotonic()
        while True:
            try:
                wait_s = max(0.0, asked_at + asked_every_s - time.monotonic())
                kind, content = await asyncio.wait_for(listener.next(), wait_s)
            except TimeoutError:
                if not await _or_unknown(is_still):
                    return
                asked_at = time.monotonic()
                continue
            if kind is Told.CLOSED:
                return
            yield ServerSentEvent(event=kind.value, data=orjson.dumps(content).decode())


async def _or_unknown(is_still: Callable[[], Awaitable[bool]]) -> bool:
    """While the database is away nobody is sent away."""
    try:
        return await is_still()
    except FAILED:
        return True


def _json(content: Any, headers: Mapping[str, str] | None = None) -> Response:
    return Response(orjson.dumps(content), 200, {**NO_STORE, **(headers or {})}, "application/json")


def _download(name: str) -> dict[str, str]:
    return {**NO_STORE, "Content-Disposition": f'attachment; filename="{name}"'}
