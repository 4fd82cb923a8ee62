"""What time and events do to the clocks of one ticket: pure functions from state to state and facts.

`advance` applies a ticket event or a delivery receipt, `due_facts` tells what has passed by now, `next_milestone` says
when to ask again. None of them reads a clock; `now` appears in facts as `detected_at` and nowhere else.

Three rules make a replay give the same facts in whatever order the topics are read:

- Before an event is applied, every step of a clock (warning, breach, escalation) that lies before the event's time has
  passed, told with who was responsible then.
- Clocks that a delivery stops hear of it on another topic. While history is read again (`caught_up=False`) their
  steps wait for `due_facts`, when both topics have been read to the end, and name what was so at their instant.
- A fact's id follows from clock, cycle, type and the instant it is about. A fact that an event of an earlier time
  overtakes is taken back by `corrected`.
"""

from datetime import datetime
from functools import cache
from typing import Final, NamedTuple

from schemas.codes import Clock, ClockState, TicketState
from schemas.events import (
    TicketAssigned,
    TicketClassified,
    TicketEvent,
    TicketFollowedUp,
    TicketOpened,
    TicketReviewCompleted,
    TicketSeverityChanged,
)
from schemas.notifications import NotificationDelivered
from schemas.sla import SlaFact
from services.sla_monitor.calendar import Calendar, from_us, to_us
from services.sla_monitor.facts import FactWriter
from services.sla_monitor.policy import DELIVERED, Case
from services.sla_monitor.rulebook import ClockRules, Policies, Rulebook
from services.sla_monitor.ticket_sla import Cycle, Known, TicketSla

_WAITING: Final = frozenset({TicketState.WAITING_CUSTOMER, TicketState.WAITING_THIRD_PARTY})


class Advanced(NamedTuple):
    """The state after, and the facts in the order in which they came about. The state before is untouched."""

    sla: TicketSla
    facts: tuple[SlaFact, ...]


def advance(
    sla: TicketSla | None,
    event: TicketEvent | NotificationDelivered,
    *,
    policies: Policies,
    now: datetime,
    caught_up: bool = True,
) -> Advanced:
    """Apply one event; None is a ticket of which nothing is known yet.

    A ticket event that was applied before changes nothing and gives no facts; so does a delivery that stops nothing.

    Args:
        sla: state so far.
        event: of this ticket; ticket events come in order of their sequence.
        policies: all versions.
        now: for `detected_at` alone.
        caught_up: False while older messages of either topic are still to be read; see the module.
    """
    known = sla if sla is not None else TicketSla(ticket_id=event.ticket_id, routing_key=event.routing_key)
    if isinstance(event, NotificationDelivered):
        return _deliver(known, event, policies=policies, now=now, caught_up=caught_up)
    if event.sequence <= known.sequence:
        return Advanced(known, ())
    run = _Run(known.copy(), policies, now, caught_up=caught_up)
    run.apply(event)
    return run.result()


def due_facts(sla: TicketSla, now: datetime, *, policies: Policies) -> Advanced:
    """Tell everything that lies at or before `now` and has not been told.

    To be called when both topics have been read as far as they went when the ticket's partition was taken over.
    """
    milestone = next_milestone(sla)
    if milestone is None or milestone > now:
        return Advanced(sla, ())
    run = _Run(sla.copy(), policies, now, caught_up=True)
    run.play_deliveries()
    run.settle()
    run.pass_until(to_us(now) + 1)
    return run.result()


def next_milestone(sla: TicketSla) -> datetime | None:
    """When `due_facts` has something to tell next; in the past when it has something now. None: nothing is running."""
    times = [cycle.next for cycle in sla.cycles if cycle.next is not None]
    times += [cycle.ending[0] for cycle in sla.cycles if cycle.ending is not None]
    if sla.sequence:
        times += [at for at, _ in sla.deliveries]
    return from_us(min(times)) if times else None


def _deliver(
    sla: TicketSla,
    event: NotificationDelivered,
    *,
    policies: Policies,
    now: datetime,
    caught_up: bool,
) -> Advanced:
    at, name = delivery = (to_us(event.at), DELIVERED[event.moment])
    run = _Run(sla.copy(), policies, now, caught_up=caught_up)
    # Which clocks a ticket has is sure only when its events have been read as far; until then the delivery is kept.
    is_certain = caught_up and sla.sequence > 0 and run.has_had(name)
    if delivery in sla.deliveries or not policies.at(at).stops_anything(name):
        return Advanced(sla, ())
    if is_certain and not run.stopped_by(name, at):
        return Advanced(sla, ())
    run.sla.deliveries = tuple(sorted((*sla.deliveries, delivery)))
    if is_certain:
        run.play_deliveries()
    return run.result()


