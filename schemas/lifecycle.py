"""What each command leads to in each state of a ticket. Pure.

`LEGAL` is the whole table: `LEGAL[command][state]` is the state afterwards; a pair that is not in it is refused. The
router decides by it, the desk shows buttons by it, and `docs/lifecycle.md` is made from it.

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
PROPOSED: Final = "proposed"
"""Target of `approve`: where the command leads that had to be approved; the state stays while others must approve."""

WAITING: Final = frozenset({S.WAITING_CUSTOMER, S.WAITING_THIRD_PARTY})
TERMINAL: Final = frozenset({S.CLOSED, S.WITHDRAWN})
SETTLED: Final = frozenset({S.RESOLVED}) | TERMINAL
"""Nobody works on it any more: the person's capacity is free."""
OPEN: Final = frozenset(S) - SETTLED


def _in(states: Iterable[TicketState], target: TicketState | str) -> dict[TicketState, TicketState | str]:
    return dict.fromkeys(states, target)


_INTERRUPTIBLE: Final = OPEN - WAITING - {S.APPEAL_DECIDED}
_ASSIGNED: Final = WAITING | {S.INVESTIGATING}
_IN_WORK: Final = _ASSIGNED | {S.ANSWERED, S.APPEALED}
_ASKED: Final = frozenset({S.RESOLVED, S.APPEAL_DECIDED, S.CLOSED})
_NOT_WITHDRAWN: Final = frozenset(S) - {S.WITHDRAWN}
_DECIDING: Final = (S.INVESTIGATING, S.ANSWERED, S.APPEALED)

LEGAL: Final[Mapping[str, Mapping[TicketState, TicketState | str]]] = MappingProxyType(
    {
        "follow_up": _in(OPEN, SAME) | _in(SETTLED, S.OPENED),
        "absorb_repeat": _in(OPEN, SAME) | _in(SETTLED, S.OPENED),
        # Review
        "start_review": {S.OPENED: S.IN_REVIEW},
        "complete_review": {S.IN_REVIEW: S.INVESTIGATING},
        "link_as_repeat": _in([S.OPENED, S.IN_REVIEW, S.INVESTIGATING], S.CLOSED),
        # Who acts
        "assign": {S.OPENED: S.INVESTIGATING} | _in([*_IN_WORK, S.APPEAL_DECIDED], SAME),
        "hand_over": _in(_ASSIGNED, SAME),
        "return_to_centre": {S.INVESTIGATING: S.IN_REVIEW},
        "first_action": _in(_IN_WORK | {S.APPEAL_DECIDED}, SAME),
        # Investigation
        "record_findings": _in(_IN_WORK | {S.IN_REVIEW}, SAME),
        "add_evidence": _in(OPEN | {S.RESOLVED}, SAME),
        "add_note": _in(S, SAME),
        "share_liability": _in(_IN_WORK, SAME),
        "respond": _in(_IN_WORK | {S.APPEAL_DECIDED}, SAME),
        "estimate_loss": _in(_IN_WORK | {S.IN_REVIEW}, SAME),
        # Answer, and the approval of what is beyond one's authority
        "answer": {S.INVESTIGATING: S.ANSWERED, S.ANSWERED: SAME},
        "approve": _in(_DECIDING, PROPOSED),
        "refuse_approval": _in(_DECIDING, SAME),
        "delegate_approval": _in(_DECIDING, SAME),
        "accept": {S.ANSWERED: S.RESOLVED, S.RESOLVED: SAME, S.APPEAL_DECIDED: S.RESOLVED},
        "appeal": _in([S.ANSWERED, S.RESOLVED], S.APPEALED),
        "decide_appeal": {S.APPEALED: S.APPEAL_DECIDED},
        "resolve": _in([S.INVESTIGATING, S.ANSWERED, S.APPEAL_DECIDED], S.RESOLVED),
        # Waiting
        "wait_for_customer": _in(_INTERRUPTIBLE, S.WAITING_CUSTOMER),
        "wait_for_third_party": _in(_INTERRUPTIBLE, S.WAITING_THIRD_PARTY),
        "resume": _in(WAITING, EARLIER),
        # At any time
        "change_severity": _in(OPEN, SAME),
        "choose_language": _in(frozenset(S) - TERMINAL, SAME),
        "apologise": _in(_NOT_WITHDRAWN, SAME),
        "agree_claim": _in((_NOT_WITHDRAWN & (_IN_WORK | _ASKED)), SAME),
        "record_payment": _in(S, SAME),
        "answer_regulator": _in(S, SAME),
        "record_platform_action": _in(S, SAME),
        # Afterwards
        "request_survey": _in(_ASKED, SAME),
        "record_survey": _in(_ASKED, SAME),
        "stop_surveys": _in(S, SAME),
        "reopen": _in([S.RESOLVED, S.CLOSED], S.OPENED),
        "plan_corrective_action": _in(_NOT_WITHDRAWN - {S.OPENED}, SAME),
        "complete_corrective_action": _in(S, SAME),
        "verify_corrective_action": _in(S, SAME),
        # The end
        "withdraw": _in(OPEN, S.WITHDRAWN),
        "close": _in([S.RESOLVED, S.APPEAL_DECIDED], S.CLOSED),
        "archive": {S.CLOSED: SAME},
    },
)

INTERNAL: Final = frozenset({"follow_up", "absorb_repeat"})
"""What no member of staff asks for: it follows from complaints and other tickets."""


def target(state: TicketState, command: str) -> TicketState | str | None:
    """The state after a legal command, `SAME`, `EARLIER`, `PROPOSED`, or None when it is refused in this state."""
    return LEGAL[command].get(state)


def possible(state: TicketState, blocked: Iterable[str] = ()) -> tuple[str, ...]:
    """The commands that are legal in a state, but for `blocked` ones, which this ticket does not allow just now."""
    without = INTERNAL.union(blocked)
    return tuple(name for name, legal in LEGAL.items() if state in legal and name not in without)


def table() -> str:
    """The whole table in Markdown: what the documentation shows. A dot is a refusal."""
    lines = ["| | " + " | ".join(state.value for state in S) + " |", "|---" * (len(S) + 1) + "|"]
    for name in LEGAL:
        cells = (str(target(state, name) or "·") for state in S)
        lines.append(f"| `{name}` | " + " | ".join(cells) + " |")
    return "\n".join(lines)
