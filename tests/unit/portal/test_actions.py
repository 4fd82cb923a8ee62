"""What a complainant may do in which state."""

import pytest

from schemas import events as e
from schemas.codes import TicketState
from services.portal.actions import Act, possible
from services.portal.case import fold
from tests.unit.portal.tickets import life

S = TicketState
OPEN = {"add", "withdraw", "stop_surveys"}


@pytest.mark.parametrize(
    ("state", "acts"),
    [
        (S.OPENED, OPEN),
        (S.IN_REVIEW, OPEN),
        (S.INVESTIGATING, OPEN),
        (S.WAITING_CUSTOMER, OPEN),
        (S.WAITING_THIRD_PARTY, OPEN),
        (S.ANSWERED, OPEN | {"accept", "appeal"}),
        (S.APPEALED, OPEN),
        (S.APPEAL_DECIDED, OPEN | {"accept"}),
        (S.RESOLVED, {"add", "accept", "appeal", "stop_surveys"}),
        (S.CLOSED, {"stop_surveys"}),
        (S.WITHDRAWN, {"stop_surveys"}),
    ],
)
def test_the_table_of_actions(state, acts):
    """In every state what is offered is what the life of a ticket lets a complainant do."""
    case = fold(life((e.TicketReviewStarted, state, {})))
    assert case is not None
    assert set(possible(case)) == acts


def test_a_rating_is_wanted_from_the_survey_until_its_answer():
    """Also when the ticket has been closed meanwhile; not after attempts are used up."""
    asked = (e.TicketSurveyRequested, S.RESOLVED, {"attempt": 1})
    for later, is_open in (
        ((e.TicketClosed, S.CLOSED, {}), True),
        ((e.TicketSurveyAnswered, S.RESOLVED, {"score": 4, "satisfied": True}), False),
        ((e.TicketSurveyExhausted, S.RESOLVED, {"attempts": 3}), False),
    ):
        case = fold(life(asked, later))
        assert case is not None
        assert (Act.RATE in possible(case)) is is_open


def test_agreeing_is_for_once_until_there_is_another_answer():
    """An appeal stays possible, since the window of time is the router's to judge."""
    answered = (e.TicketAnswered, S.ANSWERED, {})
    accepted = (e.TicketAccepted, S.ANSWERED, {})
    once = fold(life(answered, accepted))
    again = fold(life(answered, accepted, answered))
    assert once is not None
    assert again is not None
    assert Act.ACCEPT not in possible(once)
    assert Act.ACCEPT in possible(again)
