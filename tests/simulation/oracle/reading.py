"""A history put in order: every record read once, garbage left out, tickets with what was said of them."""

from collections import defaultdict
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from tests.simulation.history import EPOCH, Answer, History, Recorded

TICKET_EVENT = "ticket-event"
COMPLAINT_SUBMITTED = "complaint-submitted"
TICKET_COMMAND = "ticket-command"
SLA_EVENT = "sla-event"
SLA_BREACHED = "sla-breached"
NOTIFICATION_EVENT = "notification-event"
OF_TICKETS = (TICKET_EVENT, SLA_EVENT, SLA_BREACHED, NOTIFICATION_EVENT)
DEAD_LETTERS = "-dlq"

Payload = dict[str, Any]


@lru_cache(maxsize=4096)
def us(written: str) -> int:
    """Microseconds since 1970 of an ISO 8601 time."""
    return us_of(datetime.fromisoformat(written))


def us_of(at: datetime) -> int:
    """Microseconds since 1970."""
    return (at - EPOCH) // timedelta(microseconds=1)


class Reading:
    """What the invariants look at.

    Attributes:
        topics: Records by topic, in the order of partition and offset, garbage left out.
        firsts: Of each topic the first record of every `ce_id`, in that order.
        events: First records of `ticket-event` by ticket.
        stored: Documents of `ticket_events` by ticket and number.
        submitted: First records of `complaint-submitted` by complaint.
        facts: First records of `sla-event` by ticket, in the order of their offsets.
        notified: First records of `notification-event` by notification.
        delivered: First records of messages that arrived, by ticket.
        accepted: Answers 202 by complaint.
        armed: Times of the deadlines that are left, in microseconds since 1970 and cut to milliseconds, by ticket.
    """

    def __init__(self, history: History) -> None:
        self.history = history
        self.topics: dict[str, list[Recorded]] = defaultdict(list)
        self.firsts: dict[str, dict[str, Recorded]] = defaultdict(dict)
        self._read()
        self.events = self._by(TICKET_EVENT, "ticket_id")
        self.facts = self._by(SLA_EVENT, "ticket_id")
        self.notified = self._by(NOTIFICATION_EVENT, "notification_id")
        self.submitted = {r.payload.get("complaint_id", ""): r for r in self.firsts[COMPLAINT_SUBMITTED].values()}
        self.delivered: dict[str, list[Recorded]] = defaultdict(list)
        for record in self.firsts[NOTIFICATION_EVENT].values():
            if record.verb == "delivered":
                self.delivered[record.payload["ticket_id"]].append(record)
        self.stored: dict[str, dict[int, Payload]] = defaultdict(dict)
        for document in history.documents.get("ticket_events", ()):
            self.stored[document["ticket_id"]][document["sequence"]] = document
        self.accepted: dict[str, list[Answer]] = defaultdict(list)
        for answer in (a for a in history.answers if a.status == 202):
            self.accepted[answer.complaint_id or ""].append(answer)
        self.armed: dict[str, list[int]] = defaultdict(list)
        for document in history.documents.get("deadlines", ()):
            if (name := str(document["_id"]).split(":"))[0] == "sla":
                at = document["due_at"]
                at = us_of(at if at.tzinfo else at.replace(tzinfo=EPOCH.tzinfo))
                # Kept to the next whole millisecond.
                self.armed[name[1]].append(at - 999)

    def _read(self) -> None:
        """Every record but garbage, in the order of its partition."""
        for record in self.history.records:
            if record.place not in self.history.poison:
                self.topics[record.topic].append(record)
        for topic, records in self.topics.items():
            records.sort(key=lambda r: (r.partition, r.offset))
            firsts = self.firsts[topic]
            for record in records:
                firsts.setdefault(record.id, record)

    def deliveries(self, ticket: str) -> list[tuple[int, str]]:
        """When which of a ticket's messages were delivered, as `received_delivered`."""
        return [
            (us(record.payload["at"]), f"{record.payload['moment']}_delivered")
            for record in self.delivered.get(ticket, ())
        ]

    def _by(self, topic: str, name: str) -> dict[str, list[Recorded]]:
        """First records of a topic by what they say under a name."""
        found: dict[str, list[Recorded]] = defaultdict(list)
        for record in self.firsts[topic].values():
            found[record.payload.get(name, "")].append(record)
        return found
