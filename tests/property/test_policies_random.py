"""Policies, directories and calendars with anything in any place."""

import copy
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from services.notifier.policy import NotificationPolicy
from services.organisation.directory import WrongOrganisation, organisation
from services.runtime.written import WrongYaml, read_yaml, told
from services.service_levels.policy import PACKAGED, PolicyError, parse_policy
from services.service_levels.rulebook import Rulebook
from tests.fuzz.targets import DIRECTORY, small_policy

LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=[]), max_size=12)
    | st.dates()
    | st.datetimes()
    | st.sampled_from(
        [10**400, "9" * 5000, "0-99999999999", "all", "\ud800", "²", "Asia", "24h", date(2026, 1, 2), 1320]
    )
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=6) | st.integers() | st.dates() | st.none(), inner, max_size=3)
    ),
    max_leaves=6,
)


def _sla(written: Any) -> list[str]:
    try:
        Rulebook(parse_policy(written))
    except PolicyError as refusal:
        return refusal.problems
    return []


def _directory(written: Any) -> list[str]:
    try:
        for person in organisation(written).people:
            person.on_duty(datetime(2026, 11, 22, tzinfo=UTC))
    except WrongOrganisation as refusal:
        return refusal.problems
    return []


def _notifications(written: Any) -> list[str]:
    try:
        NotificationPolicy.model_validate(written).retry.wait(10_000)
    except ValidationError as refusal:
        return told(refusal)
    return []


NOTIFICATIONS = (PACKAGED / "notifications.yaml").read_text(encoding="utf-8")
KINDS: dict[str, tuple[str, Callable[[Any], list[str]]]] = {
    "sla": (small_policy(), _sla),
    "directory": (DIRECTORY, _directory),
    "notifications": (NOTIFICATIONS, _notifications),
}


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every path into a structure."""
    inner = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, one in inner for place in places(one, (*path, key)))]


def put(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """The structure with another value there."""
    if not path:
        return new
    changed = copy.copy(value)
    changed[path[0]] = put(value[path[0]], path[1:], new)
    return changed


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_any_value_in_any_place_is_taken_or_told_with_its_field(kind: str, data: st.DataObject) -> None:
    """Never a crash, never nothing, and two mistakes are two problems."""
    text, read = KINDS[kind]
    written = read_yaml(text)
    assert read(written) == []
    paths = data.draw(st.lists(st.sampled_from(places(written)[1:]), min_size=1, max_size=2))
    for path in paths:
        try:
            written = put(written, path, data.draw(VALUES))
        except (KeyError, IndexError, TypeError):
            continue  # the first change took the place of the second away
    for problem in read(written):
        assert len(problem) < 3000
        problem.encode()


@pytest.mark.parametrize(
    ("kind", "before", "after", "problems"),
    [
        ("sla", "resume: waiting_over", "resume: [[1]]", ["clocks.resolution.resume.0"]),
        ("sla", "calendar: owner", "calendar: [owner]", ["clocks.resolution.calendar"]),
        ("sla", "0-4:", "0-99999999999:", ["calendars.office.hours.0-99999999999: not a weekday"]),
        ("sla", "holidays: [2026-02-17]", "holidays: [2026-02-17T10:00:00]", ["calendars.office.holidays[0]"]),
        (
            "sla",
            'hours: {0-4: [[09:00, "18:00"]]}',
            "hours: {0: 5, 1: [3]}",
            ["hours.0: 5 is no list", "hours.1[0]: 3"],
        ),
        ("sla", "version: 2", "version: 99999999999", ["version: 99999999999"]),
        ("sla", "  always: {tz", "  5: {tz", ["default_calendar: 'always' is not listed", "calendars.5"]),
        ("directory", "begins: 22:00", "begins: 79200", ["begins: 79200 is no time of day"]),
        ("directory", "begins: 22:00", "begins: '22:00+01:00'", ["begins: '22:00+01:00' is no time of day"]),
        ("notifications", "wait_s: 60", "wait_s: .inf", ["promise.wait_s: inf"]),
        ("notifications", 'start: "22:00"', "start: 79200", ["quiet_hours.start: 79200 is no time of day"]),
    ],
)
def test_what_would_fail_later_is_refused_at_once(kind: str, before: str, after: str, problems: list[str]) -> None:
    """With its field and value."""
    text, read = KINDS[kind]
    assert before in text
    found = read(read_yaml(text.replace(before, after)))
    for said in problems:
        assert any(said in problem for problem in found), found


def test_a_time_of_day_needs_no_quotes() -> None:
    """22:00 is what it looks like."""
    found = organisation(read_yaml(DIRECTORY))
    assert found.people[0].duty[0].begins.hour == 22


def test_a_name_that_is_there_twice_is_told() -> None:
    """In a policy file as anywhere else."""
    with pytest.raises(WrongYaml, match=r"clocks\.resolution\.calendar .*: is there twice"):
        read_yaml(small_policy().replace("calendar: owner", "calendar: owner, calendar: office"))
