"""When a message may go."""

from datetime import UTC, datetime, time, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notifier.schedule.quiet_hours import next_allowed, spread

NIGHT = {"start": time(22), "end": time(8)}


@pytest.mark.parametrize(
    ("local", "expected"),
    [
        ("2026-11-22T21:59:59", None),
        ("2026-11-22T22:00:00", "2026-11-23T08:00:00"),
        ("2026-11-22T23:30:00", "2026-11-23T08:00:00"),
        ("2026-11-23T00:00:00", "2026-11-23T08:00:00"),
        ("2026-11-23T07:59:59", "2026-11-23T08:00:00"),
        ("2026-11-23T08:00:00", None),
        ("2026-12-31T23:00:00", "2027-01-01T08:00:00"),
    ],
)
def test_the_night_ends_at_eight_in_the_persons_zone(local: str, expected: str | None) -> None:
    """22:00 is quiet, 08:00 is not."""
    zone = ZoneInfo("Asia/Shanghai")
    now = datetime.fromisoformat(local).replace(tzinfo=zone).astimezone(UTC)
    wanted = datetime.fromisoformat(expected).replace(tzinfo=zone).astimezone(UTC) if expected else now
    assert next_allowed(now, zone="Asia/Shanghai", **NIGHT) == wanted


def test_the_same_instant_is_night_for_one_and_day_for_another() -> None:
    """The zone is the person's, not ours."""
    now = datetime(2026, 11, 22, 15, 0, tzinfo=UTC)  # 23:00 in Shanghai, 16:00 in Berlin
    assert next_allowed(now, zone="Europe/Berlin", **NIGHT) == now
    assert next_allowed(now, zone="Asia/Shanghai", **NIGHT) == datetime(2026, 11, 23, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(("day", "hours"), [((2026, 3, 29), 9), ((2026, 10, 25), 11)])
def test_a_night_with_a_change_of_the_clock_ends_by_the_wall(day: tuple[int, int, int], hours: int) -> None:
    """From 22:00 to 08:00 are nine real hours in spring and eleven in autumn."""
    zone = ZoneInfo("Europe/Berlin")
    evening = datetime(*day, 22, tzinfo=zone) - timedelta(days=1)
    allowed = next_allowed(evening.astimezone(UTC), zone="Europe/Berlin", **NIGHT)
    assert allowed - evening.astimezone(UTC) == timedelta(hours=hours)


def test_equal_limits_mean_no_quiet_hours() -> None:
    """Nothing is ever held back."""
    now = datetime(2026, 11, 22, 23, tzinfo=UTC)
    assert next_allowed(now, zone="UTC", start=time(0), end=time(0)) == now


@given(
    st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - bounds are naive
    st.sampled_from(["Asia/Shanghai", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"]),
    st.times(),
    st.times(),
)
def test_the_allowed_instant_is_not_quiet_and_not_before_now(now: datetime, zone: str, start: time, end: time) -> None:
    """Asked again at that instant, nothing is held back, and no wait is longer than a day and a clock change."""
    allowed = next_allowed(now, zone=zone, start=start, end=end)
    assert now <= allowed <= now + timedelta(hours=26)


@given(st.uuids(), st.integers(0, 3600))
def test_the_morning_spread_is_bounded_and_always_the_same(identity: UUID, seconds: int) -> None:
    """A redelivered message waits as long as it did before."""
    wait = spread(identity, seconds=seconds)
    assert wait == spread(identity, seconds=seconds)
    assert timedelta(0) <= wait <= timedelta(seconds=seconds)
