"""What a policy would mean for the clocks that run, had it been in force when they began. Pure.

Each clock is counted again as the SLA monitor counts: from the start that it has, without the pauses that it had, by
the rule and calendar that the policy gives to what is known of the ticket now. What starts, pauses or stops a clock is
not replayed: a clock that another condition would have started or stopped is counted as it runs. Where the policy that
it replaces gives the same, nothing moves: a broken clock stands as it was, whatever became of its ticket since.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from schemas.codes import Clock
from services.service_levels.calendar import from_us
from services.service_levels.rulebook import Rulebook
from services.service_levels.ticket_sla import Cycle, TicketSla

_SAME_UNDER = timedelta(milliseconds=1)


class Counted(NamedTuple):
    """One open clock under the policy that it has, and under the other."""

    ticket_id: UUID
    clock: Clock
    unit: str | None
    """Whose it is, of a clock that runs for each unit."""
    due_now: datetime | None
    """None while it stands still."""
    due_then: datetime | None
    """None while it stands still, and when `is_dropped`."""
    is_dropped: bool
    """No rule of the policy would give the ticket this clock."""

    @property
    def moved(self) -> timedelta:
        """By how much it would be due later; negative: earlier."""
        if self.due_now is None or self.due_then is None or abs(self.due_then - self.due_now) < _SAME_UNDER:
            return timedelta(0)
        return self.due_then - self.due_now


@dataclass(frozen=True, slots=True, kw_only=True)
class WhatIf:
    """How many clocks would be due when."""

    clocks: int
    """All that were counted: the sum of the next five."""
    earlier: int
    later: int
    same: int
    dropped: int
    """Would not run at all."""
    paused: int
    """Stand still and are due at no time."""
    overdue_now: int
    overdue_then: int
    """Would be overdue at this time."""
    moved: tuple[Counted, ...]
    """Those that would be due at another time or not at all: the first, by the time at which they are due now."""


def what_if(
    book: Rulebook, tickets: Iterable[TicketSla], *, replaces: Rulebook | None, now: datetime, shown_max: int
) -> WhatIf:
    """Count the open clocks of tickets by another policy.

    Args:
        book: the policy.
        tickets: their clocks.
        replaces: the policy that would be in force without it; None: there is none.
        now: the time by which something is overdue.
        shown_max: how many of the clocks that move are told one by one.

    Raises:
        NeverOpensError: a calendar of the policy does not open often enough to count by it.
    """
    counted = [one for ticket in tickets for one in _counted(book, replaces, ticket)]
    paused = [one for one in counted if one.due_now is None]
    running = [one for one in counted if one.due_now is not None]
    moved = [one for one in running if one.is_dropped or one.moved]
    return WhatIf(
        clocks=len(counted),
        earlier=sum(one.moved < timedelta(0) for one in running),
        later=sum(one.moved > timedelta(0) for one in running),
        same=len(running) - len(moved),
        dropped=sum(one.is_dropped for one in running),
        paused=len(paused),
        overdue_now=sum(one.due_now is not None and one.due_now < now for one in running),
        overdue_then=sum(one.due_then is not None and one.due_then < now for one in running),
        moved=tuple(sorted(moved, key=lambda one: (one.due_now or now, one.ticket_id, one.clock))[:shown_max]),
    )


def _counted(book: Rulebook, replaces: Rulebook | None, ticket: TicketSla) -> Iterator[Counted]:
    for cycle in ticket.open_cycles():
        if cycle.ending is not None:  # It has ended; only receipts that may still come are waited for.
            continue
        then = _due(book, ticket, cycle)
        if replaces is not None and then == _due(replaces, ticket, cycle):
            yield Counted(ticket.ticket_id, cycle.clock, cycle.unit, cycle.due_at, cycle.due_at, is_dropped=False)
        else:
            due_then = then if cycle.due is not None else None
            yield Counted(ticket.ticket_id, cycle.clock, cycle.unit, cycle.due_at, due_then, is_dropped=then is None)


def _due(book: Rulebook, ticket: TicketSla, cycle: Cycle) -> datetime | None:
    """When a cycle is due by a policy, as if it did not stand still; None: no rule gives it."""
    rule = book.rules(ticket.known.case).get(cycle.clock)
    if rule is None:
        return None
    calendar = book.calendar(book.calendar_name(cycle.clock, _unit_calendar(ticket, cycle)))
    target = book.target_us(rule.target, calendar, cycle.start)
    return from_us(calendar.add_us(cycle.start, target, pauses=cycle.pauses))


def _unit_calendar(ticket: TicketSla, cycle: Cycle) -> str | None:
    return ticket.known.calendar if cycle.unit is None else ticket.party(cycle.unit, ticket.known).calendar
