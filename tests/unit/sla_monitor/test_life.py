"""Clocks of the later parts of a ticket's life: shared liability, approvals, appeals, surveys, and every way out."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from schemas.codes import Channel, Clock, ClockState, Moment
from schemas.events import (
    TicketAccepted,
    TicketAnswered,
    TicketAppealDecided,
    TicketAppealed,
    TicketApprovalDelegated,
    TicketApprovalRefused,
    TicketApprovalRequested,
    TicketApproved,
    TicketClaimAgreed,
    TicketClaimPaid,
    TicketClosed,
    TicketCustomerAwaited,
    TicketFirstActionTaken,
    TicketLiabilityShared,
    TicketLinked,
    TicketRegulatorAnswered,
    TicketReopened,
    TicketResolved,
    TicketReturned,
    TicketReviewCompleted,
    TicketSurveyAnswered,
    TicketSurveyExhausted,
    TicketSurveyRequested,
    TicketWithdrawn,
)
from schemas.sla import SlaBreached, SlaCorrected, SlaMet, SlaRetargeted, SlaStarted, SlaStoppedLate, SlaWarned
from services.service_levels.calendar import to_us
from services.service_levels.policy import PolicyError, parse_policy, read_policy
from services.service_levels.rulebook import Policies
from services.service_levels.ticket_sla import TicketSla
from services.sla_monitor.clocks import next_milestone

# Monday ten o'clock in Shanghai, when the centre has been open for an hour; it closes from noon to one.
RECEIVED = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
HOUR = 60
DAY = 24 * HOUR


def minute(n: float) -> datetime:
    """So many minutes after receipt."""
    return RECEIVED + timedelta(minutes=n)


def only(facts: Iterable[Any], kind: type[Any], clock: str) -> Any:
    """The single fact of that type about that clock."""
    found = [fact for fact in facts if isinstance(fact, kind) and fact.clock == clock]
    assert len(found) == 1, [(type(fact).__name__, fact.clock) for fact in facts]
    return found[0]


def open_clocks(story: Any) -> set[str]:
    """Clocks that have not stopped."""
    return {cycle.clock.value for cycle in story.sla.open_cycles()}


def liability(story: Any) -> dict[str, list[tuple[int, str]]]:
    """Numbers and states of the cycles of each unit."""
    cycles: dict[str, list[tuple[int, str]]] = {}
    for cycle in story.sla.cycles:
        if cycle.clock is Clock.LIABILITY_RESPONSE:
            cycles.setdefault(cycle.unit, []).append((cycle.number, cycle.state.value))
    return cycles


def test_each_unit_that_shares_liability_has_its_own_time(story: Any) -> None:
    """A cycle for each, counted by the hours of each; one that responds stops its own alone."""
    story.opening()
    shares = [
        {"unit": "NET-1", "percent": 70, "unit_calendar": "centre", "department": "outlets"},
        {"unit": "HUB-9", "percent": 30, "unit_calendar": "24x7", "department": "hubs"},
    ]
    told = story.then(TicketLiabilityShared, 60, shares=shares)
    assert [(f.clock, f.cycle, f.due_at) for f in told if isinstance(f, SlaStarted)] == [
        ("liability_response", 1, minute(6 * HOUR)),
        ("liability_response", 2, minute(5 * HOUR)),
    ]
    assert only(story.responded(90, "HUB-9"), SlaMet, "liability_response").cycle == 2
    assert story.cycle("liability_response", 1).is_open


def test_a_unit_that_does_not_respond_is_named_and_no_person(story: Any) -> None:
    """Warned and breached in the name of the unit, with its department; whoever has the ticket is not to blame."""
    story.opening()
    story.shared(0, "NET-1", "NET-2")
    story.responded(30, "NET-1")
    told = [f for f in story.wait(5 * HOUR) if f.clock == "liability_response"]
    assert [type(f) for f in told] == [SlaWarned, SlaWarned, SlaBreached]
    assert {(f.cycle, f.department, f.unit, f.person) for f in told} == {(2, "hubs-NET-2", "NET-2", None)}
    late = only(story.responded(6 * HOUR, "NET-2"), SlaStoppedLate, "liability_response")
    assert (late.unit, late.late_s) == ("NET-2", 3600)


def test_sharing_anew_keeps_who_is_named_again(story: Any) -> None:
    """Who is named again goes on or has responded, who is not is not asked any more, who is new begins."""
    story.opening()
    story.shared(0, "A", "B", "C")
    story.responded(10, "A")
    told = story.shared(60, "A", "C", "D")
    assert only(told, SlaCorrected, "liability_response").result is ClockState.CANCELLED
    assert liability(story) == {
        "A": [(1, "met")],
        "B": [(2, "cancelled")],
        "C": [(3, "running")],
        "D": [(4, "running")],
    }
    assert story.cycle("liability_response", 3).start == to_us(minute(0))


def test_who_was_left_out_is_asked_anew(story: Any) -> None:
    """Also one that had responded: that was to another share of the fault."""
    story.opening()
    story.shared(0, "A", "B")
    story.responded(10, "A")
    story.shared(20, "B", "C")
    story.shared(30, "A", "B", "C")
    assert liability(story) == {"A": [(1, "met"), (4, "running")], "B": [(2, "running")], "C": [(3, "running")]}


def test_other_hours_of_a_unit_count_from_its_start(story: Any) -> None:
    """A unit that is named again with another calendar is re-targeted; those of who has the ticket do not count."""
    story.opening()
    story.shared(0, "A", "B")
    story.delivered(1)
    told = story.shared(60, "A", "B", calendars="24x7")
    assert [(type(f), f.clock, f.cycle) for f in told] == [
        (SlaRetargeted, "liability_response", 1),
        (SlaRetargeted, "liability_response", 2),
    ]
    assert story.cycle("liability_response", 1).due_at == minute(4 * HOUR)
    assert story.assigned(70, unit="HUB-02", unit_calendar="hub") != []
    assert story.cycle("liability_response", 1).calendar == "24x7"


def test_a_response_from_before_a_breach_that_was_told_takes_it_back(story: Any) -> None:
    """One that came late makes its unit's clock met; the other unit's breach is told again in the light of it."""
    story.opening()
    story.shared(0, "A", "B")
    breaches = [f for f in story.wait(5 * HOUR) if isinstance(f, SlaBreached) and f.clock == "liability_response"]
    assert [f.unit for f in breaches] == ["A", "B"]
    told = story.responded(100, "B")
    assert {f.fact_id for f in breaches} <= {f.corrects for f in told if isinstance(f, SlaCorrected)}
    assert story.cycle("liability_response", 2).state is ClockState.MET
    again = only(story.wait(5 * HOUR), SlaBreached, "liability_response")
    assert (again.unit, again.breached_at, again.ticket_sequence) == ("A", breaches[0].breached_at, 5)


def test_the_settled_matter_asks_no_unit_any_more(story: Any) -> None:
    """The resolution stops all; what is reopened and shared again asks everyone, also who had responded."""
    story.opening()
    story.shared(0, "A", "B")
    story.responded(10, "A")
    story.then(TicketResolved, 20)
    assert liability(story) == {"A": [(1, "met")], "B": [(2, "met")]}
    story.then(TicketReopened, 30, before="resolved", received_at=minute(30))
    story.shared(40, "A", "B")
    assert liability(story) == {"A": [(1, "met"), (3, "running")], "B": [(2, "met"), (4, "running")]}


def test_clocks_of_units_survive_the_database(story: Any) -> None:
    """And documents from before there were any are read."""
    story.opening()
    story.shared(0, "A", "B")
    story.responded(10, "A")
    story.then(TicketCustomerAwaited, 20)
    document = orjson.loads(orjson.dumps(story.sla.to_doc()))
    assert TicketSla.from_doc(document) == story.sla
    del document["responded"], document["state"]
    document["is_waiting"] = True
    for cycle in document["cycles"]:
        cycle.pop("unit", None)
    for known in document["history"]:
        known.pop("parties", None)
    old = TicketSla.from_doc(document)
    assert old.is_waiting
    assert (old.responded, old.known.parties, {cycle.unit for cycle in old.cycles}) == (frozenset(), (), {None})


def test_an_approval_has_one_limit_for_the_whole_chain(story: Any) -> None:
    """It runs until the last has approved, whoever decides in whose place."""
    story.opening()
    due = only(story.then(TicketApprovalRequested, 0), SlaStarted, "approval").due_at
    assert due == minute(5 * HOUR)
    story.delivered(1)
    assert story.then(TicketApprovalDelegated, 30, to="p9", role="supervisor") == []
    assert story.then(TicketApproved, 60, remaining=["centre_manager"]) == []
    assert only(story.then(TicketApproved, 90), SlaMet, "approval").elapsed_s == 90 * 60


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (TicketApprovalRefused, {}),
        (TicketAnswered, {}),
        (TicketCustomerAwaited, {}),
        (TicketResolved, {}),
    ],
)
def test_an_approval_ends_with_a_refusal_and_with_what_overtakes_it(story: Any, kind: Any, fields: Any) -> None:
    """What was proposed is not waited for when the ticket has gone on without it."""
    story.opening()
    story.then(TicketApprovalRequested, 0)
    assert only(story.then(kind, 60, **fields), SlaMet, "approval").cycle == 1


def test_another_proposal_begins_another_limit(story: Any) -> None:
    """The one before it is not decided any more."""
    story.opening()
    story.then(TicketApprovalRequested, 0)
    assert only(story.then(TicketApprovalRequested, 60), SlaCorrected, "approval").result is ClockState.CANCELLED
    assert story.cycle("approval", 2).is_open


def test_what_a_unit_returns_it_has_responded_to(story: Any) -> None:
    """Whoever is given it then has a time of its own, also the same unit."""
    story.opening()
    assert only(story.then(TicketReturned, 60), SlaMet, "unit_response").cycle == 1
    breach = only(story.wait(3 * DAY), SlaBreached, "first_answer")
    assert (breach.unit, breach.person) == ("HUB-01", None)
    story.then(TicketReviewCompleted, 3 * DAY)
    story.assigned(3 * DAY)
    assert story.cycle("unit_response", 2).is_open


def test_an_appeal_has_its_own_time_and_ends_nothing(story: Any) -> None:
    """The resolution runs on, and the complainant has evidently been told the answer."""
    story.opening()
    story.delivered(1)
    story.then(TicketAnswered, 10)
    assert only(story.then(TicketAppealed, 20), SlaMet, "statutory_user").at == minute(20)
    assert open_clocks(story) == {"resolution", "appeal_decision"}
    assert only(story.then(TicketAppealDecided, 30), SlaMet, "appeal_decision").elapsed_s == 600
    assert only(story.then(TicketClosed, 40), SlaMet, "resolution").at == minute(40)
    assert next_milestone(story.sla) is None


def test_what_is_appealed_after_its_resolution_has_no_person(story: Any) -> None:
    """Whoever had it gave it back; the unit stays responsible."""
    story.opening()
    story.then(TicketResolved, 10)
    story.then(TicketAppealed, 20, before="resolved")
    breach = only(story.wait(10 * DAY), SlaBreached, "appeal_decision")
    assert (breach.unit, breach.person) == ("HUB-01", None)


def test_asking_again_how_it_was_changes_no_limit(story: Any) -> None:
    """Counted from the resolution, one cycle for all attempts; the last attempt ends it."""
    story.opening()
    story.then(TicketResolved, 10)
    story.then(TicketSurveyRequested, DAY, attempt=1)
    assert story.cycle("follow_up").start == to_us(minute(10))
    assert [f.clock for f in story.then(TicketSurveyRequested, 2 * DAY, attempt=2)] == ["follow_up"]
    assert [c.number for c in story.sla.cycles if c.clock == "follow_up"] == [1]
    assert only(story.then(TicketSurveyExhausted, 2 * DAY + 5, attempts=2), SlaMet, "follow_up").cycle == 1


def test_nobody_is_asked_about_what_is_worked_on_again(story: Any) -> None:
    """An appeal ends the follow-up; after its decision the next one counts from that."""
    story.opening()
    story.then(TicketResolved, 10)
    story.then(TicketSurveyRequested, 20, attempt=1)
    only(story.then(TicketAppealed, 30, before="resolved"), SlaCorrected, "follow_up")
    story.then(TicketAppealDecided, 5 * DAY)
    story.then(TicketSurveyRequested, 5 * DAY + 60, attempt=2)
    assert story.cycle("follow_up", 2).start == to_us(minute(5 * DAY))
    assert only(story.then(TicketSurveyAnswered, 5 * DAY + 70, score=5, satisfied=True), SlaMet, "follow_up").cycle == 2


OUT = {
    "resolved": [TicketAnswered, TicketResolved, TicketClosed],
    "at once": [TicketResolved, TicketClosed],
    "accepted": [TicketAnswered, TicketAccepted, TicketResolved, TicketClosed],
    "appealed": [TicketAnswered, TicketAppealed, TicketAppealDecided, TicketClosed],
    "appealed late": [TicketResolved, TicketAppealed, "assigned", TicketAppealDecided, TicketClosed],
    "approved": [TicketApprovalRequested, TicketApproved, TicketAnswered, TicketResolved, TicketClosed],
    "given away after the decision": [TicketAnswered, TicketAppealed, TicketAppealDecided, "assigned", TicketClosed],
    "shared": ["shared", TicketAnswered, TicketAppealed, TicketAppealDecided, TicketClosed],
    "returned": [TicketReturned, TicketLinked],
    "linked": ["shared", TicketApprovalRequested, TicketLinked],
    "linked after it was reopened": [TicketResolved, TicketClosed, TicketReopened, TicketLinked],
    "withdrawn": ["shared", TicketApprovalRequested, TicketAnswered, TicketAppealed, TicketWithdrawn],
    "asked": [TicketResolved, TicketSurveyRequested, TicketClosed],
}


@pytest.mark.parametrize("channel", [Channel.WEB, Channel.PLATFORM])
@pytest.mark.parametrize("way", OUT)
def test_no_way_out_leaves_a_clock_that_nobody_can_stop(story: Any, way: str, channel: Channel) -> None:
    """Nothing runs on a ticket that is over, but what the complainant has still to be told."""
    story.opened(channel=channel)
    story.classified()
    story.assigned()
    for n, kind in enumerate(OUT[way], start=1):
        if kind == "assigned":
            story.assigned(n * 10, unit="HUB-02")
        elif kind == "shared":
            story.shared(n * 10, "A", "B")
        elif kind is TicketReopened:
            story.then(kind, n * 10, before="closed", received_at=minute(n * 10))
        elif kind is TicketSurveyRequested:
            story.then(kind, n * 10, attempt=1)
        else:
            story.then(kind, n * 10)
    assert open_clocks(story) <= {"statutory_user"}
    story.delivered(200, Moment.ANSWERED)
    assert next_milestone(story.sla) is None


def test_what_is_owed_to_others_outlives_the_ticket(story: Any) -> None:
    """Closing pays no claim, answers no regulator and tells the complainant nothing."""
    story.opened(channel=Channel.REGULATOR)
    story.classified()
    story.assigned()
    story.then(TicketClaimAgreed, 5)
    story.then(TicketResolved, 10)
    story.then(TicketClosed, 20)
    assert open_clocks(story) == {"claim_payment", "statutory_forwarded", "statutory_user"}
    story.then(TicketClaimPaid, 30, amount={"amount": "30", "currency": "EUR"})
    story.then(TicketRegulatorAnswered, 40)
    story.delivered(50, Moment.RESOLVED)
    assert open_clocks(story) == set()


def test_what_cancels_every_clock_says_the_version_in_force(new_story: Callable[..., Any]) -> None:
    """A policy from before tickets could be linked need not know how a linked one ends."""
    written = read_policy().model_dump(mode="json")
    first = parse_policy(written | {"cancel": ["withdrawn"]})
    second = parse_policy(written | {"version": 2, "effective_from": minute(30).isoformat()})
    before, after = new_story(Policies([first])), new_story(Policies([first, second]))
    for story in (before, after):
        story.opening()
        story.then(TicketFirstActionTaken, 20)
        story.then(TicketLinked, 60)
    assert open_clocks(before) == {"acknowledge", "first_answer", "resolution", "statutory_user"}
    assert open_clocks(after) == set()


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"start": {"at": "opened"}}, "start.at: ['opened'] name no units"),
        ({"repeats": True}, "leave repeats and restart out"),
        ({"restart": "reopened"}, "leave repeats and restart out"),
        ({"stop": ["resolved", "resolved_delivered"]}, "['resolved_delivered'] cannot stop a clock that is per: unit"),
        ({"per": "person"}, "clocks.liability_response.per: 'person'"),
    ],
)
def test_what_runs_for_each_unit_must_hear_of_units(changes: dict[str, Any], problem: str) -> None:
    """Conditions that tell no unit from another are refused, all in one."""
    written = read_policy().model_dump(mode="json")
    written["clocks"]["liability_response"] |= changes
    with pytest.raises(PolicyError) as refused:
        parse_policy(written)
    assert any(problem in said for said in refused.value.problems), refused.value.problems
