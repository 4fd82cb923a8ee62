"""The HTTP surface of policies and directory: versions, their differences, a draft tried out, and put into force."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Header, Path, Query, Request
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from starlette.responses import Response

from services.desk.differences import Change
from services.desk.directory_editing import PARTS, DirectoryEditing, Part
from services.desk.directory_editing import Draft as DirectoryDraft
from services.desk.directory_editing import content_of as sections_of
from services.desk.doors import audited
from services.desk.drafting import WrongDraft, wrongs
from services.desk.person import Person
from services.desk.policy_editing import Draft, PolicyEditing, Trial, content_of
from services.desk.refusal import Refusal
from services.desk.tickets_http import NO_STORE, Allows
from services.organisation.directory import Organisation
from services.service_levels.policy import VERSION_MAX

Number = Annotated[int, Path(ge=1, le=VERSION_MAX)]
Since = Annotated[int | None, Query(ge=1, le=VERSION_MAX, description="The version to compare with.")]
Based = Annotated[str, Header(alias="If-Match", description="The `ETag` of the list or part that was read.")]


class WrittenPolicy(BaseModel):
    """A version of the policy of service levels."""

    model_config = ConfigDict(extra="forbid")

    policy: dict[str, Any] = Field(description="As in a file, without `version` and `effective_from`.")
    effective_from: AwareDatetime | None = Field(None, description="From when it holds; left out: as soon as it can.")


@dataclass(frozen=True, kw_only=True)
class RuleRoutes:
    """Everything under `/v1/policies` and `/v1/directory`."""

    levels: PolicyEditing
    directory: DirectoryEditing
    allows: Allows

    def router(self) -> APIRouter:
        """The routes."""
        router = APIRouter(tags=["policies and directory"])
        for part in PARTS:
            self._add_part(router, part)
        self._add_levels(router)
        return router

    def _add_levels(self, router: APIRouter) -> None:
        Reader = Annotated[Person, Depends(self.allows("read_policies"))]  # noqa: N806  # a type
        Editor = Annotated[Person, Depends(self.allows("edit_policies"))]  # noqa: N806  # a type

        @router.get("/v1/policies/sla", summary="Versions of the policy of service levels")
        async def listed(_: Reader) -> Response:
            heads, now_in_force = await self.levels.heads()
            told = [{**head._asdict(), "in_force": head is now_in_force} for head in heads]
            return _json({"versions": told}, etag=heads[0].version if heads else 0)

        @router.post("/v1/policies/sla/preview", summary="What a version would change, without adding it")
        async def preview(person: Editor, written: WrittenPolicy) -> Response:
            draft = Draft(content=written.policy, effective_from=written.effective_from, on_top_of=0)
            try:
                seen = await self.levels.preview(draft, person)
            except WrongDraft as error:
                raise _refused(error) from None
            return _json(
                {
                    "version": seen.policy.version,
                    "effective_from": seen.policy.effective_from,
                    "replaces": seen.replaces.version if seen.replaces else None,
                    "changes": _changes(seen.changes),
                    "what_if": _trial(seen.trial),
                }
            )

        @router.post("/v1/policies/sla", summary="Add a version", status_code=201)
        async def add(request: Request, person: Editor, written: WrittenPolicy, if_match: Based) -> Response:
            draft = Draft(content=written.policy, effective_from=written.effective_from, on_top_of=_on_top_of(if_match))
            try:
                added = await self.levels.add(draft, entry=partial(audited, request, person))
            except WrongDraft as error:
                raise _refused(error) from None
            told = {"version": added.version, "name": added.name, "effective_from": added.effective_from}
            return _json(told, 201, etag=added.version, location=f"/v1/policies/sla/{added.version}")

        @router.get("/v1/policies/sla/{version}", summary="One version")
        async def one(_: Reader, version: Number) -> Response:
            found = await self.levels.get(version)
            told = {"version": found.version, "effective_from": found.effective_from, "policy": content_of(found)}
            return _json(told)

        @router.get("/v1/policies/sla/{version}/changes", summary="What a version says otherwise than another")
        async def changes(_: Reader, version: Number, since: Since = None) -> Response:
            before = since or version - 1
            found = await self.levels.changes(before, version) if before else []
            return _json({"since": before or None, "version": version, "changes": _changes(found)})

    def _add_part(self, router: APIRouter, part: Part) -> None:
        Reader = Annotated[Person, Depends(self.allows(part.reads))]  # noqa: N806  # a type
        Editor = Annotated[Person, Depends(self.allows(part.edits))]  # noqa: N806  # a type
        path, name = f"/v1{part.path}", part.name

        @router.get(path, summary=f"What is in force: {name}", name=f"{name}_current")
        async def current(_: Reader) -> Response:
            found = await self.directory.current()
            return _json(_part(found, part), etag=found.version)

        @router.get(f"{path}/versions/{{version}}", summary=f"One version: {name}", name=f"{name}_version")
        async def one(_: Reader, version: Number) -> Response:
            return _json(_part(await self.directory.get(version), part))

        @router.get(
            f"{path}/versions/{{version}}/changes",
            summary=f"What a version says otherwise than another: {name}",
            name=f"{name}_changes",
        )
        async def changes(_: Reader, version: Number, since: Since = None) -> Response:
            before = since or version - 1
            found = await self.directory.changes(part, before, version) if before else []
            return _json({"since": before or None, "version": version, "changes": _changes(found)})

        @router.post(f"{path}/preview", summary=f"What would change: {name}", name=f"{name}_preview")
        async def preview(_: Editor, written: dict[str, Any]) -> Response:
            try:
                found = await self.directory.preview(DirectoryDraft(part=part, content=written, on_top_of=0))
            except WrongDraft as error:
                raise _refused(error) from None
            return _json({"changes": _changes(found)})

        @router.patch(path, summary=f"Put sections into force, the others stay: {name}", name=f"{name}_save")
        async def save(request: Request, person: Editor, written: dict[str, Any], if_match: Based) -> Response:
            draft = DirectoryDraft(part=part, content=written, on_top_of=_on_top_of(if_match))
            try:
                saved = await self.directory.save(draft, entry=partial(audited, request, person))
            except WrongDraft as error:
                raise _refused(error) from None
            return _json(_part(saved, part), etag=saved.version)


def _on_top_of(if_match: str) -> int:
    """The version that a change is based on.

    Raises:
        Refusal: `moved-on` for what is no version at all.
    """
    number = if_match.strip().removeprefix('"').removesuffix('"')
    if not (number.isascii() and number.isdecimal() and len(number) <= len(str(VERSION_MAX))):
        raise Refusal("moved-on")
    return int(number)


def _part(one: Organisation, part: Part) -> dict[str, Any]:
    return {"version": one.version, **sections_of(one, part)}


def _changes(changes: Iterable[Change]) -> list[dict[str, Any]]:
    return [change._asdict() for change in changes]


def _trial(trial: Trial) -> dict[str, Any]:
    found = trial.what_if
    counts = ("clocks", "earlier", "later", "same", "dropped", "paused", "overdue_now", "overdue_then")
    return {
        "tickets": trial.tickets,
        "is_sample": trial.is_sample,
        **{name: getattr(found, name) for name in counts},
        "moved": [
            {
                "ticket": trial.numbers[one.ticket_id],
                "clock": one.clock.value,
                "unit": one.unit,
                "due_now": one.due_now,
                "due_then": one.due_then,
                "moved_s": one.moved.total_seconds(),
            }
            for one in found.moved
        ],
    }


def _refused(error: WrongDraft) -> Refusal:
    return Refusal("wrong-fields", problems=wrongs(error.problems))


def _json(content: Mapping[str, Any], status: int = 200, *, etag: int | None = None, location: str = "") -> Response:
    headers = dict(NO_STORE)
    if etag is not None:
        headers["ETag"] = f'"{etag}"'
    if location:
        headers["Location"] = location
    return Response(orjson.dumps(content), status, headers, "application/json")
