"""Working time against a model that looks at every minute, and against its own algebra."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from services.service_levels.calendar import Calendar

ZONES = ("Asia/Shanghai", "UTC", "Europe/Berlin", "America/Santiago", "Australia/Lord_Howe", "Asia/Kolkata")
FIRST_DAY = date(2026, 3, 20)
DAYS = 30
MINUTE = timedelta(minutes=1)

# Openings and closings keep clear of the hours in which these zones change their clocks; shifts run through them.
EVENING_OR_DAY = st.integers(min_value=4 * 12, max_value=24 * 12)
NEXT_MORNING = st.integers(min_value=28 * 12, max_value=33 * 12)


def _written(twelfths: int) -> str:
    return f"{twelfths // 12:02d}:{twelfths % 12 * 5:02d}"


@st.composite
def spans(draw: st.DrawFn, *, count: int = 3) -> list[list[str]]:
    """Some openings of one date, the last of them perhaps through the night."""
    ends = sorted(draw(st.sets(EVENING_OR_DAY, max_size=2 * count)))
    pairs = [[_written(a), _written(b)] for a, b in zip(ends[::2], ends[1::2], strict=False)]
    if draw(st.booleans()):
        pairs.append([_written(draw(st.integers(20 * 12, 24 * 12 - 1))), _written(draw(NEXT_MORNING))])
    return pairs


DATES = st.integers(0, DAYS - 1).map(lambda i: (FIRST_DAY + timedelta(days=i)).isoformat())


@st.composite
def descriptions(draw: st.DrawFn) -> dict[str, Any]:
    """A calendar as it is written in a policy file."""
    return {
        "tz": draw(st.sampled_from(ZONES)),
        "hours": draw(st.dictionaries(st.sampled_from("0123456"), spans(), min_size=1)),
        "holidays": draw(st.lists(DATES, max_size=3)),
        "date_overrides": draw(st.dictionaries(DATES, spans(count=2), max_size=2)),
        "date_breaks": draw(st.dictionaries(DATES, spans(count=1), max_size=2)),
    }


@dataclass(frozen=True)
class MinuteModel:
    """Decides for a minute by the wall clock of the place, as a person with the opening hours in hand would."""

    description: dict[str, Any]

    def is_open(self, minute: datetime) -> bool:
        """Whether the place is open in that minute."""
        local = minute.astimezone(ZoneInfo(self.description["tz"]))
        if local.date().isoformat() in self.description["holidays"]:
            return False
        second = local.hour * 3600 + local.minute * 60
        dates = ((local.date(), second), (local.date() - timedelta(days=1), second + 86_400))
        if any(self._falls_in(self.description["date_breaks"].get(day.isoformat(), []), s) for day, s in dates):
            return False
        return any(self._falls_in(self._hours(day), s) for day, s in dates)

    def _hours(self, day: date) -> list[list[str]]:
        weekly = self.description["hours"].get(str(day.weekday()), [])
        return self.description["date_overrides"].get(day.isoformat(), weekly)  # type: ignore[no-any-return]

    @staticmethod
    def _falls_in(hours: list[list[str]], second: int) -> bool:
        def parse(text: str) -> int:
            hour, minute = text.split(":")
            return int(hour) * 3600 + int(minute) * 60

        return any(parse(opening) <= second < parse(closing) for opening, closing in hours)


INSTANTS = st.integers(0, (DAYS - 1) * 86_400).map(
    lambda seconds: datetime(2026, 3, 20, tzinfo=UTC) + timedelta(seconds=seconds)
)
AMOUNTS = st.integers(min_value=1, max_value=200 * 3600)
MODEL = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
ALGEBRA = settings(max_examples=50, deadline=None)


@MODEL
@given(descriptions(), INSTANTS, st.integers(1, 2 * 1440))
def test_difference_agrees_with_counting_minutes(description: dict[str, Any], start: datetime, minutes: int) -> None:
    """Between two minutes there is as much working time as there are minutes at which the place is open."""
    start = start.replace(second=0)
    model = MinuteModel(description)
    counted = sum(model.is_open(start + i * MINUTE) for i in range(minutes))
    assert Calendar.from_hours(**description).difference(start, start + minutes * MINUTE) == 60 * counted


@MODEL
@given(descriptions(), INSTANTS)
def test_is_working_agrees_with_looking_at_the_clock(description: dict[str, Any], start: datetime) -> None:
    """A minute is open exactly when the hours on the door say so."""
    model, calendar = MinuteModel(description), Calendar.from_hours(**description)
    for i in range(0, 3 * 1440, 7):
        minute = start.replace(second=0) + i * MINUTE
        assert calendar.is_working(minute) == model.is_open(minute)


@ALGEBRA
@given(descriptions(), INSTANTS, AMOUNTS)
def test_difference_undoes_add(description: dict[str, Any], start: datetime, seconds: int) -> None:
    """From a start to its due time there is as much working time as was added, and the due time is the first such."""
    calendar = Calendar.from_hours(**description)
    assume(calendar.difference(start, start + timedelta(days=400)) > seconds)
    due = calendar.add(start, seconds)
    assert calendar.difference(start, due) == seconds
    assert calendar.difference(start, due - timedelta(microseconds=1)) < seconds


@ALGEBRA
@given(descriptions(), INSTANTS, AMOUNTS)
def test_subtract_undoes_add_from_an_open_instant(description: dict[str, Any], start: datetime, seconds: int) -> None:
    """Going forward and back again leads to the same open instant, or to its closing's equal."""
    calendar = Calendar.from_hours(**description)
    assume(calendar.difference(start, start + timedelta(days=400)) > seconds)
    start = calendar.next_open(start)
    assert calendar.subtract(calendar.add(start, seconds), seconds) == start


