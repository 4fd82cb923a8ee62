"""What ought to be told of the clocks of one ticket, from its events and the deliveries of its messages alone.

The rules, as domain and policy state them:

- Events count in the order of their numbers. One that is dated before an earlier one takes effect at that one's time;
  clocks that it starts or stops, it starts or stops at its own.
- At one instant events come first, then deliveries, then warnings, breaches and escalations (steps). So what stops
  exactly at its due time was in time.
- A step is reached when its share of the target has been worked, outside of pauses. It is told in the name of who was
  responsible then; a step that lies in the past of what made it due, in the name of who was when it became due.
- Severity, risk, category and owner may give another target or calendar: counted again from the original start.
  Warnings that would lie in the past then are left out, those that were told stay. A breach that is there stays, with
  its target.
- A stop takes everything back that lies at or after it. A breach before it makes it late; else it is met, or, if the
  complaint was withdrawn or another cycle takes its place, the cycle never was.
- Whichever stop is first counts, an event or a delivery.
- A clock that runs for each unit has a cycle for each that is named and has not responded. What tells of units moves
  only theirs; who is not named any more does not owe a response, and the cycle never was. Responsible is the unit.
- An approval is over when all have approved, when one has refused, when the ticket is answered, and with its state.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.simulation.oracle.calendars import NEVER, Calendar
from tests.simulation.oracle.policy import Case, Clock, Policy
from tests.simulation.oracle.reading import us

WAITING = {"waiting_customer", "waiting_third_party"}
SETTLED = {"resolved", "closed", "withdrawn"}
STEPS = {"warned", "breached", "escalated"}
CANCELLED = "cancelled"
"""Of a cycle that never was: no fact says so but the one that takes its start back."""


@dataclass(slots=True, kw_only=True)
class Wanted:
    """A fact that ought to stand."""

    clock: str
    cycle: int
    verb: str
    at: int
    due: int | None
    target: int
    rule: str
    sequence: int
    passes: int
    """When it could first be told: its time, or when an event moved its limit into the past."""
    share: float | None = None
    elapsed: int | None = None
    late: int | None = None
    level: str | None = None
    case: Case | None = None


@dataclass(slots=True, kw_only=True)
class Cycle:
    """One run of one clock."""

    clock: Clock
    number: int
    start: int
    target: int
    rule: str
    calendar_name: str
    calendar: Calendar
    unit: str | None = None
    """Whose response it waits for, of a clock that runs for each unit."""
    started: Wanted | None = None
    left: list[tuple[str, float]] = field(default_factory=list)
    """Steps that have not passed."""
    told: list[Wanted] = field(default_factory=list)
    """All but the start and the end."""
    changed: int = 0
    pauses: list[tuple[int, int]] = field(default_factory=list)
    paused: int | None = None
    breached: Wanted | None = None
    stopped: int | None = None
    ended: Wanted | None = None
    by_delivery: bool = False
    by_event: bool = False

    def reached(self, share: float) -> int:
        """When a share of the target has been worked."""
        pauses = [*self.pauses, (self.paused, NEVER)] if self.paused is not None else self.pauses
        return self.calendar.reached(self.start, round(self.target * share), pauses)

    @property
    def due(self) -> int | None:
        """The due time; None while paused."""
        return None if self.paused is not None else self.reached(1)


class ClockModel:
    """Walks through the life of one ticket."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.case = Case()
        self.cases: list[tuple[int, int, Case]] = []
        """Effective time, number and what was so from then on, of every event."""
        self.times: dict[str, int] = {}
        self.cycles: list[Cycle] = []
        self.needs_review: bool | None = None
        self.state = ""
        self.responded: set[str] = set()

    def live(
        self, events: Iterable[tuple[str, Mapping[str, Any]]], deliveries: Iterable[tuple[int, str]], until: int
    ) -> list[Wanted]:
        """Everything that ought to stand at an instant.

        Args:
            events: verb and payload of each, in the order of their numbers.
            deliveries: time and name (`received_delivered`).
            until: the instant.
        """
        waiting = sorted(set(deliveries))
        since = 0
        for verb, event in events:
            since = max(since, us(event["occurred_at"]))
            # What was delivered before there was a ticket was, by another's watch, delivered just after.
            while self.cases and waiting and waiting[0][0] < since:
                self._delivered(*waiting.pop(0))
            self._pass(since)
            self._happen(verb, event, since)
            self._pass(since)
        for delivery in waiting:
            self._delivered(*delivery)
        self._pass(until + 1)
        return [fact for cycle in self.cycles for fact in self._facts(cycle)]

    def to_come(self) -> int | None:
        """When the next step is reached if nothing happens any more; None when there is none."""
        times = [
            max(cycle.reached(cycle.left[0][1]), cycle.changed)
            for cycle in self.cycles
            if cycle.ended is None and cycle.paused is None and cycle.left
        ]
        return min(times, default=None)

    # Events

    def _happen(self, verb: str, event: Mapping[str, Any], since: int) -> None:
        at, sequence = us(event["occurred_at"]), event["sequence"]
        names, units = self._names(verb, event), _units(verb, event)
        starting = [clock for clock in self.policy.clocks.values() if names & (clock.starts | clock.restarts)]
        before = self.case
        for cycle in self.cycles:
            if not cycle.unit or not units or cycle.unit in units:
                self._maybe_stop(cycle, names, starting, at, sequence)
            elif names & cycle.clock.starts and cycle.ended is None:
                cycle.by_event = True
                self._stop(cycle, CANCELLED, at, sequence, self.case)
        self._learn(verb, event, at)
        self.cases.append((since, sequence, self.case))
        for cycle in self.cycles:
            if cycle.ended is None:
                self._adjust(cycle, names, since=since, sequence=sequence, is_other=self.case != before)
        for clock in starting:
            for unit in units if clock.is_per_unit else (None,):
                self._start(clock, names, unit, at=at, sequence=sequence)

    def _names(self, verb: str, event: Mapping[str, Any]) -> set[str]:
        """What the event is called in policies."""
        names = {verb}
        needs_review, department = self.needs_review, self.case.department
        if verb == "assigned":
            department = event["department"]
            if "assigned" not in self.times or (department, event["unit"]) != (self.case.department, self.case.unit):
                names.add("assigned_to_unit")
        elif verb == "classified":
            needs_review = event["classification"]["needs_review"]
        if verb in {"assigned", "classified"} and department is not None and needs_review is False:
            names.add("machine_review_done")
        if self.state in WAITING and event["state"] not in WAITING:
            names.add("waiting_over")
        is_decided = verb in {"approval_refused", "answered"} or (verb == "approved" and not event["remaining"])
        if is_decided or (verb != "approved" and self.state not in {"", event["state"]}):
            names.add("approval_over")
        return names

    def _learn(self, verb: str, event: Mapping[str, Any], at: int) -> None:
        self.state = event["state"]
        self.times[verb] = at
        case = self.case
        if verb == "opened":
            self.times["received"] = us(event["received_at"])
            said = ("channel", "source", "customer_tier", "region")
            case = case.but(**{n: event.get(n) for n in said}, reachable=bool(event["reachable_by"]))
        elif verb == "classified":
            said_of = event["classification"]
            self.needs_review = said_of["needs_review"]
            category = said_of["primary"] + (f".{said_of['sub']}" if said_of["sub"] else "")
            risk = frozenset(said_of["flags"])
            case = case.but(category=category, severity=said_of["severity"], risk=risk, major=event["major"])
        elif verb == "severity_changed":
            case = case.but(severity=event["severity"])
        elif verb in {"followed_up", "repeat_linked"}:
            case = case.but(risk=case.risk | set(event["flags"]))
        elif verb == "review_completed":
            self.needs_review = False
        elif verb == "assigned":
            given = {n: event.get(n) for n in ("department", "unit", "person")}
            case = case.but(**given, calendar=event["unit_calendar"])
        self.case = case
        self._learn_who(verb, event, at)

    def _learn_who(self, verb: str, event: Mapping[str, Any], at: int) -> None:
        """Who has to do something from now on, and who has not any more."""
        if verb in {"reopened", "returned"}:
            # Whoever gets it now is given it, also who had it before.
            self.times.pop("assigned", None)
            self.needs_review = True
        if verb == "reopened":
            self.times |= {"received": us(event["received_at"]), "opened": at}
            self.responded.clear()
        if verb in {"reopened", "returned"} or (verb == "appealed" and event["before"] in SETTLED):
            self.case = self.case.but(person=None)
        elif verb == "liability_shared":
            self.responded &= {share["unit"] for share in event["shares"]}
            liable = tuple((s["unit"], s.get("department"), s["unit_calendar"]) for s in event["shares"])
            self.case = self.case.but(liable=liable)
        elif verb == "unit_responded":
            self.responded.add(event["unit"])

    # Cycles

    def _start(self, clock: Clock, names: set[str], unit: str | None, *, at: int, sequence: int) -> None:
        earlier = [cycle for cycle in self.cycles if cycle.clock is clock]
        rule = clock.rule(self.case)
        if clock.is_per_unit:
            may_start = unit not in self.responded and all(c.ended for c in earlier if c.unit == unit)
        else:
            may_restart = bool(names & clock.restarts) and all(cycle.ended for cycle in earlier)
            may_start = not earlier or clock.repeats or may_restart
        if rule is None or not may_start:
            return
        start = max((self.times[name] for name in clock.counted_from if name in self.times), default=at)
        name = self._calendar_name(clock, unit)
        calendar = self.policy.calendar(name)
        cycle = Cycle(
            clock=clock,
            number=len(earlier) + 1,
            start=start,
            target=self.policy.target(rule["target"], calendar, start),
            rule=rule["name"],
            calendar_name=name,
            calendar=calendar,
            unit=unit,
            left=list(clock.steps),
        )
        cycle.started = self._fact(cycle, "started", start, sequence)
        self.cycles.append(cycle)

    def _calendar_name(self, clock: Clock, unit: str | None) -> str:
        """By which calendar a cycle counts now."""
        return self.policy.calendar_name(clock, self._said_of(unit, self.case)[2] if unit else self.case.calendar)

    def _said_of(self, unit: str, case: Case) -> tuple[str, str | None, str]:
        """What a case says of a unit that shares liability; one that does not know it yet, what was said first."""
        cases = [case, *(of_event for _, _, of_event in self.cases), self.case]
        return next(said for known in cases for said in known.liable if said[0] == unit)

    def _adjust(self, cycle: Cycle, names: set[str], *, since: int, sequence: int, is_other: bool) -> None:
        if is_other:
            self._retarget(cycle, since, sequence)
        if cycle.paused is None and names & cycle.clock.pauses:
            at = max(since, cycle.start, cycle.changed)
            self._pass_steps(cycle, at + 1)
            cycle.paused = cycle.changed = at
            cycle.told.append(self._fact(cycle, "paused", at, sequence))
        elif cycle.paused is not None and names & cycle.clock.resumes:
            at = max(since, cycle.paused)
            cycle.pauses.append((cycle.paused, at))
            cycle.paused, cycle.changed = None, at
            cycle.told.append(self._fact(cycle, "resumed", at, sequence))

    def _retarget(self, cycle: Cycle, since: int, sequence: int) -> None:
        rule = cycle.clock.rule(self.case)
        name = self._calendar_name(cycle.clock, cycle.unit)
        if rule is None or (rule["name"], name) == (cycle.rule, cycle.calendar_name):
            return
        calendar = self.policy.calendar(name)
        target = self.policy.target(rule["target"], calendar, cycle.start)
        if (target, name) == (cycle.target, cycle.calendar_name):
            cycle.rule = rule["name"]
        elif cycle.breached is None:
            cycle.target, cycle.rule = target, rule["name"]
            cycle.calendar_name, cycle.calendar = name, calendar
            cycle.changed = max(since, cycle.start)
            cycle.left = [step for step in cycle.clock.steps if step[0] != "warned" or cycle.reached(step[1]) > since]
            cycle.told.append(self._fact(cycle, "retargeted", since, sequence))

    def _maybe_stop(self, cycle: Cycle, names: set[str], starting: Sequence[Clock], at: int, sequence: int) -> None:
        """End it if the event does: also one that a delivery has ended later than that."""
        is_stop, is_cancel = bool(names & cycle.clock.stops), bool(names & self.policy.cancels)
        is_cancel = is_cancel or bool(names & cycle.clock.cancels)
        is_replaced = cycle.clock in starting and cycle.clock.repeats
        if cycle.by_event or not (is_stop or is_cancel or is_replaced):
            return
        if cycle.by_delivery and cycle.stopped is not None and cycle.stopped < at:
            cycle.by_event = True
            return
        cycle.by_event, cycle.by_delivery = True, False
        verb = "met" if is_stop and not is_cancel else CANCELLED
        self._stop(cycle, verb, at, sequence, self.case)

    def _delivered(self, at: int, name: str) -> None:
        for cycle in self.cycles:
            if name in cycle.clock.stops and cycle.ended is None and cycle.start <= at:
                cycle.by_delivery = True
                self._pass_steps(cycle, at)
                _, sequence, case = self._at(at)
                self._stop(cycle, "met", at, sequence, case)

    def _stop(self, cycle: Cycle, verb: str, at: int, sequence: int, case: Case) -> None:
        cycle.told = [fact for fact in cycle.told if fact.at < at]
        cycle.breached = next((fact for fact in cycle.told if fact.verb == "breached"), None)
        until = at if cycle.paused is None else min(at, cycle.paused)
        elapsed = cycle.calendar.elapsed(cycle.start, max(until, cycle.start), cycle.pauses)
        cycle.stopped, cycle.left = at, []
        cycle.ended = self._fact(cycle, "stopped_late" if cycle.breached else verb, at, sequence)
        cycle.ended.elapsed, cycle.ended.late, cycle.ended.case = elapsed, max(0, elapsed - cycle.target), case

    # Steps

    def _pass(self, limit: int) -> None:
        for cycle in self.cycles:
            if cycle.ended is None:
                self._pass_steps(cycle, limit)

    def _pass_steps(self, cycle: Cycle, limit: int) -> None:
        """Let the steps pass that are reached, and became due, before an instant."""
        while cycle.left and max(at := cycle.reached(cycle.left[0][1]), cycle.changed) < limit:
            verb, share = cycle.left.pop(0)
            fact = self._fact(cycle, verb, at, 0)
            fact.passes, fact.share, fact.elapsed = max(at, cycle.changed), share, round(cycle.target * share)
            if verb == "breached":
                cycle.breached, fact.due = fact, at
            cycle.told.append(fact)

    def _at(self, instant: int) -> tuple[int, int, Case]:
        """The last event at or before an instant; before the first, the first."""
        return next((entry for entry in reversed(self.cases) if entry[0] <= instant), self.cases[0])

    # Facts

    def _fact(self, cycle: Cycle, verb: str, at: int, sequence: int) -> Wanted:
        return Wanted(
            clock=cycle.clock.name,
            cycle=cycle.number,
            verb=verb,
            at=at,
            due=cycle.due,
            target=cycle.target,
            rule=cycle.rule,
            sequence=sequence,
            passes=at,
        )

    def _facts(self, cycle: Cycle) -> list[Wanted]:
        for fact in cycle.told:
            if fact.verb in STEPS:
                _, fact.sequence, fact.case = self._at(fact.passes)
                if fact.verb != "warned":
                    assert fact.share is not None
                    fact.level = self.policy.level(fact.case, fact.share)
        assert cycle.started is not None
        if cycle.unit:
            for fact in (f for f in (*cycle.told, cycle.ended) if f is not None and f.case is not None):
                assert fact.case is not None
                department = self._said_of(cycle.unit, fact.case)[1]
                fact.case = fact.case.but(department=department, unit=cycle.unit, person=None)
        if cycle.ended is None:
            return [cycle.started, *cycle.told]
        return (
            [*cycle.told, cycle.ended] if cycle.ended.verb == CANCELLED else [cycle.started, *cycle.told, cycle.ended]
        )


def _units(verb: str, event: Mapping[str, Any]) -> tuple[str, ...]:
    """The units that an event tells of; none: it is about the whole ticket."""
    if verb == "liability_shared":
        return tuple(share["unit"] for share in event["shares"])
    return (event["unit"],) if verb == "unit_responded" else ()
