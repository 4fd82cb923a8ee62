"""When a place is open: weekly hours, holidays, exceptions of single dates, and what they mean as instants.

The rules, in the order in which they decide:

1. A date in `holidays` or `holidays_yearly` is closed from midnight to midnight, whatever else is said of it.
2. A date in `date_overrides` has those hours instead of its weekly ones.
3. A public holiday is closed; a make-up working day (China's 调休) without weekly hours has those of `makeup_weekday`.
4. Otherwise the weekly hours hold. What `date_breaks` names is cut out of its date.

Hours may pass midnight ("22:00" to "30:00" ends at six the next day); of such a shift, exactly what falls on a closed
date is cut, whether it begins or ends there.
A local time that a change to summer time skips is moved on by the gap, one that occurs twice is its first occurrence,
so the length of a shift is always the time that really passed.
"""

import re
import reprlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Any, Final, TypeAlias
from zoneinfo import ZoneInfo

import holidays as public_holiday_data
from chinese_calendar import constants as chinese_constants

Interval: TypeAlias = tuple[int, int]
"""Opening and closing as seconds after local midnight; closing may lie past 86,400."""

Segment: TypeAlias = tuple[int, int]
"""Opening and closing as microseconds since 1970-01-01T00:00Z; the closing instant is not open."""

DAY_S: Final = 86_400
LATEST_CLOSING_S: Final = 2 * DAY_S
WEEKDAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
CHINA_KNOWN_UNTIL: Final = max(day.year for day in chinese_constants.holidays)
"""The last year whose Chinese public holidays and make-up working days the data library holds."""

_CLOCK_TIME = re.compile(r"(\d{1,2}):([0-5]\d)(?::([0-5]\d))?")
_MONTH_DAY = re.compile(r"(\d{2})-(\d{2})")
_SHORT: Final = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 100
_EPOCH_ORDINAL: Final = date(1970, 1, 1).toordinal()


