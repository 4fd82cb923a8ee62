"""Keeping the rows: what a batch of the three topics makes of them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from schemas.events import TicketEvent
from schemas.message import Message
from services.desk.notice import Notice
from services.desk.row import Kept, Row, fold, gap, ticket_of
from services.runtime.handling import Received, Refusal
from services.runtime.metrics import DeskMetrics


class Rows(Protocol):
    """Where rows are kept."""

    async def load(self, tickets: Iterable[UUID]) -> dict[UUID, Kept]:
        """Those that are there."""

    async def save(self, rows: Sequence[tuple[Row, int]], *, at: datetime) -> bool:
        """Write rows by the revisions they were computed from; False: not all, load again."""


class Trail(Protocol):
    """The truth about tickets."""

    async def events(self, tickets: Iterable[UUID]) -> Mapping[UUID, Sequence[TicketEvent]]:
        """All events of tickets, in order."""


@dataclass(frozen=True, kw_only=True)
class Projector:
    """Folds what is told into rows. A message that comes again, and a batch that is done again, change nothing."""

    rows: Rows
    trail: Trail
    notify: Callable[[Sequence[Notice]], None]
    """Told of what was written; must not wait and not fail."""
    now: Callable[[], datetime]
    metrics: DeskMetrics

    async def handle(self, batch: Sequence[Received[Message]]) -> list[Refusal]:
        """Bring the rows of a batch up to date."""
        by_ticket: dict[UUID, list[Message]] = {}
        for received in batch:
            if ticket := ticket_of(received.message):
                by_ticket.setdefault(ticket, []).append(received.message)
        while not await self._brought_up(by_ticket):
            pass
        now = self.now()
        for received in batch:
            self.metrics.lag_seconds.observe(max(0.0, (now - received.recorded_at).total_seconds()))
        return []

    async def _brought_up(self, by_ticket: Mapping[UUID, Sequence[Message]]) -> bool:
        """Whether every row is up to date. If another process wrote one meanwhile, it is not, and is read again."""
        kept = await self.rows.load(by_ticket)
        before = {ticket: kept[ticket].row if ticket in kept else Row(id=ticket) for ticket in by_ticket}
        missing = [ticket for ticket, messages in by_ticket.items() if _has_gap(before[ticket], messages)]
        known = await self.trail.events(missing) if missing else {}
        changed: list[tuple[Row, int]] = []
        for ticket, messages in by_ticket.items():
            row = before[ticket]
            for message in (*known.get(ticket, ()), *messages):
                row = fold(row, message)
            if row != before[ticket]:
                changed.append((row, kept[ticket].revision if ticket in kept else 0))
        if not changed:
            return True
        is_done = await self.rows.save(changed, at=self.now())
        if is_done:
            self.metrics.projected.inc(len(changed))
        self.notify(
            [Notice.of(row, revision=r + 1, before=before[row.id] if r else None) for row, r in changed if row.version]
        )
        return is_done


def _has_gap(row: Row, messages: Sequence[Message]) -> bool:
    for message in messages:
        if gap(row, message):
            return True
        row = fold(row, message) if isinstance(message, TicketEvent) else row
    return False
