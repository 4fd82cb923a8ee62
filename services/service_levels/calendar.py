"""Working time: when is something due that may take eight working hours, and how many have passed between two instants.

A `Calendar` turns its opening hours into a line of openings with the working time before each, one year at a time as it
is asked for, so that every question is a search in a sorted list. Instants are microseconds since 1970 inside
(the `_us` methods, for hot paths) and aware datetimes outside. An opening includes its first instant and not its last:
at closing time the place is closed, yet eight hours from nine o'clock are up exactly at five.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, NamedTuple, Self

from services.service_levels.opening_hours import CalendarError, DayPlan, OpeningHours

US_PER_S: Final = 1_000_000
_YEAR_US: Final = 366 * 86_400 * US_PER_S
_MARGIN_US: Final = 2 * 86_400 * US_PER_S
"""Local years begin and end within a day of UTC's; two days keep every question clear of the ends of what is loaded."""

CLOSED_YEARS_MAX: Final = 8
"""After so many years without an opening, a search gives up (a place open on 29 February alone opens within eight)."""
_FIRST_YEAR: Final = 2
_LAST_YEAR: Final = 9997
_NO_WEEKDAYS_MAX: Final = CLOSED_YEARS_MAX * 366

Pause = tuple[datetime, datetime]


class NeverOpensError(CalendarError):
    """No opening was found within `CLOSED_YEARS_MAX` years, so there is no such time."""


class _Line(NamedTuple):
    """The openings of whole years, and the working time before each."""

    from_us: int
    until_us: int
    starts: list[int]
    ends: list[int]
    before: list[int]
    shift: list[int]
    """`before` less `starts`: what turns an instant of an opening into working time."""
    total: int
    first_year: int
    last_year: int


