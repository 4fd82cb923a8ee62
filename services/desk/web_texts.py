"""Pages of the texts for complainants: the list, one with its versions and what changed, tried and saved."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from pydantic import ValidationError
from starlette.datastructures import FormData
from starlette.responses import Response

from services.desk.accounts import Wrong
from services.desk.doors import audited
from services.desk.refusal import Refusal
from services.desk.rights import may_somewhere
from services.desk.signing_in import Auditing
from services.desk.text_handlers import Standing, TextHandlers, WrittenText, key_of
from services.desk.web_command import problem_text
from services.desk.web_visit import Endpoint, Visit
from services.wording.checking import Example
from services.wording.templates import FIELDS
from services.wording.texts import Shape, Text, TextKey

_NAMED: Final = "/templates/{moment}/{shape}/{language}"
_DIGITS_MAX: Final = 9


@dataclass(frozen=True, kw_only=True)
class TextPages:
    """Texts."""

    texts: TextHandlers
    auditing: Auditing

    def routes(self) -> list[tuple[str, str, str, Endpoint]]:
        """Method, path, right, endpoint."""
        return [
            ("GET", "/templates", "read_policies", self.overview),
            ("GET", _NAMED, "read_policies", self.one),
            ("POST", _NAMED, "edit_policies", self.save),
        ]

    async def overview(self, visit: Visit) -> Response:
        """All texts."""
        lines = [
            {
                "key": one.key,
                "path": _path(one.key),
                "in_force": one.in_force,
                "coming": [text for text in one.versions if text.effective_at > self.texts.now()],
                "versions": one.version,
            }
            for one in await self.texts.overview()
        ]
        return visit.html("texts", lines=lines)

    async def one(self, visit: Visit) -> Response:
        """One text; `?version=` shows what that version changed."""
        standing = await self.texts.one(_key(visit))
        wanted = visit.query("version")
        version = int(wanted) if wanted.isdecimal() and len(wanted) <= _DIGITS_MAX else 0
        now_is = standing.words(standing.in_force.version if standing.in_force else 0) or standing.packaged
        return self._page(visit, standing, words=now_is, shown=version)

    async def save(self, visit: Visit) -> Response:
        """Try it, save it, or go back to the text that comes with the product."""
        key, form = _key(visit), await visit.form()
        standing = await self.texts.one(key)
        typed = str(form.get("subject") or ""), str(form.get("body") or "")
        based_on = _number(form, "version", standing.version)
        try:
            written = WrittenText(
                subject=typed[0],
                body=typed[1],
                is_packaged=form.get("do") == "packaged",
                effective_at=_time(str(form.get("effective_at") or ""), visit),
            )
        except ValidationError as error:
            problems = [Wrong(str(one["loc"][0]), "text_long", None, {"max": "?"}) for one in error.errors()]
            return self._page(visit, standing, words=typed, status=422, problems=problems)
        except ValueError:
            problems = [Wrong("effective_at", "date")]
            return self._page(visit, standing, words=typed, status=422, problems=problems)
        text = self.texts.text(key, written, version=standing.version + 1, by=visit.person)
        if problems := self.texts.problems(text):
            return self._page(visit, standing, words=typed, status=422, problems=problems, based_on=based_on)
        if form.get("do") == "preview":
            shown = self.texts.examples(text)
            return self._page(visit, standing, words=typed, examples=shown, based_on=based_on, form=form)

        async def note(kept: Text) -> None:
            await self.auditing.add(audited(visit.request, visit.person, "edit_policies", about=kept.name))

        try:
            await self.texts.save(key, written, based_on=based_on, by=visit.person, note=note)
        except Refusal as refusal:
            if refusal.kind != "moved-on":
                raise
            now_is = await self.texts.one(key)
            return self._page(visit, now_is, words=typed, status=409, shown=now_is.version, moved_on=True, form=form)
        return visit.go(f"{_path(key)}?saved=yes")

    def _page(
        self,
        visit: Visit,
        standing: Standing,
        *,
        words: tuple[str, str],
        status: int = 200,
        shown: int = 0,
        problems: Sequence[Wrong] = (),
        examples: Sequence[Example] = (),
        based_on: int | None = None,
        moved_on: bool = False,
        form: FormData | None = None,
    ) -> Response:
        told = [(one.field, problem_text(one, visit)) for one in problems]
        return visit.html(
            "text",
            status,
            key=standing.key,
            path=_path(standing.key),
            is_letter=standing.key.shape is Shape.EMAIL,
            in_force=standing.in_force,
            versions=list(reversed(standing.versions)),
            words=words,
            effective_at=str(form.get("effective_at") or "") if form else "",
            fields=sorted(FIELDS[standing.key.moment]),
            may_edit=may_somewhere(visit.person, "edit_policies"),
            based_on=standing.version if based_on is None else based_on,
            shown=shown,
            difference=difference(standing, shown),
            problems=told,
            wrong={field: " ".join(text for other, text in told if other == field) for field, _ in told},
            examples=examples,
            moved_on=moved_on,
            saved=bool(visit.query("saved")),
        )


def difference(standing: Standing, version: int) -> list[tuple[str, str]]:
    """What a version changed, line by line: `+` came, `-` went, empty stayed."""
    before, after = standing.words(version - 1), standing.words(version)
    if version < 1 or before is None or after is None:
        return []
    old, new = ([line for part in words for line in part.splitlines()] for words in (before, after))
    return [(line[0].strip(), line[2:]) for line in difflib.ndiff(old, new) if line[0] in " +-"]


def _key(visit: Visit) -> TextKey:
    return key_of(visit.path("moment"), visit.path("shape"), visit.path("language"))


def _path(key: TextKey) -> str:
    return f"/templates/{key.moment}/{key.shape}/{key.language}"


def _number(form: FormData, name: str, otherwise: int) -> int:
    value: Any = form.get(name)
    return int(value) if isinstance(value, str) and value.isdecimal() and len(value) <= _DIGITS_MAX else otherwise


def _time(written: str, visit: Visit) -> datetime | None:
    """A time as a form writes it, in the person's zone; nothing: none.

    Raises:
        ValueError: it is no time.
    """
    if not written:
        return None
    at = datetime.fromisoformat(written)
    return at if at.tzinfo else at.replace(tzinfo=ZoneInfo(visit.say.zone))
