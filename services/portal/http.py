"""The portal's pages over HTTP: what is read from a request, and which page an outcome gives."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import Final
from urllib.parse import quote, urlencode
from uuid import UUID

from fastapi import FastAPI
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import Message

from schemas.codes import Language
from schemas.text import seen
from services.portal import actions
from services.portal.actions import Act, Given
from services.portal.complaint import Draft, Kept
from services.portal.handlers import Complaints, NotDone, NotSent, OutcomeKind, PrivatePage
from services.portal.pages import REFRESHED_MAX, Pages, Refresh
from services.portal.settings import PortalSettings
from services.portal.tokens import Done, LinkHolder
from services.portal.uploads import Unavailable
from services.portal.wording import Wording
from services.runtime.accept_language import preferred
from services.runtime.http import read_form
from services.runtime.metrics import PortalMetrics
from services.runtime.private_link import PATH
from services.runtime.rate_limit import ClientLimit

_STATIC: Final = {
    "portal.css": "text/css; charset=utf-8",
    "portal.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
_FIELD_BYTES_MAX: Final = 131_072
_FIELDS_MAX: Final = 60
_FRAMING_BYTES: Final = 1_048_576
_NUMBER_WAIT_S: Final = 3.0
_PROMISE_LOOKS_MAX: Final = 2
_YEAR_S: Final = 31_536_000
_COOKIE: Final = "lang"
_ACTS: Final = {act.value: act for act in Act}
_LANGUAGES: Final = {language.value: language for language in Language}
_SCORES: Final = frozenset(str(score) for score in actions.SCORES)


class FormRefused(Exception):  # noqa: N818 - said of the form
    """A form that was not read: `kind` of the page that says so, and its status."""

    def __init__(self, kind: str, status: int) -> None:
        super().__init__(kind)
        self.kind = kind
        self.status = status


class Forms:
    """Reads forms, a bounded number at once."""

    def __init__(self, settings: PortalSettings) -> None:
        # More files are read than may be sent, so that the page can say so and keep what was typed.
        self._files_max = settings.upload_files_max + 10
        self._bytes_max = settings.upload_bytes_max * (settings.upload_files_max + 2) + _FRAMING_BYTES
        self._seconds_max = settings.form_s_max
        self._room = asyncio.Semaphore(settings.uploads_in_flight_max)

    @asynccontextmanager
    async def read(self, request: Request) -> AsyncIterator[FormData]:
        """The form; its files are closed afterwards.

        Raises:
            FormRefused: it is too big, too slow or broken, or too many are being worked on.
        """
        if self._room.locked():
            raise FormRefused("busy", 503)
        async with self._room:
            form = await self._parse(request)
            try:
                yield form
            finally:
                await form.close()

    async def _parse(self, request: Request) -> FormData:
        read = 0

        async def bounded() -> Message:
            nonlocal read
            message = await request.receive()
            read += len(message.get("body", b""))
            if read > self._bytes_max:
                raise FormRefused("too_big", 413)
            return message

        bounds = {"max_files": self._files_max, "max_fields": _FIELDS_MAX, "max_part_size": _FIELD_BYTES_MAX}
        try:
            async with asyncio.timeout(self._seconds_max):
                return await read_form(Request(request.scope, bounded), **bounds)
        except TimeoutError:
            raise FormRefused("too_slow", 408) from None
        except (HTTPException, ClientDisconnect):
            raise FormRefused("too_big", 413) from None


class PortalRoutes:
    """Every page."""

    def __init__(
        self,
        *,
        complaints: Complaints,
        private: PrivatePage,
        pages: Pages,
        wording: Mapping[Language, Wording],
        ticket_limit: ClientLimit,
        metrics: PortalMetrics,
        settings: PortalSettings,
    ) -> None:
        self._complaints = complaints
        self._private = private
        self._pages = pages
        self._wording = wording
        self._ticket_limit = ticket_limit
        self._metrics = metrics
        self._forms = Forms(settings)
        folder = files("services.portal") / "static"
        self._static = {name: (folder / name).read_bytes() for name in _STATIC}

    def add_to(self, app: FastAPI) -> None:
        """Serve them."""
        for path, endpoint, method in (
            ("/", self.form, "GET"),
            ("/", self.send, "POST"),
            ("/sent/{complaint_id}", self.sent, "GET"),
            (PATH + "{token}", self.ticket, "GET"),
            (PATH + "{token}/{act}", self.back, "GET"),
            (PATH + "{token}/{act}", self.act, "POST"),
            ("/static/{name}", self.static, "GET"),
            ("/robots.txt", self.robots, "GET"),
        ):
            app.router.add_route(path, endpoint, methods=[method], include_in_schema=False)

    async def form(self, request: Request) -> Response:
        """The public form."""
        words = self._words(request)
        return self._answer(request, words, self._pages.complaint(Draft.fresh(), words))

    async def send(self, request: Request) -> Response:
        """Take a complaint."""
        words = self._words(request)
        try:
            async with self._forms.read(request) as form:
                given = {name: [v for v in form.getlist(name) if isinstance(v, str)] for name in form}
                sent = await self._complaints.send(Draft.of(given), _files(form), words=words)
        except FormRefused as refusal:
            return self.notice(request, refusal.kind, refusal.status)
        if isinstance(sent, NotSent):
            self._metrics.complaints.labels(result="away" if sent.away else "refused").inc()
            answer = self._answer(request, words, self._pages.complaint(sent.draft, words, not_sent=sent), 422)
            return _come_back(answer, sent.away) if sent.away else answer
        self._metrics.complaints.labels(result="accepted").inc()
        return self._see(f"/sent/{sent}?lang={words.language}")

    async def sent(self, request: Request) -> Response:
        """What happens next with a complaint that was accepted."""
        words = self._words(request)
        try:
            complaint_id = UUID(request.path_params["complaint_id"])
            receipt = await self._complaints.receipt(complaint_id, wait_s=_NUMBER_WAIT_S, words=words)
        except ValueError:
            receipt = None
        except Unavailable as away:
            return _come_back(self.notice(request, "busy", 503), away)
        if receipt is None:
            return self.notice(request, "not_found", 404)
        refresh = None
        if not receipt.is_whole:
            # The number is worth waiting for; the time follows it at once, or there is none.
            times = REFRESHED_MAX if receipt.progress.number is None else _PROMISE_LOOKS_MAX
            refresh = _again(request, f"/sent/{complaint_id}", {"lang": words.language.value}, times_max=times)
        return self._answer(request, words, self._pages.sent(receipt, words, refresh=refresh))

    async def ticket(self, request: Request) -> Response:
        """The private page."""
        try:
            holder = await self._holder(request)
            if isinstance(holder, Response):
                return holder
            done = self._private.tokens.read_done(request.query_params.get("done", ""), holder)
            return await self._ticket(request, holder, done=done)
        except Unavailable as away:
            return _come_back(self.notice(request, "busy", 503), away)

    async def back(self, request: Request) -> Response:
        """The page of an action, loaded again, is the private page."""
        lang = request.query_params.get("lang")
        query = f"?lang={lang}" if lang in self._wording else ""
        return self._see(f"{PATH}{_token(request)}{query}")

    async def act(self, request: Request) -> Response:
        """Ask for something, then show the page that tells what became of it; what was typed is never lost."""
        act = _ACTS.get(request.path_params["act"])
        if act is None:
            return self.notice(request, "not_found", 404)
        typed: list[tuple[str, str]] = []
        try:
            async with self._forms.read(request) as form:
                typed = [(name, value) for name, value in form.multi_items() if isinstance(value, str)]
                holder = await self._holder(request)
                return holder if isinstance(holder, Response) else await self._act(request, holder, act, form)
        except FormRefused as refusal:
            return self.notice(request, refusal.kind, refusal.status)
        except Unavailable as away:
            page = self._pages.notice("kept", self._words(request), again=(request.url.path, typed))
            return _come_back(self._answer(request, self._words(request), page), away)

    async def _act(self, request: Request, holder: LinkHolder, act: Act, form: FormData) -> Response:
        words = self._words(request)
        given, kept = _given(act, form)
        outcome = await self._private.act(
            holder, given, form=_text(form, "form"), files=_files(form), kept=kept, words=words
        )
        if outcome is None:
            return self.notice(request, "no_ticket", 404)
        if isinstance(outcome, NotDone):
            result = "away" if outcome.away else outcome.why or "invalid"
            self._metrics.actions.labels(act=act, result=result).inc()
            return await self._ticket(request, holder, not_done=outcome)
        self._metrics.actions.labels(act=act, result="asked").inc()
        done = self._private.tokens.done(holder, outcome.act, outcome.commands)
        language = given.language or words.language
        return self._see(f"{PATH}{_token(request)}?done={done}&lang={language}")

    async def static(self, request: Request) -> Response:
        """Style, script and icon: ours, since the policy lets no other be loaded."""
        name = request.path_params["name"]
        content = self._static.get(name)
        if content is None:
            return self.notice(request, "not_found", 404)
        tag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
        headers = {"Cache-Control": "public, max-age=300", "ETag": tag}
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(content, headers=headers, media_type=_STATIC[name])

    async def robots(self, _request: Request) -> Response:
        """Private pages are nobody's to index."""
        return PlainTextResponse(f"User-agent: *\nDisallow: {PATH}\nDisallow: /sent/\n")

    def notice(self, request: Request, kind: str, status: int, reference: str = "") -> Response:
        """A polite page without a form; with a reference, by which the log tells what happened."""
        words = self._words(request)
        return self._answer(request, words, self._pages.notice(kind, words, reference=reference), status)

    async def _holder(self, request: Request) -> LinkHolder | Response:
        holder = await self._private.holder(_token(request))
        if holder is None:
            return self.notice(request, "no_ticket", 404)
        wait_s = await self._ticket_limit.retry_after_s(f"portal/{holder.ticket_id}")
        if wait_s is not None:
            answer = self.notice(request, "too_many", 429)
            answer.headers["Retry-After"] = str(int(wait_s + 0.999))
            return answer
        return holder

    async def _ticket(
        self, request: Request, holder: LinkHolder, *, done: Done | None = None, not_done: NotDone | None = None
    ) -> Response:
        words = self._words(request)
        view = await self._private.view(holder, done=done, form=not_done.form if not_done else None)
        if view is None:
            return self.notice(request, "no_ticket", 404)
        base = f"{PATH}{_token(request)}"
        refresh = None
        if view.outcome and view.outcome.kind is OutcomeKind.PENDING:
            refresh = _again(request, base, {"done": request.query_params["done"], "lang": words.language.value})
        page = self._pages.ticket(view, words, base=base, refresh=refresh, not_done=not_done)
        status = 200 if not_done is None else 409 if not_done.why else 422
        answer = self._answer(request, words, page, status)
        return _come_back(answer, not_done.away) if not_done and not_done.away else answer

    def _words(self, request: Request) -> Wording:
        for wanted in (request.query_params.get("lang"), request.cookies.get(_COOKIE)):
            if wanted is not None and wanted in self._wording:
                return self._wording[Language(wanted)]
        return self._wording[preferred(request.headers.get("accept-language"))]

    def _answer(self, request: Request, words: Wording, page: str, status: int = 200) -> Response:
        headers = {"Content-Language": words.language.value, "Vary": "Accept-Language, Cookie"}
        answer = HTMLResponse(page, status, headers)
        if request.query_params.get("lang") in self._wording:
            answer.set_cookie(
                _COOKIE,
                words.language.value,
                max_age=_YEAR_S,
                secure=request.url.scheme == "https",
                httponly=True,
                samesite="lax",
            )
        return answer

    @staticmethod
    def _see(url: str) -> Response:
        return RedirectResponse(url, 303)


