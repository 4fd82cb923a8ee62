from datetime import timedelta

import pytest

from schemas import commands as c
from schemas import events as e
from schemas.classification import Matter
from schemas.codes import ActorKind, Category, Channel, RiskFlag, Severity, TicketState
from schemas.message import Actor
from schemas.sealed import MaskedContact
from schemas.lifecycle import LEGAL, SETTLED, TERMINAL, possible, table, target
from services.router.ticket import (
    Assignment,
    Ticket,
    Unassignable,
    apply,
    decide,
    fold,
    wants_assignment,
)
from tests.unit.router.examples import AT, NAMES, NOBODY, command, decided, ticket

S = TicketState
SOMEBODY = Assignment("claims", None, "ann", "office", "by_hand", 2)
FOLLOW_UP = c.FollowUp(
    complaint_id=NAMES,
    channel=Channel.PHONE,
    received_at=AT,
    contact_ref=NAMES,
    masked=MaskedContact(phone="138****8000"),
    matched_by="waybill",
)
ACTIONS: dict[str, c.Action] = {
    "follow_up": FOLLOW_UP,
    "start_review": c.StartReview(),
    "complete_review": c.CompleteReview(),
    "assign": c.Assign(department="claims"),
    "first_action": c.FirstAction(),
    "answer": c.Answer(remedy="refund"),
    "resolve": c.Resolve(outcome="refunded"),
    "wait_for_customer": c.WaitForCustomer(),
    "wait_for_third_party": c.WaitForThirdParty(),
    "resume": c.Resume(),
    "change_severity": c.ChangeSeverity(severity=Severity.CRITICAL),
    "withdraw": c.Withdraw(),
    "close": c.Close(),
}
WAYS = {
    S.OPENED: [],
    S.IN_REVIEW: ["start_review"],
    S.INVESTIGATING: ["start_review", "complete_review"],
    S.WAITING_CUSTOMER: ["start_review", "complete_review", "wait_for_customer"],
    S.WAITING_THIRD_PARTY: ["start_review", "complete_review", "wait_for_third_party"],
    S.ANSWERED: ["start_review", "complete_review", "answer"],
    S.RESOLVED: ["start_review", "complete_review", "answer", "resolve"],
    S.CLOSED: ["start_review", "complete_review", "answer", "resolve", "close"],
    S.WITHDRAWN: ["withdraw"],
}


def do(before: Ticket, *names: str, assignment: Assignment | Unassignable = SOMEBODY) -> Ticket:
    """The ticket after commands, each by its name."""
    for number, name in enumerate(names):
        asked = command(before, ACTIONS[name], f"{before.version}-{number}")
        for event in decided(before, asked, assignment):
            assert not isinstance(event, e.TicketCommandRefused), event
            before = apply(before, event)
    return before


def in_state(state: TicketState) -> Ticket:
    """A ticket that has come to a state."""
    reached = do(ticket(needs_review=True), *WAYS[state])
    assert reached.state is state
    return reached


def test_every_action_of_the_schema_has_its_row() -> None:
    """The table covers every command there is."""
    assert set(LEGAL) == set(ACTIONS)
    assert {type(a) for a in ACTIONS.values()} == set(c.TicketCommand.model_fields["action"].annotation.__args__)


@pytest.mark.parametrize("state", list(S))
@pytest.mark.parametrize("name", list(LEGAL))
def test_every_pair_is_done_or_refused_with_a_reason(state: TicketState, name: str) -> None:
    """A legal command leads to the table's state; another is refused, with why and with what is possible instead."""
    before = in_state(state)
    events = decided(before, command(before, ACTIONS[name]), Assignment("finance", None, None, "office", "by_hand", 2))
    after = fold_on(before, events)
    if target(state, name) is None:
        (refused,) = events
        assert isinstance(refused, e.TicketCommandRefused)
        assert (refused.why, refused.command) == ("illegal_in_state", name)
        assert refused.possible == possible(state)
        assert after.state is state
        return
    assert not any(isinstance(event, e.TicketCommandRefused) for event in events)
    wanted = {"same": state, "earlier": S.INVESTIGATING}.get(str(target(state, name)), target(state, name))
    assert after.state is wanted


def fold_on(before: Ticket, events: list[e.TicketEvent]) -> Ticket:
    """The ticket after events."""
    for event in events:
        before = apply(before, event)
    return before


