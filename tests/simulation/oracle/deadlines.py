"""Invariant 4: no deadline is missed, none is early, none is late while somebody could tell it."""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from itertools import accumulate

from tests.simulation.history import EPOCH, Recorded
from tests.simulation.oracle.clock_model import CANCELLED, STEPS, ClockModel, Wanted
from tests.simulation.oracle.policy import Policy
from tests.simulation.oracle.reading import SLA_BREACHED, SLA_EVENT, Reading, us, us_of
from tests.simulation.oracle.sla_facts import standing
from tests.simulation.oracle.violation import Violation

CHANGES = {"paused", "resumed", "retargeted"}
Key = tuple[str, int, str, int, float | None]
"""Clock, cycle, verb, time, and share or, of a change, number of the event: what a fact is about."""


def check(reading: Reading) -> Iterator[Violation]:
    """Facts that stand, their times, and what is left undone."""
    if reading.history.sla_policy:
        policy = Policy(reading.history.sla_policy)
        for ticket, events in reading.events.items():
            yield from _as_modelled(reading, policy, ticket, events)
    for fact in reading.firsts[SLA_EVENT].values():
        yield from _too_early(fact)
    told = {id_ for id_, fact in reading.firsts[SLA_EVENT].items() if fact.verb == "breached"}
    for fact_id in sorted(told ^ reading.firsts[SLA_BREACHED].keys()):
        there = SLA_EVENT if fact_id in told else SLA_BREACHED
        yield Violation(4, fact_id, f"is a breach on {there} alone")
    yield from _left_over(reading)


def _as_modelled(reading: Reading, policy: Policy, ticket: str, events: list[Recorded]) -> Iterator[Violation]:
    """What stands is what the ticket's events and deliveries make of its clocks."""
    history = reading.history
    of_ticket = [(e.verb, e.payload) for e in sorted(events, key=lambda e: e.payload["sequence"])]
    if [event["sequence"] for _, event in of_ticket] != list(range(1, len(of_ticket) + 1)):
        return  # Another invariant tells of it, and no clock can be right.
    model = ClockModel(policy)
    wanted = model.live(of_ticket, reading.deliveries(ticket), us_of(history.ended_at))
    facts = standing(reading.facts.get(ticket, ()))
    # Whether what is reached in the last moments was told is not to be asked for.
    recent = us_of(history.ended_at - timedelta(seconds=history.late_s_max))
    yield from differences(ticket, wanted, facts, recent=recent)
    arrived = {e.payload["sequence"]: e.at for e in events}
    for fact in facts:
        if fact.verb in STEPS:
            yield from _too_late(reading, fact, arrived)
    yield from _rash(reading, ticket, events)
    next_at = model.to_come()
    # A step that nobody wakes up for is missed as surely as one that was not told.
    if next_at is not None and not any(at <= next_at for at in reading.armed.get(ticket, ())):
        yield Violation(4, ticket, f"a step is to come at {_time(next_at)}, and no deadline is armed for it")


def differences(ticket: str, wanted: list[Wanted], facts: Iterable[Recorded], *, recent: int) -> Iterator[Violation]:
    """How what stands differs from what ought to.

    Args:
        ticket: whose.
        wanted: what ought to stand.
        facts: what stands.
        recent: microseconds since 1970; steps from then on may be missing.
    """
    ended = {(w.clock, w.cycle): w.at for w in wanted if w.verb in {"met", "stopped_late", CANCELLED}}
    there: dict[Key, Recorded] = {}
    for fact in facts:
        said = fact.payload
        key = _key(said["clock"], said["cycle"], fact.verb, us(said["at"]), said.get("share"), said["ticket_sequence"])
        if key in there:
            yield Violation(4, ticket, f"{_words(key)} stands twice: {there[key].id}, {fact.id}")
        # A pause or change after a stop that became known later says nothing.
        if fact.verb not in CHANGES or key[3] < ended.get(key[:2], key[3] + 1):
            there[key] = fact
    for fact in (w for w in wanted if w.verb != CANCELLED):
        key = _key(fact.clock, fact.cycle, fact.verb, fact.at, fact.share, fact.sequence)
        told = there.pop(key, None)
        if told is None:
            if fact.verb not in STEPS or fact.passes < recent:
                yield Violation(4, ticket, f"{_words(key)} ought to stand, and does not")
        elif differing := _differing(fact, told):
            yield Violation(4, ticket, f"{_words(key)} ({told.id}): {differing}")
    for key, fact in there.items():
        yield Violation(4, ticket, f"{_words(key)} stands ({fact.id}), and ought not to")


def _key(clock: str, cycle: int, verb: str, at: int, share: float | None, sequence: int) -> Key:  # noqa: PLR0917
    if verb in CHANGES:
        return clock, cycle, verb, at, sequence
    return clock, cycle, verb, at, 1.0 if verb == "breached" else share


def _words(key: Key) -> str:
    clock, cycle, verb, at, share = key
    return f"{clock} cycle {cycle} {verb}{f' {share}' if share else ''} at {_time(at)}"


def _time(at: int) -> str:
    return (EPOCH + timedelta(microseconds=at)).isoformat(timespec="milliseconds")


