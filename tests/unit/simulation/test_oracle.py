"""The judge of simulated runs finds nothing in a right history, and each wrong in a wrong one."""

import dataclasses
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import orjson
import pytest

from tests.simulation.history import Acknowledged, Answer, Recorded
from tests.simulation.oracle import timeline, violations
from tests.unit.simulation.told import COMPLAINT, KEY, TICKET, ZERO, Telling, name, right, time

OTHER = name("complaint", 2)


def found(told: Telling) -> dict[int, str]:
    """What is said of a history, by invariant."""
    by_number: dict[int, str] = {}
    for violation in violations(told.history):
        by_number[violation.invariant] = f"{by_number.get(violation.invariant, '')}{violation.words}\n"
    return by_number


def without(told: Telling, *, topic: str, verb: str) -> None:
    """Take records out."""
    told.history.records = [r for r in told.history.records if (r.topic, r.verb) != (topic, verb)]


def record(told: Telling, topic: str, verb: str) -> Recorded:
    """The last of a kind."""
    return next(r for r in reversed(told.history.records) if (r.topic, r.verb) == (topic, verb))


def changed(told: Telling, topic: str, verb: str, **changes: Any) -> None:
    """Let the last of a kind say something else."""
    old = record(told, topic, verb)
    new = dataclasses.replace(old, value=orjson.dumps(old.payload | changes))
    told.history.records = [new if r is old else r for r in told.history.records]


def moved(told: Telling, topic: str, verb: str, s: float) -> None:
    """Let the broker take the last of a kind at another time."""
    old = record(told, topic, verb)
    new = dataclasses.replace(old, at=ZERO + timedelta(seconds=s))
    told.history.records = [new if r is old else r for r in told.history.records]


def poison(told: Telling, topic: str = "ticket-event") -> Recorded:
    """Garbage in a topic."""
    offset = sum(r.topic == topic for r in told.history.records)
    garbage = Recorded(topic, 0, offset, ZERO, b"k", [("ce_type", b"nonsense")], b"{not json")
    told.history.records.append(garbage)
    told.history.poison.add(garbage.place)
    return garbage


def letter(told: Telling, original: Recorded, *, consumer: str = "router", **named: str) -> None:
    """A record set aside."""
    named = {
        "dl_consumer": consumer,
        "dl_why": "undecodable",
        "dl_reason": "no JSON",
        "dl_topic": original.topic,
        "dl_partition": str(original.partition),
        "dl_offset": str(original.offset),
    } | named
    topic = f"{original.topic}-dlq"
    offset = sum(r.topic == topic for r in told.history.records)
    headers = original.headers + [(header, text.encode()) for header, text in named.items()]
    told.history.records.append(Recorded(topic, 0, offset, original.at, original.key, headers, original.value))


def test_a_right_history_has_no_violations():
    """What is as it must be is not complained of."""
    assert violations(right().history) == []


def test_a_run_that_does_not_come_to_rest_is_a_violation():
    """Liveness is judged, too."""
    told = right()
    told.history.settled = False
    assert list(found(told)) == [0]


# Invariant 1


def lost(told: Telling) -> None:
    told.accept(100, OTHER, key="k-2", text="u", waybills=["SF200"])


def doubled(told: Telling) -> None:
    ticket = told.open(100, COMPLAINT.replace("-", ""), number="2611-000021", waybills=["SF300"])
    assert ticket
    opened = record(told, "ticket-event", "opened")
    told.history.records.remove(opened)
    told.put("ticket-event", 100, "ticket.opened", (opened.id, ticket), opened.payload | {"complaint_id": COMPLAINT})


def never_submitted(told: Telling) -> None:
    without(told, topic="complaint-submitted", verb="submitted")


def answered_too_soon(told: Telling) -> None:
    moved(told, "complaint-submitted", "submitted", 1)


def key_with_other_content(told: Telling) -> None:
    told.history.answers.append(Answer("k-1", {"channel": "web", "description": "other"}, 202, COMPLAINT, ZERO))


