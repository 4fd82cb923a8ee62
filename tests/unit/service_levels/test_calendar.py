from datetime import UTC, date, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import pytest

from services.service_levels.calendar import Calendar, NeverOpensError
from services.service_levels.opening_hours import CHINA_KNOWN_UNTIL, CalendarError

SHANGHAI = ZoneInfo("Asia/Shanghai")
BERLIN = ZoneInfo("Europe/Berlin")
OFFICE = [["09:00", "12:00"], ["13:00", "18:00"]]
WEEK = {str(day): OFFICE for day in range(5)}
HOUR = 3600


def office(tz: str = "Asia/Shanghai", **more: object) -> Calendar:
    """Monday to Friday with a lunch break."""
    return Calendar.from_hours(tz=tz, hours=WEEK, **more)  # type: ignore[arg-type]


def at(text: str, zone: ZoneInfo = SHANGHAI) -> datetime:
    """A wall-clock time of the zone."""
    return datetime.fromisoformat(text).replace(tzinfo=zone)


def test_hours_are_counted_around_the_lunch_break() -> None:
    """Four working hours from ten o'clock end at three, because the noon hour does not count."""
    assert office().add(at("2026-11-23 10:00"), 4 * HOUR) == at("2026-11-23 15:00")


def test_time_that_is_used_up_at_closing_is_due_at_closing() -> None:
    """What ends exactly with the day is due at its end and not on the next morning."""
    assert office().add(at("2026-11-23 09:00"), 8 * HOUR) == at("2026-11-23 18:00")
    assert office().add(at("2026-11-23 09:00"), 8 * HOUR + 1) == at("2026-11-24 09:00:01")


def test_start_outside_hours_counts_from_the_next_opening() -> None:
    """A complaint of Saturday noon starts to count on Monday morning."""
    assert office().add(at("2026-11-21 12:00"), 60) == at("2026-11-23 09:01")


def test_nothing_to_add_leads_into_the_next_opening() -> None:
    """Adding nothing keeps an open instant and moves a closed one to the next opening."""
    assert office().add(at("2026-11-23 10:00"), 0) == at("2026-11-23 10:00")
    assert office().add(at("2026-11-23 12:30"), 0) == at("2026-11-23 13:00")


def test_negative_amounts_go_back() -> None:
    """Adding a negative amount is subtracting, and subtracting a negative one is adding."""
    calendar = office()
    assert calendar.add(at("2026-11-23 10:00"), -2 * HOUR) == at("2026-11-20 17:00")
    assert calendar.subtract(at("2026-11-23 10:00"), 2 * HOUR) == at("2026-11-20 17:00")
    assert calendar.subtract(at("2026-11-20 17:00"), -2 * HOUR) == at("2026-11-23 10:00")


def test_subtracting_ends_at_an_opening_when_it_fits_exactly() -> None:
    """Eight hours before Friday's closing is Friday's opening, not Thursday's closing."""
    assert office().subtract(at("2026-11-20 18:00"), 8 * HOUR) == at("2026-11-20 09:00")


def test_difference_has_a_sign() -> None:
    """The working time from later to earlier is negative."""
    calendar = office()
    assert calendar.difference(at("2026-11-20 17:00"), at("2026-11-23 10:00")) == 2 * HOUR
    assert calendar.difference(at("2026-11-23 10:00"), at("2026-11-20 17:00")) == -2 * HOUR


def test_closing_instant_is_closed() -> None:
    """Openings hold their first instant and not their last."""
    calendar = office()
    assert calendar.is_working(at("2026-11-23 09:00"))
    assert not calendar.is_working(at("2026-11-23 12:00"))
    assert calendar.next_open(at("2026-11-23 18:00")) == at("2026-11-24 09:00")
    assert calendar.last_open(at("2026-11-23 18:30")) == at("2026-11-23 18:00")


def test_hours_over_midnight_belong_to_the_night() -> None:
    """A shift from ten in the evening to six counts eight hours, and its second half on the next date."""
    night = Calendar.from_hours(tz="Asia/Shanghai", hours={"0": [["22:00", "30:00"]]})
    assert night.add(at("2026-11-23 22:00"), 8 * HOUR) == at("2026-11-24 06:00")
    assert night.difference(at("2026-11-24 00:00"), at("2026-11-25 00:00")) == 6 * HOUR


def test_night_shift_of_new_years_eve_is_one_opening() -> None:
    """A shift that passes the end of the year is counted once."""
    night = Calendar.from_hours(tz="Asia/Shanghai", hours={str(d): [["22:00", "30:00"]] for d in range(7)})
    assert night.difference(at("2025-12-31 12:00"), at("2026-01-02 12:00")) == 16 * HOUR
    assert list(islice(night.periods(at("2025-12-31 12:00")), 1)) == [(at("2025-12-31 22:00"), at("2026-01-01 06:00"))]


