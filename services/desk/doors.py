"""Who stands behind a request, and whether it is really that person who sends it.

An endpoint takes `who` (somebody is signed in) or `allowed("action")` (whose role has that right somewhere), and asks
`rights.require` about the ticket at hand:

    @router.post("/v1/tickets/{ticket_id}/answer")
    async def answer(ticket_id: UUID, person: Annotated[Person, Depends(allowed("answer"))]) -> ...:
        require(person, "answer", place)

Cookies alone prove nothing, since a browser sends them for other sites' pages, too. So whatever changes something must
come from our origin, and bring the session's token in `X-CSRF-Token` or in the form field `csrf_token`.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated, Final, Protocol
from urllib.parse import urlsplit

from fastapi import Depends
from starlette.requests import Request
from starlette.responses import Response

from services.desk import audit
from services.desk.accounts import Account, person_of
from services.desk.audit import Entry
from services.desk.person import Person
from services.desk.refusal import Refusal
from services.desk.rights import RIGHTS, may_somewhere
from services.desk.session import Limits, Session, digest, is_csrf_token
from services.desk.signing_in import Accounts, Memberships
from services.runtime.http import read_form

CSRF_HEADER: Final = "X-CSRF-Token"
CSRF_FIELD: Final = "csrf_token"
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
FIELD_BYTES_MAX: Final = 8 << 20
"""Of one field of a form: directories of thousands of outlets are typed, or pasted, whole."""
_FORMS: Final = ("application/x-www-form-urlencoded", "multipart/form-data")


class Sessions(Protocol):
    """Sessions by digest, see `session_store.py`."""

    async def get(self, digest: str) -> Session | None:
        """One, whether it still holds or not."""

    async def seen(self, digest: str, at: datetime) -> None:
        """It was used."""

    async def end(self, digest: str) -> None:
        """End one."""


class Doors:
    """Knows people by their cookies. One for the whole app, in `app.state.doors`."""

    def __init__(
        self,
        *,
        accounts: Accounts,
        sessions: Sessions,
        memberships: Memberships,
        limits: Limits,
        url: str,
        now: Callable[[], datetime],
        seconds_max: float,
    ) -> None:
        """Doors.

        Args:
            accounts: of people.
            sessions: of browsers.
            memberships: what units and departments people belong to.
            limits: how long a session holds.
            url: the one under which browsers reach us; empty: as each request says.
            now: the time.
            seconds_max: to wait for the database.
        """
        self._accounts = accounts
        self._sessions = sessions
        self._memberships = memberships
        self._limits = limits
        self._url = url
        self._seconds_max = seconds_max
        self.now = now

    async def enter(self, request: Request) -> Person:
        """Who sends a request. Account and role are read each time, so what an administrator changes holds at once.

        Raises:
            Refusal: `not-signed-in`, `origin-refused`, `csrf-refused`.
            TimeoutError: the database does not answer.
        """
        session_id, now = self.session_id(request), self.now()
        async with asyncio.timeout(self._seconds_max):
            session, account = await self._known(session_id, now)
        if session_id is None or session is None:
            raise Refusal("not-signed-in")
        key = digest(session_id)
        if account is None:
            await self._sessions.end(key)
            raise Refusal("not-signed-in")
        if request.method not in _SAFE:
            self.check_origin(request)
            await _check_token(request, session_id)
        # Whatever answers from here on, be it a failure, speaks the person's language.
        request.state.language = account.language
        async with asyncio.timeout(self._seconds_max):
            if session.is_to_be_seen(now):
                await self._sessions.seen(key, now)
            return await self.person(account)

    async def is_still(self, person: Person, request: Request) -> bool:
        """Whether a request that takes long is still that person's, with the same rights. The session is not used."""
        _, account = await self._known(self.session_id(request), self.now())
        return account is not None and await self.person(account) == person

    async def person(self, account: Account) -> Person:
        """Who is signed in with an account, with the places that the directory gives them beside the account's own."""
        return person_of(account, await self._memberships.of(account.name))

    async def _known(self, session_id: str | None, now: datetime) -> tuple[Session | None, Account | None]:
        """The session, and whose it is while it holds."""
        session = await self._sessions.get(digest(session_id)) if session_id else None
        if session is None:
            return None, None
        account = await self._accounts.get(session.account)
        holds = account is not None and not account.disabled and session.holds(now, self._limits)
        return session, account if holds else None

    def check_origin(self, request: Request) -> None:
        """That a request comes from a page of ours, as far as the browser says.

        Raises:
            Refusal: `origin-refused`.
        """
        origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site")
        if origin is not None and origin != self.origin(request):
            raise Refusal("origin-refused")
        if site not in (None, "same-origin", "none"):
            raise Refusal("origin-refused")

    def origin(self, request: Request) -> str:
        """Under which the browser knows us, e.g. `https://desk.example.com`."""
        return self._url or f"{request.url.scheme}://{request.headers.get('host', '')}"

    def is_secure(self, request: Request) -> bool:
        """Whether browsers reach us by https, perhaps by way of a proxy."""
        return urlsplit(self.origin(request)).scheme == "https"

    def session_id(self, request: Request) -> str | None:
        """What the browser holds, whatever it is worth."""
        return request.cookies.get(self.cookie_name(request, "amends"))

    def cookie_name(self, request: Request, name: str) -> str:
        """With https the prefix keeps other hosts of the same domain from setting our cookies (RFC 6265bis)."""
        return f"__Host-{name}" if self.is_secure(request) else name

    def give_session(self, request: Request, response: Response, session_id: str) -> None:
        """Let the browser hold a session."""
        self.give_cookie(request, response, "amends", session_id, int(self._limits.absolute.total_seconds()))

    def give_cookie(self, request: Request, response: Response, name: str, value: str, seconds: int) -> None:
        """Let the browser hold something that no script can read; with 0 seconds it forgets it."""
        response.set_cookie(
            self.cookie_name(request, name),
            value,
            max_age=seconds,
            path="/",
            secure=self.is_secure(request),
            httponly=True,
            samesite="lax",
        )


