"""What the demonstration shows: a board that is redrawn, and the trail of one ticket at the end."""

from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.layout import Layout
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from services.cli.audit import ENDED, Snapshot

SHOWN = 10


@dataclass(slots=True)
class TicketView:
    """What the board knows of a ticket."""

    id: str
    routing_key: str
    number: str
    language: str
    matter: str = "?"
    severity: int = 2
    state: str = "opened"
    needs_review: bool = False
    due: dict[str, datetime] = field(default_factory=dict)
    """Due time of each clock that runs."""


@dataclass(slots=True)
class Board:
    """Everything that is shown, taken from the topics alone."""

    answers: Counter[int] = field(default_factory=Counter)
    types: Counter[str] = field(default_factory=Counter)
    tickets: dict[str, TicketView] = field(default_factory=dict)
    breaches: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=SHOWN))
    messages: list[dict[str, Any]] = field(default_factory=list)
    note: str = "Ctrl-C ends the demonstration."

    def answered(self, status: int) -> None:
        """The intake answered one complaint."""
        self.answers[status] += 1

    def open_tickets(self) -> list[TicketView]:
        """Tickets that somebody can still do something about."""
        return [ticket for ticket in self.tickets.values() if ticket.state not in ENDED]

    def saw(self, topic: str, type_: str, told: Mapping[str, Any]) -> None:
        """Take in one record of a topic."""
        if topic == "sla-breached":
            self.breaches.appendleft(dict(told))
            return
        self.types[type_.rpartition(".")[0].removeprefix("amends.")] += 1
        ticket = self.tickets.get(told.get("ticket_id", ""))
        if type_.startswith("amends.ticket.opened"):
            self.tickets[told["ticket_id"]] = TicketView(
                id=told["ticket_id"],
                routing_key=told["routing_key"],
                number=told["number"],
                language=told["language"],
            )
        elif ticket is not None and topic == "ticket-event":
            ticket.state = told["state"]
            if "classification" in told:
                found = told["classification"]
                ticket.matter = f"{found['primary']}.{found['sub']}" if found["sub"] else found["primary"]
                ticket.severity, ticket.needs_review = found["severity"], found["needs_review"]
            ticket.severity = told.get("severity", ticket.severity)
        elif ticket is not None and topic == "sla-event":
            verb = type_.split(".")[2]
            if verb in ("met", "stopped_late", "paused", "breached"):
                ticket.due.pop(told["clock"], None)
            elif verb in ("started", "resumed", "retargeted") and told["due_at"]:
                ticket.due[told["clock"]] = datetime.fromisoformat(told["due_at"])

    def render(self) -> RenderableType:
        """The screen."""
        layout = Layout()
        layout.split_column(
            Layout(Panel(self._stages(), title="Amends", subtitle=self.note), size=6),
            Layout(name="middle"),
            Layout(Panel(self._messages(), title="What customers received"), size=SHOWN + 2),
        )
        layout["middle"].split_row(
            Layout(Panel(self._queue(), title="Open tickets by time to breach")),
            Layout(Panel(self._breaches(), title="Breaches")),
        )
        return layout

    def _stages(self) -> Table:
        table = Table(box=None, expand=True, show_header=False)
        stages = {
            "accepted (202)": self.answers[202],
            "refused": sum(n for status, n in self.answers.items() if status != 202),
            "tickets": self.types["ticket.opened"],
            "follow-ups": self.types["ticket.followed_up"],
            "answered": self.types["ticket.answered"],
            "resolved": self.types["ticket.resolved"],
            "warnings": self.types["sla.warned"],
            "breaches": self.types["sla.breached"],
            "met in time": self.types["sla.met"],
            "messages sent": self.types["notification.sent"],
            "delivered": self.types["notification.delivered"],
            "failed": self.types["notification.failed"],
        }
        cells = [f"[bold]{count:>5}[/] {name}" for name, count in stages.items()]
        for row in range(0, len(cells), 3):
            table.add_row(*cells[row : row + 3])
        return table

    def _queue(self) -> Table:
        table = Table("ticket", "matter", "sev", "clock", "left", box=None, expand=True)
        now = datetime.now(UTC)
        open_clocks = ((due, clock, t) for t in self.open_tickets() for clock, due in t.due.items())
        waiting = sorted(open_clocks, key=lambda one: one[0])
        for due, clock, ticket in waiting[: SHOWN * 2]:
            left_s = (due - now).total_seconds()
            colour = "red" if left_s < 5 else "yellow" if left_s < 15 else "green"
            table.add_row(ticket.number, ticket.matter, str(ticket.severity), clock, f"[{colour}]{left_s:6.1f} s[/]")
        return table

    def _breaches(self) -> Table:
        table = Table("ticket", "clock", "at", "told after", "unit", "to", box=None, expand=True)
        for breach in self.breaches:
            at, seen = (datetime.fromisoformat(breach[name]) for name in ("breached_at", "detected_at"))
            ticket = self.tickets.get(breach["ticket_id"])
            table.add_row(
                ticket.number if ticket else breach["ticket_id"][:8],
                breach["clock"],
                at.astimezone().strftime("%H:%M:%S"),
                f"{(seen - at).total_seconds() * 1000:.0f} ms",
                breach["unit"] or breach["department"] or "-",
                breach["escalation_level"],
            )
        return table

    def _messages(self) -> Group:
        lines = [
            Text.assemble((f"{m['channel']:<6}{m['to']:<24}", "cyan"), " ".join(str(m["text"]).split()), no_wrap=True)
            for m in reversed(self.messages[-SHOWN:])
        ]
        return Group(*lines)


