"""Pages that list what waits for somebody: reviews, approvals, the wall board, and the audit."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol
from uuid import UUID

import orjson
from starlette.responses import Response

from schemas.codes import Clock
from schemas.events import TicketEvent
from schemas.ticket import fold
from services.desk import showing
from services.desk.asking import Asking
from services.desk.audit import Entry, Sought
from services.desk.board import Standing
from services.desk.doors import audited
from services.desk.person import Person
from services.desk.queue import PAGE_MAX, PageAsked, Scope
from services.desk.web_visit import Endpoint, Visit

_ENTRIES: Final = 50


class Trail(Protocol):
    """The event store, read only."""

    async def events(self, tickets: Iterable[UUID]) -> Mapping[UUID, list[TicketEvent]]:
        """All events of tickets, in order."""


class Audit(Protocol):
    """See `audit_store.py`."""

    async def add(self, *entries: Entry) -> None:
        """Keep them."""

    async def page(self, sought: Sought, *, count_max: int = 50) -> list[Entry]:
        """The latest first."""

    async def numbers(self, entries: Sequence[Entry]) -> Mapping[str, str]:
        """Ticket numbers by id, of the tickets that entries are about."""


class Board(Protocol):
    """See `board_store.py`."""

    async def standings(self, scope: Scope) -> tuple[datetime, list[Standing]]:
        """When it was counted, and what."""


@dataclass(frozen=True, kw_only=True)
class ListPages:
    """What waits, what stands where, who did what."""

    asking: Asking
    trail: Trail
    audit: Audit
    board: Board
    scope_of: Callable[[Person], Scope]

    def routes(self) -> list[tuple[str, str, str, Endpoint]]:
        """Method, path, right, endpoint."""
        return [
            ("GET", "/reviews", "complete_review", self.reviews),
            ("GET", "/approvals", "approve", self.approvals),
            ("GET", "/board", "see_statistics", self.wall),
            ("GET", "/board.json", "see_statistics", self.numbers),
            ("GET", "/audit", "read_audit", self.acts),
        ]

    async def reviews(self, visit: Visit) -> Response:
        """What a person is to look at, the least certain first."""
        asked = PageAsked(needs_review=True, size=PAGE_MAX)
        scope = self.scope_of(visit.person)
        answer = await self.asking.page(asked, person=visit.person, scope=scope)
        now = self.asking.now()
        rows = sorted(answer.rows, key=lambda row: row.confidence or 0.0)
        lines = [showing.row_shown(row, asked=asked, scope=scope, now=now, say=visit.say) for row in rows]
        return visit.html("reviews", lines=lines)

    async def approvals(self, visit: Visit) -> Response:
        """Proposals that wait for this person: those on which the clock of approvals runs."""
        asked = PageAsked(clock=Clock.APPROVAL, size=PAGE_MAX)
        answer = await self.asking.page(asked, person=visit.person, scope=self.scope_of(visit.person))
        trails = await self.trail.events(row.id for row in answer.rows)
        tickets = [(row, fold(trails[row.id])) for row in answer.rows if row.id in trails]
        say, now = visit.say, self.asking.now()
        lines = [
            {
                "number": ticket.number,
                "command": say.word("command", ticket.approval.command),
                "remedy": say.word("remedy", ticket.approval.remedy) if ticket.approval.remedy else "",
                "amount": say.money(ticket.approval.amount),
                "by": ticket.approval.by or "",
                "countdown": next(
                    (
                        showing.countdown(clock.due_at, clock.target_s, now=now, say=say)
                        for clock, _ in row.open_clocks
                        if clock.clock is Clock.APPROVAL and clock.due_at
                    ),
                    None,
                ),
                "own": ticket.approval.by == visit.person.id,
            }
            for row, ticket in tickets
            if ticket.approval is not None and showing.waits_for(visit.person, ticket)
        ]
        return visit.html("approvals", lines=lines)

    async def wall(self, visit: Visit) -> Response:
        """Numbers that can be read from across the room; a script keeps them new."""
        at, found = await self.board.standings(self.scope_of(visit.person))
        return visit.html("board", standings=found, at=at)

    async def numbers(self, visit: Visit) -> Response:
        """`{"at", "departments": [{"department", "on_time", "soon", "breached"}]}`."""
        at, found = await self.board.standings(self.scope_of(visit.person))
        told = [
            {"department": s.department, "on_time": s.on_time, "soon": s.soon, "breached": s.breached} for s in found
        ]
        content = {"at": visit.say.at(at), "departments": told}
        return Response(orjson.dumps(content), media_type="application/json", headers={"Cache-Control": "no-store"})

    async def acts(self, visit: Visit) -> Response:
        """The audit, the latest first."""
        await self.audit.add(audited(visit.request, visit.person, "read_audit"))
        wanted = {name: visit.query(name)[:64] for name in ("account", "action", "ticket", "before")}
        sought = Sought(
            who=wanted["account"] or None,
            action=wanted["action"] or None,
            ticket=wanted["ticket"] or None,
            before=wanted["before"] or None,
        )
        entries = await self.audit.page(sought, count_max=_ENTRIES)
        older = entries[-1].id if len(entries) == _ENTRIES else ""
        numbers = await self.audit.numbers(entries)
        return visit.html("audit", entries=entries, numbers=numbers, wanted=wanted, older=older)
