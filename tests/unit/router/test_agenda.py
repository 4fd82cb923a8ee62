from datetime import timedelta

import pytest

from schemas import events as e
from schemas.codes import TicketState
from schemas.sealed import MaskedContact
from services.organisation.handling import HandlingPolicy, Survey
from services.router.agenda import ACTIONS, Step, appeal_until, next_step
from tests.unit.router.examples import AT, command, decided, small_network
from tests.unit.router.test_deciding import MUCH, c, do, in_state

S = TicketState
POLICY = HandlingPolicy(survey=Survey(after_hours=24, every_hours=48, attempts=2))


@pytest.mark.parametrize(
    ("state", "step"),
    [
        (S.INVESTIGATING, None),
        (S.ANSWERED, Step(AT + timedelta(days=15), "resolve")),
        (S.RESOLVED, Step(AT + timedelta(days=1), "request_survey")),
        (S.APPEALED, None),
        (S.APPEAL_DECIDED, Step(AT + timedelta(days=1), "request_survey")),
        (S.CLOSED, None),
        (S.WITHDRAWN, None),
    ],
)
def test_time_alone_settles_asks_and_closes(state: TicketState, step: Step | None) -> None:
    """Who works on a ticket is not hurried along by the calendar; what is settled comes to its end by itself."""
    assert next_step(in_state(state), POLICY) == step


def test_who_does_not_answer_is_asked_again_and_then_left_in_peace() -> None:
    """After the last attempt the survey is told to be exhausted; then the ticket is closed in its time."""
    now = do(in_state(S.RESOLVED), "request_survey")
    assert next_step(now, POLICY) == Step(AT + timedelta(days=3), "request_survey")
    now = do(now, "request_survey")._replace(survey_over=True)
    assert next_step(now, POLICY) == Step(AT + timedelta(days=15), "close")


def test_nobody_is_asked_who_cannot_be_reached_or_does_not_want_to() -> None:
    """An anonymous complaint and one whose complainant wants no surveys are closed without."""
    closing = Step(AT + timedelta(days=15), "close")
    assert next_step(in_state(S.RESOLVED)._replace(masked=MaskedContact()), POLICY) == closing
    assert next_step(do(in_state(S.RESOLVED), "stop_surveys"), POLICY) == closing


def test_an_answer_that_is_being_improved_does_not_settle_the_matter() -> None:
    """While a better offer waits for approval the complainant's silence is no consent."""
    assert next_step(do(in_state(S.ANSWERED), c.Answer(amount=MUCH)), POLICY) is None


def test_a_step_is_never_dated_before_what_happened_last() -> None:
    """Time goes forward on a ticket."""
    later = AT + timedelta(days=40)
    step = next_step(in_state(S.RESOLVED)._replace(updated_at=later), POLICY)
    assert step is not None
    assert step.at == later


@pytest.mark.parametrize("name", sorted(ACTIONS))
def test_each_step_is_a_command(name: str) -> None:
    """What stands in a document can be asked for."""
    assert ACTIONS[name].name == name


@pytest.mark.parametrize("state", S)
def test_until_when_one_may_appeal_is_what_the_router_decides_by(state: TicketState) -> None:
    """At that instant an appeal is taken, a moment later it is not; where there is no such instant, never."""
    now = in_state(state)
    until = appeal_until(now, small_network().handling)
    for late, is_taken in ((timedelta(), True), (timedelta(microseconds=1), False)):
        asked = command(now, c.Appeal(), issued_at=(until or AT) + late)
        (told,) = decided(now, asked)[:1]
        assert isinstance(told, e.TicketAppealed) is (until is not None and is_taken)
    assert appeal_until(now._replace(appeals=1), small_network().handling) is None
