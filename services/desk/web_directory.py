"""Pages of the directory, and of the rules of assignment and handling that are versioned with it."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Final, Protocol

from starlette.responses import Response

from services.desk.differences import Change, as_yaml
from services.desk.directory_editing import ASSIGNMENT, DIRECTORY, HANDLING, PARTS, DirectoryEditing, Draft, Part
from services.desk.directory_editing import content_of as sections_of
from services.desk.directory_shown import chain_shown, directory_shown, rules_shown
from services.desk.doors import audited
from services.desk.drafting import WrongDraft, fingerprint, read_draft, typed_text, version_number, wrongs
from services.desk.policy_shown import calendars_shown, changes_shown
from services.desk.refusal import Refusal
from services.desk.rights import may_somewhere
from services.desk.web_visit import Endpoint, Visit
from services.service_levels.policy import SlaPolicy

_SOUGHT_CHARACTERS_MAX: Final = 64
_VERSIONS_SHOWN: Final = 50


class InForce(Protocol):
    """The policy of service levels, whose calendars units work by."""

    async def policy_in_force(self) -> SlaPolicy | None:
        """None: there is none yet."""


@dataclass(frozen=True, kw_only=True)
class DirectoryPages:
    """The pages, and what they work with."""

    editing: DirectoryEditing
    levels: InForce
    now: Callable[[], datetime]

    def routes(self) -> list[tuple[str, str, str, Endpoint]]:
        """Method, path, right, endpoint."""
        routes: list[tuple[str, str, str, Endpoint]] = [
            ("GET", DIRECTORY.path, DIRECTORY.reads, self.directory),
            ("GET", ASSIGNMENT.path, ASSIGNMENT.reads, self.assignment),
            ("GET", HANDLING.path, HANDLING.reads, self.handling),
        ]
        for part in PARTS:
            routes += [
                ("GET", f"{part.path}/edit", part.edits, partial(self._blank, part)),
                ("POST", f"{part.path}/edit", part.edits, partial(self._typed, part)),
                ("GET", f"{part.path}/versions/{{version:int}}", part.reads, partial(self._version, part)),
            ]
        return routes

    async def directory(self, visit: Visit) -> Response:
        """Departments, units and people; `?q=` looks for some."""
        one, sought = await self.editing.current(), visit.query("q").strip()[:_SOUGHT_CHARACTERS_MAX]
        levels = await self.levels.policy_in_force()
        return visit.html(
            "directory",
            **self._about(visit, DIRECTORY, one.version),
            sought=sought,
            **directory_shown(one, sought, now=self.now(), say=visit.say),
            calendars=calendars_shown(levels, visit.say) if levels else [],
        )

    async def assignment(self, visit: Visit) -> Response:
        """The table by which tickets are given to departments, and what a person looks at first."""
        one = await self.editing.current()
        return visit.html(
            "assignment",
            **self._about(visit, ASSIGNMENT, one.version),
            rules=rules_shown(one.assignment),
            text=as_yaml({"risk": one.risk.model_dump(mode="json")}),
        )

    async def handling(self, visit: Visit) -> Response:
        """Who may promise how much, goodwill, and when what ends."""
        one = await self.editing.current()
        return visit.html(
            "handling",
            **self._about(visit, HANDLING, one.version),
            chain=chain_shown(one.handling, visit.say),
            handling=one.handling,
        )

    async def _version(self, part: Part, visit: Visit) -> Response:
        """An earlier version: its text, and what it says otherwise than the one before, or than `?since=`."""
        version = version_number(visit.path("version"))
        one = await self.editing.get(version)
        since = version_number(visit.query("since")) or version - 1
        changes: Sequence[Change] = await self.editing.changes(part, since, version) if since else []
        current = (await self.editing.current()).version
        return visit.html(
            "directory_version",
            **self._about(visit, part, current),
            shown=version,
            since=since,
            text=as_yaml(sections_of(one, part)),
            changes=changes_shown(changes, visit.say),
        )

    async def _blank(self, part: Part, visit: Visit) -> Response:
        """The form, with the text in force; `?section=` for one section alone, `?from=` for an earlier version."""
        current = await self.editing.current()
        begun = version_number(visit.query("from"))
        content = sections_of(await self.editing.get(begun) if begun else current, part)
        section = visit.query("section")
        text = as_yaml({section: content[section]} if section in content else content)
        return self._form(visit, part, text=text, on_top_of=current.version)

    async def _typed(self, part: Part, visit: Visit) -> Response:
        """Look at it, and when that was done and nothing has changed since, put it into force."""
        form = await visit.form()
        text, on_top_of = typed_text(form, "text"), version_number(typed_text(form, "on_top_of"))
        latest = (await self.editing.current()).version
        problems: list[str] = []
        changes = None
        try:
            draft = Draft(part=part, content=await asyncio.to_thread(read_draft, text), on_top_of=on_top_of)
            is_seen = typed_text(form, "seen") == fingerprint(text, str(latest))
            if typed_text(form, "act") == "add" and is_seen:
                saved = await self.editing.save(draft, entry=partial(audited, visit.request, visit.person))
                return visit.go(f"{part.path}?saved={saved.version}")
            changes = await self.editing.preview(draft)
        except WrongDraft as error:
            problems = error.problems
        except Refusal:  # Somebody else was faster by a moment.
            latest = (await self.editing.current()).version
        has_moved = on_top_of != latest
        return self._form(
            visit,
            part,
            422 if problems else 409 if has_moved else 200,
            text=text,
            on_top_of=latest,
            has_moved=has_moved,
            problems=problems,
            changes=changes,
        )

    def _form(
        self,
        visit: Visit,
        part: Part,
        status: int = 200,
        *,
        text: str,
        on_top_of: int,
        has_moved: bool = False,
        problems: Iterable[str] = (),
        changes: Sequence[Change] | None = None,
    ) -> Response:
        return visit.html(
            "directory_edit",
            status,
            part=part,
            text=text,
            on_top_of=on_top_of,
            has_moved=has_moved,
            problems=wrongs(problems),
            seen=fingerprint(text, str(on_top_of)) if changes is not None else "",
            changes=changes_shown(changes, visit.say) if changes is not None else None,
        )

    def _about(self, visit: Visit, part: Part, version: int) -> dict[str, Any]:
        saved = visit.query("saved")
        return {
            "part": part,
            "version": version,
            "versions": range(version, max(0, version - _VERSIONS_SHOWN), -1),
            "saved": saved if saved.isdecimal() else "",
            "is_editor": may_somewhere(visit.person, part.edits),
        }
