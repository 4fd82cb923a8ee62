"""Whether a message that had to wait still says what is true. Pure."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final
from uuid import UUID

from schemas.codes import Language, Moment, TicketState
from services.notifier.moments import ANSWER, ANSWERED, ENDED
from services.notifier.notice import Notice

_SETTLED: Final = ENDED | {TicketState.APPEAL_DECIDED}
_UNTRUE_IN: Final[Mapping[Moment, AbstractSet[TicketState]]] = MappingProxyType(
    {
        Moment.ASKED_FOR_MORE: frozenset(TicketState) - {TicketState.WAITING_CUSTOMER},
        # Whoever appeals knows the answer, and is told the decision.
        Moment.ANSWERED: {TicketState.WITHDRAWN, TicketState.APPEALED, TicketState.APPEAL_DECIDED},
        Moment.RESOLVED: frozenset(TicketState) - ENDED,
        Moment.APPEAL_RECEIVED: _SETTLED,
        Moment.APPEAL_DECIDED: {TicketState.WITHDRAWN},
    },
)
"""States of a ticket in which a message about a moment says nothing true."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a ticket stands now."""

    state: TicketState | None
    """None: nothing is known of it."""
    withdrawn: frozenset[UUID]
    """Facts that turned out not to hold."""
    latest: Mapping[Moment, UUID] = field(default_factory=dict)
    """As `Addressee.latest`."""
    language: Language | None = None
    """In which its complainants want to be written to now."""


def is_withdrawn(notice: Notice, standing: Standing) -> bool:
    """Whether the fact that gave rise to a message turned out not to hold."""
    return notice.withdrawn or notice.occasion in standing.withdrawn


def is_overtaken(notice: Notice, standing: Standing) -> bool:
    """Whether a message that had to wait says nothing true any more, because of what became of the ticket."""
    moment, latest = notice.moment, standing.latest
    if standing.state is None:
        return False
    if moment is Moment.SURVEY:
        return latest.get(moment) != notice.occasion
    if moment is Moment.ANSWERED and latest.get(moment, notice.occasion) != notice.occasion:
        return True
    if moment in {Moment.IN_PROGRESS, Moment.BREACHED_APOLOGY}:
        return standing.state in (ANSWERED if notice.facts["about"] == ANSWER else _SETTLED)
    return standing.state in _UNTRUE_IN.get(moment, ())
