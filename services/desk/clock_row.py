"""What the facts about one cycle of one clock come to, in whatever order and how often they are told. Pure.

A fact is kept by its identity, and what holds is read off all that are kept and not taken back, so that two facts
commute and one that comes again changes nothing. Of the facts that set a due time the one of the latest ticket event
counts; they are not kept one by one.
"""

import dataclasses
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final
from uuid import UUID

from schemas import ids
from schemas.codes import Clock, ClockState
from schemas.sla import (
    SlaBreached,
    SlaCorrected,
    SlaEscalated,
    SlaFact,
    SlaMet,
    SlaPaused,
    SlaResumed,
    SlaRetargeted,
    SlaStarted,
    SlaStoppedLate,
    SlaWarned,
)

_SETTING: Final = (SlaStarted, SlaRetargeted, SlaResumed, SlaPaused)
"""Facts that set the due time; of two with one cause the later here holds."""
_MARKING: Final = MappingProxyType(
    {
        SlaWarned: "warned",
        SlaBreached: "breached",
        SlaEscalated: "escalated",
        SlaMet: "met",
        SlaStoppedLate: "stopped_late",
    }
)
_BEGINNING: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened to the cycle and can be taken back."""

    id: UUID
    kind: str
    at: datetime
    detail: str = ""
    """The share of a warning, the level of a breach or escalation."""


@dataclass(frozen=True, slots=True)
class ClockRow:
    """One cycle of one clock of one ticket."""

    clock: Clock
    cycle: int
    due_at: datetime | None = None
    """None while it stands still, and while nothing but its marks is known."""
    target_s: int = 0
    policy: str = ""
    set_by: tuple[int, datetime, int] = (0, _BEGINNING, -1)
    """Ticket event, instant and kind of the fact that `due_at` is of."""
    marks: tuple[Mark, ...] = ()
    corrected: tuple[UUID, ...] = ()
    """Facts that do not hold, in the order of their ids."""

    def state(self, ticket: UUID) -> ClockState:
        """Where it stands."""
        holding = {mark.kind for mark in self.holding(ticket)}
        if self._is_taken_back(ids.fact_id(ticket, self.clock.value, self.cycle, "started"), ticket):
            return ClockState.CANCELLED
        for state in (ClockState.STOPPED_LATE, ClockState.MET, ClockState.BREACHED):
            if state.value in holding:
                return state
        return ClockState.PAUSED if self.is_paused else ClockState.RUNNING

    @property
    def is_paused(self) -> bool:
        """Whether it stands still, if it is open."""
        return self.due_at is None and self.set_by[0] > 0

    def holding(self, ticket: UUID) -> list[Mark]:
        """Marks that were not taken back, by time."""
        return [mark for mark in self.marks if not self._is_taken_back(mark.id, ticket)]

    def _is_taken_back(self, fact: UUID, ticket: UUID) -> bool:
        if fact not in self.corrected:
            return False
        # A correction is a fact, too, and can be taken back.
        correction = ids.fact_id(ticket, self.clock.value, self.cycle, "corrected", str(fact))
        return not self._is_taken_back(correction, ticket)


def whole_ms(at: datetime) -> datetime:
    """The instant as the database keeps it: what is compared with what was stored must not be finer."""
    return at.replace(microsecond=at.microsecond // 1000 * 1000)


def told(row: ClockRow, fact: SlaFact) -> ClockRow:
    """The cycle with one more fact known."""
    if isinstance(fact, SlaCorrected):
        return dataclasses.replace(row, corrected=tuple(sorted({*row.corrected, fact.corrects})))
    if kind := _MARKING.get(type(fact)):
        if any(mark.id == fact.fact_id for mark in row.marks):
            return row
        mark = Mark(fact.fact_id, kind, whole_ms(fact.at), _detail(fact))
        return dataclasses.replace(row, marks=tuple(sorted((*row.marks, mark), key=lambda m: (m.at, m.id))))
    rank = _SETTING.index(type(fact)) if type(fact) in _SETTING else -1
    set_by = (fact.ticket_sequence, whole_ms(fact.at), rank)
    if set_by <= row.set_by:
        return row
    return dataclasses.replace(
        row,
        due_at=whole_ms(fact.due_at) if fact.due_at else None,
        target_s=fact.target_s,
        policy=fact.policy,
        set_by=set_by,
    )


def _detail(fact: SlaFact) -> str:
    if isinstance(fact, SlaWarned):
        return f"{fact.share:g}"
    return fact.escalation_level if isinstance(fact, SlaBreached | SlaEscalated) else ""
