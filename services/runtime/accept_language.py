"""Which of our languages a caller prefers."""

from schemas.codes import Language

HEADER_CHARACTERS_MAX = 1000


def preferred(header: str | None, *, otherwise: Language = Language.EN) -> Language:
    """What an `Accept-Language` header (RFC 9110, 12.5.4) prefers; `otherwise` when it names none of ours."""
    best, best_weight = otherwise, 0.0
    for part in (header or "")[:HEADER_CHARACTERS_MAX].split(","):
        tag, _, parameters = part.strip().partition(";")
        weight = _weight(parameters)
        try:
            language = Language(tag.split("-")[0].lower())
        except ValueError:
            continue
        if weight > best_weight:
            best, best_weight = language, weight
    return best


def _weight(parameters: str) -> float:
    name, _, value = parameters.strip().partition("=")
    if name.strip() != "q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0
