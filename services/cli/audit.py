"""Compare what was accepted with what came out of it. Pure: a snapshot of topics, documents and messages goes in.

It takes nothing from the services but the published names, so that a fault of theirs is not a fault of the check.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from stdnum import damm

ENDED = frozenset({"resolved", "closed", "withdrawn"})
RUNNING = frozenset({"started", "resumed", "retargeted", "warned"})
OUTCOMES = frozenset({"sent", "delivered", "failed", "suppressed"})


@dataclass(frozen=True, slots=True, order=True)
class Difference:
    """One thing that is not as it must be."""

    kind: str
    """A word to count by, e.g. `lost`, `doubled`, `missed_deadline`."""
    subject: str
    """Id of the complaint, ticket or message."""
    says: str
    settles: bool = field(default=False, compare=False)
    """Whether it may be gone a moment later, because work is still under way."""


@dataclass(slots=True)
class Snapshot:
    """What was read. Payloads are JSON objects as they stand on the topics."""

    now: datetime
    submitted: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By complaint id."""
    events: dict[str, dict[int, dict[str, Any]]] = field(default_factory=lambda: defaultdict(dict))
    """Of `ticket-event`, by ticket and sequence; `type` is the past verb."""
    conflicting: list[Difference] = field(default_factory=list)
    facts: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Of `sla-event`, by fact id."""
    breached: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Of `sla-breached`, by fact id."""
    notified: dict[str, dict[str, dict[str, Any]]] = field(default_factory=lambda: defaultdict(dict))
    """Of `notification-event`, by notification and past verb."""
    dead_letters: list[tuple[str, str]] = field(default_factory=list)
    """(`topic/partition/offset`, reason), without those that were replayed."""
    commands: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Of `ticket-command`, by command id."""
    set_aside: set[str] = field(default_factory=set)
    """Ids of messages that are or were dead letters."""
    stored: dict[str, dict[int, str]] = field(default_factory=lambda: defaultdict(dict))
    """Of `ticket_events`: event ids by ticket and sequence."""
    tickets: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The projection."""
    messages: list[dict[str, Any]] | None = None
    """What customers received; None where nobody can be asked."""

    def add(self, topic: str, type_: str, payload: Mapping[str, Any]) -> None:
        """Take in one record of a topic; a redelivered one changes nothing."""
        verb = type_.split(".")[2] if type_.count(".") >= 3 else type_
        told = {**payload, "type": verb}
        if topic == "complaint-submitted":
            self.submitted.setdefault(payload["complaint_id"], told)
        elif topic == "ticket-event":
            self._add_event(told)
        elif topic == "ticket-command":
            self.commands.setdefault(payload["command_id"], told)
        elif topic == "sla-event":
            self.facts.setdefault(payload["fact_id"], told)
        elif topic == "sla-breached":
            self.breached.setdefault(payload["fact_id"], told)
        elif topic == "notification-event":
            self.notified[payload["notification_id"]].setdefault(verb, told)

    def _add_event(self, event: dict[str, Any]) -> None:
        there = self.events[event["ticket_id"]].setdefault(event["sequence"], event)
        if there["event_id"] != event["event_id"]:
            self.conflicting.append(
                Difference(
                    "two_writers",
                    event["ticket_id"],
                    f"event {event['sequence']} was published as {there['event_id']} and as {event['event_id']}",
                )
            )


def differences(snapshot: Snapshot, *, lateness_s_max: float | None = None) -> list[Difference]:
    """Everything that is not as it must be, sorted by kind.

    Args:
        snapshot: what was read.
        lateness_s_max: when given, a breach that was detected later than this after its time is a difference.
    """
    found = [
        *snapshot.conflicting,
        *_complaints(snapshot),
        *_commands(snapshot),
        *_sequences(snapshot),
        *_numbers(snapshot),
        *_projection(snapshot),
        *_clocks(snapshot, lateness_s_max),
        *_notifications(snapshot),
        *_received(snapshot),
        *(Difference("dead_letter", place, reason) for place, reason in snapshot.dead_letters),
    ]
    return sorted(set(found))


def _complaints(snapshot: Snapshot) -> Iterator[Difference]:
    """Invariant 1: each accepted complaint is exactly one ticket or one follow-up of one."""
    became: dict[str, set[str]] = defaultdict(set)
    for ticket, events in snapshot.events.items():
        for event in events.values():
            if event["type"] in ("opened", "followed_up"):
                became[event["complaint_id"]].add(f"{event['type']} {ticket} as event {event['sequence']}")
    for complaint in snapshot.submitted:
        if not became[complaint]:
            yield Difference("lost", complaint, "accepted, but no ticket and no follow-up came of it", settles=True)
    for complaint, places in became.items():
        if len(places) > 1:
            yield Difference("doubled", complaint, "; ".join(sorted(places)))


