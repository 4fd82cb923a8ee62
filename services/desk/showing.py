"""Rows, clocks and trails as the pages show them: what is computed, so that templates only place it. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlencode
from uuid import UUID

from schemas.codes import ClockState, Language
from schemas.events import TicketEvent
from schemas.notes import Note
from schemas.ticket import Ticket
from services.desk.clock_row import ClockRow
from services.desk.lines import field_of, lines
from services.desk.naming import Names
from services.desk.person import Person
from services.desk.queue import Filters, Scope
from services.desk.row import Row
from services.desk.wording import WORDS, Speaker

SOON_SHARE: Final = 0.2
"""Of the target: what is left less than that is due soon."""
SOON_S_MIN: Final = 600


@dataclass(frozen=True, slots=True)
class Countdown:
    """A due time, and how it looks now; the script counts on by the same rule."""

    due: str
    """ISO 8601."""
    soon_s: int
    level: str
    """calm, soon or over: a colour, beside the words."""
    text: str
    at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RowShown:
    """A line of the queue."""

    row: Row
    key: str
    """Text by which lines stand in order."""
    matter: str
    countdown: Countdown | None
    clock: str
    breached: list[str]
    contact: str
    changed: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Happened:
    """An event of the trail in words."""

    sequence: int
    at: str
    whole: str
    iso: str
    what: str
    who: str
    via: str
    reason: str
    note: Note | None


def countdown(due_at: datetime, target_s: int, *, now: datetime, say: Speaker) -> Countdown:
    """How a clock that runs looks."""
    left, soon_s = (due_at - now).total_seconds(), max(SOON_S_MIN, int(target_s * SOON_SHARE))
    level = "over" if left < 0 else "soon" if left <= soon_s else "calm"
    phrase = {"over": "over", "soon": "soon", "calm": "left"}[level]
    text = say.page(phrase, time=say.lasting(left))
    return Countdown(due_at.isoformat(timespec="seconds"), soon_s, level, text, say.at(due_at))


def row_shown(row: Row, *, asked: Filters, scope: Scope, now: datetime, say: Speaker) -> RowShown:
    """A line of the queue."""
    due = row.next_due
    target_s = next((c.target_s for c, _ in row.open_clocks if due and c.clock is due[1]), 0)
    department = asked.department[0] if len(asked.department) == 1 else None
    return RowShown(
        row=row,
        key=lines(row)[field_of(asked.sort, department=department)],
        matter=matter(row.category, row.sub, say),
        countdown=countdown(due[0], target_s, now=now, say=say) if due and row.is_open else None,
        clock=say.word("clock", due[1]) if due else "",
        breached=[say.word("clock", clock) for clock in row.breached],
        contact=contact(row) if scope.sees_complainant else "",
        changed=say.at(row.updated_at),
    )


def matter(category: object, sub: str | None, say: Speaker) -> str:
    """What it is about."""
    if category is None:
        return "—"
    return say.word("matter", f"{category}.{sub}" if sub else category)


def contact(row: Row) -> str:
    """What may be shown of the complainant without a reason."""
    return row.masked.phone or row.masked.email or ("WeChat" if row.masked.wechat else "")


def clock_shown(clock: ClockRow, ticket: UUID, *, now: datetime, say: Speaker) -> dict[str, Any]:
    """One cycle of one clock, with what passed on it."""
    state = clock.state(ticket)
    runs = state in {ClockState.RUNNING, ClockState.BREACHED} and clock.due_at is not None
    return {
        "name": say.word("clock", clock.clock),
        "cycle": clock.cycle,
        "state": say.word("clock_state", ClockState.PAUSED if clock.is_paused and state.value == "running" else state),
        "level": "over" if state in {ClockState.BREACHED, ClockState.STOPPED_LATE} else "calm",
        "countdown": countdown(clock.due_at, clock.target_s, now=now, say=say) if runs and clock.due_at else None,
        "due": say.at(clock.due_at) if clock.due_at else "—",
        "target": say.working(clock.target_s) if clock.target_s else "—",
        "passed": [
            (_passed(mark.kind, mark.detail, say), say.at(mark.at), mark.at.isoformat())
            for mark in clock.holding(ticket)
        ],
    }


def trail_shown(
    events: Sequence[TicketEvent], notes: Mapping[UUID, Note], say: Speaker, names: Names
) -> list[Happened]:
    """The trail, the latest first."""
    return [
        Happened(
            sequence=event.sequence,
            at=say.at(event.occurred_at),
            whole=say.whole(event.occurred_at),
            iso=event.occurred_at.isoformat(),
            what=say.event(event, names),
            who=say.actor(event),
            via=say.word("via", event.actor.via) if event.actor.via else "",
            reason=say.word("reason", event.reason) if event.reason else "",
            note=notes.get(event.note_ref) if event.note_ref else None,
        )
        for event in reversed(events)
    ]


def understood(ticket: Ticket, say: Speaker) -> dict[str, Any] | None:
    """What the machine, or a reviewer, made of the complaint, and because of which words."""
    said = ticket.classification
    if said is None:
        return None
    return {
        "matter": matter(said.primary, said.sub, say),
        "confidence": say.share(said.confidence),
        "needs_review": ticket.needs_review,
        "secondary": say.listed(say.word("matter", one.code) for one in said.secondary),
        "demand": say.listed(say.word("demand", one) for one in said.demand),
        "nature": say.word("nature", said.nature),
        "grade": say.word("grade", int(said.grade)),
        "style": say.word("style", said.style),
        "evidence": [(_spoken(one.word, say), _evidence(one.says, say)) for one in said.evidence],
    }


def waits_for(person: Person, ticket: Ticket) -> bool:
    """Whether a proposal waits for this person, by role or because it was delegated."""
    proposal = ticket.approval
    if proposal is None or not proposal.chain:
        return False
    return proposal.delegate == person.id if proposal.delegate else proposal.chain[0] is person.role


def decider(ticket: Ticket, say: Speaker) -> str:
    """Whose decision a proposal waits for; empty: there is none."""
    proposal = ticket.approval
    if proposal is None:
        return ""
    return proposal.delegate or (say.word("staff_role", proposal.chain[0]) if proposal.chain else "")


def query_of(filters: Filters) -> str:
    """The query string that asks for the same again."""
    told = filters.model_dump(mode="json", exclude_defaults=True)
    values = {name: str(value).lower() if isinstance(value, bool) else value for name, value in told.items()}
    return urlencode(values, doseq=True)


def spoken_to(language: Language, zone: str = "Asia/Shanghai") -> Speaker:
    """Who speaks to somebody who is not signed in."""
    return Speaker(language, zone)


def _passed(kind: str, detail: str, say: Speaker) -> str:
    if kind == "warned" and detail:
        return say.word("passed", kind).format(detail=say.share(float(detail)))
    words = say.word("passed", kind)
    return f"{words}: {say.word('level', detail)}" if detail else words


def _spoken(word: str, say: Speaker) -> str:
    # How long and how much are known by kind alone.
    return say.word("measured", word) if word in WORDS["measured"] else word


def _evidence(code: str, say: Speaker) -> str:
    for section in ("matter", "flag", "demand"):
        if code in WORDS[section]:
            return say.word(section, code)
    return code
