"""The other axes of a complaint: demand, nature, grade, severity, customer style, risk flags."""

from collections.abc import Mapping
from typing import Final

from schemas.classification import ClassifierPolicy, Facts
from schemas.codes import Category, CustomerStyle, Demand, Grade, Nature, RiskFlag, Severity

Found = Mapping[str, tuple[str, ...]]

_STAFF: Final = frozenset(
    {
        "operation_error.unauthorised_drop",
        "operation_error.broken_promise",
        "operation_error.slow_feedback",
        "operation_error.false_signoff",
        "operation_error.wrong_recipient",
        "operation_error.billing",
        "operation_error.label",
    },
)
_SYSTEM: Final = frozenset({Category.DAMAGE, Category.LOSS, Category.FINANCE, Category.CLAIMS})
_VALUE_LOST: Final = frozenset({Category.LOSS, Category.FINANCE, Category.CLAIMS})
_PLAIN_FLAGS: Final = (
    ("legal", RiskFlag.LEGAL),
    ("media", RiskFlag.MEDIA),
    ("regulator", RiskFlag.REGULATOR),
    ("privacy", RiskFlag.PRIVACY_LEAK),
    ("collective", RiskFlag.COLLECTIVE),
    ("special_identity", RiskFlag.SPECIAL_IDENTITY),
)
_OUTSTANDING: Final = frozenset(
    {"still_missing", "signed_not_received", "faked_attempt", "faked_attempt2", "stuck_parcel", "wait_not"},
)
_ASKING: Final = frozenset({"ask", "ask_weak", "staff_note", "placeholder", "check_for", "polite"})
_MISSING_EN: Final = frozenset(
    {"still_missing", "signed_not_received", "not_received", "not_arrived", "nobody_home", "wait"}
)
_NOT_HANDED_OVER: Final = frozenset(
    {"operation_error.false_signoff", "operation_error.wrong_recipient", "information.tracking"}
)
"""Whoever complains of these wants the goods, or to know where they are, without saying so."""
_PRACTICE: Final = frozenset({"regulator", "collective", "collect_place"})
"""A second charge told of with one of these is a practice that should end, and no single mishap."""
_STEMS_ENGLISH: Final = 8
_MILD: Final = frozenset(
    {
        "delay.delivery",
        "attitude.rude",
        "price.overcharge",
        "information.tracking",
        "finance.invoice",
        "operation_error.split_loading",
    }
)
_MAKES_WORSE: Final = frozenset(
    {"perish", "rude", "no_reply", "nobody_home", "phone_unreach", "promise_broken", "misroute_parcel"}
)
_UNDELIVERED: Final = ("delay", "operation_error.false_signoff", "operation_error.wrong_recipient", "loss")
_GRAVE_FLAGS: Final = frozenset({RiskFlag.LEGAL, RiskFlag.MEDIA, RiskFlag.PRIVACY_LEAK, RiskFlag.COLLECTIVE})


def is_outstanding(found: Found) -> bool:
    """Whether the goods have evidently not reached the person yet."""
    return not _OUTSTANDING.isdisjoint(found)


def demands(primary: str, found: Found, *, stems: int, has_remedy: bool) -> tuple[Demand, ...]:
    """What the person wants, the most concrete first.

    Whoever only grumbles wants nothing; a stated remedy counts by its words alone. `stems` is how many English words
    were read: English letters about goods still outstanding ask for them without saying so.
    """
    wanted = []
    if "compensation_w" in found or ("pay_back" in found and (has_remedy or primary.startswith(("claims", "finance")))):
        wanted.append(Demand.COMPENSATION)
    outstanding = not _OUTSTANDING.isdisjoint(found) and not _ASKING.isdisjoint(found)
    outstanding_en = stems >= _STEMS_ENGLISH and not _MISSING_EN.isdisjoint(found) and primary.startswith(_UNDELIVERED)
    missing = primary in _NOT_HANDED_OVER and "cai_arrive" not in found and not wanted
    if "repair_w" in found or outstanding or outstanding_en or missing:
        wanted.append(Demand.REPAIR)
    practice = primary == "price.extra_fee" and not _PRACTICE.isdisjoint(found)
    if "prevention_w" in found or practice or ("regulator" in found and "complain" in found):
        wanted.append(Demand.PREVENTION)
    # Whoever was shouted at wants respect without saying so.
    if "emotional_w" in found or (primary == "attitude.rude" and "rude" in found):
        wanted.append(Demand.EMOTIONAL)
    return tuple(wanted) or (Demand.NONE,)


