"""Pages of the policy of service levels: versions, their differences, and a new one tried out before it is added."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final
from zoneinfo import ZoneInfo

from starlette.responses import Response

from services.desk.differences import as_yaml
from services.desk.doors import audited
from services.desk.drafting import WrongDraft, fingerprint, read_draft, typed_text, version_number, wrongs
from services.desk.policy_editing import Draft, PolicyEditing, Preview, content_of
from services.desk.policy_shown import SEVERITIES, calendars_shown, changes_shown, clocks_shown, trial_shown
from services.desk.refusal import Refusal
from services.desk.rights import may_somewhere
from services.desk.web_visit import Endpoint, Visit

_BEGINS_CHARACTERS_MAX: Final = 32


@dataclass(frozen=True, kw_only=True)
class PolicyPages:
    """The pages, and what they work with."""

    editing: PolicyEditing

    def routes(self) -> list[tuple[str, str, str, Endpoint]]:
        """Method, path, right, endpoint."""
        return [
            ("GET", "/policies", "read_policies", self.listed),
            ("GET", "/policies/sla/new", "edit_policies", self.blank),
            ("POST", "/policies/sla/new", "edit_policies", self.typed),
            ("GET", "/policies/sla/{version:int}", "read_policies", self.one),
        ]

    async def listed(self, visit: Visit) -> Response:
        """All versions, and where the other policies are."""
        heads, now_in_force = await self.editing.heads()
        added = visit.query("added")
        return visit.html(
            "policies",
            heads=heads,
            in_force=now_in_force.version if now_in_force else 0,
            is_editor=may_somewhere(visit.person, "edit_policies"),
            added=added if added.isdecimal() else "",
        )

    async def one(self, visit: Visit) -> Response:
        """A version: targets, calendars, text, and what it says otherwise than `?since=`, or than the one before."""
        policy = await self.editing.get(version_number(visit.path("version")))
        heads, now_in_force = await self.editing.heads()
        earlier = [head.version for head in heads if head.version != policy.version]
        since = version_number(visit.query("since")) or next((one for one in earlier if one < policy.version), 0)
        changes = await self.editing.changes(since, policy.version) if since else []
        return visit.html(
            "policy",
            policy=policy,
            in_force=now_in_force.version if now_in_force else 0,
            clocks=clocks_shown(policy, visit.say),
            severities=[visit.say.word("severity", int(one)) for one in SEVERITIES],
            calendars=calendars_shown(policy, visit.say),
            text=as_yaml(content_of(policy)),
            since=since,
            others=earlier,
            changes=changes_shown(changes, visit.say),
            is_editor=may_somewhere(visit.person, "edit_policies"),
        )

    async def blank(self, visit: Visit) -> Response:
        """The form, with the text of `?from=`, or of the version in force."""
        _, now_in_force = await self.editing.heads()
        begun = version_number(visit.query("from")) or (now_in_force.version if now_in_force else 0)
        text = as_yaml(content_of(await self.editing.get(begun))) if begun else ""
        return self._form(visit, text=text, begins="", on_top_of=await self.editing.latest())

    async def typed(self, visit: Visit) -> Response:
        """Look at it, and when that was done and nothing has changed since, add it."""
        form = await visit.form()
        text, begins = typed_text(form, "text"), typed_text(form, "effective_from")[:_BEGINS_CHARACTERS_MAX]
        on_top_of, latest = version_number(typed_text(form, "on_top_of")), await self.editing.latest()
        effective_from, problems = _beginning(begins, visit.person.time_zone)
        preview = None
        try:
            content = await asyncio.to_thread(read_draft, text)
            draft = Draft(content=content, effective_from=effective_from, on_top_of=on_top_of)
            is_seen = typed_text(form, "seen") == fingerprint(text, begins, str(latest))
            if typed_text(form, "act") == "add" and is_seen and not problems:
                added = await self.editing.add(draft, entry=partial(audited, visit.request, visit.person))
                return visit.go(f"/policies?added={added.version}")
            preview = await self.editing.preview(draft, visit.person)
        except WrongDraft as error:
            problems += error.problems
        except Refusal:  # Somebody else was faster by a moment.
            latest = await self.editing.latest()
        has_moved = on_top_of != latest
        return self._form(
            visit,
            422 if problems else 409 if has_moved else 200,
            text=text,
            begins=begins,
            on_top_of=latest,
            has_moved=has_moved,
            problems=problems,
            preview=preview,
        )

    def _form(
        self,
        visit: Visit,
        status: int = 200,
        *,
        text: str,
        begins: str,
        on_top_of: int,
        has_moved: bool = False,
        problems: Iterable[str] = (),
        preview: Preview | None = None,
    ) -> Response:
        listed = wrongs(problems)
        return visit.html(
            "policy_new",
            status,
            text=text,
            begins=begins,
            on_top_of=on_top_of,
            has_moved=has_moved,
            problems=listed,
            wrong_fields={"effective_from" if one.field == "effective_from" else "text" for one in listed},
            seen=fingerprint(text, begins, str(on_top_of)) if preview and not listed else "",
            replaces=preview.replaces.version if preview and preview.replaces else 0,
            effective_from=preview.policy.effective_from if preview else None,
            changes=changes_shown(preview.changes, visit.say) if preview else [],
            trial=trial_shown(preview.trial, visit.say) if preview else None,
        )


def _beginning(typed: str, zone: str) -> tuple[datetime | None, list[str]]:
    """The instant that a field of a form means in the reader's zone; None: as soon as it can be."""
    if not typed:
        return None, []
    try:
        return datetime.fromisoformat(typed).replace(tzinfo=ZoneInfo(zone)), []
    except ValueError:
        return None, [f"effective_from: {typed!r} is no date and time; write 2026-12-01T08:00"]
