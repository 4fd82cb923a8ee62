"""Invariant 1: what was accepted becomes exactly one ticket, or one follow-up of the ticket on the same matter."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from itertools import combinations
from typing import Any

import orjson

from tests.simulation.history import Recorded
from tests.simulation.oracle.reading import TICKET_COMMAND, Reading, us, us_of
from tests.simulation.oracle.violation import Violation

WAYBILLS_MAX = 20
"""So many parcels of one complaint are looked at."""
TEXT_WINDOW_US = 7 * 86_400_000_000
MONEY = {"price", "finance"}
COMPENSATION = {"claims"}
OVER = {"closed", "withdrawn"}


def check(reading: Reading) -> Iterator[Violation]:
    """Complaints, keys and matters."""
    became: dict[str, list[str]] = defaultdict(list)
    for ticket, events in reading.events.items():
        for event in events:
            if event.verb in {"opened", "followed_up"}:
                became[event.payload["complaint_id"]].append(
                    f"{event.verb} {ticket} as event {event.payload['sequence']}"
                )
    for complaint in sorted({*reading.accepted, *reading.submitted, *became}):
        places = became.get(complaint, [])
        if complaint not in reading.submitted:
            how = "answered 202" if complaint in reading.accepted else "; ".join(places)
            yield Violation(1, complaint, f"{how}, and never on complaint-submitted")
        if not places:
            yield Violation(1, complaint, "accepted, and neither ticket nor follow-up came of it")
        elif len(places) > 1:
            yield Violation(1, complaint, "became more than one: " + "; ".join(sorted(places)))
    for complaint, answers in reading.accepted.items():
        record = reading.submitted.get(complaint)
        if record and any(record.at > answer.at for answer in answers):
            yield Violation(1, complaint, "was answered 202 before the broker had it")
    yield from _keys(reading)
    yield from _same_matter(reading)
    yield from _follow_ups(reading)
    yield from _commands(reading)


def _keys(reading: Reading) -> Iterator[Violation]:
    """One key, one content, one complaint."""
    by_key: dict[tuple[str, str], dict[bytes, set[str]]] = defaultdict(lambda: defaultdict(set))
    owners: dict[str, set[Any]] = defaultdict(set)
    for number, answer in enumerate(reading.history.answers):
        if answer.status != 202:
            continue
        body = {name: value for name, value in answer.body.items() if name != "idempotency_key"}
        key = answer.key or answer.body.get("idempotency_key")
        # A key is the channel's own: two channels may count their calls alike.
        owner = (str(body.get("channel")), str(key)) if key is not None else number
        owners[answer.complaint_id or ""].add(owner)
        if isinstance(owner, tuple):
            content = orjson.dumps(body, option=orjson.OPT_SORT_KEYS, default=str)
            by_key[owner][content].add(answer.complaint_id or "")
    for (channel, key), contents in by_key.items():
        if len(contents) > 1:
            yield Violation(1, key, f"the key was taken on {channel} with {len(contents)} different contents")
        for complaints in contents.values():
            if len(complaints) > 1:
                yield Violation(1, key, f"one key and content on {channel} gave {sorted(complaints)}")
    for complaint, keys in owners.items():
        if len(keys) > 1:
            yield Violation(1, complaint, f"is the answer to different requests: {sorted(map(str, keys))}")


def _same_matter(reading: Reading) -> Iterator[Violation]:
    """While a ticket is open the same matter opens no other."""
    holders: dict[tuple[str, ...], list[tuple[Recorded, list[Recorded]]]] = defaultdict(list)
    for events in reading.events.values():
        opened = next((e for e in events if e.verb == "opened"), None)
        if opened is not None:
            for claim in _claims(reading, opened, events):
                holders[claim].append((opened, events))
    told: set[tuple[str, ...]] = set()
    for claim, tickets in holders.items():
        if claim[0] == "text" and not _is_plain_text(reading, claim):
            continue
        for (first, _), (second, _) in combinations(sorted(tickets, key=lambda t: t[0].at), 2):
            pair = (first.subject, second.subject)
            if not _is_over(reading, first.subject, second.at) and pair not in told:
                told.add(pair)
                yield Violation(1, second.subject, f"is on the same matter as {first.subject}, open: {claim}")


def _is_over(reading: Reading, ticket: str, at: datetime, met: frozenset[str] = frozenset()) -> bool:
    """Whether a ticket had come to its end: one that was linked to another, when that one had."""
    events = [e for e in reading.events.get(ticket, ()) if e.at <= at]
    links = {e.payload["to_ticket"] for e in events if e.verb == "linked"} - met
    return any(e.verb in OVER for e in events) or any(_is_over(reading, to, at, met | {ticket}) for to in links)


def _complaints(reading: Reading, ticket: str, met: frozenset[str] = frozenset()) -> list[str]:
    """Those of a ticket and of the tickets that were linked to it."""
    found = [e.payload["complaint_id"] for e in reading.events[ticket] if e.verb in {"opened", "followed_up"}]
    for one, events in reading.events.items():
        if one not in met and any(e.verb == "linked" and e.payload["to_ticket"] == ticket for e in events):
            found += _complaints(reading, one, met | {ticket})
    return found


def _claims(reading: Reading, opened: Recorded, events: list[Recorded]) -> Iterator[tuple[str, ...]]:
    said = opened.payload
    understood = next((e.payload["classification"]["primary"] for e in events if e.verb == "classified"), None)
    if understood is not None:
        matter = "money" if understood in MONEY else "compensation" if understood in COMPENSATION else "parcel"
        for waybill in dict.fromkeys(said.get("waybills") or ()):
            yield ("waybill", said["source"], waybill.upper(), matter)
    if said.get("case_number"):
        yield ("case", said["channel"], said["case_number"])
    if complaint := reading.submitted.get(said["complaint_id"]):
        yield from _texts(complaint)


def _texts(complaint: Recorded) -> Iterator[tuple[str, ...]]:
    index = complaint.payload["contact_index"]
    for kind in ("phone", "email", "wechat", "account"):
        if index.get(kind):
            yield ("text", index[kind], complaint.payload["text_fingerprint"])


def _is_plain_text(reading: Reading, claim: tuple[str, ...]) -> bool:
    """Whether nothing but the text counts: no parcels are named beside it, and all is within the window."""
    alike = [c for c in reading.submitted.values() if claim in _texts(c)]
    named = any(c.payload.get("waybills") for c in alike)
    opened = [e.payload for events in reading.events.values() for e in events if e.verb == "opened"]
    ids = {c.payload["complaint_id"] for c in alike}
    named = named or any(said.get("waybills") for said in opened if said["complaint_id"] in ids)
    times = [us(c.payload["received_at"]) for c in alike]
    return not named and max(times) - min(times) <= TEXT_WINDOW_US


def _follow_ups(reading: Reading) -> Iterator[Violation]:
    """A follow-up shares what it was matched by with another complaint of its ticket."""
    for ticket, events in reading.events.items():
        opened = next((e.payload for e in events if e.verb == "opened"), None)
        others = _complaints(reading, ticket)
        for event in events:
            own = reading.submitted.get(event.payload.get("complaint_id", ""))
            if event.verb != "followed_up" or own is None or opened is None:
                continue
            rest = [reading.submitted[c] for c in others if c in reading.submitted and c != own.payload["complaint_id"]]
            by = event.payload["matched_by"]
            if by == "text":
                fits = any(not set(_texts(own)).isdisjoint(_texts(other)) for other in rest)
            elif by == "case":
                case = (own.payload["channel"], own.payload.get("case_number"))
                fits = any(case == (other.payload["channel"], other.payload.get("case_number")) for other in rest)
            elif by == "waybill" and own.payload.get("waybills"):
                # Numbers that stand in the texts alone are sealed; where another complaint names none, it may be that.
                named = [opened.get("waybills") or (), *(o.payload.get("waybills") or () for o in rest)]
                mine = {w.upper() for w in own.payload["waybills"]}
                fits = any(not some or not mine.isdisjoint(w.upper() for w in some) for some in named)
            else:
                fits = True
            if not fits:
                yield Violation(1, own.payload["complaint_id"], f"follows up {ticket} by {by}, and shares none with it")


def _commands(reading: Reading) -> Iterator[Violation]:
    """What a person asked of a ticket happened or was refused, once."""
    caused: dict[str, set[str]] = defaultdict(set)
    for ticket, events in reading.events.items():
        for event in events:
            caused[event.payload["causation_id"]].add(ticket)
    for record in reading.firsts[TICKET_COMMAND].values():
        command = record.payload
        action = command["action"]["name"]
        # The router's own offers give nothing when nobody is free; follow-ups are complaints, looked at above.
        if command["actor"]["kind"] == "system" or action == "follow_up" or command["ticket_id"] not in reading.events:
            continue
        opened = min(us_of(e.at) for e in reading.events[command["ticket_id"]])
        if command["ticket_id"] not in caused[record.id] and us_of(record.at) >= opened:
            yield Violation(1, command["ticket_id"], f"{action} ({record.id}) was neither done nor refused")
