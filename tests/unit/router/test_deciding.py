from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from schemas import commands as c
from schemas import events as e
from schemas.classification import Matter
from schemas.codes import (
    ActorKind,
    ApologyTier,
    Category,
    Channel,
    Language,
    RiskFlag,
    Severity,
    StaffRole,
    TicketState,
)
from schemas.complaint import Money
from schemas.lifecycle import LEGAL, SETTLED, table, target
from schemas.message import Actor
from schemas.sealed import MaskedContact
from schemas.ticket import Ticket, apply, fold, possible
from services.router.deciding import NEEDS_REASON, Assignment, Unassignable, absorbing, decide, wants_assignment
from tests.unit.router.examples import AT, NAMES, NOBODY, command, decided, small_network, ticket

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
LINK = c.LinkAsRepeat(to_ticket=NAMES, to_routing_key="waybill")
SHARES = c.ShareLiability(shares=(c.Share(unit="NET-1001", percent=60), c.Share(unit="HUB-01", percent=40)))
PLAN = c.PlanCorrectiveAction(owner="ann", due_on=date(2026, 12, 24))
ACTIONS: dict[str, c.Action] = {
    "follow_up": FOLLOW_UP,
    "absorb_repeat": c.AbsorbRepeat(**FOLLOW_UP.model_dump(exclude={"name", "opened_by"}), from_ticket=NAMES),
    "start_review": c.StartReview(),
    "complete_review": c.CompleteReview(),
    "link_as_repeat": LINK,
    "assign": c.Assign(department="claims"),
    "hand_over": c.HandOver(department="finance"),
    "return_to_centre": c.ReturnToCentre(),
    "first_action": c.FirstAction(),
    "record_findings": c.RecordFindings(cause="missorted", whys=5, responsible_unit="HUB-01"),
    "add_evidence": c.AddEvidence(evidence=(NAMES,)),
    "add_note": c.AddNote(),
    "share_liability": SHARES,
    "respond": c.Respond(unit="HUB-01"),
    "estimate_loss": c.EstimateLoss(loss=Money(amount=Decimal(100))),
    "answer": c.Answer(remedy="refund"),
    "approve": c.Approve(),
    "refuse_approval": c.RefuseApproval(),
    "delegate_approval": c.DelegateApproval(to="bo"),
    "accept": c.Accept(),
    "appeal": c.Appeal(),
    "decide_appeal": c.DecideAppeal(changed=True, remedy="refund"),
    "resolve": c.Resolve(outcome="refunded"),
    "wait_for_customer": c.WaitForCustomer(),
    "wait_for_third_party": c.WaitForThirdParty(),
    "resume": c.Resume(),
    "change_severity": c.ChangeSeverity(severity=Severity.CRITICAL),
    "choose_language": c.ChooseLanguage(language=Language.EN),
    "apologise": c.Apologise(tier=ApologyTier.AGENT),
    "agree_claim": c.AgreeClaim(amount=Money(amount=Decimal(150))),
    "record_payment": c.RecordPayment(amount=Money(amount=Decimal(150))),
    "answer_regulator": c.AnswerRegulator(),
    "record_platform_action": c.RecordPlatformAction(),
    "request_survey": c.RequestSurvey(),
    "record_survey": c.RecordSurvey(score=5),
    "stop_surveys": c.StopSurveys(),
    "reopen": c.Reopen(),
    "plan_corrective_action": PLAN,
    "complete_corrective_action": c.CompleteCorrectiveAction(corrective_action=NAMES),
    "verify_corrective_action": c.VerifyCorrectiveAction(corrective_action=NAMES, effective=True),
    "withdraw": c.Withdraw(),
    "close": c.Close(),
    "archive": c.Archive(cause="missorted"),
}
WAYS = {
    S.OPENED: [],
    S.IN_REVIEW: ["start_review"],
    S.INVESTIGATING: ["start_review", "complete_review"],
    S.WAITING_CUSTOMER: ["start_review", "complete_review", "wait_for_customer"],
    S.WAITING_THIRD_PARTY: ["start_review", "complete_review", "wait_for_third_party"],
    S.ANSWERED: ["start_review", "complete_review", "answer"],
    S.RESOLVED: ["start_review", "complete_review", "answer", "resolve"],
    S.APPEALED: ["start_review", "complete_review", "answer", "appeal"],
    S.APPEAL_DECIDED: ["start_review", "complete_review", "answer", "appeal", "decide_appeal"],
    S.CLOSED: ["start_review", "complete_review", "answer", "resolve", "close"],
    S.WITHDRAWN: ["withdraw"],
}