@ALGEBRA
@given(descriptions(), INSTANTS, AMOUNTS, AMOUNTS)
def test_adding_in_two_steps_is_adding_at_once(description: dict[str, Any], start: datetime, a: int, b: int) -> None:
    """It makes no difference where a target is cut in two."""
    calendar = Calendar.from_hours(**description)
    assume(calendar.difference(start, start + timedelta(days=400)) > a + b)
    assert calendar.add(calendar.add(start, a), b) == calendar.add(start, a + b)


@ALGEBRA
@given(descriptions(), INSTANTS, INSTANTS, AMOUNTS, AMOUNTS)
def test_due_times_keep_order(description: dict[str, Any], s: datetime, t: datetime, a: int, b: int) -> None:
    """Who starts later, or takes longer, is never due earlier."""
    calendar = Calendar.from_hours(**description)
    assume(calendar.difference(max(s, t), max(s, t) + timedelta(days=400)) > max(a, b))
    assert calendar.add(min(s, t), min(a, b)) <= calendar.add(max(s, t), max(a, b))


@ALGEBRA
@given(descriptions(), INSTANTS, AMOUNTS, st.lists(st.tuples(INSTANTS, INSTANTS), max_size=4))
def test_pauses_take_out_exactly_their_working_time(
    description: dict[str, Any],
    start: datetime,
    seconds: int,
    pairs: list[tuple[datetime, datetime]],
) -> None:
    """Up to a due time with pauses, the working time outside them is the target."""
    calendar = Calendar.from_hours(**description)
    pauses = [(min(pair), max(pair)) for pair in pairs]
    assume(calendar.difference(datetime(2026, 5, 1, tzinfo=UTC), start + timedelta(days=600)) > seconds)
    due = calendar.add(start, seconds, pauses=pauses)
    assert calendar.difference(start, due, pauses=pauses) == seconds
    assert due >= calendar.add(start, seconds)


@ALGEBRA
@given(descriptions(), INSTANTS)
def test_periods_add_up_to_the_difference(description: dict[str, Any], start: datetime) -> None:
    """The openings between two instants are in order, apart, and as long together as the working time."""
    calendar, end = Calendar.from_hours(**description), start + timedelta(days=20)
    found = list(calendar.periods(start, end))
    assert sum((b - a).total_seconds() for a, b in found) == calendar.difference(start, end)
    assert all(b <= c for (_, b), (c, _) in pairwise(found))
    assert all(a < b for a, b in found)
