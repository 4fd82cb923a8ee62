"""What the desk knows of one ticket: the fold of all that is told of it on three topics. Pure.

Ticket events are numbered, and a row takes each number once, in order (`gap` tells when some are missing). Facts about
clocks and events of messages commute and may come again, see `clock_row.py` and `_message`. So a row is the same in
whatever order the topics are read, however often.

A new field is a field of `Row` and a line in `_SAYS`, which tells for a type of event what it sets.
"""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID

from schemas import events as e
from schemas import notifications as n
from schemas.codes import (
    ActorKind,
    Category,
    Channel,
    Clock,
    ClockState,
    DeliveryChannel,
    Demand,
    Language,
    Moment,
    RiskFlag,
    Role,
    Severity,
    Source,
    TicketState,
)
from schemas.message import Message
from schemas.sealed import MaskedContact
from schemas.sla import SlaFact
from services.desk.clock_row import ClockRow, told, whole_ms
from services.wording.occasions import money

SETTLED: Final = frozenset({TicketState.RESOLVED, TicketState.CLOSED, TicketState.WITHDRAWN})
"""Nobody has to work on it now."""
SOLVED: Final = frozenset({TicketState.RESOLVED, TicketState.CLOSED})
"""Settled by what the network did."""
OPEN_STATES: Final = frozenset({ClockState.RUNNING, ClockState.PAUSED, ClockState.BREACHED})
RARE_CLOCKS: Final = frozenset(
    {Clock.LIABILITY_RESPONSE, Clock.APPROVAL, Clock.APPEAL_DECISION, Clock.STATUTORY_FORWARDED}
)
"""Clocks that run on few tickets, which are found by them."""
NEVER: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""When that happened of which nothing was told yet."""


_UNKNOWN: Final = MaskedContact()


@dataclass(frozen=True, slots=True)
class LastChange:
    """The latest ticket event."""

    type: str
    """As `resolved`."""
    at: datetime
    actor: ActorKind
    actor_id: str | None = None


@dataclass(frozen=True, slots=True)
class MessageRow:
    """Where one message to the complainant stands."""

    id: UUID
    moment: Moment
    result: str
    """requested, sent, delivered, failed or suppressed."""
    at: datetime
    event: UUID
    rank: int
    channel: DeliveryChannel | None = None
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A ticket as the desk lists it. Of one that is not opened yet, only facts may be known."""

    id: UUID
    version: int = 0
    """Number of the latest ticket event; 0 until the opening is known."""
    number: str = ""
    state: TicketState = TicketState.OPENED
    channel: Channel | None = None
    source: Source | None = None
    language: Language | None = None
    received_at: datetime = NEVER
    opened_at: datetime = NEVER
    updated_at: datetime = NEVER
    contact_ref: UUID | None = None
    masked: MaskedContact = _UNKNOWN
    contacts: tuple[str, ...] = ()
    """Blind indexes of everything that the complainant can be found by."""
    role: Role | None = None
    waybills: tuple[str, ...] = ()
    places: tuple[str, ...] = ()
    region: str | None = None
    product: str | None = None
    case_number: str | None = None
    category: Category | None = None
    sub: str | None = None
    confidence: float | None = None
    needs_review: bool = False
    demand: tuple[Demand, ...] = ()
    severity: Severity = Severity.NORMAL
    flags: tuple[RiskFlag, ...] = ()
    major: bool = False
    department: str | None = None
    unit: str | None = None
    shared_units: tuple[str, ...] = ()
    """Further units that share the responsibility."""
    person: str | None = None
    repeats: int = 0
    complaints: tuple[UUID, ...] = ()
    remedy: str = ""
    """Code of what was offered or decided last."""
    amount: str = ""
    """What goes with it, as `120.50 CNY`."""
    causes: tuple[str, ...] = ()
    """Codes of what the investigation found."""
    settled_at: datetime | None = None
    """Since when it is solved; None: it is not."""
    archived_at: datetime | None = None
    """Since when others learn from it."""
    last_change: LastChange | None = None
    clocks: tuple[ClockRow, ...] = ()
    """Every cycle, by clock and number."""
    messages: tuple[MessageRow, ...] = ()
    """By identity."""

    @property
    def is_open(self) -> bool:
        """Whether somebody has to work on it."""
        return self.state not in SETTLED

    @property
    def units(self) -> tuple[str, ...]:
        """Every unit whose ticket it is, the responsible one first."""
        return tuple(dict.fromkeys((*((self.unit,) if self.unit else ()), *self.shared_units)))

    @property
    def open_clocks(self) -> list[tuple[ClockRow, ClockState]]:
        """Cycles that have not ended, with their states."""
        states = ((clock, clock.state(self.id)) for clock in self.clocks)
        return [(clock, state) for clock, state in states if state in OPEN_STATES]

    @property
    def due(self) -> dict[Clock, datetime]:
        """When what is promised is due, or was: what is overdue stays so until it is done.

        An acknowledgement that is late is nothing that anybody could do: whether it arrived is the network's to tell.
        """
        late = {c.clock: c.due_at for c, state in self.open_clocks if state is ClockState.BREACHED and c.due_at}
        late.pop(Clock.ACKNOWLEDGE, None)
        return late | {c.clock: c.due_at for c, state in self.open_clocks if state is ClockState.RUNNING and c.due_at}

    @property
    def breached(self) -> tuple[Clock, ...]:
        """Clocks that were ever broken and not taken back, once each."""
        broken = (c.clock for c in self.clocks if any(mark.kind == "breached" for mark in c.holding(self.id)))
        return tuple(dict.fromkeys(broken))

    @property
    def next_due(self) -> tuple[datetime, Clock] | None:
        """The earliest of `due`; what the queue is sorted by."""
        return min(((at, clock) for clock, at in self.due.items()), default=None)