MUCH = Money(amount=Decimal(1500))
BOSS = Actor(kind=ActorKind.AGENT, id="boss", via="desk", role=StaffRole.CENTRE_MANAGER)
WELL_FOUNDED: dict[str, Any] = {"actor": BOSS, "reason": "because", "note_ref": NAMES}
"""By somebody with authority, with a reason and with words."""
PROPOSALS = {
    S.INVESTIGATING: c.Answer(amount=MUCH),
    S.ANSWERED: c.Answer(amount=MUCH),
    S.APPEALED: c.DecideAppeal(changed=True, amount=MUCH),
}


def founded(state: TicketState, name: str) -> Ticket:  # noqa: PLR0911  # one per command
    """A ticket in a state and with the history that a command needs."""
    if target(state, name) is None:
        return in_state(state)
    match name:
        case "approve" | "refuse_approval" | "delegate_approval":
            return do(in_state(state), PROPOSALS[state])
        case "respond":
            return on_the_way(state, SHARES)
        case "record_payment":
            return on_the_way(state, ACTIONS["agree_claim"])
        case "record_survey":
            return do(in_state(state), c.RequestSurvey())
        case "complete_corrective_action":
            return with_corrective_action(on_the_way(state, PLAN))
        case "verify_corrective_action":
            planned = with_corrective_action(on_the_way(state, PLAN))
            return do(planned, c.CompleteCorrectiveAction(corrective_action=NAMES))
        case _:
            return in_state(state)


def with_corrective_action(planned: Ticket) -> Ticket:
    """The same with an id that the table of actions knows."""
    return planned._replace(corrective_actions=tuple(a._replace(id=NAMES) for a in planned.corrective_actions))


def on_the_way(state: TicketState, action: c.Action) -> Ticket:
    """A ticket in a state, of which something was asked when it was investigated."""
    if state in (S.OPENED, S.IN_REVIEW):
        return in_state(state)._replace(
            claim=Money(amount=Decimal(150)),
            corrective_actions=do(in_state(S.INVESTIGATING), PLAN).corrective_actions,
        )
    asked = do(in_state(S.INVESTIGATING), action)
    return do(asked, *(["withdraw"] if state is S.WITHDRAWN else WAYS[state][2:]))


def do(before: Ticket, *steps: str | c.Action, assignment: Assignment | Unassignable = SOMEBODY) -> Ticket:
    """The ticket after commands, each by its name or as it is."""
    for number, step in enumerate(steps):
        action = ACTIONS[step] if isinstance(step, str) else step
        asked = command(before, action, f"{before.version}-{number}")
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
    before = founded(state, name)
    asked = command(before, ACTIONS[name], **WELL_FOUNDED)
    events = decided(before, asked, Assignment("finance", None, None, "office", "by_hand", 2))
    after = fold_on(before, events)
    if target(state, name) is None:
        (refused,) = events
        assert isinstance(refused, e.TicketCommandRefused)
        assert (refused.why, refused.command) == ("illegal_in_state", name)
        assert refused.possible == possible(before)
        assert after.state is state
        return
    assert not any(isinstance(event, e.TicketCommandRefused) for event in events)
    proposed = S.APPEAL_DECIDED if state is S.APPEALED else S.ANSWERED
    named = {"same": state, "earlier": S.INVESTIGATING, "proposed": proposed}
    assert after.state is named.get(str(target(state, name)), target(state, name))


@pytest.mark.parametrize("state", list(S))
def test_what_is_called_possible_is_done(state: TicketState) -> None:
    """Buttons that are shown work: nothing that is possible by state and history is refused for either."""
    before = in_state(state)
    for name in possible(before):
        events = decided(before, command(before, ACTIONS[name], **WELL_FOUNDED), NOBODY)
        refused = [event.why for event in events if isinstance(event, e.TicketCommandRefused)]
        assert refused in ([], ["unchanged"], ["no_such_corrective_action"]), (name, refused)


