"""Invariant 3: one writer per ticket. Events are 1..n in the store and on the topic, and shown as what they make."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from zoneinfo import ZoneInfo

from tests.simulation.history import Recorded
from tests.simulation.oracle.reading import OF_TICKETS, TICKET_EVENT, Payload, Reading
from tests.simulation.oracle.violation import Violation

DAMM = (
    (0, 3, 1, 7, 5, 9, 8, 6, 4, 2),
    (7, 0, 9, 2, 1, 5, 4, 8, 6, 3),
    (4, 2, 0, 6, 8, 7, 1, 3, 5, 9),
    (1, 7, 5, 0, 9, 8, 3, 4, 2, 6),
    (6, 1, 2, 3, 0, 4, 5, 9, 7, 8),
    (3, 6, 7, 4, 2, 0, 9, 5, 8, 1),
    (5, 8, 6, 9, 7, 2, 0, 1, 3, 4),
    (8, 9, 4, 5, 3, 6, 2, 0, 1, 7),
    (9, 4, 3, 8, 6, 1, 7, 2, 0, 5),
    (2, 5, 8, 1, 4, 3, 6, 7, 9, 0),
)
"""H. M. Damm's quasigroup of order ten: any wrong digit and any swap of neighbours leaves a remainder."""
OF_STORE = {"_id", "type", "then"}
"""What a document of the store has beside its event."""
SETTLED = {"resolved", "closed", "withdrawn"}
"""States in which nobody works on a ticket."""
AGAIN = {"followed_up", "repeat_linked"}
"""The complainant came again."""
CHINA = ZoneInfo("Asia/Shanghai")


def check(reading: Reading) -> Iterator[Violation]:
    """Store, topic, keys, projection and numbers."""
    for ticket in sorted({*reading.stored, *reading.events}):
        stored, published = reading.stored.get(ticket, {}), reading.events.get(ticket, [])
        numbers = [record.payload["sequence"] for record in published]
        if sorted(stored) != list(range(1, len(stored) + 1)):
            yield Violation(3, ticket, f"the event store holds the numbers {sorted(stored)}")
        if numbers != list(range(1, len(numbers) + 1)):
            yield Violation(3, ticket, f"on the topic the numbers first come as {numbers}")
        for record in published:
            yield from _as_stored(record, stored.get(record.payload["sequence"]))
        for number in sorted(stored.keys() - set(numbers)):
            yield Violation(3, ticket, f"event {number} ({stored[number]['type']}) is stored and was never published")
        if published and published[0].verb != "opened":
            yield Violation(3, ticket, f"begins with {published[0].verb}")
        yield from _life(ticket, published)
    yield from _keys(reading)
    yield from _projection(reading)
    yield from _numbers(reading)
    yield from _capacity(reading)


def _as_stored(record: Recorded, document: Payload | None) -> Iterator[Violation]:
    said = record.payload
    ticket, number = said["ticket_id"], said["sequence"]
    if document is None:
        yield Violation(3, ticket, f"event {number} ({record.verb}) was published and is not stored")
    elif {name: value for name, value in document.items() if name not in OF_STORE} != said:
        yield Violation(
            3, ticket, f"event {number} differs between store ({document['event_id']}) and topic ({record.id})"
        )
    elif document["type"] != record.type:
        yield Violation(3, ticket, f"event {number} is {document['type']} in the store and {record.type} on the topic")
    headers = (record.id, record.subject, record.named.get("ce_sequence"))
    if headers != (said["event_id"], ticket, str(number)):
        yield Violation(3, ticket, f"the headers of event {number} say {headers}")


def _life(ticket: str, published: list[Recorded]) -> Iterator[Violation]:
    """What no ticket goes through: coming back without saying so, a refusal that changes it."""
    state, before = "opened", ""
    for record in sorted(published, key=lambda r: r.payload["sequence"]):
        said, verb = record.payload, record.verb
        is_moved = said["state"] != state
        if is_moved and state in {"closed", "withdrawn"} and verb != "reopened":
            yield Violation(3, ticket, f"event {said['sequence']} ({verb}) on a ticket that is {state}")
        if verb == "reopened" and state == "withdrawn" and before not in AGAIN:
            yield Violation(3, ticket, f"event {said['sequence']} brings back what the complainant withdrew")
        if is_moved and verb in AGAIN | {"command_refused", "severity_changed"}:
            yield Violation(3, ticket, f"event {said['sequence']} ({verb}) moves it from {state}")
        state, before = said["state"], verb


