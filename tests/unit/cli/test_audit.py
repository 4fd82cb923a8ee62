"""The check from outside names what is wrong, and nothing else."""

import copy
from datetime import UTC, datetime, timedelta

import pytest

from services.cli.audit import Snapshot, differences, settled, summary

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def at(seconds):
    return (NOW + timedelta(seconds=seconds)).isoformat()


def event(sequence, kind, **told):
    there = {"ticket_id": "t1", "sequence": sequence, "event_id": f"e{sequence}", "causation_id": f"m{sequence}"}
    return there | {"occurred_at": at(-90), **told}, kind


def fact(kind, **told):
    return {
        "fact_id": f"f-{kind}",
        "ticket_id": "t1",
        "ticket_sequence": 1,
        "clock": "first_answer",
        "cycle": 1,
        "at": at(-60),
        "due_at": at(-30),
        **told,
    }, kind


@pytest.fixture
def whole():
    """One complaint, its ticket, its clock that broke in time, and the message in the customer's hand."""
    snapshot = Snapshot(now=NOW)
    snapshot.add("complaint-submitted", "amends.complaint.submitted.v1", {"complaint_id": "c1"})
    for payload, kind in (event(1, "opened", complaint_id="c1", number="2611-000013"), event(2, "classified")):
        snapshot.add("ticket-event", f"amends.ticket.{kind}.v1", payload)
        snapshot.stored["t1"][payload["sequence"]] = payload["event_id"]
    snapshot.tickets["t1"] = {"version": 2}
    breach = {"breached_at": at(-30), "detected_at": at(-29.8)}
    for payload, kind in (fact("started"), fact("breached", **breach)):
        snapshot.add("sla-event", f"amends.sla.{kind}.v1", payload)
    snapshot.add("sla-breached", "amends.sla.breached.v1", fact("breached", **breach)[0])
    for kind in ("requested", "sent", "delivered"):
        told = {"notification_id": "n1", "ticket_id": "t1", "moment": "received", "occasion": "e1", "channel": "sms"}
        snapshot.add("notification-event", f"amends.notification.{kind}.v1", told)
    snapshot.messages = [{"channel": "sms", "out_id": "n1"}]
    return snapshot


def test_a_whole_run_has_no_difference(whole):
    """Redelivered records change nothing either."""
    whole.add("ticket-event", "amends.ticket.opened.v1", event(1, "opened", complaint_id="c1", number="2611-000013")[0])
    assert differences(whole, lateness_s_max=1) == []
    assert summary(whole, [])["accepted"] == 1


def test_lateness_counts_from_the_event_that_moved_the_limit_into_the_past(whole):
    """Nobody could have told a breach before what it follows from had happened."""
    whole.facts["f-breached"].update(breached_at=at(-600))
    whole.events["t1"][1].update(occurred_at=at(-30))
    assert differences(whole, lateness_s_max=1) == []
    assert summary(whole, [])["breach_lateness_s_max"] == pytest.approx(0.2)


def submit_another(s):
    s.add("complaint-submitted", "amends.complaint.submitted.v1", {"complaint_id": "c2"})


def open_twice(s):
    payload = event(1, "opened", complaint_id="c1", number="2611-000021")[0] | {"ticket_id": "t2", "event_id": "x"}
    s.add("ticket-event", "amends.ticket.opened.v1", payload)


def publish_other_event_under_same_number(s):
    s.add("ticket-event", "amends.ticket.resolved.v1", event(2, "resolved")[0] | {"event_id": "other"})


def number_taken_twice(s):
    s.add(
        "ticket-event",
        "amends.ticket.opened.v1",
        event(1, "opened", complaint_id="c9", number="2611-000013")[0] | {"ticket_id": "t2", "event_id": "x"},
    )


def start_overdue_clock(s):
    s.add("sla-event", "amends.sla.started.v1", fact("started", clock="resolution", fact_id="f9")[0])


def breach_again(s):
    again = {"fact_id": "f8", "breached_at": at(-30), "detected_at": at(-29)}
    s.add("sla-event", "amends.sla.breached.v1", fact("breached", **again)[0])
    s.add("sla-breached", "amends.sla.breached.v1", fact("breached", **again)[0])


def ask(s, command="m9", name="resolve", kind="agent"):
    payload = {"command_id": command, "ticket_id": "t1", "actor": {"kind": kind}, "action": {"name": name}}
    s.add("ticket-command", "amends.command.issued.v1", payload)


