from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from schemas.codes import Channel, ClockState, Moment, Severity, Source, TicketState
from schemas.events import (
    TicketAnswered,
    TicketAssigned,
    TicketCustomerAwaited,
    TicketFirstActionTaken,
    TicketReopened,
    TicketResolved,
    TicketResumed,
    TicketReviewCompleted,
    TicketSeverityChanged,
    TicketWithdrawn,
)
from schemas.sla import SlaBreached, SlaCorrected, SlaEscalated, SlaMet, SlaRetargeted, SlaStoppedLate, SlaWarned
from services.service_levels.calendar import to_us
from services.service_levels.policy import parse_policy, read_policy
from services.service_levels.rulebook import Policies
from services.service_levels.ticket_sla import TicketSla
from services.sla_monitor.clocks import advance, next_milestone

RECEIVED = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
HOUR = 60
DAY = 24 * HOUR


def minute(n: float) -> datetime:
    """So many minutes after receipt, which is Monday ten o'clock in Shanghai."""
    return RECEIVED + timedelta(minutes=n)


def only(facts: list[Any], kind: type[Any]) -> Any:
    """The single fact of that type."""
    found = [fact for fact in facts if isinstance(fact, kind)]
    assert len(found) == 1, [type(fact).__name__ for fact in facts]
    return found[0]


def test_clocks_of_an_ordinary_ticket(story: Any) -> None:
    """A complaint of a customer starts the clocks that concern it, counted from the times the policy names."""
    story.opened(at=2)
    story.classified(at=2, severity=3)
    story.assigned(at=2)
    due = {cycle.clock.value: cycle.due_at for cycle in story.sla.cycles if cycle.is_open}
    assert due == {
        "acknowledge": minute(15),
        "first_answer": minute(2 * DAY),
        "statutory_user": minute(7 * DAY),
        "resolution": minute(2 + 3 * DAY),
        "unit_response": minute(2 + 5 * HOUR),
    }
    assert story.cycle("first_review").state is ClockState.MET


def test_channel_and_source_choose_clocks(story: Any) -> None:
    """A platform complaint has the platform's clock, an internal one no statutory clock."""
    story.opened(channel=Channel.PLATFORM, source=Source.INTERNAL)
    clocks = {cycle.clock.value for cycle in story.sla.cycles}
    assert clocks == {"acknowledge", "first_review", "first_answer", "platform_action"}


def test_nobody_to_tell_means_no_clock_for_telling(story: Any) -> None:
    """An anonymous complaint cannot be acknowledged, so that clock does not start."""
    story.opened(reachable_by=())
    assert "acknowledge" not in {cycle.clock.value for cycle in story.sla.cycles}


def test_acknowledge_stops_on_the_receipt(story: Any) -> None:
    """The delivery receipt stops the clock, with the time that it took."""
    story.opening()
    met = only(story.delivered(3), SlaMet)
    assert (met.clock, met.elapsed_s, met.at) == ("acknowledge", 180, minute(3))
    assert story.delivered(4) == []


def test_a_receipt_that_stopped_a_clock_changes_nothing_when_it_comes_again(story: Any) -> None:
    """Also to a worker that has not read everything yet: what does not change is told again, and must be."""
    story.opening().delivered(3)
    for caught_up in (True, False):
        again = advance(story.sla, story.delivery(3), policies=story.policies, now=minute(9), caught_up=caught_up)
        assert again.sla is story.sla
        assert again.facts == ()


def test_steps_come_in_order_and_each_once(story: Any) -> None:
    """Half, four fifths, breach, then one and a half, two and three times the target."""
    story.opening()
    story.wait(15 * 4)
    told = [
        (type(f).__name__, getattr(f, "share", 1.0), getattr(f, "escalation_level", None))
        for f in story.facts
        if f.clock == "acknowledge"
    ]
    assert told == [
        ("SlaStarted", 1.0, None),
        ("SlaWarned", 0.5, None),
        ("SlaWarned", 0.8, None),
        ("SlaBreached", 1.0, "agent"),
        ("SlaEscalated", 1.5, "team_lead"),
        ("SlaEscalated", 2.0, "centre_manager"),
        ("SlaEscalated", 3.0, "management"),
    ]
    assert story.wait(15 * 4) == []


def test_breach_names_all_that_downstream_needs(story: Any) -> None:
    """The breach carries both times, the responsible, the policy and the event it is based on."""
    story.opening(severity=4)
    breach = only(story.wait(20), SlaBreached)
    assert breach.breached_at == breach.due_at == breach.at == minute(15)
    assert breach.detected_at == minute(20)
    assert (breach.elapsed_s, breach.target_s) == (900, 900)
    assert (breach.department, breach.unit, breach.person) == ("hubs", "HUB-01", "p1")
    assert (breach.policy, breach.policy_version, breach.ticket_sequence) == ("acknowledge", 1, 3)
    assert (breach.severity, breach.category.code) == (Severity.CRITICAL, "delay.transit")


