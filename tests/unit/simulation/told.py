"""A small history written by hand: one complaint that becomes a ticket, is confirmed, answered and resolved."""

import copy
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

import orjson

from tests.simulation.history import Answer, Arrived, History, Recorded

ZERO = datetime.fromisoformat("2026-11-23T02:00:00+00:00")
SPACE = UUID("5f1f7a52-2f6c-5a8e-9d8b-0d6f9b9a6c11")
KEY = "w:SF100"
POLICY: dict[str, Any] = {
    "name": "short",
    "version": 1,
    "effective_from": datetime.fromisoformat("2020-01-01T00:00:00+00:00"),
    "default_calendar": "24x7",
    "warnings": [0.5, 0.8],
    "escalation": {
        "shares": [1.0, 2.0],
        "ladders": [
            {"name": "major", "match": {"major": True}, "levels": ["team_lead", "management"]},
            {"name": "ordinary", "levels": ["agent", "team_lead"]},
        ],
    },
    "cancel": ["withdrawn"],
    "calendars": {"24x7": {"tz": "UTC", "hours": {"all": [["00:00", "24:00"]]}}},
    "clocks": {
        "acknowledge": {
            "start": {"at": "opened", "counted_from": "received"},
            "stop": "received_delivered",
            "calendar": "24x7",
            "rules": [{"name": "acknowledge", "match": {"reachable": True}, "target": "20s"}],
        },
        "first_answer": {
            "start": {"at": "opened", "counted_from": "received"},
            "restart": "reopened",
            "stop": ["answered", "resolved"],
            "calendar": "24x7",
            "rules": [{"name": "first-answer", "target": "60s"}],
        },
    },
}


def name(*parts: Any) -> str:
    """An id that follows from what it is of."""
    return str(uuid5(SPACE, "/".join(map(str, parts))))


def time(s: float) -> str:
    """Seconds after the beginning, as messages write it."""
    return (ZERO + timedelta(seconds=s)).isoformat().replace("+00:00", "Z")


