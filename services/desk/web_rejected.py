"""Pages of complaints that the intake refused."""

from dataclasses import dataclass
from functools import partial
from typing import Any

from starlette.responses import Response

from services.desk.accounts import Wrong
from services.desk.doors import audited
from services.desk.refusal import Refusal
from services.desk.rejected import RejectedComplaints, parsed
from services.desk.rights import may
from services.desk.web_command import problem_text
from services.desk.web_visit import Endpoint, Visit
from services.runtime.rejected import Rejected


@dataclass(frozen=True, kw_only=True)
class RejectedPages:
    """The list, one of them, and submitting it again."""

    rejected: RejectedComplaints

    def routes(self) -> list[tuple[str, str, str, Endpoint]]:
        """Method, path, right, endpoint."""
        return [
            ("GET", "/rejected", "read_rejected", self.all),
            ("GET", "/rejected/{rejected}", "read_rejected", self.one),
            ("POST", "/rejected/{rejected}/open", "replay_rejected", self.open),
            ("POST", "/rejected/{rejected}/replay", "replay_rejected", self.replay),
        ]

    async def all(self, visit: Visit) -> Response:
        """The latest first."""
        found, following = await self.rejected.page(visit.query("before")[:64] or None)
        return visit.html("rejected", found=found, older=following or "")

    async def one(self, visit: Visit) -> Response:
        """One, with what was wrong."""
        return self._page(visit, await self.rejected.get(visit.path("rejected")))

    async def open(self, visit: Visit) -> Response:
        """The same with what was sent, to be mended."""
        one = await self.rejected.get(visit.path("rejected"))
        reason = str((await visit.form()).get("reason") or "")
        entry = partial(audited, visit.request, visit.person)
        return self._page(visit, one, body=await self.rejected.open(str(one.rejected_id), reason=reason, entry=entry))

    async def replay(self, visit: Visit) -> Response:
        """Submit it. What the intake says against it stands above what was typed."""
        one = await self.rejected.get(visit.path("rejected"))
        form = await visit.form()
        text = str(form["body"]) if "body" in form else None
        mended = parsed(text) if text is not None else None
        if text is not None and not isinstance(mended, dict):
            return self._page(visit, one, 422, body=text, wrong=[Wrong("body", "body_not_json")])
        try:
            entry = partial(audited, visit.request, visit.person)
            language = visit.person.language
            done = await self.rejected.replay(str(one.rejected_id), mended, language=language, entry=entry)
        except Refusal as refusal:
            if text is None or not refusal.problems:
                raise
            return self._page(visit, one, refusal.status, body=text, wrong=list(refusal.problems))
        if may(visit.person, "submit_complaint"):
            return visit.go(f"/new?submitted={done}")
        return visit.go(f"/rejected/{one.rejected_id}")

    def _page(
        self,
        visit: Visit,
        one: Rejected,
        status: int = 200,
        *,
        body: str | None = None,
        wrong: list[Wrong] | None = None,
    ) -> Response:
        problems: list[dict[str, Any]] = self.rejected.problems(one)
        return visit.html(
            "rejected_one",
            status,
            one=one,
            problems=problems,
            body=body,
            wrong=[(w.field, problem_text(w, visit)) for w in wrong or ()],
            may_replay=may(visit.person, "replay_rejected"),
        )