def _commands(snapshot: Snapshot) -> Iterator[Difference]:
    """What people asked of a ticket is done, refused in an event, or a dead letter; and once."""
    answered = {event["causation_id"] for events in snapshot.events.values() for event in events.values()}
    for command, asked in snapshot.commands.items():
        # What the router asks of itself may come to nothing; complaints are counted by themselves.
        is_asked = asked["actor"]["kind"] != "system" and asked["action"]["name"] != "follow_up"
        if is_asked and command not in answered and command not in snapshot.set_aside:
            says = f"`{asked['action']['name']}` of {asked['ticket_id']} had no effect and was not refused"
            yield Difference("command_lost", command, says, settles=True)
    for ticket, events in snapshot.events.items():
        for event, times in Counter(event["event_id"] for event in events.values()).items():
            if times > 1:
                yield Difference("event_doubled", ticket, f"event {event} stands at {times} numbers")


def _sequences(snapshot: Snapshot) -> Iterator[Difference]:
    """Invariant 3: 1..n without gaps, and the topic tells what the event store holds."""
    for ticket in {*snapshot.events, *snapshot.stored}:
        stored, published = snapshot.stored.get(ticket, {}), snapshot.events.get(ticket, {})
        if sorted(stored) != list(range(1, len(stored) + 1)):
            yield Difference("gap", ticket, f"the event store holds the numbers {sorted(stored)}")
        for number in sorted({*stored, *published}):
            if number not in published:
                yield Difference("unpublished", ticket, f"event {number} is stored, not published", settles=True)
            elif number not in stored:
                yield Difference("unstored", ticket, f"event {number} is published, not stored", settles=True)
            elif stored[number] != published[number]["event_id"]:
                yield Difference("two_writers", ticket, f"event {number} differs between store and topic")


def _numbers(snapshot: Snapshot) -> Iterator[Difference]:
    """A number names one ticket, and a digit misheard on the phone is noticed."""
    named: dict[str, list[str]] = defaultdict(list)
    for ticket, events in snapshot.events.items():
        if 1 in events and events[1]["type"] == "opened":
            named[events[1]["number"]].append(ticket)
    for number, tickets in named.items():
        if len(tickets) > 1:
            yield Difference("number_doubled", number, ", ".join(sorted(tickets)))
        if not damm.is_valid(number.replace("-", "")):
            yield Difference("number_wrong", number, "its check digit does not fit")


def _projection(snapshot: Snapshot) -> Iterator[Difference]:
    for ticket, events in snapshot.stored.items():
        shown = snapshot.tickets.get(ticket)
        if shown is None:
            yield Difference("unprojected", ticket, "it has events and no document in `tickets`", settles=True)
        elif shown["version"] != len(events):
            says = f"`tickets` shows version {shown['version']} of {len(events)}"
            yield Difference("unprojected", ticket, says, settles=True)