def key_with_other_complaint(told: Telling) -> None:
    body = told.history.answers[0].body
    told.accept(100, OTHER, waybills=["SF200"])
    told.open(100, OTHER, number="2611-000021", waybills=["SF200"])
    told.history.answers[-1] = dataclasses.replace(told.history.answers[-1], body=body)


def two_open_on_one_parcel(told: Telling) -> None:
    told.accept(100, OTHER, key="k-2", text="u")
    told.open(100, OTHER, number="2611-000021")


def wrongly_followed(told: Telling) -> None:
    told.accept(80, OTHER, key="k-2", text="u", waybills=["SF999"])
    fields = {"complaint_id": OTHER, "received_at": time(80), "contact_ref": name("x"), "masked": {"phone": "1"}}
    event = told.event(
        80, TICKET, "followed_up", cause=OTHER, state="resolved", matched_by="waybill", repeats=1, flags=[], **fields
    )
    told.notify(80, TICKET, "follow_up_received", event.id)


def command_forgotten(told: Telling) -> None:
    payload = {"routing_key": KEY, "command_id": name("c"), "ticket_id": TICKET, "issued_at": time(100)}
    payload |= {"actor": {"kind": "agent"}, "action": {"name": "close"}}
    told.put("ticket-command", 100, "command.issued", (name("c"), TICKET), payload)


# Invariant 2


def other_content_again(told: Telling) -> None:
    told.again(record(told, "sla-event", "breached"), 80, detected_at=time(80))


def another_breach_downstream(told: Telling) -> None:
    changed(told, "sla-breached", "breached", person="p-2")


def told_twice(told: Telling) -> None:
    note = record(told, "notification-event", "requested").payload["notification_id"]
    told.arrive(92, note)


def confirmed_twice(told: Telling) -> None:
    told.notify(95, TICKET, "received", name("another"))


def mailed_though_the_text_arrived(told: Telling) -> None:
    note = record(told, "notification-event", "requested").payload["notification_id"]
    told.arrive(92, note, channel="email")


def not_confirmed(told: Telling) -> None:
    told.history.records = [r for r in told.history.records if r.payload.get("moment") != "resolved"]
    told.history.arrived.pop()


def sent_and_not_there(told: Telling) -> None:
    told.history.arrived.pop()


def nothing_came_of_it(told: Telling) -> None:
    for verb in ("sent", "delivered"):
        old = record(told, "notification-event", verb)
        told.history.records.remove(old)
    told.history.arrived.pop()


def never_acknowledged(told: Telling) -> None:
    without(told, topic="notification-event", verb="delivered")


def receipt_forgotten(told: Telling) -> None:
    said = record(told, "notification-event", "sent").payload
    at = ZERO + timedelta(seconds=92)
    told.history.acknowledged.append(Acknowledged(said["notification_id"], "sms", arrived=True, at=at))
    failed = said | {"event_id": name("failed"), "at": time(95), "why": "no_receipt"}
    told.put("notification-event", 95, "notification.failed", (name("failed"), TICKET), failed)


def no_apology(told: Telling) -> None:
    told.history.records = [r for r in told.history.records if r.payload.get("moment") != "breached_apology"]
    told.history.arrived.pop(1)


def told_in_another_language(told: Telling) -> None:
    chosen = told.command(89, TICKET, "language_chosen", "answered", language="en")
    resolved = next(r for r in told.history.records if r.verb == "resolved")
    changed(told, "ticket-event", "language_chosen", sequence=resolved.payload["sequence"])
    changed(told, "ticket-event", "resolved", sequence=chosen.payload["sequence"])


def done_twice(told: Telling) -> None:
    cause = record(told, "ticket-event", "answered").payload["causation_id"]
    event = told.event(95, TICKET, "answered", cause=cause, state="answered", event_id=name("again"))
    told.show(TICKET, state="answered")
    told.notify(96, TICKET, "answered", event.id)


# Invariant 3