def _differing(wanted: Wanted, told: Recorded) -> str:
    said, expected = told.payload, _expected(wanted)
    if said.get("due_at") is not None:
        said = said | {"due_at": us(said["due_at"])}
    names = [name for name, value in expected.items() if said.get(name) != value]
    return ", ".join(f"{name} is {said.get(name)!r}, ought to be {expected[name]!r}" for name in names)


def _expected(wanted: Wanted) -> dict[str, object]:
    expected: dict[str, object] = {
        "due_at": wanted.due,
        "target_s": max(1, round(wanted.target / 1e6)),
        "policy": wanted.rule,
        "ticket_sequence": wanted.sequence,
    }
    if wanted.elapsed is not None:
        expected["elapsed_s"] = wanted.elapsed / 1e6
    if wanted.level is not None:
        expected["escalation_level"] = wanted.level
    if wanted.verb == "stopped_late" and wanted.late is not None:
        expected["late_s"] = wanted.late / 1e6
    if wanted.verb in STEPS | {"stopped_late"} and wanted.case is not None:
        case = wanted.case
        expected |= {"department": case.department, "unit": case.unit, "person": case.person}
        expected["severity"] = case.severity or 2
        category, _, sub = (case.category or "").partition(".")
        expected["category"] = {"category": category, "sub": sub or None} if category else None
    return expected


def _too_early(fact: Recorded) -> Iterator[Violation]:
    """Nothing is told before its time, not even what is taken back later."""
    if fact.verb in STEPS:
        said = fact.payload
        at, seen = us(said["at"]), us(said["detected_at"])
        if seen < at or us_of(fact.at) < at:
            early_s = (at - min(seen, us_of(fact.at))) / 1e6
            words = f"{said['clock']} {fact.verb} was told {early_s:.6f} s before its time ({fact.id})"
            yield Violation(4, said["ticket_id"], words)


def _too_late(reading: Reading, fact: Recorded, arrived: dict[int, datetime]) -> Iterator[Violation]:
    """Who could tell it did, soon after its time, or after the event that showed it to have passed."""
    history = reading.history
    late = timedelta(seconds=history.late_s_max)
    known = [at for sequence, at in arrived.items() if sequence <= fact.payload["ticket_sequence"]]
    at = datetime.fromisoformat(fact.payload["at"])
    known_at = max(known, default=at)
    since = max(at, known_at)
    for begin, end in sorted(history.able):
        by = max(max(begin, at) + late, known_at + late + timedelta(seconds=history.taken_over_s))
        if by <= end:
            if fact.at > by:
                said = fact.payload
                words = f"{said['clock']} {fact.verb} was told {(fact.at - since).total_seconds():.3f} s after its time"
                yield Violation(4, said["ticket_id"], f"{words} ({fact.id})")
            return


def _rash(reading: Reading, ticket: str, events: list[Recorded]) -> Iterator[Violation]:
    """Who comes after an outage reads first, and tells nothing that what lies there has made void."""
    history = reading.history
    facts = {fact.id: fact for fact in reading.facts.get(ticket, ())}
    followed = timedelta(seconds=history.followed_s)
    stretches = list(_joined(history.sla_lives, gap_max=followed))
    for correction in [fact for fact in facts.values() if fact.verb == "corrected"]:
        fact, since = facts.get(correction.payload["corrects"]), us(correction.payload["at"])
        # What was delivered before there was a ticket counts from its opening.
        causes = [event for event, counts in zip(events, _counted_from(events), strict=True) if counts == since]
        causes += [d for d in reading.delivered.get(ticket, ()) if us(d.payload["at"]) <= since]
        if fact is None or not causes or fact.verb not in STEPS:
            continue
        told_at = datetime.fromisoformat(fact.payload["detected_at"])
        begun = [begin for begin, end in stretches if begin <= told_at <= end + followed]
        if begun and max(cause.at for cause in causes) < min(begun):
            words = f"{fact.payload['clock']} {fact.verb} ({fact.id}) was told after an outage"
            yield Violation(4, ticket, f"{words}, though what makes it void lay there before")


def _joined(lives: Iterable[tuple[datetime, datetime]], *, gap_max: timedelta) -> Iterator[tuple[datetime, datetime]]:
    """Stretches of time in which somebody was always there but for short gaps."""
    begun: datetime | None = None
    until = EPOCH
    for begin, end in sorted(lives):
        if begun is not None and begin > until + gap_max:
            yield begun, until
            begun = None
        begun, until = begun or begin, max(until, end)
    if begun is not None:
        yield begun, until


def _counted_from(events: list[Recorded]) -> Iterator[int]:
    """An event that is dated before one of a lower sequence counts from that one's time on."""
    return accumulate((us(event.payload["occurred_at"]) for event in events), max)


def _left_over(reading: Reading) -> Iterator[Violation]:
    history = reading.history
    limit = us_of(history.ended_at - timedelta(seconds=history.late_s_max))
    for document in history.documents.get("deadlines", ()):
        due_at = document["due_at"]
        if us_of(due_at if due_at.tzinfo else due_at.replace(tzinfo=history.ended_at.tzinfo)) < limit:
            words = f"was due at {due_at.isoformat()} and is left over, {document.get('state')}"
            yield Violation(4, str(document["_id"]), words)
