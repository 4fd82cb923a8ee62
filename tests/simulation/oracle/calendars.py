"""Working time, counted opening by opening. Instants are microseconds since 1970."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from tests.simulation.oracle.reading import us_of

DAY_S = 86_400
DAYS_MAX = 4_000
NEVER = 1 << 62
Span = tuple[int, int]
UNKNOWN = ("public_holidays",)
"""What a calendar may say that is looked up elsewhere; here holidays are given as a list."""


class Calendar:
    """When a place is open, from the written form of a policy file."""

    def __init__(self, written: Mapping[str, Any]) -> None:
        self.zone = ZoneInfo(written["tz"])
        self._known: dict[date, list[Span]] = {}
        self.weekly: dict[int, Sequence[Sequence[str]]] = {}
        for days, spans in written["hours"].items():
            first, _, last = ("0-6" if days == "all" else str(days)).partition("-")
            self.weekly |= dict.fromkeys(range(int(first), int(last or first) + 1), spans)
        self.closed = {str(day) for day in written.get("holidays") or ()}
        self.closed_yearly = {str(day) for day in written.get("holidays_yearly") or ()}
        self.overrides = {str(day): spans for day, spans in (written.get("date_overrides") or {}).items()}
        self.breaks = {str(day): spans for day, spans in (written.get("date_breaks") or {}).items()}
        if any(written.get(name) for name in UNKNOWN):
            raise NotImplementedError(f"a simulated calendar lists its holidays: {UNKNOWN} is not read")
        exceptions = (self.closed, self.closed_yearly, self.overrides, self.breaks)
        whole = [["00:00", "24:00"]]
        self.never_closes = not any(exceptions) and all(list(self.weekly.get(d, ())) == whole for d in range(7))

    def reached(self, start: int, amount: int, pauses: Sequence[Span]) -> int:
        """When so much working time outside of pauses has passed since `start`; `NEVER` if a pause has no end."""
        left = amount
        for begin, end in self._counted(start, pauses):
            if left <= end - begin:
                return begin + left
            left -= end - begin
        return NEVER

    def elapsed(self, start: int, end: int, pauses: Sequence[Span]) -> int:
        """Working time outside of pauses between two instants."""
        passed = 0
        for opening, closing in self._counted(start, pauses):
            if opening >= end:
                break
            passed += min(closing, end) - opening
        return passed

    def days(self, start: int, days: int) -> int:
        """Working time from the first opening to the same time of day so many working days later."""
        if self.never_closes:
            return days * DAY_S * 1_000_000
        opening, _ = next(self._counted(start, ()))
        local = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=opening)).astimezone(self.zone)
        day = local.date()
        for _ in range(days):
            day += timedelta(days=1)
            while self._is_closed(day) or not self._shifts(day):
                day += timedelta(days=1)
        return self.elapsed(opening, us_of(datetime.combine(day, local.timetz())), ())

    def _counted(self, start: int, pauses: Sequence[Span]) -> Iterator[Span]:
        """Openings after `start`, without what falls into pauses."""
        for opening, closing in self._openings(start):
            yield from _less((max(opening, start), closing), pauses)
            if any(end >= NEVER and begin < closing for begin, end in pauses):
                return

    def _openings(self, start: int) -> Iterator[Span]:
        if self.never_closes:
            yield start, NEVER
            return
        first = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=start)).astimezone(self.zone).date()
        last = 0
        for number in range(-3, DAYS_MAX):
            day = first + timedelta(days=number)
            if day not in self._known:
                self._known[day] = sorted(self._of(day))
            for opening, closing in self._known[day]:
                # A shift may pass midnight into another one.
                begin = max(opening, last)
                if closing > max(begin, start):
                    yield begin, closing
                last = max(last, closing)

    def _of(self, day: date) -> Iterator[Span]:
        """Openings that begin on a day, less what is closed of that day and the two that it may reach into."""
        nearby = (day, day + timedelta(days=1), day + timedelta(days=2))
        cuts = [(self._instant(near, 0), self._instant(near, DAY_S)) for near in nearby if self._is_closed(near)]
        for near in (day - timedelta(days=1), day, day + timedelta(days=1)):
            cuts += [self._span(near, span) for span in self.breaks.get(str(near), ())]
        for span in self._shifts(day):
            yield from _less(self._span(day, span), cuts)

    def _shifts(self, day: date) -> Sequence[Sequence[str]]:
        return self.overrides[str(day)] if str(day) in self.overrides else self.weekly.get(day.weekday(), ())

    def _is_closed(self, day: date) -> bool:
        return str(day) in self.closed or f"{day:%m-%d}" in self.closed_yearly

    def _span(self, day: date, span: Sequence[str]) -> Span:
        opening, closing = (self._instant(day, _seconds(text)) for text in span)
        return opening, closing

    def _instant(self, day: date, second: int) -> int:
        days, rest = divmod(second, DAY_S)
        wall = datetime.combine(day, datetime.min.time()) + timedelta(days=days, seconds=rest)
        return us_of(wall.replace(tzinfo=self.zone))


def _less(span: Span, cuts: Sequence[Span]) -> Iterator[Span]:
    """What is left of a span."""
    at, closing = span
    for begin, end in sorted(cuts):
        if begin < closing and end > at:
            if begin > at:
                yield at, begin
            at = max(at, end)
    if at < closing:
        yield at, closing


def _seconds(text: str) -> int:
    hours, minutes, *seconds = (int(part) for part in text.split(":"))
    return hours * 3600 + minutes * 60 + (seconds[0] if seconds else 0)
