"""Versions of the policy of service levels: shown, compared, tried out on the clocks that run, and added."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol
from uuid import UUID

from services.desk.asking import Asking
from services.desk.audit import Entry
from services.desk.differences import Change, differences
from services.desk.drafting import WrongDraft
from services.desk.lines import Sort
from services.desk.person import Person
from services.desk.queue import EVERYTHING, Filters, Standing
from services.desk.refusal import Refusal
from services.desk.rights import may
from services.desk.signing_in import Auditing
from services.service_levels.opening_hours import CalendarError
from services.service_levels.policy import PolicyError, SlaPolicy, parse_policy
from services.service_levels.rulebook import Rulebook
from services.service_levels.ticket_sla import TicketSla
from services.service_levels.versions import Head, TakenError, in_force, soonest, unfit
from services.service_levels.what_if import WhatIf, what_if
from services.service_levels.written_form import written

TICKETS_MAX: Final = 2_000
"""Open tickets whose clocks are counted by a draft: those that are due first. It takes about a second."""
MOVED_MAX: Final = 50
"""Clocks that are told one by one."""
_OWN: Final = ("version", "effective_from")
"""What of a policy is no part of a draft's content."""


class Versions(Protocol):
    """See `policy_store.py`."""

    async def heads(self) -> list[Head]:
        """All in short, the highest first."""

    async def get(self, version: int) -> SlaPolicy | None:
        """One."""

    async def add(self, policy: SlaPolicy, *, now: datetime) -> bool:
        """Add one."""


class Clocks(Protocol):
    """See `open_clock_store.py`."""

    async def of(self, tickets: Sequence[UUID]) -> list[TicketSla]:
        """The clocks of tickets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A version that somebody writes."""

    content: Mapping[str, Any]
    """As in a file, without number and beginning."""
    effective_from: datetime | None
    """None: as soon as it can be."""
    on_top_of: int
    """The highest version that there was when it was written; 0: none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What a draft would mean for the clocks that run."""

    what_if: WhatIf
    tickets: int
    is_sample: bool
    """There are more open tickets than were counted."""
    numbers: Mapping[UUID, str]
    """Of the tickets whose clocks are told one by one; empty for who may not see tickets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """A draft looked at before it is added."""

    policy: SlaPolicy
    replaces: SlaPolicy | None
    """What would be in force at its beginning without it."""
    changes: list[Change]
    trial: Trial


@dataclass(frozen=True, kw_only=True)
class PolicyEditing:
    """Reads and adds versions."""

    versions: Versions
    clocks: Clocks
    asking: Asking
    auditing: Auditing
    now: Callable[[], datetime]

    async def heads(self) -> tuple[list[Head], Head | None]:
        """All versions, the highest first, and the one in force."""
        heads = await self.versions.heads()
        return heads, in_force(heads, self.now())

    async def policy_in_force(self) -> SlaPolicy | None:
        """The version in force; None: there is none yet."""
        _, head = await self.heads()
        return await self.versions.get(head.version) if head else None

    async def latest(self) -> int:
        """The highest number; 0: there is none."""
        return max((head.version for head in await self.versions.heads()), default=0)

    async def get(self, version: int) -> SlaPolicy:
        """One version.

        Raises:
            Refusal: `no-such-version`.
        """
        found = await self.versions.get(version)
        if found is None:
            raise Refusal("no-such-version", version=version)
        return found

    async def changes(self, since: int, version: int) -> list[Change]:
        """What one version says otherwise than another.

        Raises:
            Refusal: `no-such-version`.
        """
        before, after = await self.get(since), await self.get(version)
        return differences(content_of(before), content_of(after))

    async def preview(self, draft: Draft, person: Person) -> Preview:
        """What would change, and what it would mean.

        Raises:
            WrongDraft: with every mistake.
        """
        heads = await self.versions.heads()
        policy = await asyncio.to_thread(self._read, draft, heads)
        head = in_force(heads, policy.effective_from)
        replaces = await self.versions.get(head.version) if head else None
        before = content_of(replaces) if replaces else {}
        return Preview(
            policy=policy,
            replaces=replaces,
            changes=differences(before, content_of(policy)),
            trial=await self._try(policy, replaces, person),
        )

    async def add(self, draft: Draft, *, entry: Callable[..., Entry]) -> SlaPolicy:
        """Add it as the next version.

        Args:
            draft: what was written.
            entry: makes the entry of the audit of `about`.

        Raises:
            WrongDraft: with every mistake.
            Refusal: `moved-on`: somebody else has added a version meanwhile.
        """
        heads = await self.versions.heads()
        if draft.on_top_of != max((head.version for head in heads), default=0):
            raise Refusal("moved-on")
        policy = await asyncio.to_thread(self._read, draft, heads)
        await self.auditing.add(entry("edit_policies", about=f"sla {policy.version}"))
        try:
            await self.versions.add(policy, now=self.now())
        except TakenError:
            raise Refusal("moved-on") from None
        except PolicyError as error:
            raise WrongDraft(error.problems) from None
        return policy

    def _read(self, draft: Draft, heads: Sequence[Head]) -> SlaPolicy:
        now = self.now()
        problems = [f"{name}: stands beside the text; leave it out of it" for name in _OWN if name in draft.content]
        begins = draft.effective_from or soonest(now)
        version = max((head.version for head in heads), default=0) + 1
        problems += unfit(version, begins, versions=heads, now=now)
        try:
            policy = parse_policy({**draft.content, "version": version, "effective_from": begins})
        except PolicyError as error:
            problems += (problem for problem in error.problems if problem not in problems)
        if problems:
            raise WrongDraft(problems)
        return policy

    async def _try(self, policy: SlaPolicy, replaces: SlaPolicy | None, person: Person) -> Trial:
        asked, numbers = Filters(standing=Standing.OPEN, sort=Sort.DUE), dict[UUID, str]()
        pieces = self.asking.pieces(asked, person=person, scope=EVERYTHING, rows_max=TICKETS_MAX + 1)
        async for rows in pieces:
            numbers |= {row.id: row.number for row in rows}
        counted = list(numbers)[:TICKETS_MAX]
        tickets = await self.clocks.of(counted)
        shown_max = MOVED_MAX if may(person, "list_tickets") else 0
        try:
            found = await asyncio.to_thread(
                what_if,
                Rulebook(policy),
                tickets,
                replaces=Rulebook(replaces) if replaces else None,
                now=self.now(),
                shown_max=shown_max,
            )
        except CalendarError as error:
            raise WrongDraft([f"calendars: {problem}" for problem in error.problems]) from None
        return Trial(
            what_if=found,
            tickets=len(counted),
            is_sample=len(numbers) > len(counted),
            numbers={one.ticket_id: numbers[one.ticket_id] for one in found.moved},
        )


def content_of(policy: SlaPolicy) -> dict[str, Any]:
    """A version as it is written, without number and beginning."""
    return {name: value for name, value in written(policy).items() if name not in _OWN}
