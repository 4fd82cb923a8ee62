"""The page of one's own: language, time zone, password, and where one is signed in."""

from dataclasses import dataclass
from typing import Final

from starlette.responses import Response

from schemas.codes import Language
from services.desk.accounts import Provider, Wrong
from services.desk.own_sessions import OwnSessions, shown_id
from services.desk.people_http import NewPassword, PeopleRoutes, Preferences
from services.desk.refusal import Refusal
from services.desk.web_accounts import ZONES
from services.desk.web_command import problem_text
from services.desk.web_visit import Endpoint, Visit

_TEXT_MAX: Final = 1000


@dataclass(frozen=True, kw_only=True)
class MePages:
    """For everybody who is signed in."""

    people: PeopleRoutes
    sessions: OwnSessions

    def routes(self) -> list[tuple[str, str, str, Endpoint]]:
        """Method, path, right (none), endpoint."""
        return [
            ("GET", "/me", "", self.me),
            ("POST", "/me", "", self.change),
            ("POST", "/me/password", "", self.password),
            ("POST", "/me/sessions", "", self.end),
        ]

    async def me(self, visit: Visit) -> Response:
        """All of it."""
        return await self._page(visit)

    async def change(self, visit: Visit) -> Response:
        """Language and time zone, from the next page on."""
        form = await visit.form()
        language, time_zone = (str(form.get(name) or "").strip()[:_TEXT_MAX] for name in ("language", "time_zone"))
        try:
            wanted = Preferences(language=language, time_zone=time_zone)
            await self.people.change_me(visit.request, visit.person, wanted)
        except Refusal as refusal:
            return await self._page(visit, refusal=refusal, time_zone=time_zone)
        return visit.go("/me?done=saved")

    async def password(self, visit: Visit) -> Response:
        """A new one: all other sessions end."""
        form = await visit.form()
        old, new, again = (str(form.get(name) or "")[:_TEXT_MAX] for name in ("old", "password", "again"))
        if new != again:
            differs = Refusal("wrong-fields", problems=[Wrong("again", "password_differs")])
            return await self._page(visit, refusal=differs)
        try:
            given = NewPassword(old=old, password=new)
            await self.people.change_my_password(visit.request, visit.person, given)
        except Refusal as refusal:
            if not refusal.problems:
                raise
            return await self._page(visit, refusal=refusal)
        return visit.go("/me?done=password")

    async def end(self, visit: Visit) -> Response:
        """End one session of mine, or all others."""
        session = str((await visit.form()).get("session") or "")[:_TEXT_MAX]
        if session:
            await self.sessions.end(visit.request, visit.person, session)
        else:
            await self.sessions.end_others(visit.request, visit.person)
        return visit.go("/me?done=sessions")

    async def _page(self, visit: Visit, *, refusal: Refusal | None = None, time_zone: str = "") -> Response:
        account = await self.people.accounts.get(visit.person.id)
        problems = [(one.field, problem_text(one, visit)) for one in refusal.problems] if refusal else []
        done = visit.query("done")
        return visit.html(
            "me",
            refusal.status if refusal else 200,
            has_password=account is not None and account.provider is Provider.LOCAL,
            sessions=[
                (shown_id(one), one, is_this) for one, is_this in await self.sessions.of(visit.request, visit.person)
            ],
            languages=list(Language),
            zones=ZONES,
            time_zone=time_zone or visit.person.time_zone,
            problems=problems,
            wrong=dict(problems),
            done=done if done in ("saved", "password", "sessions") else "",
        )
