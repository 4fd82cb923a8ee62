from datetime import timedelta

import pytest

from schemas.codes import Category, Channel, RiskFlag, Severity, Source
from services.organisation.directory import Organisation, WrongOrganisation, organisation
from services.organisation.directory_store import packaged
from services.router.assignment import Asked, Capacity, Slot, Subject, able, route
from services.router.deciding import Unassignable
from tests.unit.router.examples import AT, small_network


def subject(category: Category = Category.DELAY, sub: str | None = None, *places: str) -> Subject:
    """What the table is asked about."""
    return Subject(
        category=category,
        sub=sub,
        channel=Channel.WEB,
        source=Source.EXTERNAL,
        severity=Severity.NORMAL,
        flags=(),
        places=places,
        region=None,
    )


def names(network: Organisation, department: str, unit: str | None, category: Category) -> list[str]:
    """Who can have such a ticket on a Friday at eleven."""
    return [person.id for person in able(network, department, unit, category=category, at=AT)]


def test_the_first_rule_that_matches_decides() -> None:
    """Finance goes to finance though it names an outlet; the rule's name is told."""
    way = route(small_network(), subject(Category.FINANCE, "cod", "NET-1001"))
    assert not isinstance(way, Unassignable)
    assert (way.department, way.unit, way.rule, way.unit_calendar) == ("finance", None, "money", "office")


def test_the_unit_is_the_place_that_the_complaint_names() -> None:
    """Of several places it is the first that is known and of the wanted kind; its own hours count."""
    way = route(small_network(), subject(Category.DELAY, None, "NET-7777", "HUB-01", "net-1001"))
    assert not isinstance(way, Unassignable)
    assert (way.unit, way.unit_calendar, way.rule) == ("NET-1001", "pudong", "named")


def test_nothing_falls_through_the_table() -> None:
    """What no other rule matches goes where the last one says."""
    way = route(small_network(), subject(Category.OTHER))
    assert not isinstance(way, Unassignable)
    assert (way.department, way.rule) == ("outlets", "rest")


def test_people_need_the_skill_and_a_unit_keeps_its_own_tickets() -> None:
    """Skills are categories; a unit with people of its own does not fill the department's."""
    network = small_network()
    assert names(network, "outlets", None, Category.DELAY) == ["ann"]
    assert names(network, "outlets", None, Category.DAMAGE) == ["ann", "bo"]
    assert names(network, "outlets", "NET-1001", Category.DAMAGE) == ["desk"]
    assert names(network, "outlets", "HUB-01", Category.DAMAGE) == ["ann", "bo"]


@pytest.mark.parametrize(
    ("begins", "ends", "days", "on"),
    [
        ("09:00", "18:00", ["fri"], True),
        ("09:00", "11:00", ["fri"], False),
        ("22:00", "12:00", ["thu"], True),
        ("22:00", "12:00", ["fri"], False),
        ("00:00", "00:00", ["fri"], True),
        ("09:00", "18:00", ["mon"], False),
    ],
)
def test_duty_is_read_on_the_wall_clock(begins: str, ends: str, days: list[str], *, on: bool) -> None:
    """Friday 11:00 in Shanghai; a shift over midnight belongs to the day on which it begins."""
    duty = [{"begins": begins, "ends": ends, "days": days}]
    network = small_network(people=[{"id": "ann", "department": "outlets", "capacity": 1, "duty": duty}])
    assert (names(network, "outlets", None, Category.DELAY) == ["ann"]) is on


def test_by_hand_names_what_there_is_or_says_what_is_missing() -> None:
    """Each wrong name has its own reason."""
    network = small_network()
    for asked, why in (
        (Asked(department="moon"), "no_such_department"),
        (Asked(unit="NET-9"), "no_such_unit"),
        (Asked(person="nobody"), "no_such_person"),
        (Asked(department="finance", person="ann"), "person_of_other_department"),
    ):
        assert route(network, subject(), asked) == Unassignable(why)
    way = route(network, subject(Category.FINANCE), Asked(person="ann"))
    assert not isinstance(way, Unassignable)
    assert (way.department, way.rule) == ("outlets", "by_hand")


def test_the_most_spare_capacity_wins_and_equals_take_turns() -> None:
    """Four slots of two people are given evenly, the fifth to nobody."""
    network = small_network()
    people = able(network, "outlets", None, category=Category.DAMAGE, at=AT)
    capacity = Capacity()
    taken = [capacity.take(people) for _ in range(5)]
    assert [slot.person if slot else None for slot in taken] == ["ann", "bo", "ann", "bo", None]
    capacity.free([Slot("bo", 1)])
    assert capacity.take(people) == Slot("bo", 1)


def test_lowered_capacity_gives_nothing_away() -> None:
    """A person who has more than the new capacity gets nothing until enough is done."""
    capacity = Capacity()
    capacity.replace([Slot("ann", n) for n in range(5)])
    assert capacity.take(small_network().people[:1]) is None


def test_all_problems_of_a_file_are_told_at_once() -> None:
    """Whoever loads a file corrects it in one go."""
    with pytest.raises(WrongOrganisation) as refusal:
        small_network(
            people=[
                {"id": "ann", "department": "moon", "capacity": 1},
                {"id": "ann", "department": "outlets", "unit": "NET-9", "capacity": 1},
            ],
        )
    for said in ("person ann is there twice", "no department moon", "no unit NET-9"):
        assert len([problem for problem in refusal.value.problems if said in problem]) == 1
    with pytest.raises(WrongOrganisation) as refusal:
        small_network(people=[{"id": "a b", "department": "outlets", "capacity": -1, "shoe_size": 44}])
    assert len(refusal.value.problems) == 3


def test_a_table_without_a_last_resort_is_refused() -> None:
    """A rule that always matches must stand last."""
    rules = [{"name": "money", "when": {"category": ["finance"]}, "department": "finance"}]
    with pytest.raises(WrongOrganisation, match="the last rule must have no condition"):
        small_network(assignment={"rules": rules})
    rules = [{"name": "x", "when": {"category": ["delay.teleport"]}, "department": "finance"}]
    with pytest.raises(WrongOrganisation, match=r"unknown categories delay\.teleport"):
        small_network(assignment={"rules": rules})


def test_the_packaged_network_can_handle_every_category_at_any_hour_of_work() -> None:
    """What comes with the package assigns every category to a department that has people."""
    network = organisation({**packaged(), "version": 1})
    for category in Category:
        way = route(network, subject(category))
        assert not isinstance(way, Unassignable)
        assert able(network, way.department, way.unit, category=category, at=AT)
    risky = Subject(**{**{f: getattr(subject(), f) for f in Subject.__slots__}, "flags": (RiskFlag.SAFETY,)})
    way = route(network, risky)
    assert not isinstance(way, Unassignable)
    assert way.department == "complaint_centre"
    assert able(network, "complaint_centre", None, category=Category.DELAY, at=AT + timedelta(hours=12))