def test_due_instant_itself_is_in_time(story: Any) -> None:
    """A clock that stops exactly when it is due is met."""
    story.opening()
    assert isinstance(story.delivered(15)[-1], SlaMet)


def test_late_stop_says_by_how_much(story: Any) -> None:
    """After the breach the stop is reported with the working time it was late."""
    story.opening()
    story.wait(15)
    late = only(story.delivered(25), SlaStoppedLate)
    assert (late.late_s, late.elapsed_s, late.due_at) == (600, 1500, minute(15))


def test_breach_is_told_before_an_event_that_comes_after_it(story: Any) -> None:
    """When events are read late, what passed before them is told first, with those responsible then."""
    story.opening()
    told = story.assigned(DAY + 2 * HOUR, unit="HUB-02", person="p2")
    breach = only([f for f in told if f.clock == "unit_response"], SlaBreached)
    assert (breach.unit, breach.person, breach.breached_at) == ("HUB-01", "p1", minute(5 * HOUR))


def test_unit_response_restarts_with_the_next_unit(story: Any) -> None:
    """Another unit gets a cycle of its own; the first one's is taken back, or late when it had breached."""
    story.opening()
    corrected = only(story.assigned(60, unit="HUB-02"), SlaCorrected)
    assert (corrected.clock, corrected.cycle, corrected.result) == ("unit_response", 1, ClockState.CANCELLED)
    assert story.cycle("unit_response", 2).due_at == minute(6 * HOUR)
    assert isinstance(story.assigned(3 * DAY, unit="HUB-03")[-2], SlaStoppedLate)
    met = only(story.then(TicketFirstActionTaken, 3 * DAY + 5), SlaMet)
    assert met.cycle == 3


def test_handing_over_inside_the_unit_restarts_nothing(story: Any) -> None:
    """The unit's time runs on when another of its people takes over."""
    story.opening()
    story.delivered(1)
    assert story.assigned(60, person="p2") == []


def test_resolution_pauses_while_waiting(story: Any) -> None:
    """Waiting for the customer moves the due time by the working time waited, and no statutory one."""
    story.opening(severity=4)
    story.delivered(1)
    before = story.cycle("resolution").due_at
    assert [f.clock for f in story.then(TicketCustomerAwaited, 60)] == ["resolution"]
    assert story.cycle("resolution").due_at is None
    story.then(TicketResumed, 60 + 2 * HOUR)
    # An hour of the wait was the lunch break.
    assert story.cycle("resolution").due_at == before + timedelta(hours=1)
    assert story.cycle("statutory_user").due_at == minute(7 * DAY)


def test_answer_in_a_waiting_state_ends_the_wait(story: Any) -> None:
    """Any event that leaves the waiting state resumes the clock, and a resolution stops it without resuming."""
    story.opening(severity=4)
    story.then(TicketCustomerAwaited, 60)
    assert "resumed" in [f.TYPE.rpartition(".")[2] for f in story.then(TicketAnswered, 120)]
    story.then(TicketCustomerAwaited, 200)
    assert [f.TYPE.rpartition(".")[2] for f in story.then(TicketResolved, 300)] == ["met"]


def test_severity_retargets_from_the_original_start(story: Any) -> None:
    """A graver case is due as if it had been that grave from the start; completed cycles keep their result."""
    story.opening(severity=2)
    retargeted = only(story.then(TicketSeverityChanged, 60, before=2, severity=3), SlaRetargeted)
    assert retargeted.due_before == minute(7 * DAY)
    assert retargeted.due_at == minute(3 * DAY)
    assert story.cycle("first_review").state is ClockState.MET


def test_retarget_into_the_past_breaches_at_once(story: Any) -> None:
    """When the new limit has already passed, the breach comes with the event, dated at its due time."""
    story.opening(severity=2)
    told = story.then(TicketSeverityChanged, 3 * DAY + 60, before=2, severity=3)
    assert isinstance(told[-2], SlaRetargeted)
    breach = only([f for f in told if f.clock == "resolution"], SlaBreached)
    assert (breach.breached_at, breach.detected_at) == (minute(3 * DAY), minute(3 * DAY + 60))