def test_closed_date_cuts_the_night_shifts_at_its_midnights() -> None:
    """A holiday is closed from midnight to midnight, whichever day's shift falls into it."""
    nights = {"0": [["22:00", "30:00"]], "1": [["22:00", "30:00"]]}
    night = Calendar.from_hours(tz="Asia/Shanghai", hours=nights, holidays=["2026-11-24"])
    assert list(night.periods(at("2026-11-23 00:00"), at("2026-11-26 00:00"))) == [
        (at("2026-11-23 22:00"), at("2026-11-24 00:00")),
        (at("2026-11-25 00:00"), at("2026-11-25 06:00")),
    ]
    assert not night.is_working_day(date(2026, 11, 24))


def test_round_the_clock_is_elapsed_time() -> None:
    """A calendar without closing counts every second, through changes of summer time too."""
    always = Calendar.from_hours(tz="Europe/Berlin", hours={str(d): [["00:00", "24:00"]] for d in range(7)})
    assert always.is_always_open
    assert always.add(at("2026-03-28 12:00", BERLIN), 86_400) == at("2026-03-29 13:00", BERLIN)


def test_holidays_and_overrides_decide_in_order() -> None:
    """A holiday beats hours given for its date, and those beat the weekly hours."""
    calendar = office(
        holidays=["2026-11-23"],
        holidays_yearly=["11-25"],
        date_overrides={"2026-11-23": OFFICE, "2026-11-24": [["08:00", "09:00"]], "2026-11-28": OFFICE},
        date_breaks={"2026-11-26": [["10:00", "17:00"]]},
    )
    worked = {
        day: calendar.difference(at(f"2026-11-{day} 00:00"), at(f"2026-11-{day} 00:00") + timedelta(days=1)) / HOUR
        for day in (23, 24, 25, 26, 27, 28)
    }
    assert worked == {23: 0, 24: 1, 25: 0, 26: 2, 27: 8, 28: 8}


def test_chinese_make_up_saturday_is_worked() -> None:
    """The Saturday after the National Day holiday of 2026 has Monday's hours."""
    calendar = office(public_holidays="CN")
    assert calendar.add(at("2026-09-30 17:00"), 2 * HOUR) == at("2026-10-08 10:00")
    assert calendar.difference(at("2026-10-10 00:00"), at("2026-10-11 00:00")) == 8 * HOUR
    assert "make-up" in calendar.plan(date(2026, 10, 10)).reason
    assert "National Day" in calendar.plan(date(2026, 10, 1)).reason


def test_years_not_yet_published_are_computed_and_said_to_be() -> None:
    """After the last published year festivals are computed, no Saturday is worked, and `known_until` tells."""
    calendar = office(public_holidays="CN")
    later = CHINA_KNOWN_UNTIL + 1
    assert calendar.known_until == date(CHINA_KNOWN_UNTIL, 12, 31)
    assert not calendar.is_working_day(date(later, 10, 1))
    weekend = [date(later, 1, 1) + timedelta(days=i) for i in range(365)]
    assert not any(calendar.is_working_day(day) for day in weekend if day.weekday() == 5)
    assert office().known_until is None


def test_public_holidays_of_other_countries() -> None:
    """Germany's day of unity is closed when its calendar is asked for."""
    assert not office("Europe/Berlin", public_holidays="DE-BY").is_working_day(date(2028, 10, 3))


def test_summer_time_counts_the_time_that_passes() -> None:
    """A night shift has seven hours when the clock goes forward and nine when it goes back."""
    night = Calendar.from_hours(tz="Europe/Berlin", hours={"5": [["22:00", "30:00"]]})
    assert night.difference(at("2026-03-28 12:00", BERLIN), at("2026-03-29 12:00", BERLIN)) == 7 * HOUR
    assert night.difference(at("2026-10-24 12:00", BERLIN), at("2026-10-25 12:00", BERLIN)) == 9 * HOUR


def test_opening_in_the_skipped_hour_moves_on_by_it() -> None:
    """Half past two does not exist that night; the shift opens at half past three and keeps its closing."""
    early = Calendar.from_hours(tz="Europe/Berlin", hours={"6": [["02:30", "05:00"]]})
    assert next(early.periods(at("2026-03-29 00:00", BERLIN))) == (
        at("2026-03-29 03:30", BERLIN),
        at("2026-03-29 05:00", BERLIN),
    )


def test_a_date_that_a_zone_left_out_has_no_hours() -> None:
    """Samoa had no 30 December 2011, so that Friday's hours do not turn up on another day."""
    friday = Calendar.from_hours(tz="Pacific/Apia", hours={"4": [["09:00", "17:00"]]})
    assert friday.difference(datetime(2011, 12, 25, tzinfo=UTC), datetime(2012, 1, 3, tzinfo=UTC)) == 0


