"""What time and events do to the clocks of one ticket: pure functions from state to state and facts.

`advance` applies a ticket event or a delivery receipt, `due_facts` tells what has passed by now, `next_milestone` says
when to ask again. None of them reads a clock; `now` appears in facts as `detected_at` and nowhere else.

Three rules make a replay give the same facts in whatever order the topics are read:

- Before an event is applied, every step of a clock (warning, breach, escalation) that lies before the event's time has
  passed, told with who was responsible then.
- Clocks that a delivery stops hear of it on another topic. While history is read again (`caught_up=False`) their
  steps wait for `due_facts`, when both topics have been read to the end, and name what was so at their instant.
- A fact's id follows from clock, cycle, type, the instant it is about and the last ticket event before that, so that
  it stands for what the fact says. What an event of an earlier time overtakes is taken back by `corrected` and passes
  anew, under another id if it passes again.

An event that is dated before one of a lower sequence counts from that one's time on, except that a clock starts and
stops at the event's own. At one instant ticket events come first, then deliveries, then steps.
"""

from datetime import datetime
from typing import NamedTuple

from schemas.codes import ClockState
from schemas.events import TicketEvent
from schemas.notifications import NotificationDelivered
from schemas.sla import SlaFact
from services.service_levels.calendar import from_us, to_us
from services.service_levels.policy import DELIVERED
from services.service_levels.rulebook import Policies
from services.service_levels.ticket_sla import OPEN_STATES, Cycle, Ending, TicketSla
from services.sla_monitor.cycle_changes import CycleChanges
from services.sla_monitor.happening import Happening, happening, learn


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


def due_facts(sla: TicketSla, until: datetime, *, policies: Policies, now: datetime | None = None) -> Advanced:
    """Tell everything that lies at or before `until` and has not been told, and what is known by deliveries since.

    To be called when both topics have been read as far as they went when the ticket's partition was taken over. `now`
    is for `detected_at` alone; without it, `until` is the time.
    """
    milestone = next_milestone(sla)
    if milestone is None or milestone > until:
        return Advanced(sla, ())
    run = _Run(sla.copy(), policies, now or until, caught_up=True)
    run.play_deliveries()
    run.settle()
    run.pass_until(to_us(until) + 1)
    return run.result()


def next_milestone(sla: TicketSla) -> datetime | None:
    """When `due_facts` has something to tell next; in the past when it has something now. None: nothing is running."""
    times = [cycle.next for cycle in sla.cycles if cycle.next is not None]
    times += [cycle.ending.at for cycle in sla.cycles if cycle.ending is not None and cycle.is_open]
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
    if any((cycle.stopped, cycle.delivered) == delivery for cycle in sla.cycles):
        # Whoever takes over a partition gets again what has stopped a clock already. It must find nothing to change:
        # only then is told once more what was saved and perhaps not published.
        return Advanced(sla, ())
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


