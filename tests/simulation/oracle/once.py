"""Invariant 2: effects happen once, however often their cause is delivered."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from tests.simulation.history import Arrived, Recorded
from tests.simulation.oracle.reading import (
    COMPLAINT_SUBMITTED,
    DEAD_LETTERS,
    SLA_BREACHED,
    SLA_EVENT,
    TICKET_COMMAND,
    Payload,
    Reading,
)
from tests.simulation.oracle.sla_facts import standing
from tests.simulation.oracle.violation import Violation

OWED = {
    "opened": "received",
    "followed_up": "follow_up_received",
    "repeat_linked": "follow_up_received",
    "reopened": "in_progress",
    "customer_awaited": "asked_for_more",
    "answered": "answered",
    "resolved": "resolved",
    "appealed": "appeal_received",
    "appeal_decided": "appeal_decided",
    "survey_requested": "survey",
    "apologised": "apology",
}
"""Of which events the complainant is told, and as which moment."""
ONLY_OF = {"appealed": {"complainant", "agent"}}
"""Events that are told only if somebody of these kinds acted."""
APOLOGISED = {"first_answer", "resolution", "statutory_user"}
"""Clocks whose breach is apologised for."""
AGAIN = {"followed_up", "repeat_linked"}
"""The complainant came again; where that reopens the ticket, it is told in one message."""
OUTCOMES = {"sent", "delivered", "failed", "suppressed"}
MAY_BE_SUPPRESSED = {
    "no_way_to_reach": set(OWED.values()) | {"breached_apology"},
    "frequency_cap": {"follow_up_received", "in_progress", "breached_apology", "survey", "apology"},
    "overtaken": {
        *("asked_for_more", "in_progress", "breached_apology", "answered", "resolved"),
        *("appeal_received", "appeal_decided", "survey"),
    },
    "opted_out": {"survey"},
    "withdrawn": {"in_progress", "breached_apology"},
    "stale": set(OWED.values()) | {"breached_apology"},
}
"""For which reasons a message about which moments may be left out."""
UNCERTAIN = timedelta(seconds=60)
"""So long after the last fault it may still be unknown what a provider took before it."""


def check(reading: Reading) -> Iterator[Violation]:
    """Records, messages to customers, and that what was owed was sent."""
    yield from _same_id_same_content(reading)
    yield from _effects(reading)
    yield from _customers(reading)
    yield from _owed(reading)
    yield from _languages(reading)
    yield from _outcomes(reading)
    yield from _receipts(reading)


def _same_id_same_content(reading: Reading) -> Iterator[Violation]:
    """What is published again is the same, but for its trace and what is sealed anew."""
    for topic, records in reading.topics.items():
        if topic.endswith(DEAD_LETTERS):
            continue
        firsts = reading.firsts[topic]
        for record in records:
            first = firsts[record.id]
            if first is record:
                continue
            differing = _difference(first, record)
            if differing:
                words = f"{topic}/{record.partition}/{record.offset} repeats {first.offset} with other {differing}"
                yield Violation(2, record.id, words)
    for fact_id, breach in reading.firsts[SLA_BREACHED].items():
        fact = reading.firsts[SLA_EVENT].get(fact_id)
        if fact is not None and (differing := _difference(fact, breach)):
            yield Violation(2, fact_id, f"is on {SLA_EVENT} and {SLA_BREACHED} with other {differing}")


def _difference(first: Recorded, again: Recorded) -> str:
    """Names of what differs and must not; the span of a trace may."""
    if (first.value, first.key, first.headers) == (again.value, again.key, again.headers):
        return ""
    names = [name for name in sorted({*first.named, *again.named}) if name.startswith("ce_")]
    differing = [name for name in names if first.named.get(name) != again.named.get(name)]
    before, after = first.payload, again.payload
    if first.value != again.value:
        differing += [name for name in sorted({*before, *after}) if before.get(name) != after.get(name)]
    allowed: set[str] = set()
    if first.topic == COMPLAINT_SUBMITTED:
        # Sealing the same again gives other bytes.
        allowed = {"contact", "wording"} if (before["contact"] is None) == (after["contact"] is None) else {"wording"}
    elif first.topic == TICKET_COMMAND:
        if before["action"]["name"] == "follow_up":
            # It is sent on to the ticket that its own turned out to follow.
            allowed = {"ticket_id", "routing_key", "action", "ce_subject"}
        elif before["actor"]["kind"] == "system":
            # Two routers may make the same offer.
            allowed = {"issued_at", "ce_time"}
    if first.key != again.key and "routing_key" not in allowed:
        differing.append("key")
    return ", ".join(name for name in differing if name not in allowed)


def _effects(reading: Reading) -> Iterator[Violation]:
    """One cause changes its ticket once."""
    for ticket, events in reading.events.items():
        steps = Counter((e.payload["causation_id"], e.verb) for e in events)
        for (cause, verb), times in steps.items():
            if times > 1:
                yield Violation(2, ticket, f"{cause} gave {times} events {verb}")
        run: dict[str, int] = {}
        last = None
        for event in sorted(events, key=lambda e: e.payload["sequence"]):
            cause = event.payload["causation_id"]
            if cause != last and cause in run:
                words = f"{cause} gave event {run[cause]} and, after others, {event.payload['sequence']}"
                yield Violation(2, ticket, words)
            run[cause], last = event.payload["sequence"], cause


def _customers(reading: Reading) -> Iterator[Violation]:
    """A customer has one message about one moment; another channel is used when one has failed."""
    by_recipient: dict[tuple[Any, ...], list[Arrived]] = defaultdict(list)
    for arrived in reading.history.arrived:
        told = reading.notified.get(arrived.notification_id)
        if not told:
            words = f"{arrived.address} has it by {arrived.channel}, and no topic tells of it"
            yield Violation(2, arrived.notification_id, words)
            continue
        first = told[0].payload
        by_recipient[(first["ticket_id"], *_occasion(reading, first))].append(arrived)
    for (ticket, *about), messages in by_recipient.items():
        if len({m.notification_id for m in messages}) > 1:
            yield Violation(2, ticket, f"{len(messages)} messages about {about}: {_listed(messages)}")
        by_channel = Counter((m.notification_id, m.channel) for m in messages)
        for (note, channel), times in by_channel.items():
            if times > 1:
                yield Violation(2, note, f"the customer has it {times} times by {channel}, about {about}")
        for note in {m.notification_id for m in messages}:
            ways = sorted((m for m in messages if m.notification_id == note), key=lambda m: m.at)
            failed = {r.payload["channel"] for r in reading.notified[note] if r.verb == "failed"}
            for message in ways[:-1]:
                if message.channel != ways[-1].channel and message.channel not in failed:
                    yield Violation(2, note, f"went by {_listed(ways)}, though {message.channel} had not failed")


def _occasion(reading: Reading, note: Payload) -> tuple[str, ...]:
    """What a message is about, so that two about the same thing are known as such."""
    if note["moment"] == "received":
        return ("received",)
    if note["moment"] == "breached_apology" and (fact := reading.firsts[SLA_EVENT].get(note["occasion"])):
        return ("breached_apology", fact.payload["clock"], str(fact.payload["cycle"]))
    return (note["moment"], note["occasion"])


def _listed(messages: list[Arrived]) -> str:
    return ", ".join(f"{m.channel} to {m.address} at {m.at:%H:%M:%S}" for m in messages)


def _owed(reading: Reading) -> Iterator[Violation]:
    """Every occasion is told once, and nothing that is none."""
    asked: Counter[tuple[str, ...]] = Counter()
    occasions = {e.id for events in reading.events.values() for e in events}
    for note, told in reading.notified.items():
        first = told[0].payload
        asked[(first["ticket_id"], *_occasion(reading, first))] += not _went_unsaid(told)
        if first["occasion"] not in occasions and first["occasion"] not in reading.firsts[SLA_EVENT]:
            yield Violation(2, note, f"is about {first['moment']} by {first['occasion']}, which nothing tells of")
    came_again = {(t, e.payload["sequence"]) for t, events in reading.events.items() for e in events if e.verb in AGAIN}
    for ticket, event in ((t, e) for t, events in reading.events.items() for e in events if _is_owed(e)):
        if event.verb == "reopened" and (ticket, event.payload["sequence"] - 1) in came_again:
            continue
        moment = OWED[event.verb]
        times = asked[(ticket, moment) if moment == "received" else (ticket, moment, event.id)]
        if times != 1:
            words = f"{times} notifications of {moment} for event {event.payload['sequence']} ({event.verb})"
            yield Violation(2, ticket, words)
    for ticket, facts in reading.facts.items():
        for fact in standing(facts):
            said = fact.payload
            if fact.verb == "breached" and said["clock"] in APOLOGISED:
                about = ("breached_apology", said["clock"], str(said["cycle"]))
                if asked[(ticket, *about)] != 1:
                    yield Violation(2, ticket, f"{asked[(ticket, *about)]} apologies for {about[1:]}")


def _went_unsaid(told: Sequence[Recorded]) -> bool:
    """Whether what it says was taken back before any of it was sent: it is still owed when it turns out to hold."""
    withdrawn = any(r.verb == "suppressed" and r.payload["why"] == "withdrawn" for r in told)
    return withdrawn and not any(r.verb == "sent" for r in told)


def _is_owed(event: Recorded) -> bool:
    kinds = ONLY_OF.get(event.verb)
    return event.verb in OWED and (kinds is None or event.payload["actor"]["kind"] in kinds)


def _languages(reading: Reading) -> Iterator[Violation]:
    """What tells of an event is in the language that was chosen when it happened."""
    spoken: dict[str, tuple[str, str]] = {}
    for events in reading.events.values():
        language = ""
        for event in sorted(events, key=lambda e: e.payload["sequence"]):
            if event.verb in {"opened", "language_chosen"}:
                language = event.payload["language"]
            spoken[event.id] = (event.verb, language)
    for note, told in reading.notified.items():
        for record in told:
            verb, language = spoken.get(record.payload["occasion"], ("", ""))
            # Confirmations wait for the time of the next answer, and may be overtaken by the choice.
            if record.verb != "requested" or verb in {"", "opened", "reopened", *AGAIN}:
                continue
            if record.payload["language"] != language:
                words = f"tells of {verb} in {record.payload['language']}, and {language} was chosen"
                yield Violation(2, note, words)


def _outcomes(reading: Reading) -> Iterator[Violation]:
    """Each message was sent, or it is said why not; and what was sent is in the customer's hands."""
    has = {(m.notification_id, m.channel) for m in reading.history.arrived}
    documents = {d["_id"]: d for d in reading.history.documents.get("notifications", ())}
    reachable = {
        e.payload["contact_ref"]: any((e.payload["masked"] or {}).get(way) for way in ("phone", "email"))
        for events in reading.events.values()
        for e in events
        if e.verb in {"opened", "followed_up", "repeat_linked"}
    }
    for note, told in reading.notified.items():
        first = told[0].payload
        yield from _untold(note, told, documents.get(note))
        if not any(r.verb in OUTCOMES for r in told) and not _waits(documents.get(note), reading.history.ended_at):
            yield Violation(2, note, f"{first['moment']} of {first['ticket_id']} was asked for, and nothing came of it")
        for record in told:
            said = record.payload
            is_missing = record.verb in {"sent", "delivered"} and (note, said["channel"]) not in has
            if is_missing and not _may_be_lost(reading, record, told):
                words = f"{first['moment']} of {first['ticket_id']} is {record.verb} by {said['channel']}"
                yield Violation(2, note, f"{words}, and the customer does not have it")
            if record.verb == "suppressed":
                yield from _suppressed(record, documents.get(note), reachable)


