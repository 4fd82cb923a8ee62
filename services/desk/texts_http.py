"""Texts for complainants over HTTP: the list, one with its versions, tried on examples, and saved as a new version."""

from dataclasses import dataclass
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Header
from starlette.requests import Request
from starlette.responses import Response

from services.desk.commands_http import version_of
from services.desk.doors import audited
from services.desk.person import Person
from services.desk.signing_in import Auditing
from services.desk.text_handlers import Standing, TextHandlers, WrittenText, key_of
from services.desk.tickets_http import Allows
from services.wording.texts import Text, TextKey

NAMED = "/v1/templates/{moment}/{shape}/{language}"


@dataclass(frozen=True, kw_only=True)
class TextRoutes:
    """Texts."""

    texts: TextHandlers
    auditing: Auditing
    allows: Allows

    def router(self) -> APIRouter:
        """The routes."""
        router = APIRouter(tags=["templates"])
        Reader = Annotated[Person, Depends(self.allows("read_policies"))]  # noqa: N806  # a type
        Key = Annotated[TextKey, Depends(key_of)]  # noqa: N806  # a type
        Editor = Annotated[Person, Depends(self.allows("edit_policies"))]  # noqa: N806  # a type

        @router.get("/v1/templates", summary="All texts for complainants")
        async def overview(_: Reader) -> Response:
            return _json({"templates": [_standing(one) for one in await self.texts.overview()]})

        @router.get(NAMED, summary="One text with its versions")
        async def one(key: Key, _: Reader) -> Response:
            standing = await self.texts.one(key)
            subject, body = standing.packaged
            told = {
                **_standing(standing),
                "packaged": {"subject": subject, "body": body},
                "versions": [one.model_dump(mode="json") for one in standing.versions],
            }
            return _json(told, {"ETag": f'"{standing.version}"'})

        @router.post(f"{NAMED}/preview", summary="Try a text on examples")
        async def preview(key: Key, written: WrittenText, person: Editor) -> Response:
            text = self.texts.text(key, written, version=1, by=person)
            problems = self.texts.problems(text)
            shown = [] if problems else self.texts.examples(text)
            examples = [{"subject": o.rendered.subject, "text": o.rendered.text, "sms_parts": o.parts} for o in shown]
            found = [{"field": one.field, "code": one.code, "details": dict(one.details)} for one in problems]
            return _json({"problems": found, "examples": examples})

        @router.post(NAMED, status_code=201, summary="Save a new version of a text")
        async def save(
            request: Request,
            key: Key,
            written: WrittenText,
            person: Editor,
            if_match: Annotated[str, Header(alias="If-Match", description="ETag of the text as it was seen.")],
        ) -> Response:
            async def note(text: Text) -> None:
                await self.auditing.add(audited(request, person, "edit_policies", about=text.name))

            text = await self.texts.save(key, written, based_on=version_of(if_match), by=person, note=note)
            return _json(text.model_dump(mode="json"), {"ETag": f'"{text.version}"'}, status=201)

        return router


def _standing(one: Standing) -> dict[str, Any]:
    return {
        "moment": one.key.moment.value,
        "shape": one.key.shape.value,
        "language": one.key.language.value,
        "version": one.version,
        "in_force": one.in_force.version if one.in_force else None,
    }


def _json(content: dict[str, Any], headers: dict[str, str] | None = None, *, status: int = 200) -> Response:
    return Response(orjson.dumps(content), status, {"Cache-Control": "no-store", **(headers or {})}, "application/json")
