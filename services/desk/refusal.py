"""What the desk refuses, and its words in Chinese and English. Pure.

Kinds and codes are stable and may be programmed against; the wording may not.
"""

from collections.abc import Mapping, Sequence
from importlib import resources
from types import MappingProxyType
from typing import Any, Final

from schemas.codes import Language
from services.desk.accounts import Wrong
from services.runtime.written import read_yaml

RETRY_AFTER_S: Final = 2
"""After what a part that was away for a moment is asked again."""


class Refusal(Exception):  # noqa: N818  # it is what the caller is told, mostly no error of ours
    """A request is not answered as it was meant, for a reason that the caller can understand."""

    def __init__(
        self,
        kind: str,
        *,
        problems: Sequence[Wrong] = (),
        retry_after_s: int | None = None,
        more: Mapping[str, Any] = MappingProxyType({}),
        **details: Any,
    ) -> None:
        """What is told.

        Args:
            kind: a key of `answers` in `data/refusals.yaml`.
            problems: everything that is wrong with fields.
            retry_after_s: after how many seconds it may be tried again.
            more: further members of the answer.
            details: what the words name; functions of the language for what has words of its own.
        """
        super().__init__(kind)
        self.kind = kind
        self.problems = tuple(problems)
        self.more = more
        self.retry_after_s = retry_after_s
        self.details = details if retry_after_s is None else {**details, "retry_after_s": retry_after_s}

    @property
    def status(self) -> int:
        """The HTTP status."""
        return int(_WORDS["answers"][self.kind]["status"])

    def told(self, language: Language) -> dict[str, Any]:
        """The body of the answer (RFC 9457), with every problem at once."""
        words = _WORDS["answers"][self.kind][language.value]
        content: dict[str, Any] = {
            "type": f"urn:amends:problem:{self.kind}",
            "title": words["title"],
            "status": self.status,
            "detail": words["detail"].format_map(_Details(self._details(language))),
        }
        content |= self.more
        if self.problems:
            content["errors"] = [_told(one, language) for one in self.problems]
        return content

    def _details(self, language: Language) -> dict[str, Any]:
        return {name: one(language) if callable(one) else one for name, one in self.details.items()}


def problem_words(code: str, details: Mapping[str, Any], language: Language) -> tuple[str, str]:
    """(what is wrong, what to do) of one problem."""
    problems = _WORDS["problems"]
    words = problems.get(_SAME_AS.get(code, code), problems["invalid"])[language.value]
    known = _Details({"message": code, **details, **_bounds(details)})
    return words["problem"].format_map(known), words["todo"].format_map(known)


def _bounds(details: Mapping[str, Any]) -> dict[str, Any]:
    """What pydantic gives under one of several names; its lists of codes without its quotes."""
    given = {
        "least": details.get("ge", details.get("gt")),
        "most": details.get("le", details.get("lt")),
        "expected": details.get("expected", details.get("expected_tags")),
    }
    known = {name: value for name, value in given.items() if value is not None}
    if "expected" in known:
        known["expected"] = str(known["expected"]).replace("'", "").replace(" or ", ", ")
    return known


def _told(one: Wrong, language: Language) -> dict[str, Any]:
    what, todo = problem_words(one.code, one.details, language)
    return {"field": one.field, "code": one.code, "value": one.value, "problem": what, "todo": todo}


class _Details(dict[str, Any]):
    def __missing__(self, key: str) -> str:
        return "?"


_NAMES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "enum": "literal_error union_tag_invalid",
        "missing": "union_tag_not_found",
        "uuid_parsing": "uuid_type uuid_version",
        "number": "int_parsing int_type int_from_float int_parsing_size float_parsing float_type decimal_parsing "
        "decimal_type decimal_max_places decimal_max_digits decimal_whole_digits finite_number",
        "number_small": "greater_than greater_than_equal",
        "number_large": "less_than less_than_equal",
        "pattern": "string_pattern_mismatch",
        "bool_parsing": "bool_type",
        "time_invalid": "timezone_aware datetime_parsing datetime_from_date_parsing datetime_type",
        "kind": "string_type dict_type list_type tuple_type model_type model_attributes_type",
    }
)
"""Pydantic's names of problems, by ours, whose words they have."""
_SAME_AS: Final = {theirs: ours for ours, names in _NAMES.items() for theirs in names.split()}
_WORDS: Final[dict[str, dict[str, Any]]] = read_yaml(
    resources.files("services.desk").joinpath("data/refusals.yaml").read_text(encoding="utf-8")
)