def _clocks(snapshot: Snapshot, lateness_s_max: float | None) -> Iterator[Difference]:
    """Invariant 4: every clock that runs past its time has a breach, told on both topics, once."""
    cycles: dict[tuple[str, str], dict[int, list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    withdrawn = {fact["corrects"] for fact in snapshot.facts.values() if fact["type"] == "corrected"}
    for fact in snapshot.facts.values():
        cycles[fact["ticket_id"], fact["clock"]][fact["cycle"]].append(fact)
    with_clocks = {ticket for ticket, _ in cycles}
    for ticket in snapshot.events:
        if ticket not in with_clocks:
            yield Difference("no_clock", ticket, "no clock was started for it", settles=True)
    for (ticket, clock), by_cycle in cycles.items():
        # One that is reopened goes on with new cycles; those from before its end have ended.
        ended = max(
            (n for n, e in snapshot.events.get(ticket, {}).items() if e["type"] in ("withdrawn", "closed")), default=0
        )
        for cycle, facts in by_cycle.items():
            types = {fact["type"] for fact in facts}
            last = max(facts, key=lambda fact: (fact["ticket_sequence"], _time(fact["at"])))
            is_ended = ended >= last["ticket_sequence"]
            over = types & {"breached", "met", "stopped_late"} or is_ended or cycle < max(by_cycle)
            overdue = last["type"] in RUNNING and last["due_at"] and _time(last["due_at"]) < snapshot.now - _SECOND
            if overdue and not over:
                says = f"{clock} cycle {cycle} was due at {last['due_at']} and no breach was told"
                yield Difference("missed_deadline", ticket, says, settles=True)
            if sum(fact["type"] == "breached" and fact["fact_id"] not in withdrawn for fact in facts) > 1:
                yield Difference("breach_doubled", ticket, f"{clock} cycle {cycle}")
    yield from _breaches(snapshot, withdrawn, lateness_s_max)


def _breaches(snapshot: Snapshot, withdrawn: Collection[str], lateness_s_max: float | None) -> Iterator[Difference]:
    told = {i: fact for i, fact in snapshot.facts.items() if fact["type"] == "breached"}
    for fact_id in told.keys() - withdrawn:
        fact = told[fact_id]
        known = snapshot.events.get(fact["ticket_id"], {}).get(fact["ticket_sequence"], {})
        # What was broken before the end stays broken, though it may be told only when the end is known.
        is_over = known.get("state") == "withdrawn" or known.get("type") == "linked"
        if is_over and _time(fact["breached_at"]) > _time(known["occurred_at"]):
            says = f"{fact['clock']} was broken at {fact['breached_at']}, when nothing was promised any more"
            yield Difference("breach_void", fact_id, says, settles=True)
    for fact_id in told.keys() - snapshot.breached.keys():
        yield Difference("breach_untold", fact_id, "on sla-event and not on sla-breached", settles=True)
    for fact_id in snapshot.breached.keys() - told.keys():
        yield Difference("breach_untold", fact_id, "on sla-breached and not on sla-event", settles=True)
    for fact_id, fact in told.items():
        late_s = lateness_s(fact, snapshot)
        if _time(fact["detected_at"]) < _time(fact["breached_at"]):
            yield Difference("breach_early", fact_id, f"{fact['clock']} was told before its time")
        elif lateness_s_max is not None and late_s > lateness_s_max:
            yield Difference("breach_late", fact_id, f"{fact['clock']} was told {late_s:.3f} s after its time")


def lateness_s(breach: Mapping[str, Any], snapshot: Snapshot) -> float:
    """Seconds from the due time to the moment a worker saw it.

    From the ticket event that it names, where that came later than the due time: of a complaint that was received long
    before it was submitted, or whose limit was moved into the past, nobody could have seen it before.
    """
    since = _time(breach["breached_at"])
    if event := snapshot.events.get(breach["ticket_id"], {}).get(breach["ticket_sequence"]):
        since = max(since, _time(event["occurred_at"]))
    return (_time(breach["detected_at"]) - since).total_seconds()


def _notifications(snapshot: Snapshot) -> Iterator[Difference]:
    """Whoever complained is told so, once per complaint."""
    asked: Counter[str] = Counter()
    for told in snapshot.notified.values():
        first = next(iter(told.values()))
        if first["moment"] in ("received", "follow_up_received"):
            asked[first["occasion"]] += 1
    for ticket, events in snapshot.events.items():
        for event in events.values():
            if event["type"] in ("opened", "followed_up", "repeat_linked"):
                times = asked[event["event_id"]]
                if times != 1:
                    says = f"{times} notifications of receipt for event {event['sequence']} ({event['type']})"
                    yield Difference("untold" if times == 0 else "told_twice", ticket, says, settles=times == 0)
    for notification, told in snapshot.notified.items():
        if not told.keys() & OUTCOMES:
            yield Difference("notification_open", notification, "asked for, and nothing came of it", settles=True)


def _received(snapshot: Snapshot) -> Iterator[Difference]:
    """Invariant 2: one message per moment in the customer's hand, and none that nobody asked for."""
    if snapshot.messages is None:
        return
    received = Counter((m["channel"], m["out_id"]) for m in snapshot.messages)
    for (channel, out_id), times in received.items():
        if times > 1:
            yield Difference("message_twice", str(out_id), f"the customer has it {times} times by {channel}")
        if str(out_id) not in snapshot.notified:
            yield Difference("message_unknown", str(out_id), f"sent by {channel}, told on no topic", settles=True)
    for notification, told in snapshot.notified.items():
        for verb in ("sent", "delivered"):
            if verb in told and (told[verb]["channel"], notification) not in received:
                yield Difference("message_missing", notification, f"{verb}, but the customer does not have it")


def settled(found: Iterable[Difference]) -> bool:
    """Whether nothing is left that waiting could mend."""
    return not any(difference.settles for difference in found)


def summary(snapshot: Snapshot, found: Sequence[Difference]) -> dict[str, Any]:
    """Counts of everything, for people and programs."""
    breaches = [fact for fact in snapshot.facts.values() if fact["type"] == "breached"]
    late = sorted(lateness_s(fact, snapshot) for fact in breaches)
    every = [event for events in snapshot.events.values() for event in events.values()]
    outcomes = Counter(verb for told in snapshot.notified.values() for verb in told)
    return {
        "accepted": len(snapshot.submitted),
        "tickets": len(snapshot.events),
        "follow_ups": sum(event["type"] == "followed_up" for event in every),
        "ticket_events": len(every),
        "sla_facts": len(snapshot.facts),
        "breaches": len(breaches),
        "breach_lateness_s_p99": late[int(0.99 * (len(late) - 1))] if late else None,
        "breach_lateness_s_max": late[-1] if late else None,
        "notifications": len(snapshot.notified),
        "notification_events": dict(sorted(outcomes.items())),
        "messages_received": None if snapshot.messages is None else len(snapshot.messages),
        "differences": len(found),
        "differences_by_kind": dict(sorted(Counter(d.kind for d in found).items())),
    }


_SECOND = timedelta(seconds=1)


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
