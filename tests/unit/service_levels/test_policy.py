from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from schemas.codes import Category, Channel, Clock, RiskFlag, Severity, Source
from services.service_levels.calendar import Calendar, from_us, to_us
from services.service_levels.policy import CalendarPolicy, Case, Match, PolicyError, Target, parse_policy, read_policy
from services.service_levels.rulebook import Policies, Rulebook

NOON = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("written", "days", "seconds"),
    [
        ("15min", 0, 900),
        ("24h", 0, 86_400),
        ("90 s", 0, 90),
        ("4 working hours", 0, 14_400),
        ("3d", 3, 0),
        ("5 working days", 5, 0),
        ("P1W", 7, 0),
        ("PT4H30M", 0, 16_200),
        ("P1DT1H", 1, 3_600),
    ],
)
def test_targets_are_read_in_words_and_iso(written: str, days: int, seconds: int) -> None:
    """Durations may be written as people say them or as ISO 8601."""
    target = Target.model_validate(written)
    assert (target.days, target.seconds) == (days, seconds)


@pytest.mark.parametrize("written", ["", "soon", "0h", "-1h", "P", 24, None, "3 moons"])
def test_what_is_no_duration_is_refused(written: Any) -> None:
    """A target without unit, or of nothing, is an error."""
    with pytest.raises(ValueError, match="duration"):
        Target.model_validate(written)


def test_every_clock_of_the_product_has_its_default() -> None:
    """The packaged policies list all clocks, and the demonstration's limits are seconds."""
    default, demo = read_policy(), read_policy(packaged="demo")
    assert set(default.clocks) == set(demo.clocks) == set(Clock)
    assert all(rule.target.days == 0 and rule.target.seconds <= 150 for c in demo.clocks.values() for rule in c.rules)


def test_resolution_depends_on_severity() -> None:
    """The graver, the shorter; a major complaint is as urgent as the gravest."""
    book = Rulebook(read_policy())
    targets = {s: book.rules(Case(severity=s))[Clock.RESOLUTION].target.text for s in Severity}
    assert targets == {4: "24h", 3: "3d", 2: "5d", 1: "7d"}
    assert book.rules(Case(severity=Severity.LOW, major=True))[Clock.RESOLUTION].target.text == "24h"


def test_graver_is_due_earlier_on_every_packaged_calendar() -> None:
    """No calendar's working day is so short that a graver case has more time."""
    book = Rulebook(read_policy())
    for name in book.policy.calendars:
        calendar = book.calendar(name)
        start = to_us(NOON)
        lengths = [
            book.target_us(book.rules(Case(severity=severity))[Clock.RESOLUTION].target, calendar, start)
            for severity in sorted(Severity, reverse=True)
        ]
        assert lengths == sorted(set(lengths)), name


def test_working_days_are_whole_ones_from_the_next_opening() -> None:
    """From a closed day, working days count from the next opening, so that starting later is never due earlier."""
    hours = {str(day): [["09:00", "17:00"]] for day in range(5)}
    calendar = Calendar.from_hours(tz="UTC", hours=hours)
    saturday, friday = datetime(2026, 11, 21, 10, tzinfo=UTC), datetime(2026, 11, 20, 16, tzinfo=UTC)
    target = Target.model_validate("3d")

    def due(start: datetime) -> datetime:
        return from_us(calendar.add_us(to_us(start), Rulebook.target_us(target, calendar, to_us(start))))

    assert due(saturday) == datetime(2026, 11, 25, 17, tzinfo=UTC)
    assert due(friday) == datetime(2026, 11, 25, 16, tzinfo=UTC)


@pytest.mark.parametrize(
    ("match", "case", "holds"),
    [
        ({}, Case(), True),
        ({"channel": "web"}, Case(channel=Channel.WEB), True),
        ({"channel": ["web", "phone"]}, Case(channel=Channel.EMAIL), False),
        ({"severity": 4}, Case(), False),
        ({"severity": [3, 4]}, Case(severity=Severity.HIGH), True),
        ({"category": "delay"}, Case(category="delay.transit"), True),
        ({"category": "delay.transit"}, Case(category="delay"), False),
        ({"risk": ["legal", "media"]}, Case(risk=frozenset({RiskFlag.MEDIA})), True),
        ({"risk": "legal"}, Case(), False),
        ({"major": True}, Case(), False),
        ({"reachable": True}, Case(reachable=False), False),
        ({"source": "internal", "region": "sz"}, Case(source=Source.INTERNAL, region="bj"), False),
        ({"customer_tier": "gold"}, Case(customer_tier="gold"), True),
    ],
)
def test_all_conditions_of_a_match_must_hold(match: dict[str, Any], case: Case, *, holds: bool) -> None:
    """One value or several may be named for each condition; what is not known matches none."""
    assert Match.model_validate(match).holds(case) is holds


def test_policy_survives_being_stored() -> None:
    """What a database gives back of a policy is the same policy."""
    policy = read_policy()
    assert parse_policy(policy.model_dump(mode="json")) == policy


def test_version_in_force_is_chosen_by_time() -> None:
    """Each version holds from its time on; before the first, the first does."""
    first = read_policy().model_copy(update={"effective_from": NOON})
    second = first.model_copy(update={"version": 2, "effective_from": NOON + timedelta(days=1)})
    policies = Policies([second, first])
    hours = (-1, 0, 23, 24)
    assert [policies.at(to_us(NOON + timedelta(hours=n))).version for n in hours] == [1, 1, 1, 2]
    with pytest.raises(LookupError, match="version 3 is not loaded; loaded are \\[1, 2\\]"):
        policies.version(3)


def test_versions_are_told_apart() -> None:
    """Two versions of one number, or none at all, cannot be used."""
    with pytest.raises(PolicyError, match="repeat"):
        Policies([read_policy(), read_policy()])
    with pytest.raises(PolicyError, match="is loaded"):
        Policies([])


def test_sub_code_belongs_to_its_category() -> None:
    """A category condition that no complaint can meet is a mistake."""
    with pytest.raises(ValueError, match="not a sub-code of damage"):
        Match.model_validate({"category": f"{Category.DAMAGE}.transit"})


@pytest.mark.parametrize("written", ["99999999d", "3661 days", "P600W", "999999h"])
def test_a_target_that_cannot_be_counted_is_refused(written: str) -> None:
    """A ticket with such a clock could not be handled at all."""
    with pytest.raises(ValueError, match="longer than 3660 days"):
        Target.model_validate(written)


def test_weekdays_that_run_backwards_are_refused() -> None:
    """They would be no day at all, and their hours lost in silence."""
    with pytest.raises(ValueError, match="5-0: not a weekday"):
        CalendarPolicy.model_validate({"tz": "UTC", "hours": {"5-0": [["09:00", "18:00"]], "2": [["09:00", "18:00"]]}})


def test_a_calendar_that_never_opens_is_refused() -> None:
    """No clock would ever be due."""
    with pytest.raises(ValueError, match="opens on no day"):
        CalendarPolicy.model_validate({"tz": "UTC", "hours": {"0": []}})