async def who(request: Request) -> Person:
    """The member of staff who sends the request: a dependency of FastAPI.

    Raises:
        Refusal: nobody is signed in, or the request is not from our page.
    """
    doors: Doors = request.app.state.doors
    return await doors.enter(request)


Who = Annotated[Person, Depends(who)]


def allowed(action: str) -> Callable[[Person], Awaitable[Person]]:
    """A dependency of FastAPI: the member of staff, whose role has a right to `action` on some ticket at least.

    Raises:
        KeyError: at once, when there is no such action.
        Refusal: `not-allowed`.
    """
    if action not in RIGHTS:
        raise KeyError(action)

    async def checked(person: Who) -> Person:
        if not may_somewhere(person, action):
            raise Refusal("not-allowed", more={"action": action}, role=person.role.value)
        return person

    return checked


def address_of(request: Request) -> str:
    """Of the caller; behind a proxy the one that it names, when it is one that the server trusts."""
    return request.client.host if request.client else ""


def audited(
    request: Request,
    person: Person,
    action: str,
    *,
    ticket: str | None = None,
    about: str = "",
    fields: tuple[str, ...] = (),
    reason: str = "",
) -> Entry:
    """An entry of the audit about what a request does."""
    doors: Doors = request.app.state.doors
    return audit.entry(
        action,
        at=doors.now(),
        by=person,
        ticket=ticket,
        about=about,
        fields=fields,
        reason=reason,
        address=address_of(request),
    )


async def _check_token(request: Request, session_id: str) -> None:
    given = request.headers.get(CSRF_HEADER)
    if given is None and request.headers.get("content-type", "").startswith(_FORMS):
        field = (await read_form(request, max_part_size=FIELD_BYTES_MAX)).get(CSRF_FIELD)
        given = field if isinstance(field, str) else None
    if given is None or not is_csrf_token(given, session_id):
        raise Refusal("csrf-refused")
