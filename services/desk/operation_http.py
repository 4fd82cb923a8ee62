"""Operation over HTTP: dead letters, refused complaints, deliveries, private links, and sessions of one's own."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Final, Protocol
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from schemas.codes import DeliveryChannel, Moment
from services.desk.dead_letters import CHOSEN_MAX, DeadLetters
from services.desk.delivery import PAGE, PAGE_MAX, Asked, Delivery, Result
from services.desk.doors import Who, allowed, audited
from services.desk.links import LinkRevoking
from services.desk.own_sessions import OwnSessions, shown_id
from services.desk.person import Person
from services.desk.refusal_http import language_wanted
from services.desk.rejected import RejectedComplaints
from services.desk.row import Kept
from services.runtime.rejected import Rejected

_TEXT_MAX: Final = 1000
_CURSOR_MAX: Final = 64


class Given(BaseModel):
    """A body. What it may not have is refused, not ignored."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Replay(Given):
    """`POST /v1/dead-letters/replay`: these letters, or all of a topic (empty: of all) that were not replayed yet."""

    letters: list[str] = Field(default=[], max_length=CHOSEN_MAX)
    topic: str | None = Field(None, max_length=_TEXT_MAX)


class Discard(Given):
    """`POST /v1/dead-letters/discard`."""

    letters: list[str] = Field(max_length=CHOSEN_MAX)
    reason: str = Field(max_length=_TEXT_MAX)


class Reason(Given):
    """A body that says why."""

    reason: str = Field(max_length=_TEXT_MAX)


class Resubmission(Given):
    """`POST /v1/rejected/{id}/replay`: as it was sent, or mended."""

    complaint: dict[str, Any] | None = None


class DeliveriesAsked(BaseModel):
    """Parameters of `GET /v1/deliveries`."""

    model_config = ConfigDict(extra="forbid")

    result: Result | None = None
    moment: Moment | None = None
    channel: DeliveryChannel | None = None
    ticket: UUID | None = None
    before: str | None = Field(None, max_length=_CURSOR_MAX, description="`next` of the page before.")
    limit: int = Field(PAGE, ge=1, le=PAGE_MAX)


class Deliveries(Protocol):
    """See `delivery_store.py`."""

    async def page(self, asked: Asked, *, count_max: int) -> list[Delivery]:
        """The newest first."""


class Rows(Protocol):
    """Rows of tickets."""

    async def load(self, tickets: Sequence[UUID]) -> Mapping[UUID, Kept]:
        """Those that are there."""


ReadsLetters = Annotated[Person, Depends(allowed("read_dead_letters"))]
ReplaysLetters = Annotated[Person, Depends(allowed("replay_dead_letters"))]
ReadsRejected = Annotated[Person, Depends(allowed("read_rejected"))]
ReplaysRejected = Annotated[Person, Depends(allowed("replay_rejected"))]
ReadsDeliveries = Annotated[Person, Depends(allowed("read_deliveries"))]
RevokesLinks = Annotated[Person, Depends(allowed("revoke_link"))]


