"""The state of all clocks of one ticket, as it is stored. Times are microseconds since 1970."""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any, Final, NamedTuple
from uuid import UUID

from schemas.codes import Channel, Clock, ClockState, RiskFlag, Severity, Source, TicketState
from schemas.lifecycle import WAITING
from services.service_levels.calendar import from_us
from services.service_levels.policy import Case

# A look into a dict costs a third of what an enum's constructor does, and a state is read for every event.
_CLOCKS: Final = {clock.value: clock for clock in Clock}
_STATES: Final = {state.value: state for state in ClockState}
OPEN_STATES: Final = frozenset({ClockState.RUNNING, ClockState.PAUSED, ClockState.BREACHED})


class Party(NamedTuple):
    """One of the units that share liability."""

    unit: str
    department: str | None
    calendar: str


class Known(NamedTuple):
    """What was so from an instant on: the case as the policy sees it, and who was responsible."""

    at: int
    case: Case = Case()
    department: str | None = None
    unit: str | None = None
    person: str | None = None
    calendar: str | None = None
    """The one that the assignment named."""
    parties: tuple[Party, ...] = ()


_NOTHING_KNOWN: Final = Known(0)


class Ending(NamedTuple):
    """How the ticket's events ended a cycle."""

    at: int
    is_cancelled: bool
    sequence: int
    """Of the event."""
    known: int
    """What was so before it, as a place in the history."""


@dataclass(slots=True, kw_only=True)
class Cycle:
    """One run of one clock, from a start to its stop."""

    clock: Clock
    number: int
    state: ClockState
    start: int
    target: int
    """Working time of the calendar, in microseconds."""
    rule: str
    version: int
    calendar: str
    unit: str | None = None
    """Whose it is, of a clock that runs for each unit."""
    due: int | None
    """None while paused."""
    next: int | None
    """When the next warning, breach or escalation is reached; None while paused, after the last, and when stopped."""
    told: tuple[int, ...] = ()
    """The ticket event that each of the policy's steps named when it passed; 0 for one that was left out."""
    changed: int = 0
    """When the target or calendar last changed; warnings before that were counted by the old ones."""
    pauses: tuple[tuple[int, int], ...] = ()
    paused: int | None = None
    breached: int | None = None
    stopped: int | None = None
    ending: Ending | None = None
    """Of a clock that deliveries stop, too: kept until, and after, no earlier one can turn up."""
    delivered: str | None = None
    """The delivery that stopped it."""

    @property
    def step(self) -> int:
        """How many of the policy's steps have passed."""
        return len(self.told)

    @property
    def is_open(self) -> bool:
        """Whether it has not stopped, in time, late or without a result."""
        return self.state in OPEN_STATES

    @property
    def due_at(self) -> datetime | None:
        """The due time; None while paused."""
        return None if self.due is None else from_us(self.due)

    def copy(self) -> "Cycle":
        """Another one with the same content."""
        return Cycle(
            clock=self.clock,
            number=self.number,
            state=self.state,
            start=self.start,
            target=self.target,
            rule=self.rule,
            version=self.version,
            calendar=self.calendar,
            unit=self.unit,
            due=self.due,
            next=self.next,
            told=self.told,
            changed=self.changed,
            pauses=self.pauses,
            paused=self.paused,
            breached=self.breached,
            stopped=self.stopped,
            ending=self.ending,
            delivered=self.delivered,
        )

    def to_doc(self) -> dict[str, Any]:
        """For the database; what is empty is left out."""
        doc: dict[str, Any] = {
            "clock": self.clock,
            "number": self.number,
            "state": self.state,
            "start": self.start,
            "target": self.target,
            "rule": self.rule,
            "version": self.version,
            "calendar": self.calendar,
            "changed": self.changed,
        }
        for name in ("unit", "due", "next", "told", "paused", "breached", "stopped", "delivered"):
            value = getattr(self, name)
            if value:
                doc[name] = value
        if self.ending:
            doc["ending"] = list(self.ending)
        if self.pauses:
            doc["pauses"] = [list(pause) for pause in self.pauses]
        return doc

    @classmethod
    def from_doc(cls, doc: dict[str, Any]) -> "Cycle":
        """From the database."""
        return cls(
            clock=_CLOCKS[doc["clock"]],
            number=doc["number"],
            state=_STATES[doc["state"]],
            start=doc["start"],
            target=doc["target"],
            rule=doc["rule"],
            version=doc["version"],
            calendar=doc["calendar"],
            changed=doc["changed"],
            unit=doc.get("unit"),
            due=doc.get("due"),
            next=doc.get("next"),
            told=tuple(doc.get("told", ())),
            paused=doc.get("paused"),
            breached=doc.get("breached"),
            stopped=doc.get("stopped"),
            ending=Ending(*doc["ending"]) if "ending" in doc else None,
            delivered=doc.get("delivered"),
            pauses=tuple((begin, end) for begin, end in doc.get("pauses", ())),
        )


