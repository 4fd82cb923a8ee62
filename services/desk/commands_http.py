"""Commands over HTTP: one on one ticket, one on many, and what became of one.

A command is based on what its sender saw: `If-Match` carries the version of the ticket (its ETag). Whoever was second
is told what changed meanwhile and by whom, and can ask again with the new version; nothing that was typed is lost.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Final
from uuid import UUID

import orjson
from fastapi import APIRouter, Depends, Header
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from schemas.events import TicketEvent
from services.desk.accounts import Wrong
from services.desk.command_handlers import Commands, Wanted
from services.desk.commanding import (
    Another,
    Answer,
    Asked,
    Done,
    Forbidden,
    NeverAsked,
    Pending,
    Refused,
    Unsure,
    possible_for,
    standing,
)
from services.desk.finding import Rows
from services.desk.person import Person
from services.desk.reasons import in_words
from services.desk.refusal import RETRY_AFTER_S, Refusal
from services.desk.tickets_http import Allows

TICKETS_MAX: Final = 200
"""Of one bulk command."""
_ETAG: Final = re.compile(r'(?:W/)?"(\d{1,9})"')
_OPEN: Final = {Pending: "pending", Unsure: "unsure", Another: "id_used"}
_NO_STORE: Final = {"Cache-Control": "no-store"}


class Subject(BaseModel):
    """One ticket of a bulk command."""

    model_config = ConfigDict(extra="forbid")

    id: UUID
    version: int = Field(ge=1, description="As it was seen.")


class AskedOfMany(Asked):
    """Body of a bulk command: the same action for each."""

    tickets: list[Subject] = Field(min_length=1, max_length=TICKETS_MAX)


@dataclass(frozen=True, kw_only=True)
class CommandRoutes:
    """Everything that changes tickets. `told` makes an event what a person may read of it."""

    commands: Commands
    told: Callable[[TicketEvent, Person], Mapping[str, Any]]
    allows: Allows
    rows: Rows

    def router(self) -> APIRouter:
        """The routes."""
        router = APIRouter(tags=["commands"])
        Reader = Annotated[Person, Depends(self.allows("read_ticket"))]  # noqa: N806  # a type

        @router.post("/v1/tickets/{ticket}/commands", summary="Ask for a change of a ticket, by id or number")
        async def one(
            ticket: str,
            asked: Asked,
            person: Reader,
            if_match: Annotated[str, Header(alias="If-Match", description="ETag of the ticket as it was seen.")],
        ) -> Response:
            version, id_ = version_of(if_match), await self._id(ticket)
            (answer,) = await self.commands.issue(person, [Wanted(id_, asked, version)])
            return self._answer(answer, person, id_)

        @router.get("/v1/tickets/{ticket}/commands/{command_id}", summary="What became of a command")
        async def look(ticket: str, command_id: UUID, person: Reader) -> Response:
            id_ = await self._id(ticket)
            return self._answer(await self.commands.look(person, command_id, id_), person, id_)

        @router.post("/v1/commands", summary="Ask for the same change of many tickets")
        async def many(asked: AskedOfMany, person: Annotated[Person, Depends(self.allows("bulk"))]) -> Response:
            doubled = sorted({str(s.id) for s in asked.tickets if [t.id for t in asked.tickets].count(s.id) > 1})
            if doubled:
                raise Refusal("wrong-fields", problems=[_twice(id_) for id_ in doubled])
            each = Asked.model_validate(asked.model_dump(exclude={"tickets"}))
            wanted = [Wanted(subject.id, each, subject.version) for subject in asked.tickets]
            answers = await self.commands.issue(person, wanted)
            rows = [self._row(s.id, answer, person) for s, answer in zip(asked.tickets, answers, strict=True)]
            return _json({"answers": rows, "done": sum(row["result"] == "done" for row in rows)})

        return router

    async def _id(self, named: str) -> UUID:
        # An id is not looked up: the trail has a ticket before the queue has its row.
        try:
            return UUID(named)
        except ValueError:
            kept = await self.rows.by_number(named)
        if kept is None:
            raise Refusal("no-such-ticket")
        return kept.row.id

    def _answer(self, answer: Answer | NeverAsked, person: Person, ticket: UUID) -> Response:
        match answer:
            case Done():
                return _json(self._done(answer, person), {"ETag": f'"{answer.ticket.version}"'})
            case Pending(command_id):
                where = f"/v1/tickets/{ticket}/commands/{command_id}"
                return _json({"command_id": str(command_id), "result": "pending"}, {"Location": where}, status=202)
            case Refused():
                kind = "moved-on" if answer.why == "version_moved_on" else "command-refused"
                raise Refusal(kind, more=self._refused(answer, person), why=partial(in_words, answer.why))
            case Unsure(command_id):
                raise Refusal("unsure", retry_after_s=RETRY_AFTER_S, more={"command_id": str(command_id)})
            case Another(command_id):
                raise Refusal("id-used", more={"command_id": str(command_id)})
            case NeverAsked():
                raise Refusal("no-such-command")
            case Forbidden(action):
                raise Refusal("not-allowed", more={"action": action}, role=person.role.value)
            case _:
                raise Refusal("no-such-ticket")

    def _row(self, ticket: UUID, answer: Answer, person: Person) -> dict[str, Any]:
        """The answer about one ticket of many."""
        match answer:
            case Done():
                return {"id": str(ticket), "result": "done", **self._done(answer, person)}
            case Pending(command_id) | Unsure(command_id) | Another(command_id):
                return {"id": str(ticket), "result": _OPEN[type(answer)], "command_id": str(command_id)}
            case Refused():
                told = {"in_words": in_words(answer.why, person.language), **self._refused(answer, person)}
                return {"id": str(ticket), "result": "refused", **told}
            case Forbidden():
                return {"id": str(ticket), "result": "not_allowed"}
            case _:
                return {"id": str(ticket), "result": "no_such_ticket"}

    def _done(self, answer: Done, person: Person) -> dict[str, Any]:
        events = [self.told(event, person) for event in answer.events]
        return {
            "command_id": str(answer.events[0].causation_id),
            "ticket": standing(answer.ticket),
            "events": events,
            "possible": possible_for(person, answer.ticket),
        }

    def _refused(self, answer: Refused, person: Person) -> dict[str, Any]:
        return {
            "why": answer.why,
            "ticket": standing(answer.ticket),
            "possible": possible_for(person, answer.ticket),
            "since": [self.told(event, person) for event in answer.since],
        }


def version_of(if_match: str) -> int:
    """The version that a caller saw.

    Raises:
        Refusal: what is named is none.
    """
    if (found := _ETAG.fullmatch(if_match.strip())) is None:
        raise Refusal("wrong-fields", problems=[Wrong("If-Match", "not_an_etag", if_match[:80])])
    return int(found[1])


def _twice(id_: str) -> Wrong:
    return Wrong("tickets", "twice", id_)


def _json(content: Mapping[str, Any], headers: Mapping[str, str] | None = None, *, status: int = 200) -> Response:
    return Response(orjson.dumps(content), status, {**_NO_STORE, **(headers or {})}, "application/json")