@pytest.mark.parametrize("state", sorted(TERMINAL))
def test_nobody_but_the_complainant_takes_a_ticket_out_of_a_terminal_state(state: TicketState) -> None:
    """From closed and withdrawn no command of ours leads anywhere."""
    assert possible(state) == ()


@pytest.mark.parametrize("state", sorted(SETTLED))
def test_a_follow_up_of_a_settled_ticket_opens_it_again(state: TicketState) -> None:
    """Who complains again is worked for again: a review, by the same department, and the case weighs more."""
    before = in_state(state)
    events = decided(before, command(before, FOLLOW_UP))
    assert [type(event) for event in events] == [e.TicketFollowedUp, e.TicketReopened, e.TicketSeverityChanged]
    assert [event.state for event in events] == [state, S.OPENED, S.OPENED]
    reopened = events[1]
    assert isinstance(reopened, e.TicketReopened)
    assert (reopened.before, reopened.reason, reopened.received_at) == (state, "complained_again", AT)
    after = fold_on(before, events)
    assert (after.department, after.unit, after.person) == (before.department, before.unit, None)
    assert (after.needs_review, after.repeats, after.severity) == (True, 1, Severity.HIGH)
    again = do(after, "start_review", "complete_review", "answer", "resolve", "close", "follow_up")
    assert (again.state, again.repeats) == (S.OPENED, 2)


def test_a_reopened_ticket_can_be_given_to_whom_it_was_given_before() -> None:
    """Where a review is not wanted, an assignment as before is news: the ticket is investigated again."""
    assigned = do(in_state(S.INVESTIGATING), "assign", assignment=NOBODY)
    again = do(assigned, "resolve", "follow_up", "assign", assignment=NOBODY)
    assert again.state is S.INVESTIGATING


def test_waiting_returns_to_the_state_that_it_interrupted() -> None:
    """Whoever waits in answered goes on in answered."""
    assert do(in_state(S.ANSWERED), "wait_for_customer", "resume").state is S.ANSWERED
    assert do(in_state(S.IN_REVIEW), "wait_for_customer", "resume").state is S.IN_REVIEW


def test_a_ticket_that_is_assigned_while_it_waits_is_investigated_afterwards() -> None:
    """It would else be opened again, where nobody can act on it."""
    after = do(ticket(needs_review=True), "wait_for_customer", "assign", "resume")
    assert (after.state, after.person) == (S.INVESTIGATING, "ann")


def test_a_command_based_on_an_older_ticket_is_refused() -> None:
    """With `expected_version` nobody overwrites what he has not seen."""
    now = ticket()
    stale = command(now, c.Answer(), expected_version=now.version - 1)
    (refused,) = decided(now, stale)
    assert isinstance(refused, e.TicketCommandRefused)
    assert refused.why == "version_moved_on"
    (answered,) = decided(now, command(now, c.Answer(), expected_version=now.version))
    assert isinstance(answered, e.TicketAnswered)


def test_follow_up_raises_severity_of_an_open_ticket_up_to_the_gravest() -> None:
    """Each repeat counts, flags the ticket and raises severity by one until four."""
    now = ticket()
    for repeat, severity in enumerate((3, 4, 4), start=1):
        now = do(now, "follow_up")
        assert (now.repeats, now.severity) == (repeat, severity)
    assert RiskFlag.REPEATED in now.flags


@pytest.mark.parametrize(
    ("issued", "why"), [(timedelta(minutes=5, seconds=1), "issued_in_future"), (timedelta(days=-2), "issued_too_early")]
)
def test_a_command_with_an_impossible_time_is_refused(issued: timedelta, why: str) -> None:
    """Clocks follow the times of events, so no one may date them at will; the refusal is dated possibly."""
    now = ticket()
    asked = command(now, c.WaitForCustomer(), issued_at=AT + issued)
    (refused,) = decide(now, asked, taken_at=AT)
    assert isinstance(refused, e.TicketCommandRefused)
    assert (refused.why, refused.occurred_at) == (why, AT)


@pytest.mark.parametrize("issued", [timedelta(minutes=5), timedelta(minutes=-5)])
def test_a_clock_that_is_a_little_off_dates_nothing_ahead_or_before_the_receipt(issued: timedelta) -> None:
    """Within five minutes the command is done, at a time that was."""
    now = ticket()
    (done,) = decide(now, command(now, c.WaitForCustomer(), issued_at=AT + issued), taken_at=AT)
    assert isinstance(done, e.TicketCustomerAwaited)
    assert done.occurred_at == AT


