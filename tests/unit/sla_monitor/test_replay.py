"""Whatever order the topics are read in and however late, the clocks of one history give the same facts."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.codes import Moment
from schemas.events import (
    TicketAnswered,
    TicketApprovalRequested,
    TicketApproved,
    TicketClosed,
    TicketCustomerAwaited,
    TicketFirstActionTaken,
    TicketResolved,
    TicketResumed,
    TicketReturned,
    TicketReviewCompleted,
    TicketSeverityChanged,
    TicketWithdrawn,
)
from schemas.notifications import NotificationDelivered
from schemas.sla import SlaBreached, SlaCorrected
from services.service_levels.ticket_sla import TicketSla
from services.sla_monitor.clocks import advance, due_facts, next_milestone

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
        TicketClosed,
        TicketReturned,
        TicketApprovalRequested,
        TicketApproved,
        "assigned",
        "shared",
        "shared",
        "responded",
        "received_delivered",
        "answered_delivered",
    ],
)
LAGS = st.sampled_from([0, 0, 1, 5, 60, 600])
"""Minutes between an event and its arrival."""
GAPS = st.sampled_from([1, 4, 11, 60, 5 * 60, 18 * 60, 2 * DAY, 4 * DAY])
STEPS = st.lists(st.tuples(GAPS, KINDS, st.integers(0, 3)), max_size=9)
UNEVEN = st.lists(st.tuples(st.one_of(st.none(), st.just(0), GAPS), KINDS, st.integers(0, 3), LAGS), max_size=9)
"""As STEPS, with arrivals; without a gap it is the very instant of the next warning, breach or escalation."""
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
        happen(story, at, kind, n)
    return list(story.events)


def happen(story: Any, at: float, kind: Any, n: int) -> None:
    """One thing of `KINDS`."""
    if kind == "assigned":
        story.assigned(at, unit=f"HUB-0{n}", unit_calendar=("hub", "centre", "outlet", "office")[n])
    elif kind == "shared":
        units = (("NET-0", "NET-1"), ("NET-1", "NET-2"), ("NET-0", "NET-1", "NET-2"), ("NET-3", "NET-0"))[n]
        story.shared(at, *units, calendars=("hub", "centre", "outlet", "office")[n], department=f"dep{n}")
    elif kind == "responded":
        story.responded(at, f"NET-{n}")
    elif kind == "received_delivered":
        story.delivered(at, Moment.RECEIVED)
    elif kind == "answered_delivered":
        story.delivered(at, Moment.ANSWERED)
    elif kind is TicketSeverityChanged:
        story.then(kind, at, before=2, severity=n + 1)
    else:
        story.then(kind, at)


def arrivals_of(new_story: Callable[..., Any], opening: tuple[int, str, bool], steps: Sequence[Any]) -> list[Any]:
    """The events of a ticket with the times of their arrival: late, at one time with others, dated before others."""
    story = new_story()
    severity, calendar, reviewed = opening
    story.opening(severity=severity, unit_calendar=calendar, reviewed=reviewed)
    received = story.events[0].occurred_at
    arrivals = [(received, event) for event in story.events]
    at = 0.0
    for gap, kind, n, lag in steps:
        step = next_milestone(story.sla)
        if gap is not None:
            at += gap
        elif step is not None:
            at = max(at, (step - received).total_seconds() / 60)
        happen(story, max(0.0, at - lag), kind, n)
        arrivals.append((received + timedelta(minutes=at), story.events[-1]))
    return arrivals


def time_of(event: Any) -> datetime:
    """When it happened."""
    return event.at if isinstance(event, NotificationDelivered) else event.occurred_at  # type: ignore[no-any-return]


def lived(policies: Any, arrivals: Sequence[Any]) -> tuple[list[Any], TicketSla]:
    """Facts told as they happen: every milestone is asked for when it comes."""
    sla: Any = None
    told: list[Any] = []
    for arrival, event in arrivals:
        while sla is not None and (at := next_milestone(sla)) is not None and at < arrival:
            sla, facts = due_facts(sla, at, policies=policies)
            told += facts
        sla, facts = advance(sla, event, policies=policies, now=arrival)
        told += facts
    return told, sla


def on_time(events: Sequence[Any]) -> list[Any]:
    """With their own times as those of their arrival."""
    return [(time_of(event), event) for event in events]


def replayed(policies: Any, events: Sequence[Any]) -> tuple[list[Any], TicketSla]:
    """Facts told when everything is read again at the end, in the order given."""
    sla: Any = None
    told: list[Any] = []
    for event in events:
        sla, facts = advance(sla, event, policies=policies, now=END, caught_up=False)
        told += facts
    return told, sla


def every_fact(policies: Any, told: list[Any], sla: TicketSla) -> list[Any]:
    """All facts to the end, in the order in which they are told; no two have one identity."""
    sla, facts = due_facts(sla, END, policies=policies)
    assert due_facts(sla, END, policies=policies).facts == ()
    every = [*told, *facts]
    assert len({fact.fact_id for fact in every}) == len(every)
    return every


def by_id(facts: Sequence[Any]) -> dict[Any, Any]:
    """Contents by identity, without when they were seen."""
    return {fact.fact_id: fact.model_dump(exclude={"detected_at"}) for fact in facts}


def finished(policies: Any, told: list[Any], sla: TicketSla) -> dict[Any, Any]:
    """All facts to the end by identity."""
    return by_id(every_fact(policies, told, sla))


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
    assert finished(policies, told, late) == finished(policies, *lived(policies, on_time(events)))


def mixed(events: Sequence[Any], random: Any, *, deliveries_first: bool) -> list[Any]:
    """Two topics in some order, each in its own."""
    deliveries = [e for e in events if isinstance(e, NotificationDelivered)]
    of_ticket = [e for e in events if not isinstance(e, NotificationDelivered)]
    if random.random() < 0.5:
        return deliveries + of_ticket if deliveries_first else of_ticket + deliveries
    either = []
    while deliveries or of_ticket:
        source = deliveries if deliveries and (not of_ticket or random.random() < 0.5) else of_ticket
        either.append(source.pop(0))
    return either


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
    again = finished(policies, *replayed(policies, mixed(events, random, deliveries_first=deliveries_first)))
    assert again == finished(policies, *lived(policies, on_time(events)))


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
    told = every_fact(policies, *lived(policies, sorted(arrivals, key=lambda pair: pair[0])))
    assert standing(told) == standing(every_fact(policies, *lived(policies, on_time(events))))


@settings(max_examples=300, deadline=None)
@given(OPENINGS, UNEVEN, st.booleans(), st.randoms(use_true_random=False))
def test_replay_ends_in_what_stood_however_events_arrived(
    new_story: Callable[..., Any],
    opening: tuple[int, str, bool],
    steps: Sequence[Any],
    deliveries_first: bool,
    random: Any,
) -> None:
    """Late, back-dated and coinciding events: a replay ends in the same facts, and no id stands for two contents."""
    arrivals = arrivals_of(new_story, opening, steps)
    policies = new_story().policies
    events = [event for _, event in arrivals]
    live = every_fact(policies, *lived(policies, arrivals))
    again = every_fact(policies, *replayed(policies, mixed(events, random, deliveries_first=deliveries_first)))
    holds = standing(live)
    assert holds == standing(again)
    told, told_again = by_id(live), by_id(again)
    assert all(told[fact_id] == told_again[fact_id] for fact_id in told.keys() & told_again.keys())
    breaches = [(f.clock, f.cycle) for f in live if isinstance(f, SlaBreached) and f.fact_id in holds]
    assert len(set(breaches)) == len(breaches)


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
        assert TicketSla.from_doc(orjson.loads(orjson.dumps(sla.to_doc()))) == sla, "as the store keeps it"