class _Run(CycleChanges):
    """What one call does to its own copy of a ticket's clocks."""

    def __init__(self, sla: TicketSla, policies: Policies, now: datetime, *, caught_up: bool) -> None:
        super().__init__(sla, policies, now)
        self.caught_up = caught_up

    # Events

    def apply(self, event: TicketEvent) -> None:
        """One ticket event, in the order: what lies before it, what it ends, what is so now, what it begins."""
        sla = self.sla
        at = to_us(event.occurred_at)
        since = max(at, sla.seen[-1][0]) if sla.seen else at
        book = self.policies.at(at)
        if self.caught_up and sla.deliveries:
            self.play_deliveries(before=since)
        if self.caught_up:
            self.settle()
        self.pass_until(since)
        happened = happening(event, sla, book)
        self.tell.sequence, self.tell.known = event.sequence, sla.known
        reopened = self._rewind(since, happened)
        sla.sequence = event.sequence
        sla.seen.append((since, event.sequence))
        for cycle in sla.cycles:
            if cycle.ending is None and (cycle.is_open or cycle.delivered):
                self._end(cycle, happened)
        before = sla.known
        learn(sla, event)
        self.tell.known = sla.known
        if sla.known is not before or not self.policies.halts.isdisjoint(happened.names):
            for cycle in self._running():
                self._adjust(cycle, since, happened.names)
        for clock in book.clocks:
            if clock in happened.starting:
                self.start(clock, happened, book)
        if reopened:
            self.play_deliveries()
        self.pass_until(since)

    def _rewind(self, since: int, happened: Happening) -> bool:
        """Undo what was told too early of what lies after the event; whether deliveries are to be played again."""
        again = []
        for found in self.sla.cycles:
            cycle = found
            if cycle.delivered is not None and cycle.stopped is not None:
                until = happened.at if cycle.ending is None and self._result(cycle, happened) else since
                if cycle.stopped >= until:
                    again.append((cycle.stopped, cycle.delivered))
                    cycle = self.reopen(cycle, until)
            if cycle.is_open:
                self.rewind(cycle, since)
        self.sla.deliveries = tuple(sorted({*self.sla.deliveries, *again}))
        return bool(again) and self.caught_up

    def _running(self) -> list[Cycle]:
        return [cycle for cycle in self.sla.cycles if cycle.state in OPEN_STATES and cycle.ending is None]

    # Deliveries

    def stopped_by(self, name: str, at: int) -> list[Cycle]:
        """The cycles that a delivery of that name and time stops; it may show that one had stopped before it ended."""
        return [
            cycle
            for cycle in self.sla.cycles
            if cycle.start <= at and (cycle.stopped is None or at < cycle.stopped) and name in self.rules(cycle).stops
        ]

    def has_had(self, name: str) -> bool:
        """Whether the ticket has or had a clock that a delivery of that name stops."""
        return any(name in self.rules(cycle).stops for cycle in self.sla.cycles)

    def play_deliveries(self, *, before: int | None = None) -> None:
        """Let the deliveries that were kept back stop their clocks, earliest first."""
        kept = []
        for at, name in self.sla.deliveries:
            if before is not None and at >= before:
                kept.append((at, name))
                continue
            for stopped in self.stopped_by(name, at):
                if stopped.ending is not None and stopped.ending.at <= at:
                    continue
                cycle = self.own(stopped)
                if not cycle.is_open:
                    is_late = cycle.breached is not None and cycle.breached < at
                    self.reopen(cycle, at, ClockState.STOPPED_LATE if is_late else ClockState.MET)
                self._pass_before(cycle, at)
                self.tell.sequence, self.tell.known = self.sla.sequence_at(at), self.sla.known_at(at)
                self.close(cycle, at, ClockState.MET)
                cycle.delivered = name
        self.sla.deliveries = tuple(kept)

    def settle(self) -> None:
        """End what ticket events have ended while deliveries were still to be read."""
        for ended in self.sla.cycles:
            if ended.ending is not None and ended.is_open:
                at, is_cancelled, sequence, known = ended.ending
                cycle = self.own(ended)
                self._pass_before(cycle, at)
                self.tell.sequence, self.tell.known = sequence, self.sla.history[known]
                self.close(cycle, at, ClockState.CANCELLED if is_cancelled else ClockState.MET)

    def _pass_before(self, cycle: Cycle, at: int) -> None:
        """Let the steps of one cycle pass that lie before an instant, which may itself lie before the last event."""
        while cycle.next is not None and cycle.next < at:
            self.pass_step(cycle)

    # Steps

    def pass_until(self, limit: int) -> None:
        """Let every step before `limit` pass, in the order of time."""
        while True:
            waiting = [cycle for cycle in self.sla.cycles if cycle.next is not None and cycle.next < limit]
            if not self.caught_up:
                waiting = [cycle for cycle in waiting if not self.rules(cycle).is_stopped_elsewhere]
            if not waiting:
                return
            self.pass_step(min(waiting, key=lambda cycle: cycle.next or 0))

    def _adjust(self, cycle: Cycle, at: int, names: frozenset[str]) -> None:
        """Give it the target, calendar and pause that hold after the event."""
        book = self.book(cycle)
        rules = book.clocks[cycle.clock]
        cycle = self.retarget(cycle, at, book)
        if cycle.paused is None and not rules.pauses.isdisjoint(names):
            self.pause(cycle, at)
        elif cycle.paused is not None and not rules.resumes.isdisjoint(names):
            self.resume(cycle, at)

    def _result(self, cycle: Cycle, happened: Happening) -> ClockState | None:
        """How the event ends a cycle, if it does."""
        rules, names = self.rules(cycle), happened.names
        if happened.cancels_all:
            return ClockState.CANCELLED
        if cycle.unit is not None and happened.units and cycle.unit not in happened.units:
            # It tells of other units; when it says who is to respond from now on, this one is not among them.
            return None if rules.starts.isdisjoint(names) else ClockState.CANCELLED
        if not rules.cancels.isdisjoint(names):
            return ClockState.CANCELLED
        if not rules.stops.isdisjoint(names):
            return ClockState.MET
        is_replaced = cycle.clock in happened.starting and rules.policy.repeats
        return ClockState.CANCELLED if is_replaced else None

    def _end(self, cycle: Cycle, happened: Happening) -> None:
        """End it when the event says so: now, or later when a delivery of an earlier time may still turn up."""
        result = self._result(cycle, happened)
        if result is None:
            return
        if self.rules(cycle).is_stopped_elsewhere:
            cycle = self.own(cycle)
            is_cancelled = result is ClockState.CANCELLED
            cycle.ending = Ending(happened.at, is_cancelled, self.sla.sequence, len(self.sla.history) - 1)
            if cycle.delivered or not self.caught_up:
                return
        self.close(cycle, happened.at, result)

    def result(self) -> Advanced:
        """What has become of it."""
        return Advanced(self.sla, tuple(self.tell.written))