def fold_on(before: Ticket, events: list[e.TicketEvent]) -> Ticket:
    """The ticket after events."""
    for event in events:
        before = apply(before, event)
    return before


def test_nobody_but_the_complainant_brings_back_what_was_withdrawn() -> None:
    """From withdrawn no command of ours leads anywhere."""
    withdrawn = in_state(S.WITHDRAWN)
    for name in possible(withdrawn):
        assert target(S.WITHDRAWN, name) == "same"


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
    (refused,) = decide(now, asked, taken_at=AT, organisation=small_network())
    assert isinstance(refused, e.TicketCommandRefused)
    assert (refused.why, refused.occurred_at) == (why, AT)


@pytest.mark.parametrize("issued", [timedelta(minutes=5), timedelta(minutes=-5)])
def test_a_clock_that_is_a_little_off_dates_nothing_ahead_or_before_the_receipt(issued: timedelta) -> None:
    """Within five minutes the command is done, at a time that was."""
    now = ticket()
    (done,) = decide(
        now, command(now, c.WaitForCustomer(), issued_at=AT + issued), taken_at=AT, organisation=small_network()
    )
    assert isinstance(done, e.TicketCustomerAwaited)
    assert done.occurred_at == AT


def test_a_follow_up_is_never_refused_for_its_time() -> None:
    """It is a customer's word: dated possibly, and linked."""
    now = ticket()
    for days in (-400, 400):
        asked = command(now, FOLLOW_UP, issued_at=AT + timedelta(days=days))
        events = decide(now, asked, taken_at=AT, organisation=small_network())
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
    assert wants_assignment(before, offer, taken_at=AT, organisation=small_network())
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
    """One line per command, one column per state."""
    lines = table().splitlines()
    assert len(lines) == len(LEGAL) + 2
    assert lines[0].startswith("| | opened | in_review |")
    assert "| `archive` | · |" in table()


def refused(before: Ticket, action: c.Action, **fields: Any) -> str:
    """Why a command is refused."""
    (event,) = decided(before, command(before, action, **fields))
    assert isinstance(event, e.TicketCommandRefused)
    return event.why


def test_what_the_router_asks_of_a_ticket_that_went_on_is_no_event() -> None:
    """Its steps are based on a version; one that was overtaken leaves no trace."""
    before = in_state(S.RESOLVED)
    step = command(
        before, c.Close(), actor=Actor(kind=ActorKind.SYSTEM, id="router"), expected_version=before.version - 1
    )
    assert decided(before, step) == []


def by(role: StaffRole, name: str) -> dict[str, Any]:
    """Issued by somebody with a role."""
    return {"actor": Actor(kind=ActorKind.AGENT, id=name, via="desk", role=role)}


@pytest.mark.parametrize("name", sorted(NEEDS_REASON))
def test_what_needs_a_reason_is_refused_without(name: str) -> None:
    """A code or words: whoever reads the trail must be able to see why."""
    before = founded(S.CLOSED if name == "reopen" else S.INVESTIGATING, name)
    assert refused(before, ACTIONS[name]) == "reason_missing"


def test_not_ours_can_be_said_once() -> None:
    """Whoever returns a ticket sends it to a review, without a person; the next unit cannot return it again."""
    before = in_state(S.INVESTIGATING)
    events = decided(before, command(before, c.ReturnToCentre(), reason="not_ours"))
    after = fold_on(before, events)
    assert (after.state, after.person, after.needs_review) == (S.IN_REVIEW, None, True)
    again = do(after, "complete_review")
    assert refused(again, c.ReturnToCentre(), reason="not_ours") == "already_returned"
    assert "return_to_centre" not in possible(again)