@dataclass(slots=True, kw_only=True)
class TicketSla:
    """All clocks of one ticket, and what of the ticket they need."""

    ticket_id: UUID
    routing_key: str
    sequence: int = 0
    """The last ticket event that was applied; 0 before the first."""
    needs_review: bool | None = None
    """None until the complaint is understood."""
    state: TicketState | None = None
    responded: frozenset[str] = frozenset()
    """Those of the units that share liability that have responded, and are not asked again."""
    history: list[Known] = field(default_factory=list)
    """What was so, in order; the last is so now. Facts that are told late name what was so at their instant."""
    seen: list[tuple[int, int]] = field(default_factory=list)
    """Time and sequence of the events applied; where times go back, the latest so far."""
    times: dict[str, int] = field(default_factory=dict)
    """Latest time of each event, for clocks that are counted from an earlier one."""
    cycles: list[Cycle] = field(default_factory=list)
    deliveries: tuple[tuple[int, str], ...] = ()
    """Deliveries (time, event name) that wait until the ticket's own events are read as far."""

    def copy(self) -> "TicketSla":
        """Another one with the same content; it shares the cycles, of which a changed one is replaced by a copy."""
        return TicketSla(
            ticket_id=self.ticket_id,
            routing_key=self.routing_key,
            sequence=self.sequence,
            needs_review=self.needs_review,
            state=self.state,
            responded=self.responded,
            history=self.history.copy(),
            seen=self.seen.copy(),
            times=self.times.copy(),
            cycles=self.cycles.copy(),
            deliveries=self.deliveries,
        )

    @property
    def is_waiting(self) -> bool:
        """Whether somebody else has to do something first."""
        return self.state in WAITING

    @property
    def known(self) -> Known:
        """What is so now."""
        return self.history[-1] if self.history else _NOTHING_KNOWN

    def known_at(self, at: int) -> Known:
        """What was so at an instant; before the first event, what that one said."""
        i = bisect_right(self.history, at, key=_time)
        return self.history[max(0, i - 1)] if self.history else _NOTHING_KNOWN

    def party(self, unit: str, known: Known) -> Party:
        """What was so of a unit that shares liability; before the event that named it counted, what that one said."""
        return next(party for then in (known, *self.history) for party in then.parties if party.unit == unit)

    def sequence_at(self, at: int) -> int:
        """The last event at or before an instant; before the first, the first."""
        i = bisect_right(self.seen, at, key=_time)
        return self.seen[max(0, i - 1)][1] if self.seen else self.sequence

    def open_cycles(self) -> Iterator[Cycle]:
        """Those that have not stopped."""
        return (cycle for cycle in self.cycles if cycle.state in OPEN_STATES)

    def to_doc(self) -> dict[str, Any]:
        """For the database: plain values, without the keys that the store adds (`_id`, revision, facts)."""
        return {
            "ticket_id": str(self.ticket_id),
            "routing_key": self.routing_key,
            "sequence": self.sequence,
            "needs_review": self.needs_review,
            "state": self.state,
            "responded": sorted(self.responded),
            "history": [_known_to_doc(known) for known in self.history],
            "seen": [list(event) for event in self.seen],
            "times": self.times,
            "cycles": [cycle.to_doc() for cycle in self.cycles],
            "deliveries": [list(delivery) for delivery in self.deliveries],
        }

    @classmethod
    def from_doc(cls, doc: dict[str, Any]) -> "TicketSla":
        """From the database; keys that the store adds are ignored."""
        return cls(
            ticket_id=UUID(doc["ticket_id"]),
            routing_key=doc["routing_key"],
            sequence=doc["sequence"],
            needs_review=doc["needs_review"],
            state=_state_from_doc(doc),
            responded=frozenset(doc.get("responded", ())),
            history=[_known_from_doc(known) for known in doc["history"]],
            seen=[(at, sequence) for at, sequence in doc["seen"]],
            times=dict(doc["times"]),
            cycles=[Cycle.from_doc(cycle) for cycle in doc["cycles"]],
            deliveries=tuple((at, name) for at, name in doc["deliveries"]),
        )


def _time(entry: tuple[Any, ...]) -> int:
    at: int = entry[0]
    return at


@lru_cache(maxsize=20_000)
def _known_to_doc(known: Known) -> dict[str, Any]:
    """What is empty is left out. It is written with every save of the ticket, and does not change."""
    doc: dict[str, Any] = {"at": known.at}
    case = known.case
    values = {
        "channel": case.channel,
        "source": case.source,
        "category": case.category,
        "severity": case.severity,
        "customer_tier": case.customer_tier,
        "region": case.region,
        "risk": sorted(case.risk),
        "major": case.major,
        "unreachable": not case.reachable,
        "department": known.department,
        "unit": known.unit,
        "person": known.person,
        "calendar": known.calendar,
    }
    doc |= {name: value for name, value in values.items() if value}
    if known.parties:
        doc["parties"] = [list(party) for party in known.parties]
    return doc


def _state_from_doc(doc: dict[str, Any]) -> TicketState | None:
    # Documents from before this field say only whether the ticket waits.
    before = TicketState.WAITING_CUSTOMER if doc.get("is_waiting") else None
    return TicketState(doc["state"]) if doc.get("state") else before


def _known_from_doc(doc: dict[str, Any]) -> Known:
    get = doc.get
    case = Case(
        channel=Channel(doc["channel"]) if "channel" in doc else None,
        source=Source(doc["source"]) if "source" in doc else None,
        category=get("category"),
        severity=Severity(doc["severity"]) if "severity" in doc else None,
        customer_tier=get("customer_tier"),
        region=get("region"),
        risk=frozenset(RiskFlag(flag) for flag in get("risk", ())),
        major=get("major", False),
        reachable=not get("unreachable", False),
    )
    return Known(
        at=doc["at"],
        case=case,
        department=get("department"),
        unit=get("unit"),
        person=get("person"),
        calendar=get("calendar"),
        parties=tuple(Party(*party) for party in get("parties", ())),
    )
