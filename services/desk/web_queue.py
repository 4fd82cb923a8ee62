"""Pages of the queue: its lines, filters, tabs, search, and one command for many tickets."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol
from urllib.parse import urlencode
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

from pydantic import ValidationError
from starlette.datastructures import FormData, QueryParams
from starlette.responses import Response

from schemas.codes import Category, Channel, Clock, RiskFlag, Severity, TicketState
from schemas.commands import Assign
from services.desk import showing
from services.desk.accounts import Wrong
from services.desk.asking import Asking
from services.desk.command_handlers import Commands, Wanted
from services.desk.commanding import Answer, Asked, Done, Forbidden, Pending, Refused, Unsure
from services.desk.counting import Counting
from services.desk.customer_request import customer_keys
from services.desk.doors import audited
from services.desk.lines import Sort
from services.desk.person import Person
from services.desk.queue import Filters, PageAsked, Scope, Standing
from services.desk.reasons import in_words
from services.desk.refusal import Refusal
from services.desk.rights import may_somewhere
from services.desk.row import Kept
from services.desk.row_store import COUNT_MAX
from services.desk.searching import is_contact
from services.desk.signing_in import Auditing
from services.desk.view import VIEWS_MAX, View, may_change, may_share
from services.desk.views_http import Views
from services.desk.web_command import version_in
from services.desk.web_visit import Endpoint, Visit

TICKETS_MAX: Final = 200
"""Of one bulk assignment."""
_ROWS_MAX: Final = 50
"""Lines that are asked for again at once."""
_COUNTED_MAX: Final = 12
"""Tabs whose tickets are counted."""
_NAME_CHARACTERS_MAX: Final = 80
_FIELDS: Final = frozenset(PageAsked.model_fields) - {"count"}
_LISTS: Final = frozenset(
    {
        "state",
        "category",
        "department",
        "unit",
        "person",
        "severity",
        "flag",
        "channel",
        "source",
        "waybill",
        "customer",
    }
)
_SPACED: Final = frozenset({"department", "unit", "person"})
"""Of which a form takes several in one field."""
_BUILT_IN: Final[tuple[tuple[str, dict[str, Any]], ...]] = (
    ("all", {}),
    ("mine", {"person": ["me"]}),
    ("unassigned", {"person": ["nobody"]}),
    ("overdue", {"breached": True}),
    ("grave", {"severity": [3, 4], "sort": "severity"}),
)
CHOICES: Final[Mapping[str, tuple[str, Sequence[object]]]] = {
    "state": ("state", list(TicketState)),
    "severity": ("severity", [int(one) for one in Severity]),
    "flag": ("flag", list(RiskFlag)),
}
SELECTS: Final[Mapping[str, tuple[str, Sequence[object]]]] = {
    "standing": ("standing", list(Standing)),
    "category": ("matter", list(Category)),
    "clock": ("clock", list(Clock)),
    "channel": ("channel", list(Channel)),
    "sort": ("sort", list(Sort)),
}


class Rows(Protocol):
    """Rows by id and number."""

    async def load(self, tickets: Iterable[UUID]) -> Mapping[UUID, Kept]:
        """Those that are there."""

    async def by_number(self, number: str) -> Kept | None:
        """By ticket number."""


@dataclass(frozen=True, kw_only=True)
class QueuePages:
    """The queue."""

    asking: Asking
    counting: Counting
    rows: Rows
    views: Views
    commands: Commands
    auditing: Auditing
    blind: Callable[[str, str], str]
    scope_of: Callable[[Person], Scope]

    def routes(self) -> list[tuple[str, str, str, Endpoint]]:
        """Method, path, right, endpoint."""
        return [
            ("GET", "/queue", "list_tickets", self.queue),
            ("GET", "/queue/rows", "list_tickets", self.some),
            ("GET", "/queue/tabs", "list_tickets", self.tabs),
            ("POST", "/queue/search", "list_tickets", self.search),
            ("POST", "/queue/assign", "bulk", self.assign),
            ("POST", "/queue/views", "save_view", self.save),
            ("POST", "/queue/views/{view}/remove", "save_view", self.remove),
        ]

    async def queue(self, visit: Visit) -> Response:
        """A page of it."""
        asked, problems = asked_of(visit.request.query_params, visit.person.time_zone)
        scope, now = self.scope_of(visit.person), self.asking.now()
        answer = await self.asking.page(asked, person=visit.person, scope=scope)
        lines = [showing.row_shown(row, asked=asked, scope=scope, now=now, say=visit.say) for row in answer.rows]
        own = Filters.model_validate(asked.model_dump(include=set(Filters.model_fields)))
        return visit.html(
            "queue",
            422 if problems else 200,
            lines=lines,
            asked=asked,
            query=showing.query_of(own),
            next=answer.next,
            # None where there are more: then the tabs come with the count, a little later.
            count=answer.count,
            count_max=COUNT_MAX,
            problems=problems,
            tabs=await self._tabs(visit, own, count=False),
            choices=CHOICES,
            selects=SELECTS,
            may_bulk=may_somewhere(visit.person, "bulk") and may_somewhere(visit.person, "assign"),
            may_export=may_somewhere(visit.person, "export"),
            may_share=may_share(visit.person),
        )

    async def some(self, visit: Visit) -> Response:
        """Single lines again, by `id`."""
        asked, _ = asked_of(visit.request.query_params, visit.person.time_zone)
        scope, now = self.scope_of(visit.person), self.asking.now()
        found = await self.rows.load(_ids(visit.request.query_params.getlist("id"))[:_ROWS_MAX])
        lines = [
            showing.row_shown(kept.row, asked=asked, scope=scope, now=now, say=visit.say)
            for kept in found.values()
            if kept.row.version and scope.shows(department=kept.row.department, units=kept.row.units)
        ]
        may_bulk = may_somewhere(visit.person, "bulk") and may_somewhere(visit.person, "assign")
        return visit.html("queue_rows", lines=lines, may_bulk=may_bulk)

    async def tabs(self, visit: Visit) -> Response:
        """Tabs with counts and how many the page's own filters find, which a page asks for when it is there."""
        asked, _ = asked_of(visit.request.query_params, visit.person.time_zone)
        own = Filters.model_validate(asked.model_dump(include=set(Filters.model_fields)))
        tabs, count = await asyncio.gather(
            self._tabs(visit, own, count=True),
            self.counting.count(own, person=visit.person, scope=self.scope_of(visit.person)),
        )
        return visit.html("queue_counts", tabs=tabs, count=count, count_max=COUNT_MAX)

    async def search(self, visit: Visit) -> Response:
        """Find by whatever was typed: a person's number or address stands in no URL, its key may."""
        typed = str((await visit.form()).get("q") or "").strip()[:200]
        if not typed:
            return visit.go("/queue")
        if is_contact(typed):
            if not may_somewhere(visit.person, "find_customer"):
                raise Refusal(
                    "not-allowed",
                    more={"action": "find_customer"},
                    role=visit.say.word("staff_role", visit.person.role),
                )
            await self.auditing.add(audited(visit.request, visit.person, "find_customer"))
            return visit.go(f"/queue?{urlencode({'customer': customer_keys(typed, blind=self.blind)}, doseq=True)}")
        kept = await self.rows.by_number(typed)
        scope = self.scope_of(visit.person)
        if kept and scope.shows(department=kept.row.department, units=kept.row.units):
            return visit.go(f"/tickets/{kept.row.number}")
        return visit.go(f"/queue?{urlencode({'q': typed})}")

    async def assign(self, visit: Visit) -> Response:
        """Assign what was selected, and say of each what became of it."""
        form = await visit.form()
        chosen = _chosen(form)
        if not chosen:
            return visit.html("assigned", 422, answers=[], done=0)
        place = {name: str(form.get(name) or "").strip() or None for name in ("department", "unit", "person")}
        try:
            asked = Asked(action=Assign.model_validate({"name": "assign", **place}))
        except ValidationError:
            problems = [Wrong(name, "invalid", value) for name, value in place.items() if value and len(value) > 64]
            raise Refusal("wrong-fields", problems=problems) from None
        wanted = [Wanted(ticket, asked, version) for ticket, version in chosen.items()]
        answers = await self.commands.issue(visit.person, wanted)
        known = await self.rows.load(chosen)
        told = [
            {
                "number": known[ticket].row.number if ticket in known else str(ticket),
                "result": result_of(answer),
                "why": in_words(answer.why, visit.person.language) if isinstance(answer, Refused) else "",
            }
            for ticket, answer in zip(chosen, answers, strict=True)
        ]
        return visit.html("assigned", answers=told, done=sum(isinstance(answer, Done) for answer in answers))

    async def save(self, visit: Visit) -> Response:
        """Keep what is asked for under a name."""
        form = await visit.form()
        name = str(form.get("name") or "").strip()
        asked, problems = asked_of(QueryParams(str(form.get("query") or "")), visit.person.time_zone)
        if not 0 < len(name) <= _NAME_CHARACTERS_MAX:
            problems.append(Wrong("name", "missing"))
        if await self.views.count_of(visit.person.id) >= VIEWS_MAX:
            problems.append(Wrong("name", "too_many", None, {"max": VIEWS_MAX}))
        if problems:
            raise Refusal("wrong-fields", problems=problems)
        is_shared = form.get("is_shared") == "yes" and may_share(visit.person)
        filters = Filters.model_validate(asked.model_dump(include=set(Filters.model_fields)))
        view = View(
            id=uuid4(),
            owner=visit.person.id,
            name=name,
            filters=filters,
            is_shared=is_shared,
            updated_at=self.asking.now(),
        )
        await self.views.add(view)
        return visit.go(f"/queue?{showing.query_of(filters)}")

    async def remove(self, visit: Visit) -> Response:
        """Remove a view of one's own."""
        found = [await self.views.get(one) for one in _ids([visit.path("view")])]
        for view in found:
            if view is not None and may_change(view, visit.person):
                await self.views.remove(view.id, version=view.version)
        return visit.go("/queue")

    async def _tabs(self, visit: Visit, own: Filters, *, count: bool) -> list[dict[str, Any]]:
        """Views that are always there, and saved ones."""
        known = [(visit.say.page(key), Filters.model_validate(filters), "") for key, filters in _BUILT_IN]
        saved = await self.views.seen_by(visit.person.id)
        known += [(v.name, v.filters, str(v.id) if may_change(v, visit.person) else "") for v in saved]
        counts: list[int | None] = [None] * len(known)
        if count:
            scope = self.scope_of(visit.person)
            asked = (self.counting.count(f, person=visit.person, scope=scope) for _, f, _ in known[:_COUNTED_MAX])
            counts[:_COUNTED_MAX] = await asyncio.gather(*asked)
        return [
            {"name": name, "query": showing.query_of(filters), "own": own_id, "count": n, "is_current": filters == own}
            for (name, filters, own_id), n in zip(known, counts, strict=True)
        ]