def test_retarget_of_a_paused_clock_breaches_by_what_was_used_before_the_pause(story: Any) -> None:
    """A graver weight whose limit was used up before the wait began breaches at once, although the clock stands."""
    story.opening(severity=2)
    story.then(TicketCustomerAwaited, 3 * DAY + 60)
    told = story.then(TicketSeverityChanged, 3 * DAY + 90, before=2, severity=3)
    breach = only([f for f in told if f.clock == "resolution"], SlaBreached)
    assert breach.breached_at == minute(3 * DAY)
    assert isinstance(story.then(TicketResolved, 4 * DAY)[-1], SlaStoppedLate)


def test_breach_stands_when_severity_falls(story: Any) -> None:
    """What has breached is not undone by weighing the case lighter."""
    story.opening(severity=3)
    story.wait(3 * DAY)
    assert story.then(TicketSeverityChanged, 3 * DAY + 5, before=3, severity=1) == []
    assert story.cycle("resolution").state is ClockState.BREACHED


@pytest.mark.parametrize("resumed", [False, True])
def test_breach_before_a_pause_stands_when_an_older_event_follows_the_pause(story: Any, resumed: bool) -> None:
    """An event that counts from the time of the pause, or of its end, undoes nothing that lay before the pause."""
    story.opening(severity=3)
    breach = only([f for f in story.wait(4 * DAY) if f.clock == "resolution"], SlaBreached)
    story.then(TicketCustomerAwaited, 4 * DAY)
    if resumed:
        story.then(TicketResumed, 4 * DAY + 60)
    told = story.then(TicketWithdrawn, 4 * DAY - 10, state=TicketState.WITHDRAWN)
    assert breach.fact_id not in {f.corrects for f in told if isinstance(f, SlaCorrected)}
    assert isinstance([f for f in told if f.clock == "resolution"][-1], SlaStoppedLate)


def test_owner_calendar_counts_from_the_original_start(story: Any) -> None:
    """An assignment to a unit with other hours re-targets the resolution to those hours."""
    story.opened()
    story.classified(severity=4)
    centre = story.cycle("resolution").due_at
    retargeted = only(story.assigned(30, unit_calendar="hub"), SlaRetargeted)
    assert (retargeted.due_before, retargeted.due_at) == (centre, minute(DAY))


def test_unknown_unit_calendar_falls_back(story: Any) -> None:
    """A unit whose calendar no policy lists is counted by the default one; no ticket is without clocks for that."""
    story.opening(unit_calendar="moonbase")
    assert story.cycle("unit_response").calendar == "centre"


def test_stop_that_arrives_after_the_breach_was_told_corrects_it(story: Any) -> None:
    """A receipt from before the due time withdraws the breach that was told before it arrived."""
    story.opening()
    breach = only(story.wait(16), SlaBreached)
    told = story.delivered(7, now=17)
    assert breach.fact_id in {f.corrects for f in told if isinstance(f, SlaCorrected)}
    assert isinstance(told[-1], SlaMet)
    assert story.cycle("acknowledge").state is ClockState.MET
    assert all(isinstance(f, SlaWarned | SlaBreached | SlaEscalated) for f in story.facts if _is_corrected(story, f))


def _is_corrected(story: Any, fact: Any) -> bool:
    return fact.fact_id in {f.corrects for f in story.facts if isinstance(f, SlaCorrected)}


def test_pause_that_arrives_late_moves_the_breach(story: Any) -> None:
    """A breach told too early is taken back and told again, under another identity, at its new time."""
    story.opening(severity=4)
    first = only([f for f in story.wait(3 * DAY) if f.clock == "resolution"], SlaBreached)
    told = story.apply(story.event(TicketCustomerAwaited, 2 * DAY), now=3 * DAY)
    assert first.fact_id in {f.corrects for f in told if isinstance(f, SlaCorrected)}
    story.then(TicketResumed, 3 * DAY)
    second = only([f for f in story.wait(5 * DAY) if f.clock == "resolution"], SlaBreached)
    assert second.breached_at > first.breached_at
    assert second.fact_id != first.fact_id


def reopen(story: Any, at: float, *, received: float, before: TicketState = TicketState.RESOLVED) -> list[Any]:
    """The settled ticket is complained about again."""
    again: list[Any] = story.then(TicketReopened, at, before=before, received_at=minute(received))
    return again