def _untold(note: str, told: list[Recorded], document: Payload | None) -> Iterator[Violation]:
    """What is kept of a message that others are not told."""
    said = {(r.verb, r.payload.get("channel")) for r in told}
    for attempt in (document or {}).get("attempts", ()):
        for verb in ("sent", "delivered"):
            if attempt.get(f"{verb}_at") is not None and (verb, attempt["channel"]) not in said:
                yield Violation(2, note, f"is kept as {verb} by {attempt['channel']}, and nothing tells so")


def _receipts(reading: Reading) -> Iterator[Violation]:
    """A provider that sends receipts is waited for, and what it said of a message is not forgotten."""
    took = {(a.notification_id, a.channel): a for a in reading.history.acknowledged if a.arrived}
    for note, told in reading.notified.items():
        ended = {r.payload["channel"] for r in told if r.verb in {"delivered", "failed"}}
        for record in told:
            said = record.payload
            if record.verb == "sent" and said["channel"] == "sms" and "sms" not in ended:
                yield Violation(2, note, "is sent by sms, and nothing tells whether it arrived")
            if record.verb == "failed" and said["why"] == "no_receipt":
                receipt = took.get((note, said["channel"]))
                if receipt is not None and receipt.at < datetime.fromisoformat(said["at"]):
                    yield Violation(2, note, f"has failed by {said['channel']} after its receipt was taken: no_receipt")