def _token(request: Request) -> str:
    # What a link is made of needs no quoting; another one leads to the same polite page wherever it stands.
    return quote(str(request.path_params["token"]), safe="")


def _files(form: FormData) -> list[UploadFile]:
    return [value for value in form.getlist("files") if isinstance(value, UploadFile)]


def _text(form: FormData, name: str) -> str:
    value = form.get(name, "")
    return value if isinstance(value, str) else ""


def _given(act: Act, form: FormData) -> tuple[Given, list[Kept]]:
    score = _text(form, "score")
    kept = [one for v in form.getlist("kept") if isinstance(v, str) and (one := Kept.parse(v))]
    # Lines end as a form sends them, CR LF; two ways to write one text are one text.
    words = seen(_text(form, "words").strip().replace("\r\n", "\n"))
    language = _LANGUAGES.get(_text(form, "language")) if act is Act.CHOOSE_LANGUAGE else None
    return Given(act, words, int(score) if score in _SCORES else None, language=language), kept


def _again(request: Request, path: str, query: Mapping[str, str], *, times_max: int = REFRESHED_MAX) -> Refresh | None:
    """The page that looks again by itself; None when it has done so often enough."""
    looked = request.query_params.get("n", "")
    times = int(looked) + 1 if looked.isdecimal() and len(looked) < 3 else 1
    if times > times_max:
        return None
    return Refresh(f"{path}?{urlencode({**query, 'n': times})}")


def _come_back(answer: Response, away: Unavailable) -> Response:
    answer.status_code = 503
    answer.headers["Retry-After"] = str(away.retry_after_s)
    return answer