def gap_in_the_store(told: Telling) -> None:
    del told.history.documents["ticket_events"][3]


def gap_on_the_topic(told: Telling) -> None:
    without(told, topic="ticket-event", verb="classified")


def two_writers(told: Telling) -> None:
    said = record(told, "ticket-event", "resolved").payload
    told.put("ticket-event", 95, "ticket.withdrawn", (name("w"), TICKET), said | {"event_id": name("w")})


def other_than_stored(told: Telling) -> None:
    changed(told, "ticket-event", "resolved", occurred_at=time(91))


def other_key(told: Telling) -> None:
    fact = record(told, "sla-event", "warned")
    told.history.records[told.history.records.index(fact)] = dataclasses.replace(fact, key=b"w:other")


def other_partition(told: Telling) -> None:
    fact = record(told, "sla-event", "warned")
    told.history.records[told.history.records.index(fact)] = dataclasses.replace(fact, partition=1)


def old_projection(told: Telling) -> None:
    told.history.documents["tickets"][0]["version"] = 4


def wrong_projection(told: Telling) -> None:
    told.history.documents["tickets"][0]["severity"] = 4


def no_place(told: Telling) -> None:
    told.accept(100, OTHER, key="k-2", text="u", waybills=["SF200"])
    told.notify(101, told.open(100, OTHER, number="2611-000021", waybills=["SF200"]), "received", name("o"))
    told.history.documents["reservations"].pop()


def wrong_check_digit(told: Telling) -> None:
    changed(told, "ticket-event", "opened", number="2611-000014")


def after_the_end(told: Telling) -> None:
    told.command(100, TICKET, "withdrawn", "withdrawn")
    told.command(110, TICKET, "closed", "closed")


# Invariant 4


def missing_warning(told: Telling) -> None:
    without(told, topic="sla-event", verb="warned")


def missing_breach(told: Telling) -> None:
    without(told, topic="sla-event", verb="breached")


def missing_downstream(told: Telling) -> None:
    without(told, topic="sla-breached", verb="breached")


def early_breach(told: Telling) -> None:
    moved(told, "sla-event", "breached", 59.9)


def late_breach(told: Telling) -> None:
    moved(told, "sla-event", "breached", 63)


def wrong_person(told: Telling) -> None:
    for topic in ("sla-event", "sla-breached"):
        changed(told, topic, "breached", person="p-2")


def wrong_due_time(told: Telling) -> None:
    changed(told, "sla-event", "stopped_late", due_at=time(61))


def breach_of_a_clock_that_stopped(told: Telling) -> None:
    told.fact(20, TICKET, "breached", "acknowledge", due=20, target=20, breached_at=time(20), escalation_level="agent")


def met_and_late(told: Telling) -> None:
    told.fact(70, TICKET, "met", "first_answer", ticket_sequence=4, elapsed_s=70.0)


def false_breach(told: Telling) -> None:
    """Taken back when the message is seen to have arrived after four seconds."""
    about = {"due": 20, "target": 20}
    breach = told.fact(
        25, TICKET, "breached", "acknowledge", at=20, breached_at=time(20), escalation_level="agent", **about
    )
    told.fact(26, TICKET, "corrected", "acknowledge", at=4, corrects=breach.id, result="met", **about)


def false_breach_after_an_outage(told: Telling) -> None:
    told.history.sla_lives = [
        (ZERO, ZERO + timedelta(seconds=3)),
        (ZERO + timedelta(seconds=24), told.history.ended_at),
    ]
    false_breach(told)


def deadline_left_over(told: Telling) -> None:
    told.history.documents["deadlines"].append(
        {"_id": f"sla:{TICKET}:3", "due_at": ZERO + timedelta(seconds=100), "state": "armed"}
    )


# Invariant 5


def poison_forgotten(told: Telling) -> None:
    poison(told)


def poison_seen_by_one_of_two(told: Telling) -> None:
    first, second = poison(told), poison(told)
    letter(told, first)
    letter(told, first, consumer="notifier")
    letter(told, second)