def flags(
    category: Category, found: Found, days: float, facts: Facts, policy: ClassifierPolicy
) -> tuple[RiskFlag, ...]:
    """Risk flags in the order of their enum; words and what is known outside the text count alike."""
    raised = {flag for name, flag in _PLAIN_FLAGS if name in found}
    if "safety_carrier" in found or ("safety" in found and category is not Category.OTHER):
        raised.add(RiskFlag.SAFETY)
    if ("asked_before" in found and category is not Category.OTHER) or facts.complaints_before:
        raised.add(RiskFlag.REPEATED)
    # Days beside goods and merchants ("returns within 15 days") are no age of a matter.
    days = days if category is not Category.OTHER or "still_not" in found else 0.0
    lasting = "long_standing" in found and category is not Category.OTHER
    if lasting or max(days, facts.days_since_first_complaint or 0.0) >= policy.long_running_days_min:
        raised.add(RiskFlag.LONG_RUNNING)
    if facts.special_identity:
        raised.add(RiskFlag.SPECIAL_IDENTITY)
    if "exorbitant" in found and category is not Category.OTHER:
        raised.add(RiskFlag.EXORBITANT_CLAIM)
    claimed, declared = facts.claimed_value, facts.declared_value
    if claimed and declared is not None and claimed > policy.exorbitant_claim_factor * declared:
        raised.add(RiskFlag.EXORBITANT_CLAIM)
    return tuple(flag for flag in RiskFlag if flag in raised) if raised else ()


def severity(primary: str, category: Category, found: Found, risk: tuple[RiskFlag, ...]) -> Severity:
    """Impact times urgency, 1 mild to 4 gravest."""
    if RiskFlag.SAFETY in risk:
        return Severity.CRITICAL
    if category is Category.OTHER:
        return Severity.NORMAL if RiskFlag.LEGAL in risk else Severity.LOW
    mild = primary in _MILD
    level = 1 if mild else 2
    if mild and (
        is_outstanding(found)
        or not _MAKES_WORSE.isdisjoint(found)
        or RiskFlag.REPEATED in risk
        or RiskFlag.LONG_RUNNING in risk
    ):
        level = 2
    if primary == "operation_error.wrong_recipient":
        level = 3
    costly = category in _VALUE_LOST or is_outstanding(found)
    if _GRAVE_FLAGS & set(risk) or "threat" in found or (RiskFlag.LONG_RUNNING in risk and costly):
        level += 1
    if RiskFlag.SPECIAL_IDENTITY in risk:
        level += 1
    return Severity(min(level, 4))


def nature(primary: str, category: Category, found: Found, risk: tuple[RiskFlag, ...]) -> Nature:
    """In which way the service failed the person."""
    if RiskFlag.SAFETY in risk or RiskFlag.COLLECTIVE in risk or (category is Category.PRICE and "regulator" in found):
        return Nature.SOCIAL
    if category is Category.ATTITUDE:
        return Nature.EMOTIONAL
    if primary in ("information.unreachable", "other.enquiry", "delay.arrival_notice"):
        return Nature.USABILITY
    return Nature.FUNCTIONAL


def grade(primary: str, category: Category) -> Grade:
    """1 grumble or misread rule, 2 staff attitude or skill, 3 fault of a system or another department with loss."""
    if category in _SYSTEM or primary in ("delay.sorting", "delay.transit", "delay.loading", "price.extra_fee"):
        return Grade.SYSTEM
    if category is Category.ATTITUDE or primary in _STAFF or primary.startswith("operation_error"):
        return Grade.STAFF
    return Grade.GRUMBLE


def style(found: Found) -> CustomerStyle:
    """How the person likes to be spoken to; a hint for the agent and nothing else."""
    if "directive" in found and "damn" in found:
        return CustomerStyle.DIRECTIVE
    if "analysis" in found:
        return CustomerStyle.ANALYTICAL
    if "chatty" in found or "polite" in found:
        return CustomerStyle.SOCIAL
    return CustomerStyle.DIRECTIVE if "directive" in found else CustomerStyle.UNKNOWN