def test_reopening_promises_anew_what_the_complainant_is_promised(story: Any) -> None:
    """The clocks that answer to them run a second cycle from the new receipt; statutory ones run once."""
    story.opening()
    story.then(TicketResolved, 60)
    reopen(story, 3 * DAY, received=3 * DAY - 10)
    running = {(c.clock.value, c.number): c for c in story.sla.cycles if c.is_open and c.number > 1}
    assert set(running) == {("first_review", 2), ("first_answer", 2), ("resolution", 2)}
    assert story.cycle("first_answer", 2).due_at == minute(5 * DAY - 10)
    assert story.cycle("first_review", 2).due_at == minute(4 * DAY - 10)
    assert story.cycle("resolution", 2).start == to_us(minute(3 * DAY))
    assert story.cycle("first_answer").state is ClockState.MET
    story.then(TicketReviewCompleted, 3 * DAY + 5)
    assert "assigned" not in story.sla.times
    story.assigned(at=3 * DAY + 5)
    assert story.cycle("first_review", 2).state is ClockState.MET
    assert story.cycle("unit_response", 2).start == to_us(minute(3 * DAY + 5))
    assert story.cycle("resolution", 2).is_open
    story.then(TicketResolved, 3 * DAY + 60)
    reopen(story, 4 * DAY, received=4 * DAY)
    assert {c.clock.value for c in story.sla.cycles if c.number == 3} == {"first_review", "first_answer", "resolution"}


def test_a_breach_after_reopening_names_no_person_who_does_not_have_it(story: Any) -> None:
    """The unit stays responsible; the person gave the ticket back when it was resolved."""
    story.opening()
    story.then(TicketResolved, 60)
    reopen(story, 120, received=120)
    breach = next(f for f in story.wait(120 + 3 * DAY) if isinstance(f, SlaBreached) and f.cycle == 2)
    assert (breach.unit, breach.person) == ("HUB-01", None)


def test_a_withdrawn_ticket_that_is_reopened_has_clocks_again(story: Any) -> None:
    """What the withdrawal ended starts again; what started again and still runs is left alone."""
    story.opening()
    story.then(TicketWithdrawn, 10)
    reopen(story, 20, received=20, before=TicketState.WITHDRAWN)
    reopen(story, 30, received=30, before=TicketState.WITHDRAWN)
    assert [c.number for c in story.sla.cycles if c.clock == "first_answer"] == [1, 2]
    assert story.cycle("first_answer", 2).due_at == minute(20 + 2 * DAY)


def test_assignment_that_arrives_after_a_breach_it_lies_before_moves_it(story: Any) -> None:
    """A breach that named a unit too early is taken back and told again with who was responsible, under another id."""
    story.opening()
    first = only([f for f in story.wait(20) if f.clock == "acknowledge"], SlaBreached)
    late = story.event(
        TicketAssigned, 14, department="hubs", unit="HUB-02", person="p2", unit_calendar="centre", rule="r"
    )
    assert first.fact_id in {f.corrects for f in story.apply(late, now=21) if isinstance(f, SlaCorrected)}
    second = only([f for f in story.wait(21) if f.clock == "acknowledge"], SlaBreached)
    assert (second.unit, second.ticket_sequence, second.breached_at) == ("HUB-02", 4, first.breached_at)
    assert (first.unit, first.ticket_sequence) == ("HUB-01", 3)
    assert second.fact_id != first.fact_id


def test_withdrawal_ends_every_clock(story: Any) -> None:
    """After the complainant took the complaint back nothing runs and nothing will."""
    story.opening()
    told = story.then(TicketWithdrawn, 5)
    assert {f.result for f in told} == {ClockState.CANCELLED}
    assert next_milestone(story.sla) is None
    assert story.wait(30 * DAY) == []


def test_receipt_from_before_a_withdrawal_still_counts(story: Any) -> None:
    """A receipt that comes in after the complaint was withdrawn, from before that, makes the clock met after all."""
    story.opening()
    withdrawn = story.then(TicketWithdrawn, 12)
    before = story.sla.to_doc()
    corrected, met = story.delivered(8, now=13)
    assert corrected.corrects in {f.fact_id for f in withdrawn}
    assert (met.clock, met.elapsed_s, story.cycle("acknowledge").state) == ("acknowledge", 480, ClockState.MET)
    assert before["cycles"][0]["state"] == "cancelled"


def test_earlier_of_two_receipts_counts(story: Any) -> None:
    """When two channels delivered the same message, the time of the first receipt is what the clock took."""
    story.opening()
    story.delivered(9)
    story.delivered(4, now=10)
    assert story.cycle("acknowledge").stopped == story.cycle("acknowledge").start + 4 * 60 * 1_000_000


def test_review_by_a_person_is_waited_for(story: Any) -> None:
    """A ticket that needs a person's eye is reviewed when that person has completed the review."""
    story.opening(reviewed=False)
    assert story.cycle("first_review").state is ClockState.RUNNING
    assert "first_review" in {f.clock for f in story.then(TicketReviewCompleted, 30)}


