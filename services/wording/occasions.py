"""Which events of a ticket are told to the complainant by themselves, and with which facts. Pure.

The command that leads to such an event has fields of the same names: what would be said is known before it is issued.
"""

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType
from typing import Any, Final

from schemas import commands as c
from schemas import events as e
from schemas.codes import Moment
from schemas.complaint import Money
from schemas.message import Part

_ASKED: Final = (Moment.ASKED_FOR_MORE, {"what": "what"})
_ANSWERED: Final = (Moment.ANSWERED, {"remedy": "remedy", "amount": "amount"})
_RESOLVED: Final = (Moment.RESOLVED, {"outcome": "outcome"})
_APPEALED: Final = (Moment.APPEAL_RECEIVED, dict[str, str]())
_DECIDED: Final = (Moment.APPEAL_DECIDED, {"changed": "changed", "remedy": "remedy", "amount": "amount"})
_APOLOGISED: Final = (Moment.APOLOGY, {"spoken_by": "tier"})
_OCCASIONS: Final[Mapping[type[Part], tuple[Moment, Mapping[str, str]]]] = MappingProxyType(
    {
        e.TicketCustomerAwaited: _ASKED,
        c.WaitForCustomer: _ASKED,
        e.TicketAnswered: _ANSWERED,
        c.Answer: _ANSWERED,
        e.TicketResolved: _RESOLVED,
        c.Resolve: _RESOLVED,
        e.TicketAppealed: _APPEALED,
        c.Appeal: _APPEALED,
        e.TicketAppealDecided: _DECIDED,
        c.DecideAppeal: _DECIDED,
        e.TicketApologised: _APOLOGISED,
        c.Apologise: _APOLOGISED,
        e.TicketSurveyRequested: (Moment.SURVEY, {"attempt": "attempt"}),
        c.RequestSurvey: (Moment.SURVEY, {}),
    },
)
"""Of each the moment, and by the name of a fact the field that it comes from."""


def occasion(of: Part) -> tuple[Moment, dict[str, Any]] | None:
    """The moment of an event or command and what it says itself; None: nobody is told, or it takes more than that.

    Facts are codes, numbers and truths; an amount is a text as `120.50 CNY`, so that it can be stored as it is.
    """
    known = _OCCASIONS.get(type(of))
    return known and (known[0], {fact: _plain(getattr(of, name)) for fact, name in known[1].items()})


def money(amount: Money | None) -> str:
    """An amount as a fact: `120.50 CNY`, and nothing for none."""
    return f"{amount.amount} {amount.currency}" if amount else ""


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, Money):
        return money(value)
    return value.value if isinstance(value, Enum) else value