def test_a_follow_up_is_never_refused_for_its_time() -> None:
    """It is a customer's word: dated possibly, and linked."""
    now = ticket()
    for days in (-400, 400):
        events = decide(now, command(now, FOLLOW_UP, issued_at=AT + timedelta(days=days)), taken_at=AT)
        assert isinstance(events[0], e.TicketFollowedUp)
        assert {event.occurred_at for event in events} == {AT}


def test_one_command_id_for_two_tickets_gives_two_identities() -> None:
    """Whoever numbers commands badly must not make one ticket's event look like another's."""
    one = ticket()
    other = one._replace(id=NAMES)
    asked = command(one, c.Withdraw())
    (first,), (second,) = decided(one, asked), decided(other, asked.model_copy(update={"ticket_id": other.id}))
    assert first.event_id != second.event_id


def test_review_corrects_what_it_names_and_keeps_the_rest() -> None:
    """The reviewer's word replaces the machine's; a severity that he names is a change of severity."""
    before = in_state(S.IN_REVIEW)
    action = c.CompleteReview(primary=Matter(category=Category.LOSS, sub="at_hub"), severity=Severity.HIGH)
    events = decided(before, command(before, action), SOMEBODY)
    assert [type(x) for x in events] == [
        e.TicketReviewCompleted,
        e.TicketClassified,
        e.TicketSeverityChanged,
        e.TicketAssigned,
    ]
    after = fold_on(before, events)
    assert after.classification is not None
    assert (after.classification.primary, after.classification.sub) == (Category.LOSS, "at_hub")
    assert after.classification.confidence == 1.0
    assert (after.severity, after.needs_review, after.person) == (Severity.HIGH, False, "ann")


def test_review_keeps_the_severity_that_follow_ups_raised() -> None:
    """Confirming a proposal does not take back what happened since."""
    raised = do(in_state(S.IN_REVIEW), "follow_up")
    assert do(raised, "complete_review").severity == raised.severity == Severity.HIGH


def test_review_is_refused_where_the_assignment_cannot_be_made() -> None:
    """An assignment that cannot be made is the reason of the refusal."""
    before = ticket()
    (refused,) = decided(before, command(before, c.Assign(unit="NET-9")), Unassignable("no_such_unit"))
    assert isinstance(refused, e.TicketCommandRefused)
    assert refused.why == "no_such_unit"


def test_first_action_counts_once_per_unit() -> None:
    """The second is refused; after a move to another department there is a first one again."""
    acted = do(in_state(S.INVESTIGATING), "first_action")
    (refused,) = decided(acted, command(acted, c.FirstAction()))
    assert isinstance(refused, e.TicketCommandRefused)
    assert refused.why == "already_taken"
    moved = do(acted, "assign", assignment=Assignment("finance", None, None, "office", "by_hand", 2))
    assert do(moved, "first_action").first_action_taken


def test_an_offer_that_finds_nobody_is_no_event() -> None:
    """The router offers waiting tickets again and again; only success is told."""
    before = ticket()
    offer = command(before, c.Assign(), actor=Actor(kind=ActorKind.SYSTEM, id="router"))
    assert wants_assignment(before, offer, taken_at=AT)
    assert decided(before, offer, NOBODY) == []


def test_ids_and_times_come_from_the_command() -> None:
    """Deciding again gives equal events, whenever it is done."""
    before = in_state(S.IN_REVIEW)
    asked = command(before, c.CompleteReview(severity=Severity.LOW))
    assert decided(before, asked, SOMEBODY) == decided(before, asked, SOMEBODY)
    assert all(event.occurred_at == AT for event in decided(before, asked, SOMEBODY))
    assert len({event.event_id for event in decided(before, asked, SOMEBODY)}) == 4


def test_a_history_with_a_gap_is_no_ticket() -> None:
    """A fold refuses what cannot have happened."""
    before = ticket()
    (answered,) = decided(before, command(before, c.Answer()))
    with pytest.raises(ValueError, match="cannot follow"):
        apply(apply(before, answered), answered)
    with pytest.raises(ValueError, match="begins with"):
        fold([answered])


def test_table_can_be_printed() -> None:
    """One line per state, one column per command."""
    lines = table().splitlines()
    assert len(lines) == len(S) + 2
    assert "| closed | opened | refused |" in table()
