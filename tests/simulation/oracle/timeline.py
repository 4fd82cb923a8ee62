"""Everything that concerns one ticket or complaint, in the order of time: what to read when a run has failed."""

from datetime import datetime
from typing import Any

import orjson

from tests.simulation.history import History, Recorded
from tests.simulation.oracle.reading import us

HIDDEN = {
    *("routing_key", "contact", "contact_index", "masked", "wording", "text_fingerprint", "contact_ref", "language"),
    *("time_zone", "ticket_id", "event_id", "fact_id", "number", "evidence", "policy_version", "declared_value"),
}
VALUE_MAX = 70


def timeline(history: History, about: str) -> str:
    """One line each: seconds since the beginning, place, type, what it says; in the end the documents.

    Args:
        history: of the run.
        about: id of a ticket, complaint, event, fact or message; whatever belongs to the same ticket is told.
    """
    ids = _related(history, about)
    lines = [(r.at, _record(r)) for r in history.records if not ids.isdisjoint(_names(r))]
    lines += [
        (a.at, f"answer {a.status} key={a.key} complaint={a.complaint_id}")
        for a in history.answers
        if a.complaint_id in ids
    ]
    lines += [
        (a.at, f"arrived {a.channel} {a.address} note={a.notification_id}: {a.text[:VALUE_MAX]}")
        for a in history.arrived
        if a.notification_id in ids
    ]
    lines.append((history.healed_at, "-- faults have ended --"))
    lines.append((history.ended_at, "-- the end --"))
    lines += [(begin, "-- able --") for begin, _ in history.able] + [(end, "-- not able --") for _, end in history.able]
    told = [f"{(at - history.began_at).total_seconds():10.3f}  {words}" for at, words in sorted(lines, key=_at)]
    for collection, documents in history.documents.items():
        if collection != "ticket_events":
            told += [f"       end  {collection}: {_short(d)}" for d in documents if not ids.isdisjoint(_in_document(d))]
    return "\n".join(told)


def _at(line: tuple[datetime, str]) -> datetime:
    return line[0]


def _related(history: History, about: str) -> set[str]:
    """The ids of the ticket's family: the ticket, its complaints, messages and commands."""
    ids = {about}
    tickets: set[str] = set()
    for record in history.records:
        said = record.payload
        if about in _names(record) and said.get("ticket_id"):
            tickets.add(said["ticket_id"])
    ids |= tickets
    for record in history.records:
        said = record.payload
        if said.get("ticket_id") in tickets:
            ids |= {str(said[name]) for name in ("complaint_id", "notification_id") if said.get(name)}
            ids.add(said.get("causation_id") or about)
    return ids


def _names(record: Recorded) -> set[str]:
    said = record.payload
    action = said.get("action")
    names = {record.id, record.subject, record.key.decode("utf-8", "replace") if record.key else ""}
    names |= {str(said.get(n)) for n in ("ticket_id", "complaint_id", "notification_id", "command_id", "event_id")}
    if isinstance(action, dict):
        names.add(str(action.get("complaint_id")))
    return names - {"None", ""}


def _in_document(document: dict[str, Any]) -> set[str]:
    whole = str(document.get("_id", ""))
    parts = {str(document.get(name)) for name in ("ticket_id", "complaint_id", "current", "note")}
    return {whole, *whole.split(":"), *parts}


def _record(record: Recorded) -> str:
    said = record.payload
    time = said.get("occurred_at") or said.get("at") or said.get("issued_at") or said.get("submitted_at")
    shift = f" dated {(us(time) - us(record.at.isoformat())) / 1e6:+.3f}" if time else ""
    reason = f" reason={record.named['dl_reason'][:VALUE_MAX]}" if "dl_reason" in record.named else ""
    name = record.type.removeprefix("amends.").removesuffix(".v1")
    return f"{record.topic}/{record.partition}/{record.offset} {name}{shift} {_short(said)}{reason}"


def _short(payload: dict[str, Any]) -> str:
    shown = {n: v for n, v in payload.items() if n not in HIDDEN and v not in (None, "", [], {})}
    return " ".join(f"{name}={_value(value)}" for name, value in shown.items())


def _value(value: Any) -> str:
    text = value if isinstance(value, str) else orjson.dumps(value, default=str).decode()
    return text if len(text) <= VALUE_MAX else f"{text[:VALUE_MAX]}..."
