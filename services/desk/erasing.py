"""Erasing what is stored about a customer, on his or her request.

What goes: contact and wording of each complaint (its document stays as a tombstone without them, so that a router that
reads the complaint again from its topic does not keep them anew), files of evidence, and what notifications and the
notifier's memory of the person show of number and address.

What stays, so that statistics do and nothing in the event store is ever rewritten: tickets, their events, clocks and
audit. They hold no name, number, address or text: a masked number (`138****1234`), keyed digests, codes and times. The
topic `complaint-submitted` holds the sealed complaint for a week, refused complaints are kept sealed for
`AMENDS_REJECTED_DAYS`. The request itself is forgotten but for its time, who took it and how much was erased.

Whoever complains again afterwards is a new customer. Every step may be done again: a worker that dies leaves documents
that its successor finds by the same digests, since a contact is the last thing to go of each complaint.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from services.desk.contact_store import Kept


class ErasureState(StrEnum):
    """How far an erasure has come."""

    ASKED = "asked"
    DONE = "done"


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasure:
    """One request."""

    id: UUID
    asked_at: datetime
    asked_by: str
    reason: str
    digests: tuple[str, ...] = field(default=(), repr=False)
    """Of the customer's number, address and open id; forgotten when it is done."""
    state: ErasureState = ErasureState.ASKED
    complaints: int = 0
    files: int = 0
    done_at: datetime | None = None


class Erasures(Protocol):
    """Requests and what they erase, see `erasure_store.py`. Any call may be made again."""

    async def waiting(self) -> list[Erasure]:
        """Those that are not done, the oldest first."""

    async def erase_files(self, evidence: Sequence[UUID], *, of: Collection[UUID]) -> int:
        """Delete files that are not another's than these tickets' and complaints'; gives how many there were."""

    async def evidence_of(self, ticket: UUID, complaint: UUID) -> Sequence[UUID]:
        """Files that the ticket's events name, when the complaint opened it; none otherwise."""

    async def erase_traces(self, ticket: UUID, complaint: UUID) -> None:
        """Blank what notifications and the notifier's memory show of who complained, and forget what was noted."""

    async def erase_contact(self, complaint: UUID, *, at: datetime) -> None:
        """Leave a tombstone of contact and wording."""

    async def count(self, erasure: UUID, *, complaints: int, files: int) -> None:
        """Add to what was erased."""

    async def finish(self, erasure: UUID, *, at: datetime) -> None:
        """Mark it as done, and forget whom it was about."""


class Customers(Protocol):
    """What is kept of a customer, see `contact_store.py`."""

    async def of_customer(self, digests: Sequence[str]) -> list[Kept]:
        """Complaints of whoever has one of these digests."""


class Eraser:
    """Does what was asked for; a worker calls `step` every few seconds."""

    def __init__(self, *, erasures: Erasures, customers: Customers, now: Callable[[], datetime]) -> None:
        self._erasures = erasures
        self._customers = customers
        self._now = now

    async def step(self) -> int:
        """Do all that wait; gives how many. Two workers at once do no harm, but may count the same twice."""
        waiting = await self._erasures.waiting()
        for erasure in waiting:
            for kept in await self._customers.of_customer(erasure.digests):
                await self._erase(erasure.id, kept)
            await self._erasures.finish(erasure.id, at=self._now())
        return len(waiting)

    async def _erase(self, erasure: UUID, kept: Kept) -> None:
        named = await self._erasures.evidence_of(kept.ticket_id, kept.complaint_id)
        files = tuple(dict.fromkeys((*kept.evidence, *named)))
        gone = await self._erasures.erase_files(files, of=(kept.ticket_id, kept.complaint_id))
        await self._erasures.erase_traces(kept.ticket_id, kept.complaint_id)
        await self._erasures.count(erasure, complaints=1, files=gone)
        await self._erasures.erase_contact(kept.complaint_id, at=self._now())
