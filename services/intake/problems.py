"""What is wrong with a request, in a person's words: which value, why, and what to do. Chinese and English.

The codes are stable and may be programmed against; the wording may not.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any, Final

import yaml

from schemas.codes import Language

VALUE_CHARACTERS_MAX: Final = 200


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with one field."""

    field: str
    """Path with dots, e.g. `complainant.phone` or `waybills.0`; empty for the request as a whole."""
    code: str
    value: Any = None
    """What was given, shortened. It goes back to the caller and, sealed, into the rejected store; never into a log."""
    details: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def told(self, language: Language) -> dict[str, Any]:
        """As a member of `errors` (RFC 9457 extension)."""
        what, todo = wording(self.code, self.details, language)
        return {"field": self.field, "code": self.code, "value": self.value, "problem": what, "todo": todo}


def problem(name: str, code: str, *, value: Any = None, details: Mapping[str, Any] | None = None) -> Problem:
    """A problem with a value that is safe to send: short, and without characters that no encoding has."""
    return Problem(shown(name), _SAME_AS.get(code, code), shown(value), details or {})


def shown(value: Any) -> Any:
    """A value as it may stand in a JSON answer."""
    if isinstance(value, str):
        cut = value if len(value) <= VALUE_CHARACTERS_MAX else value[:VALUE_CHARACTERS_MAX] + "…"
        return cut.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, bool | None):
        return value
    if isinstance(value, int | float):
        return value if abs(value) < 2**53 else shown(str(value))
    return None


def wording(code: str, details: Mapping[str, Any], language: Language) -> tuple[str, str]:
    """(what is wrong, what to do)."""
    what, todo = _WORDING.get(code, _WORDING["invalid"])[language]
    known = _Details({name: shown(value) if isinstance(value, str) else value for name, value in details.items()})
    if "expected" in known:  # pydantic lists codes as 'a', 'b' or 'c'
        known["expected"] = str(known["expected"]).replace("'", "").replace(" or ", ", ")
    return what.format_map(known), todo.format_map(known)


def title(code: str, language: Language) -> tuple[str, str]:
    """(title, detail) of a whole answer."""
    return TITLES[code][language]


class _Details(dict[str, Any]):
    def __missing__(self, key: str) -> str:
        return "?"


_SAME_AS: Final = {
    "string_unicode": "broken_character",
    "string_too_short": "missing",
    "string_pattern_mismatch": "pattern",
    "model_type": "object_expected",
    "model_attributes_type": "object_expected",
    "dict_type": "object_expected",
    "string_type": "text_expected",
    "string_sub_type": "text_expected",
    "tuple_type": "list_expected",
    "list_type": "list_expected",
    "too_long": "list_too_long",
    "bool_type": "yes_or_no_expected",
    "bool_parsing": "yes_or_no_expected",
    "uuid_type": "evidence_unknown",
    "uuid_parsing": "evidence_unknown",
    "decimal_type": "amount_invalid",
    "decimal_parsing": "amount_invalid",
    "decimal_max_places": "amount_invalid",
    "decimal_max_digits": "amount_invalid",
    "decimal_whole_digits": "amount_invalid",
    "finite_number": "amount_invalid",
    "greater_than_equal": "amount_invalid",
    "less_than_equal": "amount_invalid",
}
"""Pydantic's names of a problem, where ours is another."""


def _load(part: str, first: str, second: str) -> dict[str, dict[Language, tuple[str, str]]]:
    text = resources.files("services.intake").joinpath("data/wording.yaml").read_text(encoding="utf-8")
    return {
        code: {Language(language): (told[first], told[second]) for language, told in by_language.items()}
        for code, by_language in yaml.safe_load(text)[part].items()
    }


_WORDING: Final = _load("problems", "problem", "todo")
TITLES: Final = _load("answers", "title", "detail")
