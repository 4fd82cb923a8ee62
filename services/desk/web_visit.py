"""One request of a browser for a page: who sends it, in which language it is answered, and what every page has."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote

from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from services.desk.doors import FIELD_BYTES_MAX, Doors
from services.desk.naming import Names, Naming
from services.desk.pages import page
from services.desk.person import Person
from services.desk.refusal import RETRY_AFTER_S, Refusal
from services.desk.refusal_http import DATABASE_ERRORS, database_refusal, language_wanted, refusal_answer
from services.desk.rights import may_somewhere
from services.desk.session import csrf_token
from services.desk.wording import Speaker, speaker_for
from services.runtime.http import read_form

MENU: Final = (
    ("queue", "/queue", "list_tickets"),
    ("new", "/new", "submit_complaint"),
    ("reviews", "/reviews", "complete_review"),
    ("approvals", "/approvals", "approve"),
    ("board", "/board", "see_statistics"),
    ("clusters", "/clusters", "see_statistics"),
    ("knowledge", "/knowledge", "list_tickets"),
    ("templates", "/templates", "read_policies"),
    ("policies", "/policies", "read_policies"),
    ("directory", "/directory", "read_directory"),
    ("deliveries", "/deliveries", "read_deliveries"),
    ("rejected", "/rejected", "read_rejected"),
    ("dead_letters", "/dead-letters", "read_dead_letters"),
    ("accounts", "/accounts", "read_accounts"),
    ("audit", "/audit", "read_audit"),
)
"""Phrase, address and right of each entry of the menu."""
AWAY: Final = 503
_WRITTEN: Final = frozenset({"text", "for_customer", "whys", "reason", "description", "subject", "body"})
"""Fields that hold sentences."""
BODY_BYTES_MAX: Final = 36 << 20
"""Of a form with its files: as much as the intake takes of files at once, and room for what is typed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """A request of somebody who is signed in."""

    request: Request
    person: Person
    doors: Doors
    names: Names = field(default_factory=Names)

    @property
    def say(self) -> Speaker:
        """Who speaks to the person."""
        return speaker_for(self.person)

    def path(self, name: str) -> str:
        """A part of the address."""
        return str(self.request.path_params[name])

    def query(self, name: str) -> str:
        """A parameter; empty when it is not there."""
        return self.request.query_params.get(name, "")

    async def form(self) -> FormData:
        """What was sent."""
        return await read_form(self.request, max_part_size=FIELD_BYTES_MAX)

    def html(self, template: str, status: int = 200, **content: Any) -> Response:
        """A page, or a piece of one."""
        address = self.request.url.path
        known = {
            "person": self.person,
            "menu": [(key, href) for key, href, action in MENU if may_somewhere(self.person, action)],
            "address": address,
            "here": f"{address}?{self.request.url.query}" if self.request.url.query else address,
            "names": self.names,
            "suggests": may_somewhere(self.person, "read_directory"),
            "csrf": csrf_token(self.doors.session_id(self.request) or ""),
            "now": self.doors.now().isoformat(timespec="milliseconds"),
        }
        return HTMLResponse(page(template, self.say, {**known, **content}), status, _headers(self.say))

    def refused(self, refusal: Refusal) -> Response:
        """A page that says why not, with every problem."""
        return self.html("refusal", refusal.status, refusal=refusal.told(self.person.language))

    def go(self, path: str) -> Response:
        """Go on at another page."""
        return RedirectResponse(path, 303)


Endpoint = Callable[[Visit], Awaitable[Response]]