@dataclass(frozen=True, kw_only=True)
class OperationRoutes:
    """The routes, and what they work with."""

    dead_letters: DeadLetters
    rejected: RejectedComplaints
    deliveries: Deliveries
    rows: Rows
    links: LinkRevoking
    sessions: OwnSessions

    def router(self) -> APIRouter:
        """All of them."""
        router = APIRouter(tags=["operation"])
        routes: tuple[tuple[str, str, Callable[..., Any], int, str], ...] = (
            ("GET", "/v1/dead-letters", self.letters, 200, "Messages that could not be processed, the newest first"),
            ("GET", "/v1/dead-letters/{topic}/{partition}/{offset}", self.letter, 200, "One, with its headers"),
            ("POST", "/v1/dead-letters/replay", self.replay_letters, 200, "Process some or all of a topic again"),
            ("POST", "/v1/dead-letters/discard", self.discard_letters, 200, "Give some up that can never be mended"),
            ("GET", "/v1/rejected", self.refused, 200, "Complaints that the intake refused, the latest first"),
            ("GET", "/v1/rejected/{rejected_id}", self.one_refused, 200, "One, with all that was wrong"),
            ("POST", "/v1/rejected/{rejected_id}/open", self.open_refused, 200, "What was sent, for a reason"),
            ("POST", "/v1/rejected/{rejected_id}/replay", self.replay_refused, 200, "Submit it again, mended or not"),
            ("GET", "/v1/deliveries", self.delivered, 200, "What became of messages, the newest first"),
            ("POST", "/v1/tickets/{ticket}/link/revocation", self.revoke, 204, "Take back a complainant's links"),
            ("GET", "/v1/me/sessions", self.own_sessions, 200, "Where I am signed in"),
            ("DELETE", "/v1/me/sessions/{session}", self.end_session, 204, "Sign out there"),
            ("DELETE", "/v1/me/other-sessions", self.end_others, 204, "Sign out everywhere else"),
        )
        for method, path, endpoint, status, summary in routes:
            router.add_api_route(
                path, endpoint, methods=[method], status_code=status, summary=summary, response_model=None
            )
        return router

    async def letters(
        self, _: ReadsLetters, topic: Annotated[str, Query(max_length=_TEXT_MAX)] = ""
    ) -> dict[str, list[dict[str, Any]]]:
        """`{"letters": [{id, at, why, reason, exception, consumer, topic, type, subject, replayed, ...}]}`."""
        return {"letters": await self.dead_letters.newest(topic)}

    async def letter(
        self,
        _: ReadsLetters,
        topic: Annotated[str, Path(max_length=_TEXT_MAX)],
        partition: Annotated[str, Path(max_length=_CURSOR_MAX)],
        offset: Annotated[str, Path(max_length=_CURSOR_MAX)],
    ) -> dict[str, Any]:
        """The summary, the headers, and how long the payload is, which is not told."""
        found = await self.dead_letters.show(f"{topic}/{partition}/{offset}")
        return found | {"headers": [{"name": name, "value": value} for name, value in found["headers"]]}

    async def replay_letters(self, request: Request, person: ReplaysLetters, given: Replay) -> dict[str, list[str]]:
        """`{"sent": [...], "before": [...], "homeless": [...]}`, ids."""
        entry = partial(audited, request, person)
        if given.topic is not None and not given.letters:
            done = await self.dead_letters.replay_topic(given.topic, entry=entry)
        else:
            done = await self.dead_letters.replay(given.letters, entry=entry)
        return {"sent": list(done.sent), "before": list(done.before), "homeless": list(done.homeless)}

    async def discard_letters(self, request: Request, person: ReplaysLetters, given: Discard) -> dict[str, list[str]]:
        """`{"discarded": [...]}`, ids of those that were open."""
        entry = partial(audited, request, person)
        return {"discarded": list(await self.dead_letters.discard(given.letters, reason=given.reason, entry=entry))}

    async def refused(
        self, _: ReadsRejected, before: Annotated[str | None, Query(max_length=_CURSOR_MAX)] = None
    ) -> dict[str, Any]:
        """`{"rejected": [...], "next": cursor or null}`."""
        found, following = await self.rejected.page(before)
        return {"rejected": [_told(one) for one in found], "next": following}

    async def one_refused(self, _: ReadsRejected, rejected_id: str) -> dict[str, Any]:
        """As in the list, with `problems`: `{field, code, value}`, values only of what is no personal data."""
        one = await self.rejected.get(rejected_id)
        return _told(one) | {"problems": self.rejected.problems(one)}

    async def open_refused(
        self, request: Request, person: ReplaysRejected, rejected_id: str, given: Reason
    ) -> dict[str, str]:
        """`{"body": text}`."""
        entry = partial(audited, request, person)
        return {"body": await self.rejected.open(rejected_id, reason=given.reason, entry=entry)}

    async def replay_refused(
        self, request: Request, person: ReplaysRejected, rejected_id: str, given: Resubmission
    ) -> dict[str, str]:
        """`{"complaint_id": id}`; the same however often it is asked for."""
        entry, language = partial(audited, request, person), language_wanted(request)
        done = await self.rejected.replay(rejected_id, given.complaint, language=language, entry=entry)
        return {"complaint_id": str(done)}

    async def delivered(self, _: ReadsDeliveries, wanted: Annotated[DeliveriesAsked, Query()]) -> dict[str, Any]:
        """`{"deliveries": [...], "next": cursor or null}`."""
        asked = Asked(**wanted.model_dump(exclude={"limit"}))
        found = await self.deliveries.page(asked, count_max=wanted.limit)
        rows = await self.rows.load([one.ticket for one in found])
        told = [one.told(rows[one.ticket].row.number if one.ticket in rows else None) for one in found]
        return {"deliveries": told, "next": found[-1].place if len(found) == wanted.limit else None}

    async def revoke(self, request: Request, person: RevokesLinks, ticket: str, given: Reason) -> None:
        """No link that was sent until now opens the complainant's page; the next message brings a new one."""
        await self.links.revoke(ticket, reason=given.reason, entry=partial(audited, request, person))

    async def own_sessions(self, request: Request, person: Who) -> dict[str, list[dict[str, Any]]]:
        """`{"sessions": [{id, made_at, seen_at, ends_at, address, is_this}]}`, the latest first."""
        found = await self.sessions.of(request, person)
        return {
            "sessions": [
                {
                    "id": shown_id(one),
                    "made_at": one.made_at,
                    "seen_at": one.seen_at,
                    "ends_at": one.ends_at,
                    "address": one.address,
                    "is_this": is_this,
                }
                for one, is_this in found
            ]
        }

    async def end_session(self, request: Request, person: Who, session: str) -> None:
        """End one of mine."""
        await self.sessions.end(request, person, session)

    async def end_others(self, request: Request, person: Who) -> None:
        """End all of mine but this one."""
        await self.sessions.end_others(request, person)


def _told(one: Rejected) -> dict[str, Any]:
    return {
        "id": str(one.rejected_id),
        "at": one.at,
        "route": one.route,
        "channel": one.channel,
        "kind": one.kind,
        "reasons": [{"field": name, "code": code} for name, code in one.reasons],
        "body_bytes": one.body_bytes,
        "complaint_id": str(one.complaint_id) if one.complaint_id else None,
    }