class CalendarError(ValueError):
    """A calendar that cannot be used; `problems` holds every reason with its path and value."""

    def __init__(self, *problems: str) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class DayPlan:
    """What a calendar says of one date: its local hours after cutting breaks, and why they are what they are."""

    day: date
    intervals: tuple[Interval, ...]
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OpeningHours:
    """The parsed description of a calendar; see `parse` for the written form and the module for the rules."""

    zone: ZoneInfo
    weekly: tuple[tuple[Interval, ...], ...]
    holidays: frozenset[date]
    holidays_yearly: frozenset[tuple[int, int]]
    overrides: Mapping[date, tuple[Interval, ...]]
    breaks: Mapping[date, tuple[Interval, ...]]
    public_holidays: str | None
    makeup_weekday: int

    @classmethod
    def parse(
        cls,
        *,
        tz: str,
        hours: Mapping[str, Sequence[Sequence[str]]],
        holidays: Iterable[str | date] = (),
        holidays_yearly: Iterable[str] = (),
        date_overrides: Mapping[str | date, Sequence[Sequence[str]]] | None = None,
        date_breaks: Mapping[str | date, Sequence[Sequence[str]]] | None = None,
        public_holidays: str | None = None,
        makeup_weekday: int = 0,
    ) -> "OpeningHours":
        """Read the written form.

        Args:
            tz: IANA zone name of every local time below.
            hours: weekday ("0" is Monday) to a list of [opening, closing], each "HH:MM" or "HH:MM:SS".
            holidays: closed dates, YYYY-MM-DD.
            holidays_yearly: dates closed every year, MM-DD.
            date_overrides: hours of a single date instead of its weekly ones; an empty list closes it.
            date_breaks: times cut out of a single date.
            public_holidays: ISO country code (with subdivision: "DE-BY") whose public holidays are closed.
            makeup_weekday: whose hours a make-up working day has, 0 is Monday.

        Raises:
            CalendarError: with every problem at once.
        """
        problems: list[str] = []
        zone = _zone(tz, problems)
        weekly: list[tuple[Interval, ...]] = [()] * 7
        for weekday, spans in _mapping("hours", hours, problems).items():
            if str(weekday) not in {"0", "1", "2", "3", "4", "5", "6"}:
                problems.append(f"hours.{weekday}: not a weekday; use 0 (Monday) to 6 (Sunday)")
                continue
            weekly[int(weekday)] = _intervals(f"hours.{weekday}", spans, problems)
        if not isinstance(makeup_weekday, int) or makeup_weekday not in range(7):
            problems.append(f"makeup_weekday: {_shown(makeup_weekday)} is not a weekday; use 0 (Monday) to 6 (Sunday)")
        parsed = cls(
            zone=zone,
            weekly=tuple(weekly),
            holidays=frozenset(
                day
                for i, text in enumerate(_list("holidays", holidays, problems))
                if (day := _date(f"holidays[{i}]", text, problems))
            ),
            holidays_yearly=frozenset(
                month_day
                for i, text in enumerate(_list("holidays_yearly", holidays_yearly, problems))
                if (month_day := _month_day(i, text, problems))
            ),
            overrides=_by_date("date_overrides", date_overrides or {}, problems),
            breaks=_by_date("date_breaks", date_breaks or {}, problems),
            public_holidays=_country(public_holidays, problems),
            makeup_weekday=makeup_weekday,
        )
        if problems:
            raise CalendarError(*problems)
        return parsed

    @property
    def is_always_open(self) -> bool:
        """Whether no instant is closed, so that working time is plain elapsed time."""
        exceptions = (self.holidays, self.holidays_yearly, self.overrides, self.breaks, self.public_holidays)
        return not any(exceptions) and all(spans == ((0, DAY_S),) for spans in self.weekly)

    @property
    def known_until(self) -> date | None:
        """The last date whose public holidays are known as published; later ones are computed by rule.

        China publishes next year's holidays and make-up days each November. After this date the festivals are
        computed from the lunar calendar, and no weekend is a make-up working day. None: nothing is published yearly.
        """
        return date(CHINA_KNOWN_UNTIL, 12, 31) if self.public_holidays == "CN" else None

    def closed_because(self, day: date) -> str | None:
        """Why `day` is closed from midnight to midnight, or None when it is not."""
        if day in self.holidays:
            return "holiday"
        if (day.month, day.day) in self.holidays_yearly:
            return "yearly holiday"
        if self.public_holidays and day not in self.overrides:
            name = _public_holiday(self.public_holidays, day)
            return f"public holiday: {name}" if name else None
        return None

    def plan(self, day: date) -> DayPlan:
        """What opens on `day` (hours past its midnight included) and why."""
        spans, reason = self._shifts(day)
        if closed := self.closed_because(day):
            return DayPlan(day, tuple(_subtract(spans, [(0, DAY_S)])), closed)
        if day in self.breaks:
            spans = tuple(_subtract(spans, _union(self.breaks[day])))
            reason = f"{reason}, with breaks of the date"
        return DayPlan(day, spans, reason)

    def segments(self, year: int) -> list[Segment]:
        """All openings of the dates of `year` and of the two days before it, in order, without overlaps."""
        first, last = date(year, 1, 1).toordinal() - 2, date(year, 12, 31).toordinal()
        openings: list[Segment] = []
        cuts: list[Segment] = []
        for ordinal in range(first, last + 3):
            day = date.fromordinal(ordinal)
            if not self._exists(day):
                continue
            if self.closed_because(day):
                cuts.append((self.instant(day, 0), self.instant(day, DAY_S)))
            cuts.extend((self.instant(day, start), self.instant(day, end)) for start, end in self.breaks.get(day, ()))
            if ordinal <= last:
                openings.extend(
                    (self.instant(day, start), self.instant(day, end)) for start, end in self._shifts(day)[0]
                )
        return list(_subtract(_union(openings), _union(cuts)))

    def instant(self, day: date, second: int) -> int:
        """The instant of `second` after midnight of `day` by the wall clock, in microseconds since 1970."""
        days, rest = divmod(second, DAY_S)
        local = datetime.fromordinal(day.toordinal() + days).replace(tzinfo=self.zone) + timedelta(seconds=rest)
        offset = local.utcoffset()
        assert offset is not None
        seconds = (local.toordinal() - _EPOCH_ORDINAL) * DAY_S + rest - int(offset.total_seconds())
        return seconds * 1_000_000

    def _shifts(self, day: date) -> tuple[tuple[Interval, ...], str]:
        weekday = day.weekday()
        if day in self.overrides:
            return self.overrides[day], "hours of the date"
        if self.weekly[weekday]:
            return self.weekly[weekday], f"hours of {WEEKDAYS[weekday]}"
        if self.public_holidays == "CN" and day in chinese_constants.workdays:
            return self.weekly[
                self.makeup_weekday
            ], f"make-up working day with hours of {WEEKDAYS[self.makeup_weekday]}"
        return (), f"closed on {WEEKDAYS[weekday]}"

    def _exists(self, day: date) -> bool:
        """Whether the zone has this date; Samoa left one out when it crossed the date line."""
        noon = datetime(day.year, day.month, day.day, 12, tzinfo=self.zone)
        return noon.astimezone(UTC).astimezone(self.zone).date() == day


def _shown(value: object) -> str:
    """A value in a problem, shortened."""
    return _SHORT.repr(value)


def _zone(name: str, problems: list[str]) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError, TypeError, AttributeError):
        problems.append(f"tz: {_shown(name)} is not an IANA time zone; use a name such as 'Asia/Shanghai'")
        return ZoneInfo("UTC")


