"""What a run under faults showed, in Markdown."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from services.cli.audit import Difference, Snapshot, lateness_s
from services.cli.machine import machine
from tests.chaos.faults import FAULTS

LOST = {
    "lost",
    "command_lost",
    "message_missing",
    "untold",
    "gap",
    "unstored",
    "unpublished",
    "unprojected",
    "no_clock",
}
DOUBLED = {
    "doubled", "two_writers", "event_doubled", "number_doubled", "breach_doubled", "told_twice", "message_twice",
    "message_unknown",
}  # fmt: skip
MISSED = {"missed_deadline", "breach_untold"}
_SHOWN_MAX = 20
"""Differences of each kind."""


@dataclass(frozen=True)
class Span:
    """One fault as it went; times are of the wall clock."""

    kind: str
    subject: str
    injected_at: datetime
    healed_at: datetime
    resumed_at: datetime
    """What was sent before had its ticket, and something sent after healing as well."""
    ended_at: datetime
    """Every process was ready; the next fault came after this."""

    def __str__(self) -> str:
        away_s = (self.healed_at - self.injected_at).total_seconds()
        resumed_s = (self.resumed_at - self.healed_at).total_seconds()
        return (
            f"{self.injected_at:%H:%M:%S} {self.kind} ({self.subject}): {away_s:.1f} s, resumed {resumed_s:.1f} s later"
        )


Limit = tuple[str, str, int, str]
"""A due time of a clock: ticket, clock, cycle, due."""


def limit_of(fact: Mapping[str, Any]) -> Limit:
    """What a fact says is due when."""
    return fact["ticket_id"], fact["clock"], fact["cycle"], fact["due_at"]


@dataclass
class Result:
    """Everything that a run showed."""

    spans: list[Span]
    baseline: tuple[datetime, datetime]
    snapshot: Snapshot
    found: list[Difference]
    told_at: dict[str, datetime]
    """When the broker had a breach first, by fact id."""
    limited_at: dict[Limit, datetime]
    """When it was first told that a clock has this due time."""
    counts: dict[str, int]
    commands: int
    left_out: list[str] = field(default_factory=list)

    def lateness(self, windows: Iterable[tuple[datetime, datetime]]) -> list[float]:
        """Seconds from due time to the broker's time, of breaches that were due in one of the windows; sorted.

        A due time that was moved, perhaps into the past, by an event that had to wait for a part or for a new owner of
        its partition counts from when the move was told: before that nobody had armed it.
        """
        wanted = list(windows)
        return sorted(
            self._late_s(fact, self.told_at[fact_id])
            for fact_id, fact in self.snapshot.breached.items()
            if any(start <= datetime.fromisoformat(fact["breached_at"]) < end for start, end in wanted)
        )

    def _late_s(self, breach: Mapping[str, Any], told_at: datetime) -> float:
        late_s = lateness_s({**breach, "detected_at": told_at.isoformat()}, self.snapshot)
        if (limited_at := self.limited_at.get(limit_of(breach))) is None:
            return late_s
        return min(late_s, max(0.0, (told_at - limited_at).total_seconds()))

    def told_early(self) -> int:
        """Breaches that the broker had before they were due."""
        return sum(
            self.told_at[fact_id] < datetime.fromisoformat(fact["breached_at"])
            for fact_id, fact in self.snapshot.breached.items()
        )

    def number(self, kinds: set[str]) -> int:
        """Differences of these kinds."""
        return sum(difference.kind in kinds for difference in self.found)


def page(result: Result, *, seed: int, command: str, took_s: float) -> str:
    """The whole page."""
    events = Counter(event["type"] for events in result.snapshot.events.values() for event in events.values())
    date = f"{datetime.now().astimezone():%Y-%m-%d}"
    counts, snapshot = result.counts, result.snapshot
    others = len(result.found) - result.number(LOST | DOUBLED | MISSED)
    lines = f"""\
# Reliability under faults

Written by `{command}` on {date}: {len(result.spans)} faults in {took_s / 60:.0f} minutes,
drawn from seed {seed}, with {machine()}.
Three brokers, the database, Redis, two processes of each service and the load share these cores.

The load: {counts["new"]:,} complaints, {counts["repeated"]:,} sent again under their key, {counts["followed_up"]:,}
follow-ups by telephone, {counts["wrong"]:,} wrong ones (all refused), {result.commands:,} commands of people. Out came
{events["opened"]:,} tickets with {sum(events.values()):,} events, {len(snapshot.facts):,} facts about time limits,
{len(snapshot.breached):,} breaches and {len(snapshot.messages or ()):,} messages. (A follow-up of a matter that is
closed opens a ticket of its own.)

| Lost | Doubled | Deadlines missed | Other differences | Told before their time |
|---|---|---|---|---|
| {result.number(LOST)} | {result.number(DOUBLED)} | {result.number(MISSED)} | {others} | {result.told_early()} |

Compared is what was acknowledged (answers of the intake, commands that Kafka took) with what came out (topics, event
store, messages in customers' hands), by the rules of `amends verify`. Told before its time is what bears a time of the
broker before its due time.

Resuming counts from healing until every complaint sent before has its ticket and one sent after has its own; up to a
second of it is the pace of the load. A breach is late by the time from its due time, or from when that due time was
first told, until the broker has it: p50, p99, max and of how many, in seconds. *During* is between fault and healing,
*after* from there to the next fault. While Kafka or the database is away no worker can tell anything.

| Fault | Times | Resumed after, s: median, max | Late during | Late after |
|---|---|---|---|---|
| none | | | | {_late(result.lateness([result.baseline]))} |""".splitlines()
    for kind, fault in FAULTS.items():
        spans = [span for span in result.spans if span.kind == kind]
        if spans:
            cells = (fault.about, str(len(spans)), _resumed(spans), _during(result, spans), _after(result, spans))
            lines.append(f"| {' | '.join(cells)} |")
    if result.left_out:
        about = "; ".join(FAULTS[kind].about for kind in result.left_out)
        lines += ["", f"Left out, because this machine does not allow it: {about}."]
    if result.found:
        lines += ["", "## Differences"]
        for kind, times in sorted(Counter(d.kind for d in result.found).items()):
            some = [d for d in result.found if d.kind == kind][:_SHOWN_MAX]
            lines += ["", f"### {kind}: {times}", "", *(f"- {d.subject}: {d.says}" for d in some)]
    return "\n".join([*lines, ""])


def _resumed(spans: Sequence[Span]) -> str:
    took = sorted((span.resumed_at - span.healed_at).total_seconds() for span in spans)
    return f"{took[len(took) // 2]:.1f}, {took[-1]:.1f}"


def _during(result: Result, spans: Sequence[Span]) -> str:
    return _late(result.lateness((s.injected_at, s.healed_at) for s in spans))


def _after(result: Result, spans: Sequence[Span]) -> str:
    return _late(result.lateness((s.healed_at, s.ended_at) for s in spans))


def _late(late: Sequence[float]) -> str:
    if not late:
        return "-"
    p50, p99 = (late[int(share * (len(late) - 1))] for share in (0.5, 0.99))
    return f"{p50:.2f}, {p99:.2f}, {late[-1]:.2f} ({len(late)})"
