"""What a complainant may do in which state."""

from datetime import timedelta
from importlib.resources import files
from uuid import uuid4

import pytest
import yaml

from schemas import commands as c
from schemas import events as e
from schemas import ticket
from schemas.codes import Language, TicketState
from schemas.lifecycle import LEGAL
from services.portal import wording
from services.portal.actions import Act, Given, commands, possible, problems
from services.portal.case import AppealWindow, fold
from services.portal.promise import Promise, next_promise
from services.router.opening import opening
from tests.unit.portal.tickets import life
from tests.unit.router.examples import AT, NOBODY, command, complaint, decided, said

S = TicketState
REVIEWED = (c.StartReview(), c.CompleteReview())
ANSWERED = (*REVIEWED, c.Answer(remedy="refund"))
RESOLVED = (*ANSWERED, c.Resolve(outcome="refunded"))
APPEALED = (*ANSWERED, c.Appeal())
WAYS = (
    (S.OPENED, ()),
    (S.IN_REVIEW, REVIEWED[:1]),
    (S.INVESTIGATING, REVIEWED),
    (S.WAITING_CUSTOMER, (*REVIEWED, c.WaitForCustomer())),
    (S.WAITING_THIRD_PARTY, (*REVIEWED, c.WaitForThirdParty())),
    (S.ANSWERED, ANSWERED),
    (S.APPEALED, APPEALED),
    (S.APPEAL_DECIDED, (*APPEALED, c.DecideAppeal(changed=True, remedy="refund"))),
    (S.RESOLVED, RESOLVED),
    (S.RESOLVED, (*ANSWERED, c.Accept())),
    (S.RESOLVED, (*RESOLVED, c.RequestSurvey())),
    (S.CLOSED, (*RESOLVED, c.Close())),
    (S.WITHDRAWN, (c.Withdraw(),)),
)
ALWAYS = {"choose_language", "stop_surveys"}
OPEN = ALWAYS | {"add", "withdraw"}


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
        (S.RESOLVED, ALWAYS | {"add", "accept", "appeal"}),
        (S.CLOSED, {"stop_surveys"}),
        (S.WITHDRAWN, {"stop_surveys"}),
    ],
)
def test_the_table_of_actions(state, acts):
    """In every state what is offered is what the life of a ticket lets a complainant do."""
    case = fold(life((e.TicketReviewStarted, state, {})))
    assert case is not None
    assert set(possible(case, now=AT)) == acts


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
        assert (Act.RATE in possible(case, now=AT)) is is_open


def test_agreeing_is_for_once_until_there_is_another_answer():
    """An appeal stays possible, since the window of time is the router's to judge."""
    answered = (e.TicketAnswered, S.ANSWERED, {})
    accepted = (e.TicketAccepted, S.ANSWERED, {})
    once = fold(life(answered, accepted))
    again = fold(life(answered, accepted, answered))
    assert once is not None
    assert again is not None
    assert Act.ACCEPT not in possible(once, now=AT)
    assert Act.ACCEPT in possible(again, now=AT)


def lived(*actions: c.Action) -> list[e.TicketEvent]:
    """The events of a ticket of which this was asked, as the router tells them."""
    known = said(needs_review=True)
    events = list(opening(complaint(), number="1", said=known, major=False, waybills=(), places=(), assignment=None))
    for action in actions:
        before = ticket.fold(events)
        events += decided(before, command(before, action, str(before.version)), NOBODY)
    return events


@pytest.mark.parametrize(("state", "actions"), WAYS)
def test_what_is_offered_is_legal_and_the_router_takes_it(state, actions):
    """Every command of every action, one after the other, whether it brings words, files or both."""
    events = lived(*actions)
    case = fold(events)
    assert case is not None
    assert case.state is state
    assert Act.ACCEPT not in possible(case, now=AT) or state in {S.ANSWERED, S.RESOLVED, S.APPEAL_DECIDED}
    for act in possible(case, now=AT):
        for evidence in ((), (uuid4(),)) if act is Act.ADD else ((),):
            after = ticket.fold(events)
            given = Given(act, "words", 4, language=Language.EN)
            for asked in commands(given, case=case, command=uuid4(), evidence=evidence, at=AT):
                assert state in LEGAL[asked.action.name]
                told = decided(after, asked)
                assert told
                for event in told:
                    assert not isinstance(event, e.TicketCommandRefused), (act, event)
                    after = ticket.apply(after, event)


def test_what_was_agreed_to_stands_and_is_not_asked_again():
    """Agreeing settles the ticket: the answer stays on the page."""
    case = fold(lived(*ANSWERED, c.Accept()))
    assert case is not None
    assert case.state is S.RESOLVED
    assert case.reply is not None
    assert (case.reply.kind, case.reply.code) == ("answered", "refund")
    assert Act.ACCEPT not in possible(case, now=AT)
    assert Act.APPEAL in possible(case, now=AT)


def test_what_is_not_settled_is_said_by_an_appeal_or_else_by_opening_it_again():
    """As long as one may appeal that is the way; later, and of what was decided, the other one."""
    case = fold(lived(*APPEALED, c.DecideAppeal(changed=True, remedy="refund"), c.Resolve(outcome="refunded")))
    assert case is not None
    for until, wanted in ((None, Act.REOPEN), (AT - timedelta(1), Act.REOPEN), (AT + timedelta(1), Act.APPEAL)):
        offered = {Act.REOPEN, Act.APPEAL} & set(possible(case, AppealWindow(until), now=AT))
        assert offered == {wanted}
    assert problems(Given(Act.REOPEN)) == {"words": "missing_is_missing"}
    (asked,) = commands(Given(Act.REOPEN, "Nothing came"), case=case, command=uuid4(), evidence=(), at=AT)
    after = ticket.fold(lived(*APPEALED, c.DecideAppeal(changed=True, remedy="refund"), c.Resolve(outcome="refunded")))
    assert [event.state for event in decided(after, asked)] == [S.OPENED]


@pytest.mark.parametrize(
    ("actions", "kind"),
    [
        ((*ANSWERED, c.Accept()), "agreed"),
        ((*REVIEWED, c.Answer(remedy="apology"), c.Accept()), "none"),
        (RESOLVED, "none"),
        ((*APPEALED, c.DecideAppeal(changed=True, remedy="refund")), "agreed"),
        ((*APPEALED, c.DecideAppeal(changed=False)), "none"),
        ((c.Withdraw(),), "none"),
    ],
)
def test_what_was_agreed_to_is_still_to_come(actions, kind):
    """Nobody is told that there is nothing to wait for while a refund is on its way."""
    case = fold(lived(*actions))
    assert case is not None
    assert next_promise(case, {}, now=AT) == Promise(kind)


@pytest.mark.parametrize("end", [c.RecordSurvey(score=5), c.StopSurveys()])
def test_after_a_survey_there_is_none_to_stop(end):
    """Neither when it was answered nor when it was stopped."""
    case = fold(lived(*RESOLVED, c.RequestSurvey(), end))
    assert case is not None
    assert not {Act.RATE, Act.STOP_SURVEYS} & set(possible(case, now=AT))


def test_refusals_are_worded_by_the_codes_that_the_router_gives():
    """And by the portal's own three."""
    known = yaml.safe_load((files("services.desk") / "data" / "reasons.yaml").read_text("utf-8"))
    for words in wording.load().values():
        codes = set(words["refused"]) - {"form_unknown", "unavailable", "other"}
        assert codes <= set(known)
        assert codes >= {"illegal_in_state", "version_moved_on", "already_accepted", "already_appealed"}
        assert codes >= {"appeal_window_over", "survey_is_over", "not_asked"}
