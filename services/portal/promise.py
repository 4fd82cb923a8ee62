"""The one time that a complainant waits for. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from schemas.codes import Clock, TicketState
from services.portal.case import Case

_ENDED: Final = frozenset({TicketState.RESOLVED, TicketState.CLOSED, TicketState.WITHDRAWN})

_STANDING: Final = frozenset({TicketState.RESOLVED, TicketState.APPEAL_DECIDED})
_DONE_BY_SAYING: Final = frozenset({"", "apology", "explain"})
"""Remedies that the answer itself is."""


@dataclass(frozen=True, slots=True)
class Promise:
    """What comes next."""

    kind: str
    """`answer`, `decision` or `resolution`, which have a time; `agreed`, `yours`, `open` or `none`, which have none."""
    at: datetime | None = None
    is_late: bool = False


def next_promise(case: Case, due: Mapping[Clock, datetime], *, now: datetime) -> Promise:
    """What the complainant may expect next, by the clocks that run."""
    if case.state in _ENDED or (case.state is TicketState.APPEAL_DECIDED):
        return Promise("agreed" if _is_being_carried_out(case) else "none")
    if case.state is TicketState.WAITING_CUSTOMER:
        return Promise("yours")
    wanted = [("resolution", Clock.RESOLUTION)]
    if case.state is TicketState.APPEALED:
        wanted = [("decision", Clock.APPEAL_DECISION), *wanted]
    elif case.reply is None:
        wanted = [("answer", Clock.FIRST_ANSWER), *wanted]
    for kind, clock in wanted:
        if clock in due:
            return Promise(kind, due[clock], is_late=due[clock] <= now)
    return Promise("open")


def _is_being_carried_out(case: Case) -> bool:
    """Whether something was offered that the complainant agreed to or that was decided, and nobody said it is done."""
    reply = case.reply
    if reply is None or case.state not in _STANDING or reply.code in _DONE_BY_SAYING:
        return False
    is_paid = any(step.kind == "claim_paid" and step.sequence > reply.sequence for step in case.steps)
    is_agreed = case.state is TicketState.RESOLVED and reply.kind != "resolved"
    return (is_agreed or bool(reply.is_changed)) and not is_paid
