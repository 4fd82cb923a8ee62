"""Working-time cases from a file: a list of JSON objects, each a question to a calendar and the expected answer.

Fields: `id`; `op` (add, sub, diff, due_with_pauses, diff_with_pauses, is_working, next_open, last_open, periods,
add_working_days); `tz` of the calendar with `hours` (one key for each weekday, `0` to `6`), `holidays`,
`holidays_yearly`, `date_overrides`, `date_breaks`, `public_holidays`, `makeup_weekday`; `io_tz`, the zone of times
without offset (absent: `tz`); `start`, `end`, `at`, `seconds`, `days`, `pauses` as [from, to] pairs, `take` (how many
periods); `expected` or `expected_seconds`.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from itertools import islice
from typing import Any, Final
from zoneinfo import ZoneInfo

from services.service_levels.calendar import Calendar
from services.service_levels.opening_hours import CalendarError

_CALENDAR_FIELDS: Final = (
    "hours",
    "holidays",
    "holidays_yearly",
    "date_overrides",
    "date_breaks",
    "public_holidays",
    "makeup_weekday",
)
_CLOSE_S: Final = 1e-6
PERIODS_MAX: Final = 10_000
"""Forty years of working days."""
DAYS_MAX: Final = 36_600
"""A hundred years: counting on to the end of time would take minutes."""

Case = Mapping[str, Any]


def answer_case(case: Case) -> dict[str, Any]:
    """The answer to one case as `{id, result, agrees}`, with `error` instead of a result when there is none.

    Times come out as "YYYY-MM-DD HH:MM:SS[.mmm]" in the case's zone, like those that go in. `agrees` is None when the
    case expects nothing.
    """
    answer: dict[str, Any] = {"id": case.get("id")}
    try:
        result = _answer(case)
    except (CalendarError, AttributeError, KeyError, OSError, OverflowError, TypeError, ValueError) as error:
        reason = f"missing field {error}" if isinstance(error, KeyError) else str(error)
        expects_error = case.get("expected") == "error"
        return answer | {"result": None, "error": reason, "agrees": expects_error}
    return answer | {"result": result, "agrees": _agrees(case, result)}


def _answer(case: Case) -> Any:
    fields = {name: case[name] for name in _CALENDAR_FIELDS if case.get(name) is not None}
    calendar = Calendar.from_hours(tz=case["tz"], **fields)
    zone = ZoneInfo(case.get("io_tz") or case["tz"])

    def time(name: str) -> datetime:
        return _read(case[name], zone)

    def periods() -> list[list[str]]:
        begin = time("at") if "at" in case else time("start")
        found = calendar.periods(begin, time("end") if "end" in case else None)
        if "end" not in case and not 0 < case.get("take", 0) <= PERIODS_MAX:
            raise ValueError(f"take: say how many periods, at most {PERIODS_MAX}, or give an `end`")
        return [[_write(a, zone), _write(b, zone)] for a, b in islice(found, case.get("take", PERIODS_MAX))]

    def amount(name: str, most: float) -> Any:
        if not abs(case[name]) <= most:
            raise ValueError(f"{name}: {case[name]} is more than {most:.0f}, or no number")
        return case[name]

    pauses = [(_read(begin, zone), _read(end, zone)) for begin, end in case.get("pauses", ())]
    answers: dict[str, Callable[[], Any]] = {
        "add": lambda: _write(calendar.add(time("start"), amount("seconds", DAYS_MAX * 86_400)), zone),
        "sub": lambda: _write(calendar.subtract(time("start"), amount("seconds", DAYS_MAX * 86_400)), zone),
        "diff": lambda: calendar.difference(time("start"), time("end")),
        "due_with_pauses": lambda: _write(
            calendar.add(time("start"), amount("seconds", DAYS_MAX * 86_400), pauses=pauses), zone
        ),
        "diff_with_pauses": lambda: calendar.difference(time("start"), time("end"), pauses=pauses),
        "is_working": lambda: calendar.is_working(time("at")),
        "next_open": lambda: _write(calendar.next_open(time("at")), zone),
        "last_open": lambda: _write(calendar.last_open(time("at")), zone),
        "add_working_days": lambda: _write(calendar.add_working_days(time("start"), amount("days", DAYS_MAX)), zone),
        "periods": periods,
    }
    if case["op"] not in answers:
        raise ValueError(f"op: {case['op']!r} is not known; known are: {', '.join(answers)}")
    return answers[case["op"]]()


def _agrees(case: Case, result: Any) -> bool | None:
    if case.get("expected_seconds") is not None:
        return bool(abs(result - case["expected_seconds"]) < _CLOSE_S)
    if "expected" not in case:
        return None
    expected = case["expected"]
    zone = ZoneInfo(case.get("io_tz") or case["tz"])
    if isinstance(expected, str) and isinstance(result, str):
        return _read(expected, zone) == _read(result, zone)
    if isinstance(expected, list):
        return [[_read(t, zone) for t in pair] for pair in expected] == [
            [_read(t, zone) for t in pair] for pair in result
        ]
    if isinstance(expected, bool) or isinstance(result, bool):
        return expected is result
    return bool(expected == result)


def _read(text: str, zone: ZoneInfo) -> datetime:
    at = datetime.fromisoformat(text)
    return at.replace(tzinfo=zone) if at.tzinfo is None else at


def _write(at: datetime, zone: ZoneInfo) -> str:
    local = at.astimezone(zone).replace(tzinfo=None)
    return local.isoformat(sep=" ", timespec="milliseconds" if local.microsecond else "seconds")
