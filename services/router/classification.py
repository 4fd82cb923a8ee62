"""Classify a complaint: pure, deterministic, explained by words of the classifier's own vocabulary.

Reference: the deciding rules were agreed by two people on 396 real texts (kappa 0.89 on the primary category).
"""

import math
import re
import unicodedata
from functools import cache, lru_cache
from typing import Final

from schemas.classification import Classification, ClassifierPolicy, Evidence, Facts, Matter
from schemas.codes import Category
from services.router.classifier import axes
from services.router.classifier.extraction import extract, shipment_of
from services.router.classifier.lexicon import Lexicon, Reading
from services.router.classifier.model import trained
from services.router.classifier.rules import Decision, beside, category_of, decide

__all__ = ["classify", "extract", "shipment_of", "vocabulary"]

_FULL_WIDTH: Final = re.compile("[０-９Ａ-Ｚａ-ｚ]")
# Quotation marks stand between the words of a phrase: it "says" delivered.
_QUOTES: Final = {ord("’"): "'", ord("‘"): "'"} | dict.fromkeys(map(ord, '"“”「」『』'))
_QUOTED: Final = re.compile('[’‘"“”「」『』]')
_NO_FACTS: Final = Facts()
_DEFAULTS: Final = ClassifierPolicy()
# Under this margin between the two best categories the words leave it open, and the trained model has a say.
_UNDECIDED: Final = 1.5
# Confidence = logistic(a + b * margin), fitted on real complaints: the share right among texts with that margin.
_CONFIDENCE_AT_TIE: Final = -0.1
_CONFIDENCE_SLOPE: Final = 0.85
_CONFIDENCE_MAX: Final = 0.99
_SAYS_NOTHING: Final = 0.4


@lru_cache(maxsize=1)
def vocabulary() -> Lexicon:
    """The word list, read once per process."""
    return Lexicon()


def _bounded(text: str, chars_max: int) -> str:
    """A text of at most so many characters: two thirds from the beginning, the rest from the end."""
    if len(text) <= chars_max:
        return text
    head = chars_max * 2 // 3
    return text[:head] + "\n" + text[len(text) - (chars_max - head) :]


def _normal(text: str) -> str:
    """Full-width letters and digits become plain ones; case is dropped; quotation marks go."""
    if _FULL_WIDTH.search(text):
        text = unicodedata.normalize("NFKC", text)
    if _QUOTED.search(text):
        text = text.translate(_QUOTES)
    return text.lower()


def classify(
    text: str,
    *,
    subject: str = "",
    remedy: str = "",
    facts: Facts | None = None,
    policy: ClassifierPolicy = _DEFAULTS,
) -> Classification:
    """Say what went wrong, what is wanted and how grave it is.

    Any text is accepted, in any language and with any characters; it is read up to `policy.chars_read_max` characters.
    Subject and remedy sought count like the text itself.
    """
    lexicon = vocabulary()
    whole = _normal(_bounded("\n".join(part for part in (subject, text, remedy) if part), policy.chars_read_max))
    reading = lexicon.read(whole)
    scores: dict[str, float] = {}
    weights = lexicon.weights
    for name in reading.found:
        for code, weight in weights.get(name, ()):
            scores[code] = scores.get(code, 0.0) + weight
    says_nothing = max(scores.values(), default=0.0) <= _SAYS_NOTHING
    decision, scores = decide(scores, reading.found, lambda: trained().opinion(reading), margin_min=_UNDECIDED)
    return _conclude(
        decision, scores, reading, facts or _NO_FACTS, policy, says_nothing=says_nothing, has_remedy=bool(remedy)
    )


def _conclude(
    decision: Decision,
    scores: dict[str, float],
    reading: Reading,
    facts: Facts,
    policy: ClassifierPolicy,
    *,
    says_nothing: bool,
    has_remedy: bool,
) -> Classification:
    primary, found = decision.primary, reading.found
    category = category_of(primary)
    secondary = _secondary(decision, scores, found, policy)
    risk = axes.flags(category, found, reading.longest_days, facts, policy)
    severity = axes.severity(primary, category, found, risk)
    # A text in which no word speaks is no more than a guess, however far ahead the guess is.
    margin = 0.0 if says_nothing else decision.margin
    confidence = round(_CONFIDENCE_MAX / (1 + math.exp(-(_CONFIDENCE_AT_TIE + _CONFIDENCE_SLOPE * margin))), 3)
    return Classification(
        primary=category,
        sub=primary.partition(".")[2] or None,
        secondary=secondary,
        demand=axes.demands(primary, found, stems=len(reading.stems), has_remedy=has_remedy),
        nature=axes.nature(primary, category, found, risk),
        grade=axes.grade(primary, category),
        severity=severity,
        style=axes.style(found),
        flags=risk,
        confidence=confidence,
        carrier_matter=category is not Category.OTHER or primary == "other.praise",
        evidence=_evidence([primary, *(matter.code for matter in secondary)], found, policy),
        needs_review=confidence < policy.confidence_min
        or severity >= policy.severity_review_min
        or any(flag in policy.review_flags for flag in risk),
    )


def _secondary(
    decision: Decision,
    scores: dict[str, float],
    found: axes.Found,
    policy: ClassifierPolicy,
) -> tuple[Matter, ...]:
    """The best matter of each further category that says enough, then those that the deciding rules put beside it."""
    best: dict[Category, tuple[float, str]] = {}
    first = category_of(decision.primary)
    enough = [(-score, code) for code, score in scores.items() if score >= policy.secondary_score_min]
    for ranked in sorted(enough):
        category = category_of(ranked[1])
        if category is not first and category is not Category.OTHER:
            best.setdefault(category, ranked)
    codes = [code for _, code in best.values()]
    codes += [code for code in beside(decision.primary, found) if category_of(code) not in {first, *best}]
    return tuple(map(_matter, codes))


@cache
def _matter(code: str) -> Matter:
    return Matter(category=category_of(code), sub=code.partition(".")[2] or None)


def _evidence(codes: list[str], found: axes.Found, policy: ClassifierPolicy) -> tuple[Evidence, ...]:
    """The words that spoke for the matters named, strongest first; they are the vocabulary's, never the writer's."""
    evidence: list[Evidence] = []
    for code in dict.fromkeys(codes):
        said: dict[str, float] = {}
        weights = vocabulary().speaks_for(code)
        for name in filter(found.__contains__, weights):
            for word in found[name]:
                said[word] = said.get(word, 0.0) + weights[name]
        ranked = sorted(said, key=lambda word: (-said[word], word))  # consumed within the turn
        evidence += [_spoke(word, code) for word in ranked[: policy.evidence_max - len(evidence)]]
    return tuple(evidence)


@cache
def _spoke(word: str, code: str) -> Evidence:
    # As many as the vocabulary has words.
    return Evidence(word=word, says=code)