def result_of(answer: Answer) -> str:
    """Code of what became of a command, in the section `said` of the words."""
    match answer:
        case Done():
            return "done"
        case Pending():
            return "pending"
        case Unsure():
            return "unsure"
        case Refused():
            return "refused"
        case Forbidden():
            return "not_allowed"
        case _:
            return "no_such_ticket"


def asked_of(params: QueryParams, zone: str) -> tuple[PageAsked, list[Wrong]]:
    """What a query string asks for. What cannot be read is left out and told."""
    given: dict[str, Any] = {}
    for name in _FIELDS & set(params.keys()):
        values = [value for value in params.getlist(name) if value]
        if name in _SPACED:
            values = [code for value in values for code in value.split()]
        if values:
            given[name] = values if name in _LISTS else values[-1]
    if "due_before" in given:
        given["due_before"] = _in_zone(given["due_before"], zone)
    problems: list[Wrong] = []
    try:
        return PageAsked.model_validate(given), problems
    except ValidationError as error:
        for one in error.errors():
            name = str(one["loc"][0]) if one["loc"] else ""
            problems.append(Wrong(name, "contact_in_url" if one["type"] == "contact_in_url" else "invalid"))
            given.pop(name, None)
    return PageAsked.model_validate(given), problems


def _in_zone(written: str, zone: str) -> str:
    """A time as a form writes it, without offset, is one of the person's zone."""
    try:
        at = datetime.fromisoformat(written)
    except ValueError:
        return written
    return (at if at.tzinfo else at.replace(tzinfo=ZoneInfo(zone))).isoformat()


def _chosen(form: FormData) -> dict[UUID, int]:
    """Tickets that were ticked, each with the version that was seen."""
    chosen: dict[UUID, int] = {}
    for value in form.getlist("ticket"):
        id_, _, written = str(value).partition(":")
        if (version := version_in(written)) is not None and (ids := _ids([id_])):
            chosen[ids[0]] = version
    if len(chosen) > TICKETS_MAX:
        raise Refusal("wrong-fields", problems=[Wrong("ticket", "too_many", None, {"max": TICKETS_MAX})])
    return chosen


def _ids(texts: Iterable[str]) -> list[UUID]:
    found: list[UUID] = []
    for text in texts:
        try:
            found.append(UUID(text))
        except ValueError:
            continue
    return found