def test_pauses_do_not_count() -> None:
    """Two hours of pause inside working time put the due time off by two hours, a pause at night by nothing."""
    calendar = office()
    start = at("2026-11-23 10:00")
    pause = (at("2026-11-23 14:00"), at("2026-11-23 16:00"))
    night = (at("2026-11-23 19:00"), at("2026-11-24 08:00"))
    assert calendar.add(start, 4 * HOUR, pauses=[pause, night]) == at("2026-11-23 17:00")
    assert calendar.add(start, 6 * HOUR, pauses=[night, pause]) == at("2026-11-24 10:00")
    assert calendar.difference(start, at("2026-11-24 10:00"), pauses=[night, pause]) == 6 * HOUR


def test_pause_after_the_due_time_changes_nothing() -> None:
    """What is due as a pause begins is due then."""
    start, due = at("2026-11-23 10:00"), at("2026-11-23 12:00")
    assert office().add(start, 2 * HOUR, pauses=[(due, due + timedelta(hours=5))]) == due


def test_overlapping_pauses_count_once() -> None:
    """Waiting for two parties at the same time is one wait."""
    start = at("2026-11-23 13:00")
    pauses = [(start, start + timedelta(hours=2)), (start + timedelta(hours=1), start + timedelta(hours=3))]
    assert office().add(start, HOUR, pauses=pauses) == at("2026-11-23 17:00")


def test_working_days_keep_the_time_of_day() -> None:
    """Working days are counted from the next date on and go around weekends and holidays."""
    calendar = office(public_holidays="CN")
    assert calendar.add_working_days(at("2026-09-30 15:30"), 3) == at("2026-10-10 15:30")
    assert calendar.add_working_days(at("2026-11-21 15:30"), 1) == at("2026-11-23 15:30")
    assert calendar.add_working_days(at("2026-11-23 15:30"), -1) == at("2026-11-20 15:30")


def test_periods_are_cut_to_the_question() -> None:
    """The openings between two instants begin and end with them."""
    found = list(office().periods(at("2026-11-20 17:00"), at("2026-11-23 10:00")))
    assert found == [
        (at("2026-11-20 17:00"), at("2026-11-20 18:00")),
        (at("2026-11-23 09:00"), at("2026-11-23 10:00")),
    ]


def test_calendar_that_never_opens_says_so() -> None:
    """A calendar without hours gives an error instead of a search without end, and counts nothing."""
    never = Calendar.from_hours(tz="UTC", hours={}, name="ghost")
    now = datetime(2026, 1, 1, tzinfo=UTC)
    with pytest.raises(NeverOpensError, match="'ghost' has no opening within 8 years after 2026"):
        never.add(now, 1)
    with pytest.raises(NeverOpensError):
        never.next_open(now)
    with pytest.raises(NeverOpensError):
        never.last_open(now)
    with pytest.raises(NeverOpensError):
        never.add_working_days(now, 1)
    assert never.difference(now, now + timedelta(days=9)) == 0
    assert not never.is_working(now)
    assert list(never.periods(now, now + timedelta(days=900))) == []


def test_leap_day_calendar_opens_every_fourth_year() -> None:
    """Rare openings are found, also far away."""
    leap = Calendar.from_hours(tz="UTC", hours={}, date_overrides={"2028-02-29": [["10:00", "11:00"]]})
    assert leap.add(datetime(2024, 3, 1, tzinfo=UTC), 60) == datetime(2028, 2, 29, 10, 1, tzinfo=UTC)


def test_naive_time_is_refused() -> None:
    """A time without offset names no instant."""
    with pytest.raises(ValueError, match="has no offset"):
        office().add(datetime(2026, 1, 1), 60)  # noqa: DTZ001 - it is the point


def test_every_error_of_a_calendar_is_told_at_once() -> None:
    """Each problem comes with its path, its value and what to write instead."""
    with pytest.raises(CalendarError) as caught:
        Calendar.from_hours(
            tz="Asia/Peking",
            hours={"0": [["18:00", "09:00"]], "1": [["9", "17:00"]], "7": [], "2": [["09:00"]]},
            holidays=["2026-02-30"],
            holidays_yearly=["13-01"],
            date_overrides={"tomorrow": []},
            public_holidays="XX",
            makeup_weekday=9,
        )
    told = "\n".join(caught.value.problems)
    assert len(caught.value.problems) == 10
    assert "tz: 'Asia/Peking'" in told
    assert "hours.0[0]: closing '09:00' is not after opening '18:00'; the next day is '33:00'" in told
    for path in ("hours.1[0]", "hours.7", "hours.2[0]", "holidays[0]", "holidays_yearly[0]", "date_overrides.tomorrow"):
        assert path in told
    assert "public_holidays: 'XX'" in told