def letter_without_reason(told: Telling) -> None:
    letter(told, poison(told), dl_reason="")


def letter_from_elsewhere(told: Telling) -> None:
    letter(told, poison(told), dl_offset="77")


def good_record_set_aside(told: Telling) -> None:
    letter(told, record(told, "ticket-event", "answered"), dl_why="failed")


# Invariant 7


def number_in_an_event(told: Telling) -> None:
    changed(told, "notification-event", "delivered", to="+8613800138000")


def name_in_a_document(told: Telling) -> None:
    told.history.documents["tickets"][0]["title"] = "王小明"


def number_in_a_log(told: Telling) -> None:
    told.history.logs.append('{"event": "failed", "phone": "13800138000"}')


WRONGS: dict[Callable[[Telling], None], tuple[int, str]] = {
    lost: (1, "neither ticket nor follow-up"),
    doubled: (1, "more than one"),
    never_submitted: (1, "never on complaint-submitted"),
    answered_too_soon: (1, "before the broker had it"),
    key_with_other_content: (1, "2 different contents"),
    key_with_other_complaint: (1, "one key and content"),
    two_open_on_one_parcel: (1, "same matter"),
    wrongly_followed: (1, "shares none"),
    command_forgotten: (1, "neither done nor refused"),
    other_content_again: (2, "with other detected_at"),
    another_breach_downstream: (2, "with other person"),
    told_twice: (2, "2 times by sms"),
    confirmed_twice: (2, "2 messages about ['received']"),
    mailed_though_the_text_arrived: (2, "sms had not failed"),
    not_confirmed: (2, "0 notifications of resolved"),
    sent_and_not_there: (2, "does not have it"),
    nothing_came_of_it: (2, "nothing came of it"),
    never_acknowledged: (2, "nothing tells whether"),
    receipt_forgotten: (2, "after its receipt was taken"),
    no_apology: (2, "0 apologies"),
    told_in_another_language: (2, "tells of resolved in zh, and en was chosen"),
    done_twice: (2, "gave 2 events answered"),
    gap_in_the_store: (3, "the event store holds the numbers"),
    gap_on_the_topic: (3, "never published"),
    two_writers: (3, "differs between store"),
    other_than_stored: (3, "differs between store"),
    other_key: (3, "has the key"),
    other_partition: (3, "several keys or partitions"),
    old_projection: (3, "shows version 4"),
    wrong_projection: (3, "shows severity 4"),
    no_place: (3, "who has no place"),
    wrong_check_digit: (3, "check digit"),
    after_the_end: (3, "on a ticket that is withdrawn"),
    missing_warning: (4, "warned 0.5 at 2026-11-23T02:00:30.000+00:00 ought to stand"),
    missing_breach: (4, "ought to stand"),
    missing_downstream: (4, "is a breach on sla-event alone"),
    early_breach: (4, "before its time"),
    late_breach: (4, "3.000 s after its time"),
    wrong_person: (4, "person is 'p-2'"),
    wrong_due_time: (4, "due_at is"),
    breach_of_a_clock_that_stopped: (4, "ought not to"),
    met_and_late: (4, "ought not to"),
    false_breach_after_an_outage: (4, "what makes it void lay there before"),
    deadline_left_over: (4, "left over"),
    poison_forgotten: (5, "nobody"),
    poison_seen_by_one_of_two: (5, "not by ['notifier']"),
    letter_without_reason: (5, "has no reason"),
    letter_from_elsewhere: (5, "where nothing was read"),
    good_record_set_aside: (5, "was no garbage"),
    number_in_an_event: (7, "in the clear"),
    name_in_a_document: (7, "in the clear"),
    number_in_a_log: (7, "in the clear"),
}


@pytest.mark.parametrize("spoil", WRONGS, ids=lambda spoil: spoil.__name__)
def test_a_wrong_history_is_found_out(spoil):
    """Whatever is wrong is told under its invariant, in words that say what."""
    told = right()
    spoil(told)
    number, words = WRONGS[spoil]
    assert words in found(told).get(number, "")


