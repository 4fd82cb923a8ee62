"""What each command leads to in each state of a ticket. Pure.

`LEGAL` is the whole table: `LEGAL[command][state]` is the state afterwards; a pair that is not in it is refused.
A ticket that needs a person's review goes opened -> in_review -> investigating; one that needs none is assigned as it
opens and is investigated at once. One that is settled and complained about again is opened again, for a review.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from schemas.codes import TicketState

S = TicketState

EARLIER: Final = "earlier"
"""Target of `resume`: the state that the waiting interrupted."""
SAME: Final = "same"
"""The state does not change."""

WAITING: Final = frozenset({S.WAITING_CUSTOMER, S.WAITING_THIRD_PARTY})
TERMINAL: Final = frozenset({S.CLOSED, S.WITHDRAWN})
SETTLED: Final = frozenset({S.RESOLVED}) | TERMINAL
"""Nobody works on it any more: the person's capacity is free."""
OPEN: Final = frozenset(S) - SETTLED


def _in(states: Iterable[TicketState], target: TicketState | str) -> dict[TicketState, TicketState | str]:
    return dict.fromkeys(states, target)


_INTERRUPTIBLE: Final = OPEN - WAITING

LEGAL: Final[Mapping[str, Mapping[TicketState, TicketState | str]]] = MappingProxyType(
    {
        "follow_up": _in(OPEN, SAME) | _in(SETTLED, S.OPENED),
        "start_review": {S.OPENED: S.IN_REVIEW},
        "complete_review": {S.IN_REVIEW: S.INVESTIGATING},
        "assign": {S.OPENED: S.INVESTIGATING} | _in([S.INVESTIGATING, *sorted(WAITING), S.ANSWERED], SAME),
        "first_action": _in([S.INVESTIGATING, *sorted(WAITING)], SAME),
        "answer": {S.INVESTIGATING: S.ANSWERED},
        "resolve": _in([S.INVESTIGATING, S.ANSWERED], S.RESOLVED),
        "wait_for_customer": _in(_INTERRUPTIBLE, S.WAITING_CUSTOMER),
        "wait_for_third_party": _in(_INTERRUPTIBLE, S.WAITING_THIRD_PARTY),
        "resume": _in(WAITING, EARLIER),
        "change_severity": _in(OPEN, SAME),
        "withdraw": _in(OPEN, S.WITHDRAWN),
        "close": {S.RESOLVED: S.CLOSED},
    },
)


def target(state: TicketState, command: str) -> TicketState | str | None:
    """The state after a legal command, `SAME`, `EARLIER`, or None when the command is refused in this state."""
    return LEGAL[command].get(state)


def possible(state: TicketState) -> tuple[str, ...]:
    """The commands that are legal in a state, follow-ups aside: those come from complainants."""
    return tuple(name for name, legal in LEGAL.items() if state in legal and name != "follow_up")


def table() -> str:
    """The whole table in Markdown: what the documentation shows."""
    names = list(LEGAL)
    lines = ["| state | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for state in S:
        cells = (str(target(state, name) or "refused") for name in names)
        lines.append(f"| {state.value} | " + " | ".join(cells) + " |")
    return "\n".join(lines)
