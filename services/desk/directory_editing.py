"""Directory and policies of the router, which are versioned together: shown, compared and changed, a part at a time."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from services.desk.audit import Entry
from services.desk.differences import Change, differences
from services.desk.drafting import WrongDraft
from services.desk.refusal import Refusal
from services.desk.signing_in import Auditing
from services.organisation.directory import Organisation, SupersededError, WrongOrganisation, organisation


class Directory(Protocol):
    """See `directory_store.py`."""

    async def version(self) -> int:
        """Its number; 0 when there is none."""

    async def current(self) -> Organisation | None:
        """The version in force."""

    async def get(self, version: int) -> Organisation | None:
        """One version."""

    async def load(self, sections: Mapping[str, Any], *, on_top_of: int | None = None) -> Organisation:
        """Put sections into force."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Sections that are shown and changed together."""

    name: str
    path: str
    """Of its page; below `/v1` of its API."""
    sections: tuple[str, ...]
    reads: str
    """The right to see it."""
    edits: str


DIRECTORY: Final = Part(
    name="directory",
    path="/directory",
    sections=("departments", "units", "people"),
    reads="read_directory",
    edits="edit_directory",
)
ASSIGNMENT: Final = Part(
    name="assignment",
    path="/policies/assignment",
    sections=("assignment", "risk"),
    reads="read_policies",
    edits="edit_policies",
)
HANDLING: Final = Part(
    name="handling",
    path="/policies/handling",
    sections=("handling",),
    reads="read_policies",
    edits="edit_policies",
)
PARTS: Final = (DIRECTORY, ASSIGNMENT, HANDLING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """Sections of a part that somebody writes."""

    part: Part
    content: Mapping[str, Any]
    """By section; what is left out stays."""
    on_top_of: int
    """The version that was changed."""


@dataclass(frozen=True, kw_only=True)
class DirectoryEditing:
    """Reads and puts versions into force."""

    directory: Directory
    auditing: Auditing

    async def current(self) -> Organisation:
        """The version in force.

        Raises:
            Refusal: `no-directory`: no router has ever started.
        """
        found = await self.directory.current()
        if found is None:
            raise Refusal("no-directory")
        return found

    async def get(self, version: int) -> Organisation:
        """One version.

        Raises:
            Refusal: `no-such-version`.
        """
        found = await self.directory.get(version)
        if found is None:
            raise Refusal("no-such-version", version=version)
        return found

    async def changes(self, part: Part, since: int, version: int) -> list[Change]:
        """What one version of a part says otherwise than another.

        Raises:
            Refusal: `no-such-version`.
        """
        before, after = await self.get(since), await self.get(version)
        return differences(content_of(before, part), content_of(after, part))

    async def preview(self, draft: Draft) -> list[Change]:
        """What would change in the version in force.

        Raises:
            WrongDraft: with every mistake.
        """
        now = await self.current()
        wanted = await asyncio.to_thread(_read, draft, now)
        return differences(content_of(now, draft.part), content_of(wanted, draft.part))

    async def save(self, draft: Draft, *, entry: Callable[..., Entry]) -> Organisation:
        """Put it into force as the next version.

        Args:
            draft: what was written.
            entry: makes the entry of the audit of `about` and `fields`.

        Raises:
            WrongDraft: with every mistake.
            Refusal: `moved-on`: somebody else has put a version into force meanwhile.
        """
        now = await self.current()
        if now.version != draft.on_top_of:
            raise Refusal("moved-on")
        await asyncio.to_thread(_read, draft, now)
        about, fields = f"{draft.part.name} {now.version + 1}", tuple(sorted(draft.content))
        await self.auditing.add(entry(draft.part.edits, about=about, fields=fields))
        try:
            return await self.directory.load(draft.content, on_top_of=draft.on_top_of)
        except SupersededError:
            raise Refusal("moved-on") from None
        except WrongOrganisation as error:
            raise WrongDraft(error.problems) from None


def content_of(one: Organisation, part: Part) -> dict[str, Any]:
    """The sections of a part as they are written."""
    # Of few fields all are shown, of many people what is as by default is left out.
    told = one.model_dump(mode="json", include=set(part.sections), exclude_defaults=len(part.sections) > 1)
    return {name: told.get(name, [] if part is DIRECTORY else {}) for name in part.sections}


def _read(draft: Draft, now: Organisation) -> Organisation:
    sections = draft.part.sections
    unknown = [str(name) for name in draft.content if name not in sections]
    problems = [f"{name}: is no part of this; parts are {', '.join(sections)}" for name in unknown]
    if not draft.content:
        problems.append(f"text: is empty; write at least one of {', '.join(sections)}")
    known = {name: value for name, value in draft.content.items() if name in sections}
    try:
        wanted = organisation({**now.model_dump(mode="json"), **known, "version": now.version + 1})
    except WrongOrganisation as error:
        problems += error.problems
    if problems:
        raise WrongDraft(problems)
    return wanted
