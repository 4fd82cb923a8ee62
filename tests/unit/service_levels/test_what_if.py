from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from schemas.codes import Clock
from services.service_levels.calendar import NeverOpensError
from services.service_levels.policy import SlaPolicy, parse_policy, read_policy
from services.service_levels.rulebook import Rulebook
from services.service_levels.ticket_sla import TicketSla
from services.service_levels.what_if import WhatIf, what_if
from services.service_levels.written_form import written
from tests.unit.desk.stories import RECEIVED, Story, stories

NOW = RECEIVED + timedelta(hours=2)


def changed(change: Callable[[dict[str, Any]], object]) -> SlaPolicy:
    """The packaged policy with something else in it."""
    content = written(read_policy())
    change(content)
    return parse_policy(content)


def target(clock: str, text: str) -> SlaPolicy:
    """With another target in all rules of a clock."""
    return changed(lambda content: [rule.update(target=text) for rule in content["clocks"][clock]["rules"]])


def tried(policy: SlaPolicy, *told: Story, shown_max: int = 50) -> WhatIf:
    """What it would mean for the clocks of these tickets."""
    clocks: list[TicketSla] = [story.sla for story in told if story.sla]
    return what_if(Rulebook(policy), clocks, replaces=Rulebook(read_policy()), now=NOW, shown_max=shown_max)


def test_the_policy_that_is_in_force_changes_nothing() -> None:
    """Counted again by their own policy, all clocks are due when they are, also after pauses and a new severity."""
    told = stories(["1", "2", "3"])
    told[0].step("wait", 30)
    told[0].step("resume", 90)
    told[1].step("worse", 40)
    told[2].step("wait", 20)
    found = tried(read_policy(), *told)
    assert (found.earlier, found.later, found.dropped, found.moved) == (0, 0, 0, ())
    assert found.paused == 1
    assert found.same == found.clocks - 1
    assert found.overdue_now == found.overdue_then == 3


def test_what_became_of_a_ticket_is_not_put_down_to_the_draft() -> None:
    """A clock that was broken keeps its target when the ticket turns out graver: the draft has no part in that."""
    (story,) = stories(["1"])
    story.pass_until(60 * 24 * 8)
    story.step("worse", 60 * 24 * 8 + 1)
    found = tried(changed(lambda content: content.update(name="other")), story)
    assert (found.earlier, found.later, found.dropped, found.moved) == (0, 0, 0, ())
    found = tried(target("first_answer", "1h"), story)
    assert {one.clock for one in found.moved} == {Clock.FIRST_ANSWER}


def test_a_shorter_target_is_due_earlier_and_may_be_over() -> None:
    """From the start that the clock has: an hour for an answer is over after two."""
    found = tried(target("first_answer", "1h"), *stories(["1", "2"]))
    assert (found.earlier, found.later) == (2, 0)
    assert found.overdue_then == found.overdue_now + 2
    assert {one.clock for one in found.moved} == {Clock.FIRST_ANSWER}
    (one, *_) = found.moved
    assert (one.due_now, one.due_then) == (RECEIVED + timedelta(hours=48), RECEIVED + timedelta(hours=1))
    assert one.moved == timedelta(hours=-47)


def test_pauses_do_not_count_in_what_would_be_either() -> None:
    """The resolution waited for an hour, and a longer target waits for it, too."""
    (story,) = stories(["1"])
    story.step("wait", 30)
    story.step("resume", 90)
    found = tried(target("resolution", "6d"), story)
    (one,) = found.moved
    assert one.due_then == RECEIVED + timedelta(days=6, hours=1)


def test_a_clock_that_no_rule_gives_would_not_run() -> None:
    """Neither earlier nor later: it is told apart."""
    policy = changed(lambda content: content["clocks"]["first_answer"]["rules"][0].update(match={"channel": "letter"}))
    found = tried(policy, *stories(["1"]))
    assert (found.dropped, found.earlier, found.later) == (1, 0, 0)
    assert [(one.is_dropped, one.due_then) for one in found.moved] == [(True, None)]


def test_only_the_first_are_told_one_by_one() -> None:
    """By the time at which they are due now; all are counted."""
    found = tried(target("first_answer", "1h"), *stories([str(n) for n in range(1, 9)]), shown_max=3)
    assert (len(found.moved), found.earlier) == (3, 8)


def test_what_has_ended_is_not_counted() -> None:
    """A settled ticket has no clock of which anybody asks when it was due."""
    (story,) = stories(["1"])
    before = tried(read_policy(), story).clocks
    story.step("answer", 50)
    assert tried(read_policy(), story).clocks < before


def test_another_calendar_moves_what_is_counted_by_it() -> None:
    """The centre's hours change, and a clock on them is due at another time."""
    (story,) = stories(["1"], assigned={"unit_calendar": "centre"})
    policy = changed(lambda content: content["calendars"]["centre"]["hours"].update({"0-4": [["09:00", "10:00"]]}))
    found = tried(policy, story)
    assert Clock.UNIT_RESPONSE in {one.clock for one in found.moved if one.moved > timedelta(0)}


def test_a_calendar_that_hardly_opens_is_a_mistake() -> None:
    """Nobody could count by it."""
    once = {"tz": "UTC", "hours": {}, "date_overrides": {"2020-01-01": [["08:00", "09:00"]]}}
    (story,) = stories(["1"])
    policy = changed(lambda content: content["calendars"].update(hub=once))
    with pytest.raises(NeverOpensError):
        tried(policy, story)


def test_what_is_written_reads_as_the_same() -> None:
    """Equal weekdays stand together, and nothing is lost by it."""
    content = written(read_policy())
    assert list(content["calendars"]["centre"]["hours"]) == ["0-4"]
    assert list(content["calendars"]["24x7"]["hours"]) == ["all"]
    uneven = {"0": [["08:00", "09:00"]], "2-3": [["10:00", "11:00"]]}
    policy = changed(lambda content: content["calendars"]["centre"].update(hours=uneven))
    assert written(policy)["calendars"]["centre"]["hours"] == uneven
    assert parse_policy(written(policy)) == policy
    assert policy.effective_from < datetime(2026, 1, 1, tzinfo=UTC)