class Calendar:
    """The working time of one place. Immutable; what it computes is kept.

    `add` and `difference` belong together: `difference(a, add(a, s)) == s`, and the other way round from any instant
    that is open.
    """

    __slots__ = ("_line", "_years", "hours", "is_always_open", "name")

    def __init__(self, hours: OpeningHours, *, name: str = "") -> None:
        self.hours = hours
        self.name = name
        self.is_always_open = hours.is_always_open
        self._years: dict[int, list[tuple[int, int]]] = {}
        self._line: _Line | None = None

    @classmethod
    def from_hours(cls, *, name: str = "", **written: Any) -> Self:
        """A calendar from its written form: the arguments of `OpeningHours.parse`.

        Example: `Calendar.from_hours(tz="Asia/Shanghai", hours={"0": [["09:00", "12:00"], ["13:00", "18:00"]]})`.

        Raises:
            CalendarError: with every problem at once.
        """
        return cls(OpeningHours.parse(**written), name=name)

    def __repr__(self) -> str:
        return f"Calendar({self.name or 'unnamed'}, {self.hours.zone.key})"

    @property
    def known_until(self) -> date | None:
        """See `OpeningHours.known_until`."""
        return self.hours.known_until

    def add(self, start: datetime, seconds: float, *, pauses: Iterable[Pause] = ()) -> datetime:
        """The instant at which `seconds` of working time have passed since `start`, not counting `pauses`.

        Nothing to add gives `start`, or the next opening when it is closed then. A negative amount subtracts.

        Raises:
            NeverOpensError: when there are not that many working seconds.
        """
        amount = round(seconds * US_PER_S)
        if not pauses:
            return from_us(self.add_us(to_us(start), amount))
        spans = [(to_us(begin), to_us(end)) for begin, end in pauses]
        return from_us(self.add_us(to_us(start), amount, pauses=spans))

    def subtract(self, start: datetime, seconds: float) -> datetime:
        """The latest instant after which `seconds` of working time pass until `start`. Zero: see `last_open`.

        Raises:
            NeverOpensError: when there were not that many working seconds.
        """
        return from_us(self._subtract_us(to_us(start), round(seconds * US_PER_S)))

    def difference(self, start: datetime, end: datetime, *, pauses: Iterable[Pause] = ()) -> float:
        """Working seconds from `start` to `end` without those in `pauses`; negative when `end` is before `start`."""
        spans = [(to_us(begin), to_us(stop)) for begin, stop in pauses] if pauses else ()
        return self.difference_us(to_us(start), to_us(end), pauses=spans) / US_PER_S

    def is_working(self, at: datetime) -> bool:
        """Whether it is open at that instant; the closing instant is not open."""
        instant = to_us(at)
        return self.is_always_open or self._next_open_us(instant, search=False) == instant

    def next_open(self, at: datetime) -> datetime:
        """`at` itself when it is open then, else the next opening.

        Raises:
            NeverOpensError: when it does not open again.
        """
        return from_us(self._next_open_us(to_us(at)))

    def last_open(self, at: datetime) -> datetime:
        """`at` itself when it is open then, else the last closing before it.

        Raises:
            NeverOpensError: when it was never open.
        """
        return from_us(self._last_open_us(to_us(at)))

    def periods(self, start: datetime, end: datetime | None = None) -> Iterator[tuple[datetime, datetime]]:
        """Openings from `start` on, cut to `start` and `end`; without `end` they go on for as long as it opens."""
        begin, stop = to_us(start), to_us(end) if end is not None else None
        at = begin
        while stop is None or at < stop:
            line = self._cover(at, stop if stop is not None else at)
            i = bisect_right(line.ends, at)
            if i == len(line.starts):
                if stop is not None:
                    return
                at = self._next_open_us(at)
                continue
            opening, closing = max(line.starts[i], begin), line.ends[i]
            if stop is not None:
                if opening >= stop:
                    return
                closing = min(closing, stop)
            yield from_us(opening), from_us(closing)
            at = line.ends[i]

    def is_working_day(self, day: date) -> bool:
        """Whether the date is not closed and any shift begins on it."""
        return bool(self.hours.plan(day).intervals) and not self.hours.closed_because(day)

    def plan(self, day: date) -> DayPlan:
        """The local hours of a date and the reason for them."""
        return self.hours.plan(day)

    def add_working_days(self, start: datetime, days: int) -> datetime:
        """The same time of day (in the calendar's zone) `days` working days later; negative goes back.

        The date of `start` itself is not counted, so that from a Saturday one working day leads to Monday. No days
        give `start`. The time of day may lie outside the opening hours.

        Raises:
            NeverOpensError: when there are not that many working days.
        """
        local = start.astimezone(self.hours.zone)
        step = 1 if days > 0 else -1
        ordinal, idle, left = local.toordinal(), 0, abs(days)
        while left:
            ordinal += step
            idle += 1
            if self.is_working_day(date.fromordinal(ordinal)):
                left -= 1
                idle = 0
            elif idle > _NO_WEEKDAYS_MAX:
                raise NeverOpensError(f"calendar {self.name!r} has no working day within {CLOSED_YEARS_MAX} years")
        moved = datetime.combine(date.fromordinal(ordinal), local.timetz()) if days else start
        return moved.astimezone(start.tzinfo)

    def add_us(self, start: int, amount: int, *, pauses: Sequence[tuple[int, int]] = ()) -> int:
        """`add` in microseconds."""
        if pauses:
            return self._add_with_pauses_us(start, amount, pauses)
        if self.is_always_open:
            return start + amount
        if amount <= 0:
            return self._subtract_us(start, -amount) if amount else self._next_open_us(start)
        line = self._line
        if line is None or not line[0] <= start < line[1]:
            line = self._cover(start, start)
        # Unpacked once and without calls: this is where a busy service spends its time.
        _, _, starts, ends, before, shift, total, _, _ = line
        i = bisect_right(starts, start) - 1
        target = amount
        if i >= 0:
            target += shift[i] + (start if start < ends[i] else ends[i])  # noqa: FURB136
        if target > total:
            self._cover_total(start, amount)
            return self.add_us(start, amount)
        return target - shift[bisect_left(before, target) - 1]

    def difference_us(self, start: int, end: int, *, pauses: Sequence[tuple[int, int]] = ()) -> int:
        """`difference` in microseconds."""
        if pauses:
            if end < start:
                return -self.difference_us(end, start, pauses=pauses)
            outside = _joined(pauses)
            clipped = ((max(begin, start), min(stop, end)) for begin, stop in outside)
            return self.difference_us(start, end) - sum(self.difference_us(a, b) for a, b in clipped if a < b)
        if self.is_always_open:
            return end - start
        line = self._line
        if line is None or not (line.from_us <= start < line.until_us and line.from_us <= end < line.until_us):
            line = self._cover(min(start, end), max(start, end))
        return _worked(line, end) - _worked(line, start)

    def _add_with_pauses_us(self, start: int, amount: int, pauses: Sequence[tuple[int, int]]) -> int:
        """Step from pause to pause; what is reached before or as a pause begins is not moved by it."""
        if amount < 0:
            raise ValueError("a negative amount cannot be combined with pauses")
        at, left = start, amount
        for begin, end in _joined(pauses):
            if end <= at:
                continue
            if begin > at:
                worked = self.difference_us(at, begin)
                if left <= worked and (left or self._next_open_us(at) < begin):
                    break
                left -= worked
            at = end
        return self.add_us(at, left)

    def _subtract_us(self, start: int, amount: int) -> int:
        if self.is_always_open:
            return start - amount
        if amount <= 0:
            return self.add_us(start, -amount) if amount else self._last_open_us(start)
        line = self._cover(start, start)
        target = _worked(line, start) - amount
        while target < 0:
            line = self._wider(line, back=True)
            target = _worked(line, start) - amount
        i = bisect_right(line.before, target) - 1
        return target - line.shift[i]

    def _next_open_us(self, at: int, *, search: bool = True) -> int:
        if self.is_always_open:
            return at
        line = self._cover(at, at)
        while True:
            i = bisect_right(line.ends, at)
            if i < len(line.starts):
                return max(at, line.starts[i])
            if not search:
                return at + 1
            line = self._wider(line, back=False)

    def _last_open_us(self, at: int) -> int:
        if self.is_always_open:
            return at
        line = self._cover(at, at)
        while True:
            i = bisect_right(line.starts, at) - 1
            if i >= 0:
                return min(at, line.ends[i])
            line = self._wider(line, back=True)

    def _cover(self, first: int, last: int) -> _Line:
        """A line that holds everything from `first` to `last`."""
        line = self._line
        if line is not None and line.from_us <= first and last < line.until_us:
            return line
        lowest, highest = from_us(first - _MARGIN_US).year, from_us(last + _MARGIN_US).year
        if line is not None:
            lowest, highest = min(lowest, line.first_year), max(highest, line.last_year)
        return self._load(lowest, highest)

    def _cover_total(self, start: int, amount: int) -> None:
        """Load so many years that `amount` of working time follows `start`."""
        line = self._cover(start, start)
        while _worked(line, start) + amount > line.total:
            line = self._wider(line, back=False)

    def _wider(self, line: _Line, *, back: bool) -> _Line:
        """One more year with an opening, forwards or back."""
        edge = line.first_year if back else line.last_year
        for years in range(1, CLOSED_YEARS_MAX + 1):
            year = edge - years if back else edge + years
            if not _FIRST_YEAR <= year <= _LAST_YEAR:
                break
            if self._openings(year):
                return self._load(min(year, line.first_year), max(year, line.last_year))
        direction = "before" if back else "after"
        raise NeverOpensError(
            f"calendar {self.name!r} has no opening within {CLOSED_YEARS_MAX} years {direction} {edge}; "
            "check its hours and holidays"
        )

    def _openings(self, year: int) -> list[tuple[int, int]]:
        if year not in self._years:
            self._years[year] = self.hours.segments(year)
        return self._years[year]

    def _load(self, first_year: int, last_year: int) -> _Line:
        starts: list[int] = []
        ends: list[int] = []
        before: list[int] = []
        total = 0
        # Each year repeats the last days of the one before, for what passes midnight at New Year.
        openings = sorted({opening for year in range(first_year, last_year + 1) for opening in self._openings(year)})
        for opening, closing in openings:
            begin = max(opening, ends[-1]) if ends else opening
            if closing > begin:
                starts.append(begin)
                ends.append(closing)
                before.append(total)
                total += closing - begin
        line = _Line(
            first_year=first_year,
            last_year=last_year,
            from_us=to_us(datetime(first_year, 1, 1, tzinfo=UTC)) + _MARGIN_US // 2,
            until_us=to_us(datetime(last_year + 1, 1, 1, tzinfo=UTC)) - _MARGIN_US // 2,
            starts=starts,
            ends=ends,
            before=before,
            shift=[worked - start for worked, start in zip(before, starts, strict=True)],
            total=total,
        )
        self._line = line
        return line


def to_us(at: datetime) -> int:
    """An aware datetime as microseconds since 1970.

    Raises:
        ValueError: for a naive one, which names no instant.
    """
    if at.tzinfo is None:
        raise ValueError(f"{at.isoformat()} has no offset; say which zone it is in")
    # A float holds these to an eighth of a microsecond, so rounding gives the exact one.
    return round(at.timestamp() * 1e6)


def from_us(instant: int) -> datetime:
    """Microseconds since 1970 as a datetime in UTC."""
    return _EPOCH + timedelta(0, 0, instant)


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def _worked(line: _Line, at: int) -> int:
    """Working time from the beginning of the line to `at`."""
    i = bisect_right(line.starts, at) - 1
    return line.shift[i] + min(at, line.ends[i]) if i >= 0 else 0


def _joined(pauses: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """In order, overlapping and touching ones as one."""
    joined: list[tuple[int, int]] = []
    for begin, end in sorted(pauses):
        if end < begin:
            raise ValueError(f"a pause from {from_us(begin).isoformat()} ends before it at {from_us(end).isoformat()}")
        if joined and begin <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((begin, end))
    return joined