def test_a_linked_ticket_is_closed_and_the_other_is_told() -> None:
    """The other ticket gets the complainant, under ids that follow from the link: telling it again changes nothing."""
    before = in_state(S.IN_REVIEW)
    (linked,) = decided(before, command(before, LINK))
    assert isinstance(linked, e.TicketLinked)
    after = fold_on(before, [linked])
    assert (after.state, after.linked_to) == (S.CLOSED, NAMES)
    told = absorbing(after, linked)
    assert (told.ticket_id, told.routing_key) == (NAMES, "waybill")
    other = ticket()._replace(id=NAMES)
    events = decided(other, told)
    assert [type(event) for event in events] == [e.TicketRepeatLinked, e.TicketSeverityChanged]
    assert events[0].complaint_id == before.complaint_id
    assert absorbing(after, linked) == told
    assert refused(before, c.LinkAsRepeat(to_ticket=before.id, to_routing_key="waybill")) == "to_itself"


@pytest.mark.parametrize("channel", [Channel.REGULATOR, Channel.PLATFORM])
def test_a_case_with_a_time_limit_of_its_own_is_not_linked_away(channel: Channel) -> None:
    """Regulator and platform want their own answer in their own time, whoever else complains of the same."""
    assert refused(in_state(S.IN_REVIEW)._replace(channel=channel), LINK) == "case_of_its_own"


def test_each_unit_that_shares_liability_responds_once() -> None:
    """A unit that is not named cannot respond; one that has responded keeps that when the shares change."""
    before = do(in_state(S.INVESTIGATING), SHARES)
    assert refused(before, c.Respond(unit="NET-9")) == "no_such_share"
    after = do(before, "respond")
    assert refused(after, c.Respond(unit="HUB-01")) == "already_responded"
    shared = do(
        after, c.ShareLiability(shares=(c.Share(unit="HUB-01", percent=90), c.Share(unit="NET-1001", percent=10)))
    )
    assert [(s.unit, s.percent, s.has_responded) for s in shared.shares] == [
        ("HUB-01", 90, True),
        ("NET-1001", 10, False),
    ]
    assert "respond" not in possible(do(shared, c.Respond(unit="NET-1001")))
    nowhere = c.ShareLiability(shares=(c.Share(unit="NET-9", percent=50), c.Share(unit="HUB-01", percent=50)))
    assert refused(before, nowhere) == "no_such_unit"
    assert refused(before, SHARES) == "unchanged"


def test_a_remedy_within_ones_authority_is_answered_at_once() -> None:
    """What the role may promise needs nobody else."""
    before = in_state(S.INVESTIGATING)
    asked = command(before, c.Answer(amount=Money(amount=Decimal(2000))), **by(StaffRole.SUPERVISOR, "sue"))
    (answered,) = decided(before, asked)
    assert isinstance(answered, e.TicketAnswered)
    assert answered.amount == Money(amount=Decimal(2000))


def test_a_remedy_beyond_ones_authority_climbs_the_chain() -> None:
    """Each of the chain approves, then it is answered with the proposer's words; the proposer cannot approve."""
    before = in_state(S.INVESTIGATING)
    asked = command(before, c.Answer(remedy="refund", amount=Money(amount=Decimal(5000))), note_ref=NAMES)
    (requested,) = decided(before, asked)
    assert isinstance(requested, e.TicketApprovalRequested)
    assert requested.chain == (StaffRole.SUPERVISOR, StaffRole.CENTRE_MANAGER)
    pending = fold_on(before, [requested])
    assert pending.state is S.INVESTIGATING
    assert refused(pending, c.Answer()) == "approval_pending"
    assert refused(pending, c.Approve(), **by(StaffRole.MANAGEMENT, "agent-1")) == "own_proposal"
    assert refused(pending, c.Approve(), **by(StaffRole.AGENT, "al")) == "no_authority"
    (first,) = decided(pending, command(pending, c.Approve(), "2", **by(StaffRole.SUPERVISOR, "sue")))
    assert isinstance(first, e.TicketApproved)
    assert first.remaining == (StaffRole.CENTRE_MANAGER,)
    halfway = fold_on(pending, [first])
    assert refused(halfway, c.Approve(), **by(StaffRole.SUPERVISOR, "sue")) == "no_authority"
    approved, answered = decided(halfway, command(halfway, c.Approve(), "3", **by(StaffRole.CENTRE_MANAGER, "boss")))
    assert isinstance(approved, e.TicketApproved)
    assert isinstance(answered, e.TicketAnswered)
    assert (answered.remedy, answered.amount, answered.note_ref) == ("refund", Money(amount=Decimal(5000)), NAMES)
    after = fold_on(halfway, [approved, answered])
    assert (after.state, after.approval) == (S.ANSWERED, None)


