"""Whatever order the topics are read in and however late, the clocks of one history give the same facts."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.codes import Moment
from schemas.events import (
    TicketAnswered,
    TicketCustomerAwaited,
    TicketFirstActionTaken,
    TicketResolved,
    TicketResumed,
    TicketReviewCompleted,
    TicketSeverityChanged,
    TicketWithdrawn,
)
from schemas.notifications import NotificationDelivered
from schemas.sla import SlaCorrected
from services.sla_monitor.clocks import advance, due_facts, next_milestone
from services.sla_monitor.ticket_sla import TicketSla

DAY = 1440
END = datetime(2026, 11, 23, 2, 0, tzinfo=UTC) + timedelta(days=40)

KINDS = st.sampled_from(
    [
        TicketFirstActionTaken,
        TicketAnswered,
        TicketCustomerAwaited,
        TicketResumed,
        TicketReviewCompleted,
        TicketSeverityChanged,
        TicketResolved,
        TicketWithdrawn,
        "assigned",
        "received_delivered",
        "answered_delivered",
    ],
)
GAPS = st.sampled_from([1, 4, 11, 60, 5 * 60, 18 * 60, 2 * DAY, 4 * DAY])
STEPS = st.lists(st.tuples(GAPS, KINDS, st.integers(0, 3)), max_size=9)
OPENINGS = st.tuples(st.integers(1, 4), st.sampled_from(["centre", "hub", "outlet"]), st.booleans())
MODEL = settings(max_examples=40, deadline=None)


def history(new_story: Callable[..., Any], opening: tuple[int, str, bool], steps: Sequence[Any]) -> list[Any]:
    """The events of a ticket, in the order of their times."""
    story = new_story()
    severity, calendar, reviewed = opening
    story.opening(severity=severity, unit_calendar=calendar, reviewed=reviewed)
    at = 0.0
    for gap, kind, n in steps:
        # Odd seconds keep events off the instants of steps, where the order of two topics would decide.
        at += gap + 1 / 7
        if kind == "assigned":
            story.assigned(at, unit=f"HUB-0{n}", unit_calendar=("hub", "centre", "outlet", "office")[n])
        elif kind == "received_delivered":
            story.delivered(at, Moment.RECEIVED)
        elif kind == "answered_delivered":
            story.delivered(at, Moment.ANSWERED)
        elif kind is TicketSeverityChanged:
            story.then(kind, at, before=2, severity=n + 1)
        else:
            story.then(kind, at)
    return list(story.events)


def time_of(event: Any) -> datetime:
    """When it happened."""
    return event.at if isinstance(event, NotificationDelivered) else event.occurred_at  # type: ignore[no-any-return]


def lived(policies: Any, events: Sequence[Any]) -> tuple[list[Any], TicketSla]:
    """Facts told as they happen: every milestone is asked for when it comes."""
    sla: Any = None
    told: list[Any] = []
    for event in events:
        while sla is not None and (at := next_milestone(sla)) is not None and at < time_of(event):
            sla, facts = due_facts(sla, at, policies=policies)
            told += facts
        sla, facts = advance(sla, event, policies=policies, now=time_of(event))
        told += facts
    return told, sla


def replayed(policies: Any, events: Sequence[Any]) -> tuple[list[Any], TicketSla]:
    """Facts told when everything is read again at the end, in the order given."""
    sla: Any = None
    told: list[Any] = []
    for event in events:
        sla, facts = advance(sla, event, policies=policies, now=END, caught_up=False)
        told += facts
    return told, sla


def finished(policies: Any, told: list[Any], sla: TicketSla) -> dict[Any, Any]:
    """All facts by identity, without when they were seen."""
    sla, facts = due_facts(sla, END, policies=policies)
    assert due_facts(sla, END, policies=policies).facts == ()
    every = [*told, *facts]
    assert len({fact.fact_id for fact in every}) == len(every)
    return {fact.fact_id: fact.model_dump(exclude={"detected_at"}) for fact in every}


@MODEL
@given(OPENINGS, STEPS)
def test_facts_do_not_depend_on_when_they_are_asked_for(
    new_story: Callable[..., Any],
    opening: tuple[int, str, bool],
    steps: Sequence[Any],
) -> None:
    """After an outage the same facts come out as without one, apart from when they were seen."""
    events = history(new_story, opening, steps)
    policies = new_story().policies
    late: Any = None
    told: list[Any] = []
    for event in events:
        late, facts = advance(late, event, policies=policies, now=END)
        told += facts
    assert finished(policies, told, late) == finished(policies, *lived(policies, events))


@MODEL
@given(OPENINGS, STEPS, st.booleans(), st.randoms(use_true_random=False))
def test_replay_gives_the_same_facts_in_any_order_of_topics(
    new_story: Callable[..., Any],
    opening: tuple[int, str, bool],
    steps: Sequence[Any],
    deliveries_first: bool,
    random: Any,
) -> None:
    """Read again from the beginning, with the topics in any interleaving, a history gives the facts it gave."""
    events = history(new_story, opening, steps)
    policies = new_story().policies
    deliveries = [e for e in events if isinstance(e, NotificationDelivered)]
    of_ticket = [e for e in events if not isinstance(e, NotificationDelivered)]
    mixed = deliveries + of_ticket if deliveries_first else of_ticket + deliveries
    if random.random() < 0.5:
        mixed = []
        left, right = list(deliveries), list(of_ticket)
        while left or right:
            source = left if left and (not right or random.random() < 0.5) else right
            mixed.append(source.pop(0))
    again = finished(policies, *replayed(policies, mixed))
    assert again == finished(policies, *lived(policies, events))


def standing(told: Sequence[Any]) -> set[Any]:
    """Identities of what holds in the end: of the facts that were taken back, none."""
    void: set[Any] = set()
    for fact in reversed(told):
        if isinstance(fact, SlaCorrected) and fact.fact_id not in void:
            void.add(fact.corrects)
    return {fact.fact_id for fact in told if not isinstance(fact, SlaCorrected)} - void


@MODEL
@given(OPENINGS, STEPS, GAPS)
def test_what_holds_in_the_end_does_not_depend_on_late_receipts(
    new_story: Callable[..., Any],
    opening: tuple[int, str, bool],
    steps: Sequence[Any],
    delay: int,
) -> None:
    """Receipts that come in long after their time correct what was told meanwhile, into what would have been told."""
    events = history(new_story, opening, steps)
    policies = new_story().policies
    late = timedelta(minutes=delay)
    arrivals = [(time_of(e) + (late if isinstance(e, NotificationDelivered) else timedelta()), e) for e in events]
    sla: Any = None
    told: list[Any] = []
    for arrival, event in sorted(arrivals, key=lambda pair: pair[0]):
        if sla is not None:
            sla, facts = due_facts(sla, arrival, policies=policies)
            told += facts
        sla, facts = advance(sla, event, policies=policies, now=arrival)
        told += facts
    told += due_facts(sla, END, policies=policies).facts
    on_time, state = lived(policies, events)
    assert standing(told) == standing([*on_time, *due_facts(state, END, policies=policies).facts])


@MODEL
@given(OPENINGS, STEPS)
def test_state_is_the_same_after_a_stay_in_the_database(
    new_story: Callable[..., Any],
    opening: tuple[int, str, bool],
    steps: Sequence[Any],
) -> None:
    """Storing and loading the state between any two events changes nothing."""
    events = history(new_story, opening, steps)
    policies = new_story().policies
    sla: Any = None
    for event in events:
        sla = advance(sla, event, policies=policies, now=END, caught_up=False).sla
        assert TicketSla.from_doc(sla.to_doc()) == sla