class _Run:
    """The changes that one call makes to its own copy of a ticket's clocks."""

    def __init__(self, sla: TicketSla, policies: Policies, now: datetime, *, caught_up: bool) -> None:
        self.sla = sla
        self.policies = policies
        self.caught_up = caught_up
        self.tell = FactWriter(sla, now)

    # Events

    def apply(self, event: TicketEvent) -> None:
        """One ticket event, in the order: what lies before it, what it ends, what is so now, what it begins."""
        sla = self.sla
        at = to_us(event.occurred_at)
        book = self.policies.at(at)
        if self.caught_up and sla.deliveries:
            self.play_deliveries(before=at)
        self.pass_until(at)
        names = self._names(event)
        sla.sequence = event.sequence
        sla.seen.append((max(at, sla.seen[-1][0] if sla.seen else at), event.sequence))
        self.tell.sequence, self.tell.known = event.sequence, sla.known
        starting = {clock for name in names for clock in book.started_by.get(name, ())}
        running = [cycle for cycle in sla.open_cycles() if cycle.ending is None]
        for cycle in running:
            self._end(cycle, at, names, starting)
        self._learn(event, at)
        self.tell.known = sla.known
        for cycle in running:
            if cycle.is_open and cycle.ending is None:
                self._adjust(cycle, at, names)
        for clock in book.clocks:
            if clock in starting:
                self._start(clock, at, book)
        self.pass_until(at)

    def _names(self, event: TicketEvent) -> set[str]:
        """What the event is called in policies, derived names included."""
        sla = self.sla
        names = {_name(type(event))}
        needs_review, department = sla.needs_review, sla.known.department
        if isinstance(event, TicketAssigned):
            department = event.department
            if (event.department, event.unit) != (sla.known.department, sla.known.unit):
                names.add("assigned_to_unit")
        elif isinstance(event, TicketClassified):
            needs_review = event.classification.needs_review
        if department is not None and needs_review is False and not names.isdisjoint({"assigned", "classified"}):
            names.add("machine_review_done")
        if sla.is_waiting and event.state not in _WAITING:
            names.add("waiting_over")
        return names

    def _learn(self, event: TicketEvent, at: int) -> None:
        """What is so from this event on."""
        sla = self.sla
        sla.times[_name(type(event))] = at
        sla.is_waiting = event.state in _WAITING
        known = sla.known
        case = known.case
        if isinstance(event, TicketOpened):
            sla.times["received"] = to_us(event.received_at)
            case = Case(
                channel=event.channel,
                source=event.source,
                customer_tier=event.customer_tier,
                region=event.region,
                reachable=bool(event.reachable_by),
            )
        elif isinstance(event, TicketClassified):
            understood = event.classification
            primary, sub = understood.primary.value, understood.sub
            sla.needs_review = understood.needs_review
            case = case._replace(
                category=f"{primary}.{sub}" if sub else primary,
                severity=understood.severity,
                risk=frozenset(understood.flags),
                major=event.major,
            )
        elif isinstance(event, TicketSeverityChanged):
            case = case._replace(severity=event.severity)
        elif isinstance(event, TicketFollowedUp):
            case = case._replace(risk=case.risk | frozenset(event.flags))
        elif isinstance(event, TicketReviewCompleted):
            sla.needs_review = False
        elif isinstance(event, TicketAssigned):
            known = Known(at, case, event.department, event.unit, event.person, event.unit_calendar)
        now_known = known._replace(at=sla.seen[-1][0], case=case)
        if now_known[1:] != sla.known[1:] or not sla.history:
            sla.history.append(now_known)

    # Deliveries

    def stopped_by(self, name: str, at: int) -> list[Cycle]:
        """The open cycles that a delivery of that name and time stops."""
        return [cycle for cycle in self.sla.open_cycles() if cycle.start <= at and name in self._rules(cycle).stops]

    def has_had(self, name: str) -> bool:
        """Whether the ticket has or had a clock that a delivery of that name stops."""
        return any(name in self._rules(cycle).stops for cycle in self.sla.cycles)

    def play_deliveries(self, *, before: int | None = None) -> None:
        """Let the deliveries that were kept back stop their clocks, earliest first."""
        kept = []
        for at, name in self.sla.deliveries:
            if before is not None and at >= before:
                kept.append((at, name))
                continue
            for cycle in self.stopped_by(name, at):
                if cycle.ending is not None and cycle.ending[0] < at:
                    continue
                cycle.ending = None
                self._finish(cycle, at, ClockState.MET)
        self.sla.deliveries = tuple(kept)

    def settle(self) -> None:
        """End what ticket events have ended while deliveries were still to be read."""
        for cycle in self.sla.cycles:
            if cycle.ending is not None:
                (at, is_cancelled), cycle.ending = cycle.ending, None
                self._finish(cycle, at, ClockState.CANCELLED if is_cancelled else ClockState.MET)

    def _finish(self, cycle: Cycle, at: int, result: ClockState) -> None:
        """Close a cycle at an instant that may lie before the last event."""
        while cycle.next is not None and cycle.next < at:
            self._pass_step(cycle)
        # A ticket event of that very instant came after what was known before it.
        self.tell.sequence, self.tell.known = self.sla.sequence_at(at), self.sla.known_at(at)
        self._close(cycle, at, result)

    # Steps

    def pass_until(self, limit: int) -> None:
        """Let every step before `limit` pass, in the order of time."""
        while True:
            waiting = [cycle for cycle in self.sla.cycles if cycle.next is not None and cycle.next < limit]
            if not self.caught_up:
                waiting = [cycle for cycle in waiting if not self._rules(cycle).is_stopped_elsewhere]
            if not waiting:
                return
            self._pass_step(min(waiting, key=lambda cycle: cycle.next or 0))

    def _pass_step(self, cycle: Cycle) -> None:
        rules, sla, at = self._rules(cycle), self.sla, cycle.next
        assert at is not None
        step = rules.steps[cycle.step]
        if cycle.step == rules.breach_step:
            cycle.breached = at
            cycle.state = ClockState.BREACHED
        cycle.step += 1
        cycle.next = self._reached(cycle, cycle.step) if cycle.step < len(rules.steps) else None
        # A limit that was moved into the past is reached when it is moved.
        since = max(at, cycle.changed)
        sequence, known = self.tell.sequence, self.tell.known
        self.tell.sequence, self.tell.known = sla.sequence_at(since), sla.known_at(since)
        level = None if step.is_warning else self._book(cycle).level(self.tell.known.case, step.rung)
        self.tell.passed(cycle, step, at, level=level)
        self.tell.sequence, self.tell.known = sequence, known

    def _take_back(self, cycle: Cycle, at: int, result: ClockState, *, at_once: bool) -> None:
        """Undo the steps after `at` (`at_once`: and at it), which an event that came late has overtaken."""
        rules = self._rules(cycle)
        while cycle.step > 0:
            step = rules.steps[cycle.step - 1]
            reached = self._reached(cycle, cycle.step - 1)
            if reached < at or (reached == at and not at_once) or (step.is_warning and reached <= cycle.changed):
                return
            cycle.step -= 1
            if cycle.step == rules.breach_step:
                cycle.breached = None
                cycle.state = ClockState.RUNNING if cycle.paused is None else ClockState.PAUSED
            self.tell.corrected(cycle, self.tell.step_id(cycle, step, reached), at, result)

    def _schedule(self, cycle: Cycle) -> None:
        """Set due time and next step from target, calendar and pauses."""
        if cycle.paused is not None:
            cycle.due = cycle.next = None
            return
        calendar = self._calendar(cycle)
        cycle.due = calendar.add_us(cycle.start, cycle.target, pauses=cycle.pauses)
        cycle.next = self._reached(cycle, cycle.step) if cycle.step < len(self._rules(cycle).steps) else None

    def _reached(self, cycle: Cycle, step: int) -> int:
        """The instant of a step."""
        amount = round(cycle.target * self._rules(cycle).steps[step].share)
        return self._calendar(cycle).add_us(cycle.start, amount, pauses=cycle.pauses)

    # Changes of one cycle

    def _start(self, clock: Clock, at: int, book: Rulebook) -> None:
        sla, rules = self.sla, book.clocks[clock]
        rule = book.rules(sla.known.case).get(clock)
        before = [cycle for cycle in sla.cycles if cycle.clock == clock]
        if rule is None or (before and not rules.policy.repeats):
            return
        counted_from = rules.policy.start.counted_from
        start = sla.times.get(counted_from, at) if counted_from else at
        name = book.calendar_name(clock, sla.known.calendar)
        cycle = Cycle(
            clock=clock,
            number=len(before) + 1,
            state=ClockState.RUNNING,
            start=start,
            target=book.target_us(rule.target, book.calendar(name), start),
            rule=rule.name,
            version=book.version,
            calendar=name,
            due=None,
            next=None,
        )
        self._schedule(cycle)
        sla.cycles.append(cycle)
        self.tell.started(cycle)

    def _adjust(self, cycle: Cycle, at: int, names: set[str]) -> None:
        """Give it the target, calendar and pause that hold after the event."""
        book = self._book(cycle)
        rules = book.clocks[cycle.clock]
        self._retarget(cycle, at, book)
        if cycle.paused is None and not rules.pauses.isdisjoint(names):
            self._pause(cycle, at)
        elif cycle.paused is not None and not rules.resumes.isdisjoint(names):
            self._resume(cycle, at)

    def _retarget(self, cycle: Cycle, at: int, book: Rulebook) -> None:
        """Count again from the original start when rule or calendar differ now. A breach stands, and its target."""
        known = self.tell.known
        rule = book.rules(known.case).get(cycle.clock)
        name = book.calendar_name(cycle.clock, known.calendar)
        if rule is None or (rule.name == cycle.rule and name == cycle.calendar):
            return
        target = book.target_us(rule.target, book.calendar(name), cycle.start)
        if target != cycle.target or name != cycle.calendar:
            self._take_back(cycle, at, cycle.state, at_once=False)
            if cycle.breached is not None:
                return
            due_before = cycle.due
            cycle.target, cycle.calendar, cycle.rule = target, name, rule.name
            cycle.changed, cycle.step = max(at, cycle.start), 0
            steps = self._rules(cycle).steps
            while steps[cycle.step].is_warning and self._reached(cycle, cycle.step) <= at:
                cycle.step += 1
            self._schedule(cycle)
            self.tell.retargeted(cycle, at, due_before=due_before)
        cycle.rule = rule.name

    def _pause(self, cycle: Cycle, at: int) -> None:
        at = max(at, cycle.start, cycle.changed)
        self._take_back(cycle, at, ClockState.PAUSED, at_once=False)
        while cycle.next is not None and cycle.next <= at:
            self._pass_step(cycle)
        cycle.paused = cycle.changed = at
        if cycle.breached is None:
            cycle.state = ClockState.PAUSED
        self._schedule(cycle)
        self.tell.paused(cycle, at)

    def _resume(self, cycle: Cycle, at: int) -> None:
        assert cycle.paused is not None
        at = max(at, cycle.paused)
        if at > cycle.paused:
            cycle.pauses = (*cycle.pauses, (cycle.paused, at))
        cycle.paused, cycle.changed = None, at
        if cycle.breached is None:
            cycle.state = ClockState.RUNNING
        self._schedule(cycle)
        self.tell.resumed(cycle, at)

    def _end(self, cycle: Cycle, at: int, names: set[str], starting: set[Clock]) -> None:
        """End it when the event says so: now, or later when a delivery of an earlier time may still turn up."""
        book = self._book(cycle)
        rules = book.clocks[cycle.clock]
        is_cancelled = not book.cancels.isdisjoint(names)
        is_replaced = cycle.clock in starting and rules.policy.repeats
        if not is_cancelled and not rules.stops.isdisjoint(names):
            result = ClockState.MET
        elif is_cancelled or is_replaced:
            result = ClockState.CANCELLED
        else:
            return
        if rules.is_stopped_elsewhere and not self.caught_up:
            cycle.ending = (at, result is ClockState.CANCELLED)
        else:
            self._close(cycle, at, result)

    def _close(self, cycle: Cycle, at: int, result: ClockState) -> None:
        """End it as met or cancelled; one that has breached by then has stopped late, whatever ended it."""
        self._take_back(cycle, at, result, at_once=True)
        elapsed = self._elapsed(cycle, at)
        if cycle.breached is not None:
            result = ClockState.STOPPED_LATE
            self.tell.stopped_late(cycle, at, elapsed=elapsed)
        elif result is ClockState.MET:
            self.tell.met(cycle, at, elapsed=elapsed)
        else:
            self.tell.cancelled(cycle, at)
        cycle.state, cycle.stopped, cycle.next, cycle.paused = result, at, None, None

    def _elapsed(self, cycle: Cycle, at: int) -> int:
        until = at if cycle.paused is None else min(at, cycle.paused)
        return self._calendar(cycle).difference_us(cycle.start, max(until, cycle.start), pauses=cycle.pauses)

    def result(self) -> Advanced:
        """What has become of it."""
        return Advanced(self.sla, tuple(self.tell.written))

    # The policy a cycle started with

    def _book(self, cycle: Cycle) -> Rulebook:
        return self.policies.version(cycle.version)

    def _rules(self, cycle: Cycle) -> ClockRules:
        return self._book(cycle).clocks[cycle.clock]

    def _calendar(self, cycle: Cycle) -> Calendar:
        return self._book(cycle).calendar(cycle.calendar)


@cache
def _name(event: type[TicketEvent]) -> str:
    """The event's name in policies: the last part of its type."""
    return event.TYPE.rpartition(".")[2]