def trail(snapshot: Snapshot) -> Iterator[Text]:
    """Everything that happened to the ticket with the most to tell, in order of time."""
    if not snapshot.events:
        return
    told_of: Counter[str] = Counter({ticket: len(events) for ticket, events in snapshot.events.items()})
    for notification in snapshot.notified.values():
        told_of[next(iter(notification.values()))["ticket_id"]] += 1
    ticket = told_of.most_common(1)[0][0]
    steps = [*_decided(snapshot, ticket), *_timed(snapshot, ticket), *_told(snapshot, ticket)]
    # Python's sort keeps the order of equal times, so causes stay before their effects.
    for at, who, says in sorted(steps, key=lambda step: datetime.fromisoformat(step[0])):
        yield Text.assemble((f"{_clock(at)}  ", "dim"), (f"{who:<12}", "cyan"), says)


Step = tuple[str, str, str]
"""(time, who, what)"""


def _decided(snapshot: Snapshot, ticket: str) -> Iterator[Step]:
    for event in snapshot.events[ticket].values():
        complaint = snapshot.submitted.get(event.get("complaint_id", ""))
        if complaint:
            says = f"complaint {complaint['complaint_id']} by {complaint['channel']}, answered 202"
            yield complaint["submitted_at"], "intake", says
        yield event["occurred_at"], "router", f"event {event['sequence']}: {_in_words(event)}"


def _timed(snapshot: Snapshot, ticket: str) -> Iterator[Step]:
    for fact in snapshot.facts.values():
        if fact["ticket_id"] == ticket:
            at = fact.get("detected_at", fact["at"])
            yield at, "sla_monitor", f"{fact['clock']} {fact['type']}, due {_clock(fact['due_at'])}"


def _told(snapshot: Snapshot, ticket: str) -> Iterator[Step]:
    told_ids = set()
    for notification, verbs in snapshot.notified.items():
        for verb, told in verbs.items():
            if told["ticket_id"] == ticket:
                told_ids.add(notification)
                by = f" by {told['channel']}" if told.get("channel") else ""
                yield told["at"], "notifier", f"{told['moment']} {verb}{by} to {told['to']}"
    for message in snapshot.messages or ():
        if message["out_id"] in told_ids:
            yield message["received_at"], "customer", " ".join(str(message["text"]).split())


def _in_words(event: Mapping[str, Any]) -> str:
    told: list[str] = [event["type"]]
    if event["type"] == "opened":
        told.append(f"number {event['number']}")
    elif event["type"] == "classified":
        found = event["classification"]
        told.append(f"{found['primary']}.{found['sub'] or '-'}, severity {found['severity']}")
        told.append(
            f"confidence {found['confidence']:.2f} because of {', '.join(e['word'] for e in found['evidence'])}"
        )
    elif event["type"] == "assigned":
        told.append(f"{event['department']}, {event['unit'] or 'no unit'}, {event['person'] or 'queue'}")
        told.append(f"rule {event['rule']}")
    return "; ".join(told)


def _clock(at: str | None) -> str:
    return datetime.fromisoformat(at).astimezone().strftime("%H:%M:%S.%f")[:-3] if at else "-"
