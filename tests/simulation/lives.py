"""What people do with a ticket from its review to its archive: whole lives, not single commands.

A command drawn at random is mostly refused. These follow from each other, at about the pace at which things go wrong,
so that faults meet approvals, appeals and shared liability half done.
"""

import random
from collections.abc import Iterator
from typing import Any, Final

Step = tuple[str, dict[str, Any]]
"""Who acts, by role, and what is asked. `to_ticket` is the number of another ticket of the run."""

_MUCH: Final = {"amount": "1500.00", "currency": "CNY"}
_VERY_MUCH: Final = {"amount": "15000.00", "currency": "CNY"}
_LITTLE: Final = {"amount": "80.00", "currency": "CNY"}
_SHARES: Final = [{"unit": "HUB-01", "percent": 60}, {"unit": "NET-1001", "percent": 40}]
_OTHER_SHARES: Final = [{"unit": "HUB-02", "percent": 30}, {"unit": "NET-1001", "percent": 70}]
_BEGUN: Final[tuple[Step, ...]] = (("agent", {"name": "start_review"}), ("agent", {"name": "complete_review"}))

_LIVES: Final[tuple[tuple[Step, ...], ...]] = (
    (
        *_BEGUN,
        ("agent", {"name": "return_to_centre"}),
        ("supervisor", {"name": "complete_review", "severity": 3}),
        ("agent", {"name": "answer", "remedy": "refund", "amount": _MUCH}),
        ("agent", {"name": "approve"}),
        ("supervisor", {"name": "approve"}),
        ("agent", {"name": "accept"}),
    ),
    (
        *_BEGUN,
        ("agent", {"name": "choose_language", "language": "en"}),
        ("agent", {"name": "answer", "remedy": "apology"}),
        ("agent", {"name": "appeal"}),
        ("agent", {"name": "decide_appeal", "changed": True, "remedy": "refund", "amount": _VERY_MUCH}),
        ("supervisor", {"name": "approve"}),
        ("centre_manager", {"name": "approve"}),
        ("agent", {"name": "choose_language", "language": "zh"}),
        ("agent", {"name": "resolve", "outcome": "refunded"}),
        ("agent", {"name": "request_survey"}),
        ("agent", {"name": "record_survey", "score": 2}),
    ),
    (
        *_BEGUN,
        ("agent", {"name": "share_liability", "shares": _SHARES}),
        ("outlet_staff", {"name": "respond", "unit": "HUB-01"}),
        ("agent", {"name": "share_liability", "shares": _OTHER_SHARES}),
        ("outlet_staff", {"name": "respond", "unit": "NET-1001"}),
        ("agent", {"name": "record_findings", "cause": "missorted", "whys": 5}),
        ("agent", {"name": "resolve", "outcome": "delivered"}),
    ),
    (
        *_BEGUN,
        ("agent", {"name": "hand_over", "department": "finance"}),
        ("agent", {"name": "estimate_loss", "loss": _LITTLE}),
        ("agent", {"name": "answer", "remedy": "refund", "amount": _LITTLE}),
        ("agent", {"name": "agree_claim", "amount": _LITTLE}),
        ("agent", {"name": "accept"}),
        ("agent", {"name": "record_payment", "amount": _LITTLE}),
        ("agent", {"name": "request_survey"}),
        ("agent", {"name": "record_survey", "score": 5}),
        ("agent", {"name": "close"}),
        ("agent", {"name": "archive", "cause": "overcharged"}),
        ("supervisor", {"name": "reopen"}),
    ),
    (
        ("agent", {"name": "add_note"}),
        ("supervisor", {"name": "apologise", "tier": "supervisor"}),
        ("agent", {"name": "link_as_repeat", "to_ticket": 1}),
    ),
    (
        *_BEGUN,
        ("agent", {"name": "answer", "amount": _MUCH}),
        ("supervisor", {"name": "refuse_approval"}),
        ("agent", {"name": "answer", "amount": _VERY_MUCH}),
        ("centre_manager", {"name": "delegate_approval", "to": "centre-01"}),
        ("agent", {"name": "withdraw"}),
    ),
)


def life(chance: random.Random) -> Iterator[tuple[float, Step]]:
    """One life: each step so many seconds after the ticket was opened."""
    at_s = chance.expovariate(1 / 0.5)
    for step in chance.choice(_LIVES):
        yield at_s, step
        at_s += chance.expovariate(1 / 0.6)