def entered(doors: Doors, endpoint: Endpoint, action: str, naming: Naming) -> Callable[[Request], Awaitable[Response]]:
    """An endpoint for those who have a right to `action` somewhere; a refusal is a page, too.

    Who is not signed in is sent to do so, and comes back.
    """

    async def inside(request: Request) -> Response:
        try:
            _check_length(request)
            person = await doors.enter(request)
        except Refusal as refusal:
            if refusal.kind != "not-signed-in":
                return stranger_html(request, "refused", refusal.status, refusal=refusal)
            wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
            back = quote(wanted if request.method == "GET" else "/", safe="/")
            if request.headers.get("HX-Request"):
                return Response(status_code=401, headers={"HX-Redirect": "/sign-in"})
            return RedirectResponse(f"/sign-in?next={back}", 303)
        visit = Visit(request=request, person=person, doors=doors, names=await naming.names())
        if action and not may_somewhere(person, action):
            return visit.refused(
                Refusal("not-allowed", more={"action": action}, role=visit.say.word("staff_role", person.role))
            )
        try:
            return await endpoint(visit)
        except Refusal as refusal:
            return await again_html(request, refusal) if refusal.status == AWAY else visit.refused(refusal)

    async def answer(request: Request) -> Response:
        try:
            return await inside(request)
        except DATABASE_ERRORS as error:
            return await again_html(request, database_refusal(error))

    return answer


async def nowhere_html(request: Request, _error: Exception) -> Response:
    """An address that there is not: with the menu for who is signed in, for programs RFC 9457."""
    refusal = Refusal("no-such-page")
    if "text/html" not in request.headers.get("accept", ""):
        return refusal_answer(refusal, request)
    doors: Doors = request.app.state.doors
    try:
        visit = Visit(request=request, person=await doors.enter(request), doors=doors)
    except (Refusal, *DATABASE_ERRORS):
        return stranger_html(request, "refused", refusal.status, refusal=refusal)
    return visit.refused(refusal)


def stranger_html(request: Request, template: str, status: int = 200, **content: Any) -> Response:
    """A page for somebody who is not signed in; `?language=` says in which language."""
    wanted = request.query_params.get("language", "")
    language = language_wanted(request)
    say = Speaker(type(language)(wanted) if wanted in set(type(language)) else language)
    refusal = content.get("refusal")
    told = refusal.told(say.language) if isinstance(refusal, Refusal) else None
    return HTMLResponse(page(template, say, {**content, "refusal": told}), status, _headers(say))


async def again_html(request: Request, refusal: Refusal) -> Response:
    """What cannot be done now, and all that was typed, to be sent again as it is. Files have to be chosen again."""
    say = Speaker(getattr(request.state, "language", None) or language_wanted(request))
    typed: list[tuple[str, str]] = []
    had_files = False
    if request.method == "POST":
        given = (await read_form(request, max_part_size=FIELD_BYTES_MAX)).multi_items()
        if not any("password" in name for name, _ in given):
            typed = [(name, value) for name, value in given if isinstance(value, str)]
        had_files = any(isinstance(value, UploadFile) and value.filename for _, value in given)
    content = {"refusal": refusal.told(say.language), "typed": typed, "had_files": had_files}
    content |= {"address": request.url.path, "shown": [text for name, text in typed if name in _WRITTEN and text]}
    headers = _headers(say) | {"Retry-After": str(refusal.retry_after_s or RETRY_AFTER_S)}
    return HTMLResponse(page("again", say, content), refusal.status, headers)


def _check_length(request: Request) -> None:
    """Before a form is read: one that does not say how long it is would be read to its end."""
    length = request.headers.get("content-length", "")
    if request.method == "POST" and not (length.isdecimal() and int(length) <= BODY_BYTES_MAX):
        raise Refusal("too-big", mb=BODY_BYTES_MAX >> 20)


def failed_html(request: Request, reference: str) -> Response:
    """A page, or for programs RFC 9457, about what nobody foresaw; `reference` is in the log, too."""
    refusal = Refusal("failed", reference=reference)
    language = getattr(request.state, "language", None) or language_wanted(request)
    if "text/html" not in request.headers.get("accept", ""):
        return refusal_answer(refusal, request)
    say = Speaker(language)
    return HTMLResponse(page("refused", say, {"refusal": refusal.told(language)}), refusal.status, _headers(say))


def _headers(say: Speaker) -> dict[str, str]:
    return {"Content-Language": say.language.value, "Cache-Control": "no-store"}