def test_statutory_clock_stops_when_the_result_is_told(story: Any) -> None:
    """The user's statutory clock stops on the receipt of the answer, not on the answer."""
    story.opening()
    assert "statutory_user" not in {f.clock for f in story.then(TicketAnswered, 60)}
    assert [f.clock for f in story.delivered(61, Moment.ANSWERED)] == ["statutory_user"]


def test_internal_and_major_complaints_climb_other_ladders(new_story: Callable[..., Any]) -> None:
    """Internal causes go to the leadership; a major complaint starts one level up."""
    internal, major = new_story(), new_story()
    internal.opened(source=Source.INTERNAL)
    assert only(internal.wait(15), SlaBreached).escalation_level == "leadership"
    major.opened()
    major.classified(major=True)
    assert only(major.wait(15), SlaBreached).escalation_level == "team_lead"


def test_event_seen_before_changes_nothing(story: Any) -> None:
    """A redelivered event gives no facts and leaves the state as it is."""
    story.opening()
    before = story.sla
    assert [story.apply(event) for event in list(story.events)] == [[], [], []]
    assert story.sla is before


def test_delivery_before_the_ticket_is_known_is_kept(story: Any) -> None:
    """Topics are read in no common order; a receipt that is read first stops the clock all the same."""
    story.delivered(3)
    story.opening()
    assert next_milestone(story.sla) == minute(3)
    assert only(story.wait(4), SlaMet).clock == "acknowledge"


def test_complaint_received_long_ago_breaches_on_opening(story: Any) -> None:
    """A batch from a terminal that was offline for an hour is late from the start, and says so at once."""
    assert only(story.opened(at=61), SlaBreached).breached_at == minute(15)


def test_policy_in_force_at_the_start_stays(new_story: Callable[..., Any]) -> None:
    """A clock keeps its version when a new one comes, and later clocks start under the new one."""
    first = read_policy()
    later = first.model_copy(update={"version": 2, "effective_from": minute(30)})
    story = new_story(Policies([first, later]))
    story.opening()
    story.assigned(45, unit="HUB-02")
    story.then(TicketSeverityChanged, 60, before=2, severity=4)
    assert story.cycle("resolution").version == 1
    assert story.cycle("unit_response", 2).version == 2


def test_state_survives_the_database(story: Any) -> None:
    """What is stored and read again is the same state."""
    story.opening()
    story.then(TicketCustomerAwaited, 60)
    story.then(TicketResumed, 90)
    story.wait(DAY)
    assert TicketSla.from_doc(story.sla.to_doc()) == story.sla


def test_state_before_is_untouched(story: Any) -> None:
    """Applying an event works on a copy, so that a write that fails can be done again from the old state."""
    story.opening()
    before = story.sla.to_doc()
    advance(story.sla, story.event(TicketWithdrawn, 9), policies=story.policies, now=minute(9))
    assert story.sla.to_doc() == before


def test_policy_errors_come_all_at_once() -> None:
    """Every mistake in a policy is named with its path and value."""
    written = read_policy().model_dump(mode="json")
    written["clocks"]["resolution"]["rules"][0]["target"] = "soon"
    written["clocks"]["resolution"]["stop"] = ["solved"]
    written["clocks"]["unit_response"]["calendar"] = "mars"
    written["calendars"]["centre"]["tz"] = "Asia/Peking"
    written["escalation"]["shares"] = [1.5]
    with pytest.raises(ValueError, match="mars") as caught:
        parse_policy(written)
    told = str(caught.value)
    for path in ("clocks.resolution.rules.0.target", "clocks.resolution.stop.0: 'solved'", "calendars.centre.tz"):
        assert path in told
    assert "escalation" in told


def test_what_ended_while_older_messages_were_unread_stays_ended(story: Any) -> None:
    """A withdrawal that was read while catching up ends its clocks later: the next event finds none of them running."""
    story.opening()
    opening = list(story.events)
    withdrawn = story.event(TicketWithdrawn, 1)
    noted = story.event(TicketSeverityChanged, 600, before=Severity.NORMAL, severity=Severity.HIGH)
    sla = None
    for event in (*opening, withdrawn):
        sla = advance(sla, event, policies=story.policies, now=minute(601), caught_up=False).sla
    facts = advance(sla, noted, policies=story.policies, now=minute(601), caught_up=True).facts
    assert [fact for fact in facts if isinstance(fact, SlaBreached | SlaWarned | SlaEscalated)] == []
    assert {fact.clock.value for fact in facts} == {"acknowledge", "statutory_user"}