PLANTED = {
    "command_lost": ask,
    "event_doubled": lambda s: s.events["t1"].update({3: s.events["t1"][2]}),
    "lost": submit_another,
    "doubled": open_twice,
    "two_writers": publish_other_event_under_same_number,
    "gap": lambda s: s.stored["t1"].pop(1),
    "unpublished": lambda s: s.stored["t1"].update({3: "e3"}),
    "unstored": lambda s: s.stored["t1"].pop(2),
    "number_doubled": number_taken_twice,
    "number_wrong": lambda s: s.events["t1"][1].update(number="2611-000014"),
    "unprojected": lambda s: s.tickets["t1"].update(version=1),
    "no_clock": lambda s: s.facts.clear(),
    "missed_deadline": start_overdue_clock,
    "breach_doubled": breach_again,
    "breach_untold": lambda s: s.breached.clear(),
    "breach_early": lambda s: s.facts["f-breached"].update(detected_at=at(-31)),
    "breach_void": lambda s: s.events["t1"][1].update(state="withdrawn"),
    "breach_late": lambda s: s.facts["f-breached"].update(detected_at=at(-25)),
    "untold": lambda s: s.notified.clear(),
    "told_twice": lambda s: s.notified.update(n2=copy.deepcopy(s.notified["n1"])),
    "notification_open": lambda s: [s.notified["n1"].pop(kind) for kind in ("sent", "delivered")],
    "message_twice": lambda s: s.messages.append(dict(s.messages[0])),
    "message_unknown": lambda s: s.messages.append({"channel": "sms", "out_id": "n7"}),
    "message_missing": lambda s: s.messages.clear(),
    "dead_letter": lambda s: s.dead_letters.append(("ticket-event-dlq/0/0", "not JSON")),
}


@pytest.mark.parametrize("kind", PLANTED)
def test_each_planted_fault_is_named(whole, kind):
    """A check that cannot fail shows nothing."""
    PLANTED[kind](whole)
    assert kind in {difference.kind for difference in differences(whole, lateness_s_max=1)}


def test_commands_that_need_no_answer_are_not_lost(whole):
    """One that had an effect, one set aside as a dead letter, a follow-up, and what the router asks of itself."""
    ask(whole, command="m2")
    ask(whole, command="refused")
    ask(whole, command="again", name="follow_up")
    ask(whole, command="offer", name="assign", kind="system")
    whole.set_aside.add("refused")
    assert differences(whole) == []


def test_work_under_way_is_told_from_what_waiting_cannot_mend(whole):
    """`amends verify` waits for the one and gives up at once on the other."""
    submit_another(whole)
    assert not settled(differences(whole))
    whole.add("ticket-event", "amends.ticket.followed_up.v1", event(3, "followed_up", complaint_id="c2")[0])
    whole.stored["t1"][3] = "e3"
    whole.tickets["t1"]["version"] = 3
    whole.messages.append(dict(whole.messages[0]))
    found = differences(whole)
    assert "lost" not in {d.kind for d in found}
    assert "message_twice" in {d.kind for d in found}


def reopen_with_a_clock(s, **facts):
    """Withdrawn, complained about again, and promised again."""
    s.facts.clear()
    s.breached.clear()
    for payload, kind in (event(3, "withdrawn"), event(4, "reopened")):
        s.add("ticket-event", f"amends.ticket.{kind}.v1", payload)
        s.stored["t1"][payload["sequence"]] = payload["event_id"]
    s.tickets["t1"]["version"] = 4
    s.add("sla-event", "amends.sla.started.v1", fact("started", clock="statutory_user")[0])
    again = {"fact_id": "f-again", "cycle": 2, "ticket_sequence": 4} | facts
    s.add("sla-event", "amends.sla.started.v1", fact("started", **again)[0])


def test_clocks_of_a_reopened_ticket_are_watched_again(whole):
    """What its withdrawal ended is over; what started after it must be told when it is missed."""
    overdue = copy.deepcopy(whole)
    reopen_with_a_clock(whole, due_at=at(30))
    assert differences(whole) == []
    reopen_with_a_clock(overdue)
    assert [(d.kind, "first_answer cycle 2" in d.says) for d in differences(overdue)] == [("missed_deadline", True)]