def again_after_closing(told: Telling) -> None:
    told.command(100, TICKET, "closed", "closed")
    told.accept(110, OTHER, key="k-2", text="u")
    told.open(110, OTHER, number="2611-000021")


def again_as_a_follow_up(told: Telling) -> None:
    told.accept(80, OTHER, key="k-2", text="u")
    fields = {"complaint_id": OTHER, "received_at": time(80), "contact_ref": name("x"), "masked": {"phone": "1"}}
    fields |= {"matched_by": "waybill", "repeats": 1, "flags": []}
    event = told.event(100, TICKET, "followed_up", cause=OTHER, state="resolved", **fields)
    told.show(TICKET, repeats=1, complaints=[COMPLAINT, OTHER])
    told.notify(101, TICKET, "follow_up_received", event.id)


def published_again(told: Telling) -> None:
    for topic, verb in (("ticket-event", "answered"), ("sla-breached", "breached"), ("sla-event", "breached")):
        told.again(record(told, topic, verb), 100)


def sealed_again(told: Telling) -> None:
    sealed = {"key_id": "k", "nonce": "CC", "ciphertext": "DD"}
    told.again(record(told, "complaint-submitted", "submitted"), 1, contact=sealed, wording=sealed)


def late_while_nobody_could_tell(told: Telling) -> None:
    told.history.able = [(ZERO, ZERO + timedelta(seconds=59)), (ZERO + timedelta(seconds=62), told.history.ended_at)]
    for topic in ("sla-event", "sla-breached"):
        moved(told, topic, "breached", 63)


def garbage_set_aside(told: Telling) -> None:
    garbage = poison(told)
    letter(told, garbage)
    letter(told, garbage)


def nobodys_command_refused(told: Telling) -> None:
    payload = {"routing_key": KEY, "command_id": name("c"), "ticket_id": name("none"), "issued_at": time(100)}
    payload |= {"actor": {"kind": "agent"}, "action": {"name": "close"}}
    command = told.put("ticket-command", 100, "command.issued", (name("c"), name("none")), payload)
    letter(told, command, dl_why="refused", dl_reason="there is no such ticket")


def breach_taken_back_and_told_anew(told: Telling) -> None:
    early = told.fact(30, TICKET, "warned", "first_answer", share=0.5, ticket_sequence=2, fact_id=name("early"))
    told.fact(33, TICKET, "corrected", "first_answer", corrects=early.id, result="running")


def false_breach_by_who_could_not_know(told: Telling) -> None:
    told.history.sla_lives = [
        (ZERO, ZERO + timedelta(seconds=23)),
        (ZERO + timedelta(seconds=24), told.history.ended_at),
    ]
    false_breach(told)


@pytest.mark.parametrize(
    "happen",
    [
        again_as_a_follow_up,
        published_again,
        sealed_again,
        late_while_nobody_could_tell,
        garbage_set_aside,
        nobodys_command_refused,
        breach_taken_back_and_told_anew,
        false_breach_by_who_could_not_know,
    ],
    ids=lambda happen: happen.__name__,
)
def test_what_is_allowed_is_not_complained_of(happen):
    """Repetition, refusal, correction and lateness that nobody could help are no faults."""
    told = right()
    happen(told)
    assert violations(told.history) == []


def test_a_closed_matter_may_open_again():
    """Once a ticket is closed, the same parcel may have another."""
    told = right()
    again_after_closing(told)
    assert 1 not in found(told)


def test_the_timeline_of_a_complaint_tells_its_ticket_and_messages():
    """From the id of any of them everything that belongs to the ticket is told."""
    told = timeline(right().history, COMPLAINT)
    assert all(word in told for word in ("answer 202", "ticket.opened", "sla.breached", "arrived sms", "tickets: "))
    assert timeline(right().history, TICKET).count("\n") == told.count("\n")