@dataclass(frozen=True, slots=True)
class Kept:
    """A row as it is stored."""

    row: Row
    revision: int
    """Number of writes, this one included."""


def fold(row: Row, message: Message) -> Row:
    """The row with one more message known; the same row when it says nothing new."""
    if isinstance(message, e.TicketEvent):
        return _event(row, message)
    if isinstance(message, SlaFact):
        return _fact(row, message)
    return _message(row, message) if isinstance(message, n.NotificationEvent) else row


def gap(row: Row, message: Message) -> bool:
    """Whether ticket events before this one are missing: they are then to be had from the event store."""
    return isinstance(message, e.TicketEvent) and message.sequence > row.version + 1


def ticket_of(message: Message) -> UUID | None:
    """The ticket that a message is about, if it is about one."""
    return message.ticket_id if isinstance(message, e.TicketEvent | SlaFact | n.NotificationEvent) else None


def _event(row: Row, event: e.TicketEvent) -> Row:
    if event.sequence <= row.version:
        return row
    says = _SAYS.get(type(event))
    return dataclasses.replace(
        row,
        **{
            "version": event.sequence,
            "state": event.state,
            "updated_at": max(row.updated_at, event.occurred_at),
            "settled_at": (row.settled_at or event.occurred_at) if event.state in SOLVED else None,
            "last_change": LastChange(
                event.TYPE.rpartition(".")[2], event.occurred_at, event.actor.kind, event.actor.id
            ),
            **(says(row, event) if says else {}),
        },
    )


def _opened(_: Row, event: e.TicketOpened) -> dict[str, Any]:
    return {
        "number": event.number,
        "channel": event.channel,
        "source": event.source,
        "language": event.language,
        "received_at": event.received_at,
        "opened_at": event.occurred_at,
        "contact_ref": event.contact_ref,
        "masked": event.masked,
        "contacts": event.contact_index.values(),
        "role": event.role,
        "waybills": event.waybills,
        "places": event.places,
        "region": event.region,
        "product": event.product,
        "case_number": event.case_number,
        "complaints": (event.complaint_id,),
    }