class Telling:
    """Writes a history record by record; everything is as it must be unless a test says otherwise."""

    def __init__(self) -> None:
        self.history = History(
            began_at=ZERO,
            healed_at=ZERO + timedelta(seconds=60),
            ended_at=ZERO + timedelta(seconds=300),
            able=[(ZERO, ZERO + timedelta(seconds=300))],
            sla_policy=copy.deepcopy(POLICY),
            documents={
                name: []
                for name in ("ticket_events", "tickets", "reservations", "notifications", "deadlines", "clocks")
            },
            personal=["+8613800138000", "13800138000", "王小明"],
        )
        self.sequences: dict[str, int] = {}

    def put(
        self, topic: str, s: float, type_: str, named: tuple[str, str], payload: dict[str, Any], **more: Any
    ) -> Recorded:
        """A record, at the end of partition 0; `named` is its id and its subject."""
        partition = more.pop("partition", 0)
        headers = [("ce_id", named[0]), ("ce_type", f"amends.{type_}.v1"), ("ce_subject", named[1])]
        if "sequence" in payload:
            headers.append(("ce_sequence", str(payload["sequence"])))
        offset = sum(r.topic == topic and r.partition == partition for r in self.history.records)
        record = Recorded(
            topic=topic,
            partition=partition,
            offset=offset,
            at=ZERO + timedelta(seconds=s),
            key=more.pop("key", payload.get("routing_key", KEY)).encode(),
            headers=[(header, text.encode()) for header, text in headers],
            value=orjson.dumps(payload),
        )
        self.history.records.append(record)
        return record

    def again(self, record: Recorded, s: float, **changes: Any) -> Recorded:
        """The same record once more, with these fields changed."""
        type_ = record.type.removeprefix("amends.").removesuffix(".v1")
        return self.put(record.topic, s, type_, (record.id, record.subject), record.payload | changes)

    def accept(self, s: float, complaint: str, *, key: str = "k-1", text: str = "t", **fields: Any) -> None:
        """A complaint is answered with 202."""
        waybills = fields.pop("waybills", ["SF100"])
        payload = {
            "routing_key": fields.pop("routing_key", KEY),
            "complaint_id": complaint,
            "channel": "web",
            "source": "external",
            "received_at": time(s),
            "submitted_at": time(s),
            "contact": {"key_id": "k", "nonce": "AA", "ciphertext": "BB"},
            "wording": {"key_id": "k", "nonce": "AA", "ciphertext": "BB"},
            "masked": {"phone": "138****8000", "email": None},
            "contact_index": {"phone": "ab", "email": None, "wechat": None, "account": None},
            "text_fingerprint": text,
            "waybills": waybills,
            "case_number": None,
        } | fields
        self.put("complaint-submitted", s, "complaint.submitted", (complaint, complaint), payload)
        body = {"channel": "web", "description": text, "waybills": waybills}
        self.history.answers.append(Answer(key, body, 202, complaint, ZERO + timedelta(seconds=s)))

    def event(self, s: float, ticket: str, verb: str, *, cause: str, state: str, **fields: Any) -> Recorded:
        """An event, stored and published."""
        dated = fields.pop("dated", s)
        sequence = self.sequences[ticket] = self.sequences.get(ticket, 0) + 1
        payload = {
            "routing_key": fields.pop("routing_key", KEY),
            "event_id": name(cause, ticket, verb),
            "ticket_id": ticket,
            "sequence": sequence,
            "causation_id": cause,
            "occurred_at": time(dated),
            "actor": {"kind": "agent"},
            "state": state,
        } | fields
        type_ = f"ticket.{verb}"
        stored = {"_id": f"{ticket}:{sequence}", "type": f"amends.{type_}.v1", **payload}
        self.history.documents["ticket_events"].append(stored)
        return self.put("ticket-event", s, type_, (payload["event_id"], ticket), payload)

    def open(self, s: float, complaint: str, **fields: Any) -> str:
        """A ticket with its opening events; gives its id."""
        ticket = name("ticket", complaint)
        number = fields.pop("number", "2611-000013")
        key = fields.pop("routing_key", KEY)
        opened = {
            "complaint_id": complaint,
            "number": number,
            "channel": "web",
            "source": "external",
            "language": "zh",
            "received_at": time(fields.pop("received", s)),
            "contact_ref": name("contact", complaint),
            "masked": {"phone": "138****8000", "email": None},
            "reachable_by": ["sms"],
            "waybills": ["SF100"],
            "case_number": None,
            "customer_tier": None,
            "region": None,
        } | {n: v for n, v in fields.items() if n in {"waybills", "source", "channel", "reachable_by"}}
        severity = fields.get("severity", 2)
        said = {"primary": "delay", "sub": "transit", "severity": severity, "flags": [], "needs_review": False}
        given = {"department": "centre", "unit": "NET-1", "person": "p-1", "unit_calendar": "24x7", "rule": "r"}
        self.event(s, ticket, "opened", cause=complaint, state="opened", routing_key=key, **opened)
        self.event(
            s, ticket, "classified", cause=complaint, state="opened", routing_key=key, classification=said, major=False
        )
        self.event(s, ticket, "assigned", cause=complaint, state="investigating", routing_key=key, **given)
        shown = {"_id": ticket, "version": 3, "state": "investigating", "number": number, "severity": severity}
        shown |= {"department": "centre", "unit": "NET-1", "person": "p-1", "repeats": 0, "complaints": [complaint]}
        self.history.documents["tickets"].append(shown)
        place = {"_id": f"p-1:{self.sequences[ticket]}", "ticket_id": ticket, "person": "p-1"}
        self.history.documents["reservations"].append(place)
        return ticket

    def show(self, ticket: str, **changes: Any) -> None:
        """What `tickets` shows of it now."""
        shown = next(d for d in self.history.documents["tickets"] if d["_id"] == ticket)
        shown |= {"version": self.sequences[ticket], **changes}

    def command(self, s: float, ticket: str, verb: str, state: str, **fields: Any) -> Recorded:
        """A command and the event that it gives."""
        cause = name("command", ticket, verb, s)
        payload = {
            "routing_key": KEY,
            "command_id": cause,
            "ticket_id": ticket,
            "issued_at": time(s),
            "actor": {"kind": "agent"},
            "action": {"name": verb},
        }
        self.put("ticket-command", s, "command.issued", (cause, ticket), payload)
        event = self.event(s, ticket, verb, cause=cause, state=state, **fields)
        self.show(ticket, state=state)
        return event

    def notify(self, s: float, ticket: str, moment: str, occasion: str, *, text: str = "Hello") -> str:
        """A message that is asked for, sent, received and acknowledged; gives its id."""
        note = name("note", ticket, moment, occasion)
        for verb, more in (("requested", {"language": "zh"}), ("sent", {"provider_id": "1"}), ("delivered", {})):
            event_id = name(note, verb)
            payload = {
                "routing_key": KEY,
                "event_id": event_id,
                "notification_id": note,
                "ticket_id": ticket,
                "moment": moment,
                "occasion": occasion,
                "at": time(s),
                "to": "138****8000",
                "channel": "sms",
            } | more
            self.put("notification-event", s, f"notification.{verb}", (event_id, ticket), payload)
        self.arrive(s, note, text=text)
        return note

    def arrive(self, s: float, note: str, *, channel: str = "sms", text: str = "Hello") -> None:
        """A customer receives a message."""
        self.history.arrived.append(Arrived(note, channel, "+8613800138000", text, ZERO + timedelta(seconds=s)))

    def fact(self, s: float, ticket: str, verb: str, clock: str, **fields: Any) -> Recorded:
        """A fact about a clock of first cycle; a breach on both topics."""
        at = fields.pop("at", s)
        payload = {
            "routing_key": KEY,
            "fact_id": fields.pop("fact_id", name("fact", ticket, clock, verb, at, fields.get("share"))),
            "ticket_id": ticket,
            "ticket_sequence": 3,
            "clock": clock,
            "cycle": 1,
            "at": time(at),
            "due_at": time(fields.pop("due", 60)),
            "target_s": fields.pop("target", 60),
            "policy": "first-answer",
            "policy_version": 1,
        } | fields
        if verb in {"warned", "breached", "escalated", "stopped_late"}:
            payload = {
                "detected_at": time(s),
                "elapsed_s": float(at),
                "department": "centre",
                "unit": "NET-1",
                "person": "p-1",
                "severity": 2,
                "category": {"category": "delay", "sub": "transit"},
            } | payload
        for topic in ("sla-event", "sla-breached") if verb == "breached" else ("sla-event",):
            record = self.put(topic, s, f"sla.{verb}", (payload["fact_id"], ticket), payload)
        return record


