from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from schemas import commands as c
from schemas import events as e
from schemas.codes import Channel, Severity, TicketState
from schemas.lifecycle import SETTLED
from schemas.sealed import MaskedContact
from schemas.ticket import Ticket, apply, fold
from services.router.deciding import Assignment, Unassignable
from services.router.opening import opening
from tests.unit.router.examples import AT, NAMES, NOBODY, command, complaint, decided, said, small_network
from tests.unit.router.test_deciding import ACTIONS as NAMED
from tests.unit.router.test_deciding import MUCH, WELL_FOUNDED

ACTIONS = st.one_of(
    st.just(
        c.FollowUp(
            complaint_id=NAMES,
            channel=Channel.WEB,
            received_at=AT,
            contact_ref=NAMES,
            masked=MaskedContact(),
            matched_by="text",
        )
    ),
    st.sampled_from(
        [action for name, action in NAMED.items() if name != "follow_up"]
        + [c.Assign(), c.CompleteReview(severity=Severity.LOW), c.Answer(amount=MUCH), c.RecordSurvey(score=1)]
    ),
    st.builds(c.ChangeSeverity, severity=st.sampled_from(Severity)),
)
ASSIGNMENTS = st.sampled_from(
    [
        NOBODY,
        Assignment("outlets", "NET-1", "ann", "outlet", "named", 1),
        Assignment("claims", None, "bo", "office", "by_hand", 2),
        Unassignable("no_capacity"),
    ]
)
STEPS = st.lists(st.tuples(ACTIONS, ASSIGNMENTS, st.integers(0, 9)), max_size=40)


def opened(*, needs_review: bool) -> list[e.TicketEvent]:
    """The first events of a ticket."""
    return opening(
        complaint(),
        number="2611-000015",
        said=said(needs_review=needs_review),
        major=False,
        waybills=(),
        places=(),
        assignment=None if needs_review else NOBODY,
    )


def run(events: list[e.TicketEvent], steps: list[tuple[c.Action, Assignment | Unassignable, int]]) -> Ticket:
    """Decide all commands, adding to the events; the ticket as it was kept up to date on the way."""
    now = fold(events)
    for number, (action, assignment, age) in enumerate(steps):
        # Nine commands in ten name no version or the right one, the tenth an old one.
        expected = now.version - 1 if age == 0 else None
        founded = WELL_FOUNDED if age > 4 else {}
        for event in decided(now, command(now, action, str(number), expected_version=expected, **founded), assignment):
            now = apply(now, event)
            events.append(event)
    return now


@given(steps=STEPS, needs_review=st.booleans())
def test_replay_equals_what_was_kept(steps: list[tuple[c.Action, Assignment, int]], *, needs_review: bool) -> None:
    """Whatever is asked in whatever order: the fold of the events is the ticket, numbered 1..n."""
    events = opened(needs_review=needs_review)
    now = run(events, steps)
    assert fold(events) == now
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    assert len({event.event_id for event in events}) == len(events)
    assert now.state is events[-1].state
    wire = [type(event).model_validate_json(event.model_dump_json()) for event in events]
    assert fold(wire) == now


@given(steps=STEPS, needs_review=st.booleans())
def test_a_settled_ticket_is_worked_on_again_only_when_it_says_so(
    steps: list[tuple[c.Action, Assignment, int]], *, needs_review: bool
) -> None:
    """It is reopened or appealed against; what was withdrawn comes back by the complainant's word alone."""
    events = opened(needs_review=needs_review)
    run(events, steps)
    for before, after in pairwise(events):
        comes_back = before.state in SETTLED and after.state not in SETTLED
        assert isinstance(after, e.TicketReopened | e.TicketAppealed) >= comes_back
        assert comes_back >= isinstance(after, e.TicketReopened)
        if before.state is TicketState.WITHDRAWN and comes_back:
            assert isinstance(before, e.TicketFollowedUp)


@given(steps=STEPS, needs_review=st.booleans())
def test_nothing_is_paid_without_authority(
    steps: list[tuple[c.Action, Assignment, int]], *, needs_review: bool
) -> None:
    """Each amount that was answered was within a role's authority, or approved by others than its proposer."""
    events = opened(needs_review=needs_review)
    run(events, steps)
    policy = small_network().handling
    for before, after in pairwise(events):
        if isinstance(after, e.TicketAnswered | e.TicketAppealDecided) and after.amount is not None:
            approved = isinstance(before, e.TicketApproved) and not before.remaining
            assert approved or policy.covers(after.actor.role, after.amount)


@given(steps=STEPS)
def test_severity_and_repeats_stay_in_bounds(steps: list[tuple[c.Action, Assignment, int]]) -> None:
    """Severity is 1..4; repeats are counted one by one."""
    events = opened(needs_review=True)
    now = run(events, steps)
    repeats = [event.repeats for event in events if isinstance(event, e.TicketFollowedUp)]
    assert repeats == list(range(1, now.repeats + 1))
    assert now.severity in Severity
