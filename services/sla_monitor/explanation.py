"""Why something is due when it is: the rule, every stretch of working time that counted, and what did not and why."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta, tzinfo
from itertools import pairwise
from typing import Any, Final

from schemas.codes import Clock
from services.service_levels.calendar import US_PER_S, Calendar, Pause, from_us, to_us
from services.service_levels.policy import Case
from services.service_levels.rulebook import Rulebook

_PAUSED: Final = "paused"


@dataclass(frozen=True, slots=True)
class Stretch:
    """Time between start and due time; `reason` says why it was not counted, and is None when it was."""

    begin: datetime
    end: datetime
    reason: str | None = None

    @property
    def seconds(self) -> float:
        """Its length."""
        return (self.end - self.begin).total_seconds()


@dataclass(frozen=True, slots=True)
class Milestone:
    """A share of the target; `level` is who must look at it, None for a warning."""

    share: float
    at: datetime
    level: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """How one due time came about. All times are in the calendar's zone; where it has none, in that of the question."""

    clock: Clock
    policy: str
    policy_version: int
    rule: str
    target: str
    target_s: float
    calendar: str
    start: datetime
    due_at: datetime
    stretches: tuple[Stretch, ...]
    milestones: tuple[Milestone, ...]
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values for a program; times as ISO 8601 with offset."""
        plain = asdict(self) | {"clock": self.clock.value, "start": self.start.isoformat()}
        del plain["stretches"], plain["milestones"]
        plain["due_at"] = self.due_at.isoformat()
        plain["counted"] = [_span(s) | {"seconds": s.seconds} for s in self.stretches if s.reason is None]
        plain["skipped"] = [_span(s) | {"reason": s.reason} for s in self.stretches if s.reason is not None]
        plain["warnings"] = [{"share": m.share, "at": m.at.isoformat()} for m in self.milestones if m.level is None]
        plain["escalations"] = [
            {"share": m.share, "at": m.at.isoformat(), "level": m.level} for m in self.milestones if m.level is not None
        ]
        return plain


def explain(
    book: Rulebook,
    *,
    clock: Clock,
    case: Case,
    start: datetime,
    calendar_name: str | None = None,
    pauses: Sequence[Pause] = (),
) -> Explanation | None:
    """How a clock that starts then counts; None when no rule gives such a case that clock.

    Args:
        book: the policy.
        clock: which clock of it.
        case: what is known of the complaint.
        start: when the clock starts, or what it is counted from.
        calendar_name: the calendar of the unit that has the ticket; needed by clocks that follow the unit or owner.
        pauses: waits that do not count.

    Raises:
        LookupError: for a calendar that the policy does not list.
        NeverOpensError: when the calendar does not open often enough.
    """
    rule = book.rules(case).get(clock)
    if rule is None:
        return None
    name = calendar_name or book.calendar_name(clock, None)
    calendar = book.calendar(name)
    begin = to_us(start)
    target = book.target_us(rule.target, calendar, begin)
    spans = [(to_us(a), to_us(b)) for a, b in pauses]
    zone = _zone(calendar, start)

    def reached(share: float) -> datetime:
        return from_us(calendar.add_us(begin, round(target * share), pauses=spans)).astimezone(zone)

    due = reached(1.0)
    milestones = [
        Milestone(step.share, reached(step.share), None if step.is_warning else book.level(case, step.rung))
        for step in book.clocks[clock].steps
    ]
    return Explanation(
        clock=clock,
        policy=book.name,
        policy_version=book.version,
        rule=rule.name,
        target=rule.target.text,
        target_s=target / US_PER_S,
        calendar=name,
        start=start.astimezone(zone),
        due_at=due,
        stretches=tuple(_stretches(calendar, start.astimezone(zone), due, pauses)),
        milestones=tuple(milestones),
        notes=tuple(_notes(calendar, due)),
    )


def _zone(calendar: Calendar, start: datetime) -> tzinfo | None:
    # Round the clock in UTC is the same hour everywhere: it is told in the hours of whoever asks.
    has_none = calendar.is_always_open and calendar.hours.zone.key == "UTC"
    return start.tzinfo if has_none else calendar.hours.zone


def _stretches(calendar: Calendar, start: datetime, due: datetime, pauses: Sequence[Pause]) -> Iterable[Stretch]:
    """Everything from start to due, counted and not, in order and without gaps."""
    zone = start.tzinfo
    counted: list[tuple[datetime, datetime]] = []
    for opening, closing in calendar.periods(start, due):
        for begin, end in _outside(opening.astimezone(zone), closing.astimezone(zone), pauses):
            if counted and counted[-1][1] == begin and calendar.is_always_open:
                counted[-1] = (counted[-1][0], end)
            else:
                counted.append((begin, end))
    at = start
    for begin, end in [*counted, (due, due)]:
        yield from _skipped(calendar, at, begin, pauses)
        if begin < end:
            yield Stretch(begin, end)
        at = end


def _skipped(calendar: Calendar, begin: datetime, end: datetime, pauses: Sequence[Pause]) -> Iterable[Stretch]:
    """The stretches of closed time and of pauses between two counted ones, one for each date."""
    zone = begin.tzinfo
    at = begin
    while at < end:
        midnight = datetime.combine(at.date() + timedelta(days=1), datetime.min.time(), tzinfo=zone)
        until = min(midnight, end, key=to_us)
        edges = sorted(
            {at, until, *(p.astimezone(zone) for pause in pauses for p in pause if at < p < until)}, key=to_us
        )
        for a, b in pairwise(edges):
            is_paused = any(p <= a and b <= q for p, q in pauses)
            yield Stretch(a, b, _PAUSED if is_paused else _closed_because(calendar, a, b))
        at = until


def _closed_because(calendar: Calendar, begin: datetime, end: datetime) -> str:
    """Why it is closed then, all on one date."""
    plan = calendar.plan(begin.date())
    if not plan.intervals or calendar.hours.closed_because(plan.day):
        return plan.reason
    local_s = begin.hour * 3600 + begin.minute * 60 + begin.second
    if local_s < plan.intervals[0][0]:
        return "before opening"
    if any(opening >= local_s for opening, _ in plan.intervals) and end.date() == begin.date():
        return "break"
    return "after closing"


def _outside(begin: datetime, end: datetime, pauses: Sequence[Pause]) -> Iterable[tuple[datetime, datetime]]:
    """What of an opening lies outside the pauses."""
    at = begin
    for pause, resumption in sorted(pauses):
        if pause >= end:
            break
        if at < pause:
            yield at, pause.astimezone(begin.tzinfo)
        at = max(at, resumption.astimezone(begin.tzinfo))
    if at < end:
        yield at, end


def _notes(calendar: Calendar, due: datetime) -> Iterable[str]:
    if calendar.known_until is not None and due.date() > calendar.known_until:
        yield (
            f"public holidays are published up to {calendar.known_until}; later festivals are computed "
            "and make-up working days are not known"
        )


def _span(stretch: Stretch) -> dict[str, str]:
    return {"from": stretch.begin.isoformat(), "to": stretch.end.isoformat()}