COMPLAINT = name("complaint", 1)
TICKET = name("ticket", COMPLAINT)


def right() -> Telling:
    """A history in which everything is as it must be: answered after 70 s of the 60, resolved after 90 s."""
    told = Telling()
    told.accept(0, COMPLAINT)
    ticket = told.open(0, COMPLAINT)
    acknowledge = {"due": 20, "target": 20, "policy": "acknowledge"}
    told.fact(0, ticket, "started", "acknowledge", ticket_sequence=1, **acknowledge)
    told.fact(0, ticket, "started", "first_answer", ticket_sequence=1)
    told.notify(4, ticket, "received", name(COMPLAINT, ticket, "opened"))
    told.fact(4, ticket, "met", "acknowledge", elapsed_s=4.0, **acknowledge)
    told.fact(30, ticket, "warned", "first_answer", share=0.5)
    told.fact(48, ticket, "warned", "first_answer", share=0.8)
    breach = told.fact(60, ticket, "breached", "first_answer", breached_at=time(60), escalation_level="agent")
    told.notify(61, ticket, "breached_apology", breach.id)
    answered = told.command(70, ticket, "answered", "answered")
    told.fact(70, ticket, "stopped_late", "first_answer", late_s=10.0, ticket_sequence=4)
    told.notify(71, ticket, "answered", answered.id)
    resolved = told.command(90, ticket, "resolved", "resolved")
    told.notify(91, ticket, "resolved", resolved.id)
    return told