def _classified(row: Row, event: e.TicketClassified) -> dict[str, Any]:
    said, first = event.classification, row.category is None
    # A later word on the matter changes severity by an event of its own, and does not undo that it came again.
    stay = row.flags if first else tuple(f for f in row.flags if f is RiskFlag.REPEATED)
    return {
        "category": said.primary,
        "sub": said.sub,
        "confidence": said.confidence,
        "needs_review": said.needs_review,
        "demand": said.demand,
        "severity": said.severity if first else row.severity,
        "flags": tuple(dict.fromkeys((*said.flags, *stay))),
        "major": event.major,
    }


def _followed_up(row: Row, event: e.TicketFollowedUp) -> dict[str, Any]:
    return {
        "repeats": event.repeats,
        "complaints": tuple(dict.fromkeys((*row.complaints, event.complaint_id))),
        "flags": tuple(dict.fromkeys((*row.flags, *event.flags))),
    }


def _offered(_: Row, event: e.TicketAnswered | e.TicketAppealDecided) -> dict[str, Any]:
    return {"remedy": event.remedy, "amount": money(event.amount)}


def _with(causes: tuple[str, ...], cause: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*causes, cause))) if cause else causes


_SAYS: Final[Mapping[type[e.TicketEvent], Callable[[Row, Any], dict[str, Any]]]] = MappingProxyType(
    {
        e.TicketOpened: _opened,
        e.TicketClassified: _classified,
        e.TicketAssigned: lambda _, event: {
            "department": event.department,
            "unit": event.unit,
            "person": event.person,
            "needs_review": False,
        },
        e.TicketFollowedUp: _followed_up,
        e.TicketRepeatLinked: _followed_up,
        e.TicketReopened: lambda _, __: {
            "person": None,
            "needs_review": True,
            "shared_units": (),
            "remedy": "",
            "amount": "",
            "archived_at": None,
        },
        e.TicketReturned: lambda _, __: {"person": None, "needs_review": True},
        e.TicketAppealed: lambda _, event: {"person": None} if event.before in SETTLED else {},
        e.TicketLiabilityShared: lambda _, event: {"shared_units": tuple(share.unit for share in event.shares)},
        e.TicketSeverityChanged: lambda _, event: {"severity": event.severity},
        e.TicketLanguageChosen: lambda _, event: {"language": event.language},
        e.TicketFindingsRecorded: lambda row, event: {"causes": _with(row.causes, event.cause)},
        e.TicketAnswered: _offered,
        e.TicketAppealDecided: _offered,
        e.TicketArchived: lambda row, event: {
            "causes": _with(row.causes, event.cause),
            "remedy": event.remedy or row.remedy,
            "archived_at": event.occurred_at,
        },
        e.TicketReviewCompleted: lambda _, __: {"needs_review": False},
    }
)
"""What an event of a type sets beside state, version and last change, which every event sets."""


def _fact(row: Row, fact: SlaFact) -> Row:
    known = {(c.clock, c.cycle): c for c in row.clocks}
    key = (fact.clock, fact.cycle)
    before = known.get(key, ClockRow(fact.clock, fact.cycle))
    after = told(before, fact)
    if after is before:
        return row
    clocks = tuple(one for _, one in sorted({**known, key: after}.items()))
    return dataclasses.replace(row, clocks=clocks)


_RANKS: Final = MappingProxyType(
    {
        n.NotificationRequested: 0,
        n.NotificationSent: 1,
        n.NotificationFailed: 1,  # of one channel; when none is left it is final, and 2
        n.NotificationSuppressed: 2,
        n.NotificationDelivered: 3,
    }
)


def _message(row: Row, event: n.NotificationEvent) -> Row:
    """Of two events of one message the one further on holds; of the same rank, the later one."""
    final = isinstance(event, n.NotificationFailed) and event.final
    after = MessageRow(
        event.notification_id,
        event.moment,
        event.TYPE.rpartition(".")[2],
        whole_ms(event.at),
        event.event_id,
        2 if final else _RANKS.get(type(event), 0),
        getattr(event, "channel", None),
        getattr(event, "why", ""),
    )
    known = {message.id: message for message in row.messages}
    before = known.get(after.id)
    if before and (before.rank, before.at, before.event) >= (after.rank, after.at, after.event):
        return row
    return dataclasses.replace(row, messages=tuple(one for _, one in sorted({**known, after.id: after}.items())))