def _country(code: str | None, problems: list[str]) -> str | None:
    if code is None:
        return None
    try:
        _country_holidays(code, 2026)
    except (NotImplementedError, AttributeError, TypeError):
        problems.append(f"public_holidays: {_shown(code)} is not known; use a country code such as 'CN' or 'DE-BY'")
    return code


def _mapping(path: str, written: Any, problems: list[str]) -> Mapping[Any, Any]:
    if isinstance(written, Mapping):
        return written
    problems.append(f"{path}: {_shown(written)} is no mapping")
    return {}


def _list(path: str, written: Any, problems: list[str]) -> Sequence[Any]:
    if isinstance(written, list | tuple):
        return written
    problems.append(f"{path}: {_shown(written)} is no list")
    return ()


def _date(path: str, text: str | date, problems: list[str]) -> date | None:
    try:
        if isinstance(text, date) and not isinstance(text, datetime):
            return text
        return date.fromisoformat(text)  # type: ignore[arg-type]  # which refuses what is no text
    except (TypeError, ValueError):
        problems.append(f"{path}: {_shown(text)} is not a date; write YYYY-MM-DD")
        return None


def _month_day(index: int, text: str, problems: list[str]) -> tuple[int, int] | None:
    match = _MONTH_DAY.fullmatch(text) if isinstance(text, str) else None
    try:
        assert match is not None
        # 2000 is a leap year, so that 29 February may be named.
        leap = date(2000, int(match[1]), int(match[2]))
    except (AssertionError, ValueError):
        problems.append(f"holidays_yearly[{index}]: {_shown(text)} is not a day of the year; write MM-DD")
        return None
    return leap.month, leap.day


def _by_date(
    path: str,
    entries: Mapping[str | date, Sequence[Sequence[str]]],
    problems: list[str],
) -> dict[date, tuple[Interval, ...]]:
    return {
        day: _intervals(f"{path}.{text}", spans, problems)
        for text, spans in _mapping(path, entries, problems).items()
        if (day := _date(f"{path}.{text}", text, problems))
    }


def _intervals(path: str, spans: Sequence[Sequence[str]], problems: list[str]) -> tuple[Interval, ...]:
    """Parsed and joined where they overlap; touching ones stay apart, as two openings."""
    parsed: list[Interval] = []
    for i, span in enumerate(_list(path, spans, problems)):
        where = f"{path}[{i}]"
        if not isinstance(span, list | tuple) or len(span) != 2:
            problems.append(f"{where}: {_shown(span)} is not an interval; write [opening, closing]")
            continue
        opening, closing = (_second(where, text, problems) for text in span)
        if opening is None or closing is None:
            continue
        if closing <= opening:
            later = f"{(closing + DAY_S) // 3600:02d}:{closing % 3600 // 60:02d}"
            problems.append(
                f"{where}: closing {_shown(span[1])} is not after opening {_shown(span[0])}; the next day is '{later}'"
            )
            continue
        parsed.append((opening, closing))
    return tuple(_union(parsed))


def _second(path: str, text: str, problems: list[str]) -> int | None:
    match = _CLOCK_TIME.fullmatch(text) if isinstance(text, str) else None
    second = int(match[1]) * 3600 + int(match[2]) * 60 + int(match[3] or 0) if match else None
    if second is None or second > LATEST_CLOSING_S:
        problems.append(f"{path}: {_shown(text)} is not a time of day; write 'HH:MM' in quotes, at most '48:00'")
        return None
    return second


@cache
def _country_holidays(code: str, year: int) -> Mapping[date, str]:
    country, _, subdivision = code.partition("-")
    return public_holiday_data.country_holidays(country, subdiv=subdivision or None, years=year)


def _public_holiday(code: str, day: date) -> str | None:
    if code == "CN" and day.year <= CHINA_KNOWN_UNTIL:
        holiday = chinese_constants.holidays.get(day)
        return str(holiday) if holiday else None
    return _country_holidays(code, day.year).get(day)


def _union(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """In order and joined where they overlap; empty ones dropped, touching ones left apart."""
    joined: list[tuple[int, int]] = []
    for start, end in sorted(span for span in spans if span[0] < span[1]):
        if joined and start < joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


def _subtract(spans: Iterable[tuple[int, int]], cuts: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """What remains of ordered `spans` outside ordered `cuts`, both free of overlaps."""
    first = 0
    for start, end in spans:
        while first < len(cuts) and cuts[first][1] <= start:
            first += 1
        at = start
        for cut_start, cut_end in cuts[first:]:
            if cut_start >= end:
                break
            if at < cut_start:
                yield at, cut_start
            at = max(at, cut_end)
        if at < end:
            yield at, end
