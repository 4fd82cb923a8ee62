import copy

import yaml
from hypothesis import given
from hypothesis import strategies as st

from services.desk.differences import Change, as_yaml, differences
from services.service_levels.policy import read_policy
from services.service_levels.written_form import written

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text("ab: -#é网", max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=2), inner, max_size=3),
    max_leaves=12,
)


def test_a_rule_is_found_by_its_name() -> None:
    """What was and what will be stand beside the place; all else is left out."""
    before = written(read_policy())
    after = copy.deepcopy(before)
    after["clocks"]["resolution"]["rules"][2]["target"] = "4d"
    del after["clocks"]["approval"]
    after["clocks"]["first_review"]["warnings"] = [0.9]
    place = ("clocks", "resolution", "rules", "resolution-high", "target")
    first, second, third = differences(before, after)
    assert first == Change(("clocks", "first_review", "warnings"), None, "[0.9]")
    assert second == Change(place, "3d", "4d")
    assert (third.place, third.after) == (("clocks", "approval"), None)


def test_the_order_of_rules_is_a_difference() -> None:
    """The first that matches counts, so moving one changes what holds."""
    before = {"rules": [{"name": "a"}, {"name": "b"}]}
    after = {"rules": [{"name": "b"}, {"name": "c"}, {"name": "a"}]}
    assert differences(before, after) == [
        Change(("rules", "c"), None, "{name: c}"),
        Change(("rules", "order"), "a, b", "b, c, a"),
    ]


def test_people_and_units_are_found_by_id_and_code() -> None:
    """Somebody who is taken out is told as a whole."""
    before = {"people": [{"id": "p1", "capacity": 3}, {"id": "p2", "capacity": 4}], "units": [{"code": "HUB-01"}]}
    after = {"people": [{"id": "p2", "capacity": 5}], "units": [{"code": "HUB-01", "manager": "p2"}]}
    assert differences(before, after) == [
        Change(("people", "p1"), "{id: p1, capacity: 3}", None),
        Change(("people", "p2", "capacity"), "4", "5"),
        Change(("units", "HUB-01", "manager"), None, "p2"),
    ]


@given(PLAIN, PLAIN)
def test_nothing_differs_from_itself_and_all_else_does(one: object, other: object) -> None:
    """Whatever people write."""
    assert differences(one, copy.deepcopy(one)) == []
    assert bool(differences(one, other)) == (one != other or type(one) is not type(other))


@given(PLAIN)
def test_what_is_told_as_yaml_reads_as_the_same(one: object) -> None:
    """On one line and on several."""
    assert yaml.safe_load(as_yaml(one)) == one
    assert yaml.safe_load(as_yaml(one, on_one_line=True)) == one