def _keys(reading: Reading) -> Iterator[Violation]:
    """Everything of a ticket has one key and lies in one partition."""
    keys: dict[str, set[tuple[str, int]]] = defaultdict(set)
    for topic in OF_TICKETS:
        for record in reading.firsts[topic].values():
            said = record.payload
            key = (record.key or b"").decode("utf-8", "replace")
            keys[said["ticket_id"]].add((key, record.partition))
            if key != said["routing_key"]:
                yield Violation(
                    3, said["ticket_id"], f"{record.place} has the key {key!r} and says {said['routing_key']!r}"
                )
    for ticket, found in keys.items():
        if len(found) > 1:
            yield Violation(3, ticket, f"has several keys or partitions: {sorted(found)}")


def _projection(reading: Reading) -> Iterator[Violation]:
    shown = {document["_id"]: document for document in reading.history.documents.get("tickets", ())}
    for ticket in sorted(shown.keys() - reading.stored.keys()):
        yield Violation(3, ticket, "is shown in `tickets` and has no events")
    for ticket, stored in reading.stored.items():
        document = shown.get(ticket)
        if document is None:
            yield Violation(3, ticket, "has events and is not shown in `tickets`")
            continue
        for name, wanted in _made(stored).items():
            if document.get(name) != wanted:
                yield Violation(3, ticket, f"`tickets` shows {name} {document.get(name)!r}, its events make {wanted!r}")


def _capacity(reading: Reading) -> Iterator[Violation]:
    """Who works on a ticket has a place for it, and for no other in the same one."""
    held = {(d["ticket_id"], d["person"]) for d in reading.history.documents.get("reservations", ())}
    for ticket, stored in reading.stored.items():
        made = _made(stored)
        if made["state"] not in SETTLED and made["person"] is not None and (ticket, made["person"]) not in held:
            yield Violation(3, ticket, f"is with {made['person']}, who has no place for it")


def _made(stored: dict[int, Payload]) -> Payload:
    """What the events of a ticket make it."""
    made: Payload = {"version": len(stored), "severity": 2, "person": None, "unit": None, "department": None}
    made |= {"repeats": 0, "complaints": []}
    is_weighed = False
    for number in sorted(stored):
        event = stored[number]
        verb = event["type"].split(".")[2]
        made["state"] = event["state"]
        if verb == "opened" or verb in AGAIN:
            made["complaints"] = [*made["complaints"], event["complaint_id"]]
        if verb == "opened":
            made["number"] = event["number"]
        elif verb in AGAIN:
            made["repeats"] = event["repeats"]
        elif verb == "classified" and not is_weighed:
            made["severity"], is_weighed = event["classification"]["severity"], True
        elif verb == "severity_changed":
            made["severity"] = event["severity"]
        elif verb == "assigned":
            made |= {name: event[name] for name in ("department", "unit", "person")}
        elif verb in {"reopened", "returned"} or (verb == "appealed" and event["before"] in SETTLED):
            made["person"] = None
    return made


def _numbers(reading: Reading) -> Iterator[Violation]:
    """A number names one ticket, and a digit misheard on the phone is noticed."""
    named: dict[str, set[str]] = defaultdict(set)
    for record in reading.firsts[TICKET_EVENT].values():
        if record.verb != "opened":
            continue
        said = record.payload
        named[said["number"]].add(said["ticket_id"])
        month, _, serial = said["number"].partition("-")
        if not (serial.isdecimal() and len(serial) >= 6 and _remainder(month + serial) == 0):
            yield Violation(3, said["ticket_id"], f"its number {said['number']} has a wrong shape or check digit")
        at = datetime.fromisoformat(said["occurred_at"])
        if month not in {at.strftime("%y%m"), at.astimezone(CHINA).strftime("%y%m")}:
            yield Violation(3, said["ticket_id"], f"its number {said['number']} is not of the month of {at}")
    for number, tickets in named.items():
        if len(tickets) > 1:
            yield Violation(3, number, f"is the number of {sorted(tickets)}")


def _remainder(digits: str) -> int:
    interim = 0
    for digit in digits:
        interim = DAMM[interim][int(digit)]
    return interim
