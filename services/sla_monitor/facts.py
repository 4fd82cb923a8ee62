"""The facts that clocks give rise to, with identities that follow from what they are about."""

from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

from schemas import ids
from schemas.classification import Matter
from schemas.codes import Category, ClockState, Severity
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
from services.service_levels.calendar import US_PER_S, from_us
from services.service_levels.rulebook import Step
from services.service_levels.ticket_sla import Cycle, TicketSla


class FactWriter:
    """Writes facts about the cycles of one ticket, as they stand when it is called. Times are microseconds.

    `sequence` and `known` are the ticket event and the state of things that the next facts are to name.
    """

    def __init__(self, sla: TicketSla, now: datetime) -> None:
        self.sla = sla
        self.now = now
        self.sequence = sla.sequence
        self.known = sla.known
        self.written: list[SlaFact] = []

    def started(self, cycle: Cycle) -> None:
        """The cycle runs from its start."""
        self.written.append(SlaStarted(**self._common(cycle, self._id(cycle, "started"), cycle.start)))

    def paused(self, cycle: Cycle, at: int) -> None:
        """The cycle stands still."""
        self.written.append(SlaPaused(**self._common(cycle, self._id_by_event(cycle, "paused"), at)))

    def resumed(self, cycle: Cycle, at: int) -> None:
        """The cycle runs again, with a new due time."""
        self.written.append(SlaResumed(**self._common(cycle, self._id_by_event(cycle, "resumed"), at)))

    def retargeted(self, cycle: Cycle, at: int, *, due_before: int | None) -> None:
        """The cycle has another target or calendar."""
        self.written.append(
            SlaRetargeted(
                **self._common(cycle, self._id_by_event(cycle, "retargeted"), at),
                due_before=None if due_before is None else from_us(due_before),
                severity=self._severity(),
            ),
        )

    def passed(self, cycle: Cycle, step: Step, at: int, *, level: str | None) -> None:
        """The cycle was warned about, breached or escalated; a warning has no level."""
        seen = self._common(cycle, self.step_id(cycle, step, at, self.sequence), at)
        seen |= self._accountable(cycle, round(cycle.target * step.share))
        if step.is_warning:
            self.written.append(SlaWarned(**seen, share=step.share))
        elif step.rung == 0:
            seen["due_at"] = from_us(at)
            self.written.append(SlaBreached(**seen, breached_at=from_us(at), escalation_level=level))
        else:
            self.written.append(SlaEscalated(**seen, share=step.share, escalation_level=level))

    def met(self, cycle: Cycle, at: int, *, elapsed: int) -> None:
        """The cycle stopped in time."""
        common = self._common(cycle, self._id(cycle, "met", f"{at}#{self.sequence}"), at)
        self.written.append(SlaMet(**common, elapsed_s=elapsed / US_PER_S))

    def stopped_late(self, cycle: Cycle, at: int, *, elapsed: int) -> None:
        """The cycle stopped after its breach."""
        fact_id = self._id(cycle, "stopped_late", f"{at}#{self.sequence}")
        seen = self._common(cycle, fact_id, at) | self._accountable(cycle, elapsed)
        self.written.append(SlaStoppedLate(**seen, late_s=max(0, elapsed - cycle.target) / US_PER_S))

    def cancelled(self, cycle: Cycle, at: int) -> None:
        """The cycle ended without a result: its start does not hold."""
        self.corrected(cycle, self._id(cycle, "started"), at, ClockState.CANCELLED)

    def corrected(self, cycle: Cycle, corrects: UUID, at: int, result: ClockState) -> None:
        """An earlier fact does not hold; `result` does."""
        common = self._common(cycle, self._correction_id(cycle, corrects), at)
        self.written.append(SlaCorrected(**common, corrects=corrects, result=result))

    def end_id(self, cycle: Cycle) -> UUID:
        """Of the fact that told how the cycle ended."""
        if cycle.state is ClockState.CANCELLED:
            return self._correction_id(cycle, self._id(cycle, "started"))
        assert cycle.stopped is not None
        by_event = cycle.ending.sequence if cycle.ending and not cycle.delivered else None
        sequence = by_event or self.sla.sequence_at(cycle.stopped)
        kind = "met" if cycle.state is ClockState.MET else "stopped_late"
        return self._id(cycle, kind, f"{cycle.stopped}#{sequence}")

    def step_id(self, cycle: Cycle, step: Step, at: int, sequence: int) -> UUID:
        """With the instant in it: after a change of target the same share is reached a second time.

        And with the last ticket event before it, on which all depends that the fact reports: one that is told again
        because an event of before it came late is another fact.
        """
        kind = "warned" if step.is_warning else "breached" if step.rung == 0 else "escalated"
        return self._id(cycle, kind, f"{step.share}@{at}#{sequence}")

    def _severity(self) -> Severity:
        return self.known.case.severity or Severity.NORMAL

    def _accountable(self, cycle: Cycle, elapsed: int) -> dict[str, Any]:
        known = self.known
        department, unit, person = known.department, known.unit, known.person
        if cycle.unit is not None:
            department, unit, person = self.sla.party(cycle.unit, known).department, cycle.unit, None
        return {
            "detected_at": self.now,
            "elapsed_s": elapsed / US_PER_S,
            "department": department,
            "unit": unit,
            "person": person,
            "severity": self._severity(),
            "category": _matter(known.case.category),
        }

    def _correction_id(self, cycle: Cycle, corrects: UUID) -> UUID:
        return self._id(cycle, "corrected", str(corrects))

    def _id_by_event(self, cycle: Cycle, kind: str) -> UUID:
        return self._id(cycle, kind, str(self.sequence))

    def _id(self, cycle: Cycle, kind: str, detail: str = "") -> UUID:
        return ids.fact_id(self.sla.ticket_id, cycle.clock.value, cycle.number, kind, detail)

    def _common(self, cycle: Cycle, fact_id: UUID, at: int) -> dict[str, Any]:
        sla = self.sla
        return {
            "routing_key": sla.routing_key,
            "fact_id": fact_id,
            "ticket_id": sla.ticket_id,
            "ticket_sequence": self.sequence,
            "clock": cycle.clock,
            "cycle": cycle.number,
            "at": from_us(at),
            "due_at": cycle.due_at,
            "target_s": max(1, round(cycle.target / US_PER_S)),
            "policy": cycle.rule,
            "policy_version": cycle.version,
        }


@cache
def _matter(code: str | None) -> Matter | None:
    if code is None:
        return None
    category, _, sub = code.partition(".")
    return Matter(category=Category(category), sub=sub or None)