def test_an_answer_that_stands_keeps_what_it_offered() -> None:
    """Nobody approves again what was approved; a decision that changes the answer offers what it names."""
    pending = do(in_state(S.INVESTIGATING), c.Answer(remedy="refund", amount=MUCH))
    approved = decided(pending, command(pending, c.Approve(), "a", actor=BOSS))
    appealed = do(fold_on(pending, approved), c.Appeal())
    for amount in (None, MUCH):
        (stands,) = decided(appealed, command(appealed, c.DecideAppeal(changed=False, amount=amount)))
        assert isinstance(stands, e.TicketAppealDecided)
        assert (stands.changed, stands.remedy, stands.amount) == (False, "refund", MUCH)
    (changed,) = decided(appealed, command(appealed, c.DecideAppeal(changed=True, remedy="apology")))
    assert isinstance(changed, e.TicketAppealDecided)
    assert (changed.remedy, changed.amount) == ("apology", None)
    more = Money(amount=MUCH.amount + 1)
    (asked,) = decided(appealed, command(appealed, c.DecideAppeal(changed=True, amount=more)))
    assert isinstance(asked, e.TicketApprovalRequested)
    reopened = do(fold_on(appealed, [stands]), "resolve", "request_survey", c.RecordSurvey(score=1))
    assert (reopened.state, reopened.amount) == (S.OPENED, None)


def test_a_higher_role_speaks_for_the_lower_ones() -> None:
    """Management need not wait for a supervisor."""
    pending = do(in_state(S.INVESTIGATING), c.Answer(amount=Money(amount=Decimal(5000))))
    events = decided(pending, command(pending, c.Approve(), **by(StaffRole.MANAGEMENT, "top")))
    assert [type(event) for event in events] == [e.TicketApproved, e.TicketAnswered]


def test_an_approval_can_be_delegated_and_refused() -> None:
    """The delegate decides in the role's place; what is refused can be proposed anew."""
    pending = do(in_state(S.INVESTIGATING), c.Answer(amount=MUCH))
    boss = by(StaffRole.SUPERVISOR, "sue")
    assert refused(pending, c.DelegateApproval(to="nobody-known"), **boss) == "no_such_person"
    delegated = fold_on(pending, decided(pending, command(pending, c.DelegateApproval(to="bo"), "d", **boss)))
    events = decided(delegated, command(delegated, c.Approve(), "e", **by(StaffRole.AGENT, "bo")))
    assert isinstance(events[-1], e.TicketAnswered)
    no = command(pending, c.RefuseApproval(), "f", reason="too_much", **boss)
    after = fold_on(pending, decided(pending, no))
    assert after.approval is None
    assert do(after, "answer").state is S.ANSWERED


def test_other_currencies_go_to_the_top() -> None:
    """Limits are in one currency; who may promise any amount decides on others."""
    before = in_state(S.INVESTIGATING)
    foreign = c.Answer(amount=Money(amount=Decimal(1), currency="USD"))
    (requested,) = decided(before, command(before, foreign, **by(StaffRole.SUPERVISOR, "sue")))
    assert isinstance(requested, e.TicketApprovalRequested)
    assert requested.chain == (StaffRole.CENTRE_MANAGER, StaffRole.MANAGEMENT)


@pytest.mark.parametrize(("loss", "goodwill"), [("100", "150.00"), ("33.33", "50.00"), ("1000", "500.00")])
def test_goodwill_is_suggested_by_policy(loss: str, goodwill: str) -> None:
    """One and a half times the loss, at most five hundred."""
    before = in_state(S.INVESTIGATING)
    (estimated,) = decided(before, command(before, c.EstimateLoss(loss=Money(amount=Decimal(loss)))))
    assert isinstance(estimated, e.TicketLossEstimated)
    assert estimated.goodwill == Money(amount=Decimal(goodwill))


def test_accepting_settles_the_matter() -> None:
    """The complainant's word is enough."""
    after = do(in_state(S.ANSWERED), "accept")
    assert (after.state, after.accepted) == (S.RESOLVED, True)
    assert refused(after, c.Accept()) == "already_accepted"


