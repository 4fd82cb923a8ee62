"""What can happen to one cycle of a clock, and the facts that this gives rise to.

Everything is counted again from the cycle's start, target and pauses, so that a change of any of them needs no memory
of how the cycle came to be where it is.
"""

from datetime import datetime

from schemas.codes import Clock, ClockState
from services.service_levels.calendar import Calendar
from services.service_levels.policy import Rule
from services.service_levels.rulebook import ClockRules, Policies, Rulebook
from services.service_levels.ticket_sla import Cycle, TicketSla
from services.sla_monitor.facts import FactWriter
from services.sla_monitor.happening import Happening


class CycleChanges:
    """Changes the cycles of one ticket's clocks in place."""

    def __init__(self, sla: TicketSla, policies: Policies, now: datetime) -> None:
        self.sla = sla
        self.policies = policies
        self.tell = FactWriter(sla, now)
        self._own: set[tuple[Clock, int]] = set()

    def own(self, cycle: Cycle) -> Cycle:
        """The cycle to change in place of one that the state before may share: most events change one of five."""
        key = (cycle.clock, cycle.number)
        if key in self._own:
            return cycle
        self._own.add(key)
        mine = cycle.copy()
        self.sla.cycles = [mine if other is cycle else other for other in self.sla.cycles]
        return mine

    # Steps

    def pass_step(self, cycle: Cycle) -> None:
        """Let the next step pass: warn, breach or escalate, in the name of who was responsible then."""
        cycle = self.own(cycle)
        rules, sla, at = self.rules(cycle), self.sla, cycle.next
        assert at is not None
        step = rules.steps[cycle.step]
        if cycle.step == rules.breach_step:
            cycle.breached = at
            cycle.state = ClockState.BREACHED
        # A limit that was moved into the past is reached when it is moved.
        since = max(at, cycle.changed)
        cycle.told = (*cycle.told, sla.sequence_at(since))
        cycle.next = self._next(cycle)
        sequence, known = self.tell.sequence, self.tell.known
        self.tell.sequence, self.tell.known = sla.sequence_at(since), sla.known_at(since)
        level = None if step.is_warning else self.book(cycle).level(self.tell.known.case, step.rung)
        self.tell.passed(cycle, step, at, level=level)
        self.tell.sequence, self.tell.known = sequence, known

    def rewind(self, cycle: Cycle, at: int) -> None:
        """Undo the steps at `at` and after it, for an event of then: they pass anew, in the light of it."""
        if cycle.told and max(self._reached(cycle, cycle.step - 1), cycle.changed) >= at:
            cycle = self.own(cycle)
            self._take_back(cycle, at, None, changed=cycle.changed)
            self._schedule(cycle)

    def _take_back(self, cycle: Cycle, at: int, result: ClockState | None, *, changed: int = 0) -> None:
        """Undo the steps at `at` and after it, which an event that came late has overtaken.

        None has passed before `changed`. `result` is what holds instead; None: the cycle goes on.
        """
        rules = self.rules(cycle)
        while cycle.told and cycle.told[-1]:
            step, reached = rules.steps[cycle.step - 1], self._reached(cycle, cycle.step - 1)
            if max(reached, changed) < at:
                return
            told_by, cycle.told = cycle.told[-1], cycle.told[:-1]
            if cycle.step == rules.breach_step:
                cycle.breached = None
                cycle.state = ClockState.RUNNING if cycle.paused is None else ClockState.PAUSED
            self.tell.corrected(cycle, self.tell.step_id(cycle, step, reached, told_by), at, result or cycle.state)

    def _schedule(self, cycle: Cycle) -> None:
        """Set due time and next step from target, calendar and pauses."""
        if cycle.paused is None:
            cycle.due = self._calendar(cycle).add_us(cycle.start, cycle.target, pauses=cycle.pauses)
        else:
            cycle.due = None
        cycle.next = self._next(cycle)

    def _next(self, cycle: Cycle) -> int | None:
        """The instant of the next step; while paused only one that was reached before the pause."""
        if cycle.step == len(self.rules(cycle).steps):
            return None
        reached = self._reached(cycle, cycle.step)
        return reached if cycle.paused is None or reached <= cycle.paused else None

    def _reached(self, cycle: Cycle, step: int) -> int:
        """The instant of a step."""
        amount = round(cycle.target * self.rules(cycle).steps[step].share)
        return self._calendar(cycle).add_us(cycle.start, amount, pauses=cycle.pauses)

    # Changes

    def start(self, clock: Clock, happened: Happening, book: Rulebook) -> None:
        """Begin a cycle, or one for each unit, when a rule gives the ticket this clock and it may run (again)."""
        sla, rules = self.sla, book.clocks[clock]
        rule = book.rules(sla.known.case).get(clock)
        before = [cycle for cycle in sla.cycles if cycle.clock == clock]
        if rule is None:
            return
        if rules.is_per_unit:
            asked = sla.responded.union(cycle.unit for cycle in before if cycle.unit and cycle.is_open)
            missing = [unit for unit in happened.units if unit not in asked]
            for number, unit in enumerate(missing, start=len(before) + 1):
                self._begin(clock, number, rule, happened.at, book, unit=unit)
            return
        restarts = not rules.restarts.isdisjoint(happened.names) and not any(
            cycle.is_open and cycle.ending is None for cycle in before
        )
        if not before or rules.policy.repeats or restarts:
            self._begin(clock, len(before) + 1, rule, happened.at, book)

    def _begin(
        self, clock: Clock, number: int, rule: Rule, at: int, book: Rulebook, *, unit: str | None = None
    ) -> None:
        sla = self.sla
        counted_from = book.clocks[clock].policy.start.counted_from
        start = max((sla.times[name] for name in counted_from if name in sla.times), default=at)
        name = self._calendar_name(book, clock, unit)
        cycle = Cycle(
            clock=clock,
            number=number,
            state=ClockState.RUNNING,
            start=start,
            target=book.target_us(rule.target, book.calendar(name), start),
            rule=rule.name,
            version=book.version,
            calendar=name,
            unit=unit,
            due=None,
            next=None,
        )
        self._schedule(cycle)
        self._own.add((clock, number))
        sla.cycles.append(cycle)
        self.tell.started(cycle)

    def _calendar_name(self, book: Rulebook, clock: Clock, unit: str | None) -> str:
        known = self.sla.known
        return book.calendar_name(clock, known.calendar if unit is None else self.sla.party(unit, known).calendar)

    def retarget(self, cycle: Cycle, at: int, book: Rulebook) -> Cycle:
        """Count again from the original start when rule or calendar differ now. A breach stands, and its target.

        Gives the cycle as it is then.
        """
        rule = book.rules(self.sla.known.case).get(cycle.clock)
        name = self._calendar_name(book, cycle.clock, cycle.unit)
        if rule is None or (rule.name == cycle.rule and name == cycle.calendar):
            return cycle
        cycle = self.own(cycle)
        target = book.target_us(rule.target, book.calendar(name), cycle.start)
        if target != cycle.target or name != cycle.calendar:
            if cycle.breached is not None:
                return cycle
            due_before = cycle.due
            cycle.target, cycle.calendar, cycle.rule = target, name, rule.name
            cycle.changed, cycle.told = max(at, cycle.start), ()
            steps = self.rules(cycle).steps
            while steps[cycle.step].is_warning and (reached := self._next(cycle)) is not None and reached <= at:
                cycle.told = (*cycle.told, 0)
            self._schedule(cycle)
            self.tell.retargeted(cycle, at, due_before=due_before)
        cycle.rule = rule.name
        return cycle

    def pause(self, cycle: Cycle, at: int) -> None:
        """Let it stand still, after what lies before has passed."""
        cycle = self.own(cycle)
        at = max(at, cycle.start, cycle.changed)
        while cycle.next is not None and cycle.next <= at:
            self.pass_step(cycle)
        cycle.paused = at
        if cycle.breached is None:
            cycle.state = ClockState.PAUSED
        self._schedule(cycle)
        self.tell.paused(cycle, at)

    def resume(self, cycle: Cycle, at: int) -> None:
        """Let it run on."""
        cycle = self.own(cycle)
        assert cycle.paused is not None
        at = max(at, cycle.paused)
        if at > cycle.paused:
            cycle.pauses = (*cycle.pauses, (cycle.paused, at))
        cycle.paused = None
        if cycle.breached is None:
            cycle.state = ClockState.RUNNING
        self._schedule(cycle)
        self.tell.resumed(cycle, at)

    def close(self, cycle: Cycle, at: int, result: ClockState) -> None:
        """End it as met or cancelled; one that has breached by then has stopped late, whatever ended it."""
        cycle = self.own(cycle)
        self._take_back(cycle, at, result)
        elapsed = self._elapsed(cycle, at)
        if cycle.breached is not None:
            result = ClockState.STOPPED_LATE
            self.tell.stopped_late(cycle, at, elapsed=elapsed)
        elif result is ClockState.MET:
            self.tell.met(cycle, at, elapsed=elapsed)
        else:
            self.tell.cancelled(cycle, at)
        cycle.state, cycle.stopped, cycle.next, cycle.paused = result, at, None, None

    def reopen(self, ended: Cycle, at: int, result: ClockState | None = None) -> Cycle:
        """Take back how a cycle ended, for something of an earlier time that has come to light; gives the open cycle.

        `result` is what holds instead; None: the cycle goes on.
        """
        cycle = self.own(ended)
        ended_by = self.tell.end_id(cycle)
        cycle.state = ClockState.RUNNING if cycle.breached is None else ClockState.BREACHED
        self.tell.corrected(cycle, ended_by, at, result or cycle.state)
        cycle.stopped = cycle.delivered = None
        self._schedule(cycle)
        return cycle

    def _elapsed(self, cycle: Cycle, at: int) -> int:
        until = at if cycle.paused is None else min(at, cycle.paused)
        return self._calendar(cycle).difference_us(cycle.start, max(until, cycle.start), pauses=cycle.pauses)

    def book(self, cycle: Cycle) -> Rulebook:
        """The policy it started with."""
        return self.policies.version(cycle.version)

    def rules(self, cycle: Cycle) -> ClockRules:
        """Its clock in that policy."""
        return self.book(cycle).clocks[cycle.clock]

    def _calendar(self, cycle: Cycle) -> Calendar:
        return self.book(cycle).calendar(cycle.calendar)
