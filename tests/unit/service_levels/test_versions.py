from datetime import UTC, datetime, timedelta

from services.service_levels.versions import LEAD, Head, in_force, soonest, unfit

NOON = datetime(2026, 11, 23, 4, 0, 0, 500_000, tzinfo=UTC)


def head(version: int, hours: float) -> Head:
    """A version that holds from so many hours after noon."""
    return Head(version, "v", NOON + timedelta(hours=hours))


def test_the_one_that_began_last_is_in_force() -> None:
    """Not the highest number; before all of them the first; of none, none."""
    versions = [head(1, -9), head(2, -1), head(3, -4), head(4, 5)]
    assert in_force(versions, NOON) == versions[1]
    assert in_force(versions, NOON + timedelta(hours=6)) == versions[3]
    assert in_force(versions, NOON - timedelta(days=1)) == versions[0]
    assert in_force(list[Head](), NOON) is None


def test_a_version_begins_later_than_it_is_known() -> None:
    """What can be added as soon as possible can be added."""
    versions = [head(1, -9)]
    assert soonest(NOON) - NOON > LEAD
    assert soonest(NOON).microsecond == 0
    assert unfit(2, soonest(NOON), versions=versions, now=NOON) == []


def test_all_that_does_not_fit_is_told() -> None:
    """Number and beginning; of the very first version neither matters."""
    problems = unfit(1, NOON, versions=[head(1, -9)], now=NOON)
    assert [problem.split(":")[0] for problem in problems] == ["version", "effective_from"]
    assert unfit(1, NOON - timedelta(days=900), versions=[], now=NOON) == []
