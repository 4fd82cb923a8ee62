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
        accepted: Answers 202 by complaint.
    """

    def __init__(self, history: History) -> None:
        self.history = history
        self.topics: dict[str, list[Recorded]] = defaultdict(list)
        for record in history.records:
            if record.place not in history.poison:
                self.topics[record.topic].append(record)
        self.firsts: dict[str, dict[str, Recorded]] = defaultdict(dict)
        for topic, records in self.topics.items():
            records.sort(key=lambda r: (r.partition, r.offset))
            firsts = self.firsts[topic]
            for record in records:
                firsts.setdefault(record.id, record)
        self.events = self._by_ticket(TICKET_EVENT)
        self.facts = self._by_ticket(SLA_EVENT)
        self.submitted = {r.payload.get("complaint_id", ""): r for r in self.firsts[COMPLAINT_SUBMITTED].values()}
        self.notified: dict[str, list[Recorded]] = defaultdict(list)
        for record in self.firsts[NOTIFICATION_EVENT].values():
            self.notified[record.payload.get("notification_id", "")].append(record)
        self.stored: dict[str, dict[int, Payload]] = defaultdict(dict)
        for document in history.documents.get("ticket_events", ()):
            self.stored[document["ticket_id"]][document["sequence"]] = document
        self.accepted: dict[str, list[Answer]] = defaultdict(list)
        for answer in history.answers:
            if answer.status == 202:
                self.accepted[answer.complaint_id or ""].append(answer)

    def _by_ticket(self, topic: str) -> dict[str, list[Recorded]]:
        found: dict[str, list[Recorded]] = defaultdict(list)
        for record in self.firsts[topic].values():
            found[record.payload.get("ticket_id", "")].append(record)
        return found
