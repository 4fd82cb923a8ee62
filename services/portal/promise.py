"""The one time that a complainant waits for. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from schemas.codes import Clock, TicketState
from services.portal.case import Case

_ENDED: Final = frozenset({TicketState.RESOLVED, TicketState.CLOSED, TicketState.WITHDRAWN})


@dataclass(frozen=True, slots=True)
class Promise:
    """What comes next."""

    kind: str
    """`answer`, `decision` or `resolution`, which have a time; `yours`, `open` or `none`, which have none."""
    at: datetime | None = None
    is_late: bool = False


def next_promise(case: Case, due: Mapping[Clock, datetime], *, now: datetime) -> Promise:
    """What the complainant may expect next, by the clocks that run."""
    if case.state in _ENDED or (case.state is TicketState.APPEAL_DECIDED):
        return Promise("none")
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