def _may_be_lost(reading: Reading, record: Recorded, told: list[Recorded]) -> bool:
    """Whether a message may be taken for sent without having arrived.

    Because its provider lost it, which the missing receipt has shown; or because a worker died while sending it by a
    provider that cannot be asked: rather none than two.
    """
    said = record.payload
    if any(r.verb == "failed" and r.payload["channel"] == said["channel"] for r in told):
        return True
    is_unasked = said["channel"] == "email" or (record.verb == "sent" and said["provider_id"] is None)
    return is_unasked and datetime.fromisoformat(said["at"]) <= reading.history.healed_at + UNCERTAIN


def _suppressed(record: Recorded, document: Payload | None, reachable: dict[str, bool]) -> Iterator[Violation]:
    said = record.payload
    person = (document or {}).get("person") or {}
    needless = said["why"] == "no_way_to_reach" and reachable.get(person.get("contact_ref"), False)
    if needless or said["moment"] not in MAY_BE_SUPPRESSED.get(said["why"], set()):
        words = f"{said['moment']} of {said['ticket_id']} was not sent because of {said['why']}"
        yield Violation(2, said["notification_id"], words)


def _waits(document: Payload | None, ended_at: datetime) -> bool:
    """Whether it is to be looked at after the end, as what waits for the morning."""
    if document is None or document.get("state") != "waiting" or document.get("wake_at") is None:
        return False
    wake_at = document["wake_at"]
    return bool((wake_at if wake_at.tzinfo else wake_at.replace(tzinfo=ended_at.tzinfo)) > ended_at)
