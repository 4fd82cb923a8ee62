"""The deciding rules: what the carrier must act on first where several matters meet.

Scores come from the word list and the trained model. The rules here only move scores of matters that compete, each for
the reason that its docstring gives, so that every result can be explained by the words that made it.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import NamedTuple

from schemas.codes import Category
from services.router.classifier.model import Opinion

_SPECIFIC = frozenset(
    {
        "signed_not_received",
        "fake_sign",
        "misroute_parcel",
        "lost_parcel",
        "no_door",
        "put_place",
        "courier_rude",
        "short_parcel",
    },
)
"""Faults so plain that a polite question beside them does not make an enquiry of the complaint."""

_NO_FAULT = frozenset({"other", "other.enquiry", "other.praise", "other.unclear"})
_HANDLED_WRONG = frozenset({"misroute_parcel", "nobody_home", "fake_attempt", "claimed_home"})
"""The carrier sent it the wrong way or faked an attempt: a delay, and beside it an error of handling."""
_FAKED = frozenset({"nobody_home", "fake_attempt", "claimed_home", "faked_attempt", "carrier_lie"})
"""What the person was told of the delivery is not true."""
_BESIDE: tuple[tuple[frozenset[str], frozenset[str], str], ...] = (
    (
        frozenset({"delay"}),
        _HANDLED_WRONG | {"promise_broken", "courier_promise", "carrier_lie", "explicit_promise"},
        "operation_error",
    ),
    (
        frozenset({"delay", "operation_error"}),
        frozenset({"tracking_stale", "tracking_false"}),
        "information.tracking",
    ),
    (
        frozenset({"delay", "operation_error"}),
        frozenset({"phone_unreach", "unreach"}),
        "information.unreachable",
    ),
    (
        frozenset({"delay", "operation_error", "damage"}),
        frozenset({"attitude_bad", "service_bad", "courier_rude", "rude", "agent_bad"}),
        "attitude.rude",
    ),
    (
        frozenset({"delay", "operation_error"}),
        frozenset({"self_pick", "no_door", "no_door_delivery", "courier_shirk", "agent_shirk"}),
        "attitude.refusal",
    ),
    (frozenset({"delay"}), _FAKED, "information.tracking"),
    (frozenset({"operation_error"}), frozenset({"wet", "wet_goods"}), "damage.wet"),
    (frozenset({"damage", "attitude"}), frozenset({"slow_logistics", "late_logistics"}), "delay.delivery"),
    (frozenset({"delay"}), frozenset({"outer_harm", "harm_logistics"}), "damage.outer_packaging"),
    (frozenset({"operation_error"}), frozenset({"lost_parcel"}), "loss"),
    (frozenset({"other"}), frozenset({"invoice_problem"}), "finance.invoice"),
)
"""Categories that come first, signs of which one is enough, and the matter that then stands beside."""
_MISSING = frozenset({"signed_not_received", "fake_sign", "lost_parcel", "taken_parcel"})
_CONVERSATION = frozenset(
    {
        "staff_ask",
        "note_asks",
        "session_ask",
        "session_polite",
        "chat_ask",
        "chat_turns",
        "chat_turns2",
        "asked_by_note",
    }
)
"""Notes and chats of a service session: questions about goods there are enquiries, not complaints."""
_MISSING_MATTERS = ("operation_error.false_signoff", "operation_error.wrong_recipient", "loss")

Scores = dict[str, float]
"""Matter code, such as `delay.delivery` or `loss`, to score."""

_FAULT_CLEAR = 2.0
_OTHER = "other"
_OTHER_PRIOR = 0.8
_SHARE_OF_LESSER = 0.3
_SHARE_OF_MODEL = 0.3
_CERTAIN = 3.0
"""From this margin on the words are not doubted, and the model, which takes time, is not asked."""
_SHARE_IF_OPPOSED = 0.5


class Decision(NamedTuple):
    """Primary matter, and how far its category is ahead of the second."""

    primary: str
    margin: float


@cache
def category_of(code: str) -> Category:
    """Category of a matter code."""
    return Category(_name_of(code))


@cache
def _name_of(code: str) -> str:
    return code.partition(".")[0]


def _at_most(scores: Scores, code: str, limit: float) -> None:
    if scores.get(code, 0.0) > limit:
        scores[code] = limit


def _fault_before_goods(scores: Scores, found: Mapping[str, object]) -> None:
    """A clear fault of the carrier comes before opinions about the goods, the merchant, or praise beside it."""
    fault = max((score for code, score in scores.items() if code not in _NO_FAULT), default=0.0)
    if fault >= _FAULT_CLEAR:
        _at_most(scores, "other.unclear", 1.0)
    if fault >= _FAULT_CLEAR / 2:
        _at_most(scores, "other.praise", 0.5)
    if not _SPECIFIC.isdisjoint(found):
        _at_most(scores, "other.enquiry", 1.0)
    if scores.get("other.enquiry", 0.0) >= _FAULT_CLEAR and not _CONVERSATION.isdisjoint(found):
        _at_most(scores, "other.unclear", 1.0)


def _damage_before_slowness(scores: Scores, found: Mapping[str, object]) -> None:
    """Damage and slowness together are damage when the contents suffered on the way, and slowness otherwise."""
    contents = scores.get("damage.contents", 0.0)
    if contents >= _FAULT_CLEAR and "transit_harm" in found:
        _at_most(scores, "delay.delivery", min(contents - 0.5, 2.0))
    elif "slow_logistics" in found or "slow_context" in found:
        _at_most(scores, "damage.outer_packaging", max(scores.get("delay.delivery", 0.0) - 0.2, 0.0))


def _who_has_it(scores: Scores, found: Mapping[str, object]) -> None:
    """Signed for but not received is a false sign-off unless somebody else evidently has it; lost is more than late."""
    if "taken" in found and ("signed" in found or "not_received" in found):
        scores["operation_error.wrong_recipient"] = scores.get("operation_error.wrong_recipient", 0.0) + 1.5
        _at_most(scores, "operation_error.false_signoff", 2.0)
        _at_most(scores, "loss", 1.5)
    if "signed_not_received" in found:
        _at_most(scores, "delay.delivery", 2.5)
        _at_most(scores, "information.tracking", 1.5)
    elif "signed_not_arrived" in found:
        _at_most(scores, "delay.delivery", max(scores.get("operation_error.false_signoff", 0.0) - 0.5, 0.0))
    if "lost_sure" in found and scores.get("loss", 0.0) >= _FAULT_CLEAR:
        _at_most(scores, "delay.delivery", scores["loss"] - 0.5)


def _goods_before_manners(scores: Scores, found: Mapping[str, object]) -> None:
    """Goods missing or broken come before rudeness about them, and a disputed claim before the loss it is about."""
    if not _MISSING.isdisjoint(found):
        missing = max((scores.get(code, 0.0) for code in _MISSING_MATTERS), default=0.0)
        _at_most(scores, "attitude.rude", max(missing - 0.5, 0.0))
    if "transit_harm" in found and scores.get("damage.contents", 0.0) >= _FAULT_CLEAR:
        _at_most(scores, "attitude.rude", scores["damage.contents"] - 0.2)
    if "claim_bad" in found or "claim_slow" in found:
        _at_most(scores, "loss", 1.5)
        _at_most(scores, "damage.contents", 1.5)


def _cause_of_the_delay(scores: Scores, found: Mapping[str, object]) -> None:
    """Sent the wrong way or held at the border says more of a delay than that it took long."""
    if "route_wrong" in found or "customs" in found:
        transit = scores.get("delay.transit", 0.0)
        if transit >= _FAULT_CLEAR / 2:
            _at_most(scores, "delay.delivery", transit - 0.5)


def _outstanding_before_silence(scores: Scores, found: Mapping[str, object]) -> None:
    """A gap in tracking, or a telephone nobody answers, while goods are outstanding is a delay first."""
    del found
    if scores.get("delay.delivery", 0.0) >= _FAULT_CLEAR / 2:
        for code in ("information.tracking", "information.unreachable", "operation_error.slow_feedback"):
            _at_most(scores, code, max(scores["delay.delivery"] - 0.3, 0.0))


RULES = (
    _cause_of_the_delay,
    _outstanding_before_silence,
    _fault_before_goods,
    _damage_before_slowness,
    _who_has_it,
    _goods_before_manners,
)


def decide(
    scores: Scores, found: Mapping[str, object], ask: Callable[[], Opinion], *, margin_min: float
) -> tuple[Decision, Scores]:
    """Apply every rule and take the category that scores most, and its best matter.

    Args:
        scores: what the words say of each matter.
        found: what was found in the text.
        ask: what the trained model holds of every matter; it counts after the rules, which know nothing of it.
        margin_min: under this margin the model has a say; up to `_CERTAIN` it can only cast doubt on the words' answer.

    Returns:
        The decision, and the scores to look for further matters in: with the rules applied when the model was asked.
    """
    ruled = dict(scores)
    for rule in RULES:
        rule(ruled, found)
    best: dict[str, float] = {}
    total: dict[str, float] = {}
    for code, score in ruled.items():
        if score > 0:
            category = _name_of(code)
            best[category] = max(best.get(category, 0.0), score)
            total[category] = total.get(category, 0.0) + score
    worth = {name: top + _SHARE_OF_LESSER * (total[name] - top) for name, top in best.items()}
    worth[_OTHER] = worth.get(_OTHER, 0.0) + _OTHER_PRIOR
    first, margin = _ahead(worth)
    if margin >= _CERTAIN:
        return Decision(_primary(first, ruled, {}), margin), scores
    opinion = ask()
    # The model knows no rules: a plain fault beside a question is no enquiry for it either, but in a chat's turns.
    no_enquiry = "turn" not in found and not _SPECIFIC.isdisjoint(found)
    codes = _by_category(tuple(opinion.sums), "other.enquiry" if no_enquiry else None)
    held = {name: opinion.of(max(some, key=opinion.sums.__getitem__)) for name, some in codes.items()}
    if margin >= margin_min:
        share = _SHARE_IF_OPPOSED if held[first] < max(held.values()) else 1.0
        return Decision(_primary(first, ruled, {}), margin * share), scores
    first, margin = _ahead({name: worth.get(name, 0.0) + _SHARE_OF_MODEL * value for name, value in held.items()})
    return Decision(_primary(first, ruled, {code: opinion.of(code) for code in codes[first]}), margin), ruled


def _ahead(worth: Mapping[str, float]) -> tuple[str, float]:
    """The category that is worth most, and by how much more than the second."""
    (value, first), *others = sorted((-value, name) for name, value in worth.items())
    return first, (others[0][0] if others else 0.0) - value


def _primary(category: str, scores: Scores, opinion: Mapping[str, float]) -> str:
    """The matter of a category that scores most."""
    matters = {code: score for code, score in scores.items() if score > 0 and _name_of(code) == category}
    for code, value in opinion.items():
        matters[code] = matters.get(code, 0.0) + _SHARE_OF_MODEL * value
    return min(matters, key=lambda code: (-matters[code], code), default="other.unclear")


@cache
def _by_category(codes: tuple[str, ...], unheard: str | None) -> Mapping[str, tuple[str, ...]]:
    groups: dict[str, list[str]] = {}
    for code in codes:
        if code != unheard:
            groups.setdefault(_name_of(code), []).append(code)
    return {name: tuple(some) for name, some in groups.items()}


def beside(primary: str, found: Mapping[str, object]) -> Iterator[str]:
    """Matters that stand beside the primary one by rule, however little their words score, at most one per category."""
    category, named = _name_of(primary), {_name_of(primary)}
    for firsts, signs, code in _BESIDE:
        if category in firsts and _name_of(code) not in named and not signs.isdisjoint(found):
            named.add(_name_of(code))
            yield code
