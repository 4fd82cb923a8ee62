"""Facts about promised time limits: `sla-event`; breaches also on `sla-breached`."""

from datetime import datetime
from typing import ClassVar
from uuid import UUID

from pydantic import AwareDatetime, Field

from schemas.classification import Matter
from schemas.codes import Clock, ClockState, Severity
from schemas.message import Code, Message


class SlaFact(Message):
    """One thing that happened to one cycle of one clock."""

    SOURCE: ClassVar[str] = "/amends/sla-monitor"

    fact_id: UUID
    ticket_id: UUID
    ticket_sequence: int = Field(ge=1)
    """Number of the latest ticket event that was known."""
    clock: Clock
    cycle: int = Field(ge=1)
    at: AwareDatetime
    """When it holds from: the time of the event that caused it, or the instant that a limit was reached."""
    due_at: AwareDatetime | None
    """None while the clock is paused."""
    target_s: int = Field(gt=0)
    """The time limit, in seconds of the clock's calendar."""
    policy: Code
    """Name of the rule that set the target."""
    policy_version: int

    @property
    def ce_id(self) -> UUID:
        """Identity of the fact; the same in every replay, and another one when the fact is told anew with changes."""
        return self.fact_id

    @property
    def ce_subject(self) -> UUID:
        """The ticket."""
        return self.ticket_id

    @property
    def ce_time(self) -> datetime:
        """When it holds from."""
        return self.at


class SlaStarted(SlaFact):
    """A clock runs."""

    TYPE: ClassVar[str] = "amends.sla.started"


class SlaPaused(SlaFact):
    """A clock stands still."""

    TYPE: ClassVar[str] = "amends.sla.paused"


class SlaResumed(SlaFact):
    """A clock runs again, with a later due time."""

    TYPE: ClassVar[str] = "amends.sla.resumed"


class Accountable(SlaFact):
    """A fact that names who was responsible at that moment."""

    detected_at: AwareDatetime
    """When a worker saw it; the only field that a replay may change."""
    elapsed_s: float
    """Working time on the clock so far."""
    department: Code | None = None
    unit: Code | None = None
    person: Code | None = None
    severity: Severity
    category: Matter | None = None


class SlaWarned(Accountable):
    """A share of the target is used up."""

    TYPE: ClassVar[str] = "amends.sla.warned"

    share: float
    """0.5 is half of the target."""


class SlaBreached(Accountable):
    """The time limit has passed."""

    TYPE: ClassVar[str] = "amends.sla.breached"

    breached_at: AwareDatetime
    """The due time."""
    escalation_level: Code
    """The role that must look at it now."""


class SlaEscalated(Accountable):
    """It is still open, and the next level must look at it."""

    TYPE: ClassVar[str] = "amends.sla.escalated"

    share: float
    """2.0 is twice the target."""
    escalation_level: Code


class SlaMet(SlaFact):
    """The clock stopped in time."""

    TYPE: ClassVar[str] = "amends.sla.met"

    elapsed_s: float


class SlaStoppedLate(Accountable):
    """The clock stopped after its breach."""

    TYPE: ClassVar[str] = "amends.sla.stopped_late"

    late_s: float
    """Seconds of the clock's calendar after the due time."""


class SlaRetargeted(SlaFact):
    """A change of severity set another target, counted from the original start."""

    TYPE: ClassVar[str] = "amends.sla.retargeted"

    due_before: AwareDatetime | None
    severity: Severity


class SlaCorrected(SlaFact):
    """An earlier fact does not hold, e.g. a breach whose clock had been stopped in time by an event that came late."""

    TYPE: ClassVar[str] = "amends.sla.corrected"

    corrects: UUID
    """The fact that is taken back. What holds instead may follow as a new fact with an id of its own."""
    result: ClockState
    """What holds instead."""