@pytest.mark.parametrize(("days", "why"), [(15, None), (15.01, "appeal_window_over")])
def test_an_appeal_has_its_time(days: float, why: str | None) -> None:
    """Within the window from answer or resolution; once."""
    before = in_state(S.RESOLVED)
    at = AT + timedelta(days=days)
    (event,) = decided(before, command(before, c.Appeal(), issued_at=at))
    assert (event.why if isinstance(event, e.TicketCommandRefused) else None) == why
    decided_once = do(in_state(S.APPEAL_DECIDED), "resolve")
    assert refused(decided_once, c.Appeal()) == "already_appealed"


@pytest.mark.parametrize(("days", "why"), [(30, None), (30.01, "reopen_window_over")])
def test_reopening_has_its_time(days: float, why: str | None) -> None:
    """Within thirty days after it was closed."""
    before = in_state(S.CLOSED)
    (event,) = decided(before, command(before, c.Reopen(), reason="new_facts", issued_at=AT + timedelta(days=days)))
    assert (event.why if isinstance(event, e.TicketCommandRefused) else None) == why


def test_a_survey_is_asked_so_often_and_no_more() -> None:
    """After the last attempt it is exhausted; nobody is asked again."""
    now = do(in_state(S.RESOLVED), "request_survey", "request_survey")
    assert now.surveys == 2
    (exhausted,) = decided(now, command(now, c.RequestSurvey()))
    assert isinstance(exhausted, e.TicketSurveyExhausted)
    assert refused(fold_on(now, [exhausted]), c.RequestSurvey()) == "survey_is_over"


def test_who_is_not_satisfied_is_worked_for_again() -> None:
    """A low score opens the ticket again, for a review; whoever wants no surveys is not asked then either."""
    before = do(in_state(S.RESOLVED), "request_survey")
    events = decided(before, command(before, c.RecordSurvey(score=2)))
    assert [type(event) for event in events] == [e.TicketSurveyAnswered, e.TicketReopened]
    again = fold_on(before, events)
    assert (again.state, again.surveys, again.needs_review) == (S.OPENED, 0, True)
    assert do(before, c.RecordSurvey(score=4)).state is S.RESOLVED
    stopped = do(in_state(S.RESOLVED), "stop_surveys", "follow_up", "start_review", "complete_review", "resolve")
    assert refused(stopped, c.RequestSurvey()) == "survey_is_over"


def test_a_corrective_action_is_verified_by_somebody_else() -> None:
    """Who did it does not say that it worked; what did not work is open again."""
    planned = do(in_state(S.INVESTIGATING), PLAN)
    task = planned.corrective_actions[0].id
    verify = c.VerifyCorrectiveAction(corrective_action=task, effective=False)
    assert refused(planned, verify) == "nothing_to_verify"
    completed = do(planned, c.CompleteCorrectiveAction(corrective_action=task))
    assert refused(completed, verify) == "own_corrective_action"
    events = decided(completed, command(completed, verify, **by(StaffRole.SUPERVISOR, "sue")))
    after = fold_on(completed, events)
    assert [(a.is_completed, a.effective) for a in after.corrective_actions] == [(False, False)]
    assert "complete_corrective_action" in possible(after)


def test_a_claim_is_paid_as_it_was_agreed() -> None:
    """Within the answer's amount anybody may agree; beyond it, who has the authority."""
    answered = do(in_state(S.INVESTIGATING), c.Answer(amount=Money(amount=Decimal(180))))
    agreed = do(answered, "agree_claim")
    assert refused(agreed, c.RecordPayment(amount=Money(amount=Decimal(149)))) == "not_the_agreed_amount"
    assert do(agreed, "record_payment").claim is None
    assert refused(answered, c.AgreeClaim(amount=MUCH)) == "beyond_authority"


def test_an_appeal_ends_what_was_proposed() -> None:
    """Whoever appeals against an answer is not answered by its improvement that waits for approval."""
    pending = do(in_state(S.ANSWERED), c.Answer(amount=MUCH))
    after = do(pending, "appeal")
    assert (after.state, after.approval) == (S.APPEALED, None)
