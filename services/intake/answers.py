"""Answers over HTTP: JSON, and problems by RFC 9457 in the caller's language."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson
from starlette.requests import Request
from starlette.responses import Response

from schemas.codes import Language
from services.intake.problems import Problem, title
from services.runtime.accept_language import preferred

PROBLEM: Final = "application/problem+json"


def json_answer(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer."""
    return Response(orjson.dumps(content), status, headers, "application/json")


def problem_answer(
    kind: str,
    status: int,
    language: Language,
    *,
    problems: Sequence[Problem] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """What went wrong, with every error at once.

    Args:
        kind: a key of `problems.TITLES`; the type is `urn:amends:problem:<kind>`.
        status: of the answer.
        language: of its words.
        problems: what is wrong with which field.
        headers: more headers.
    """
    heading, detail = title(kind, language)
    content: dict[str, Any] = {
        "type": f"urn:amends:problem:{kind}",
        "title": heading,
        "status": status,
        "detail": detail,
    }
    if problems:
        content["errors"] = [one.told(language) for one in problems]
    known = {"Content-Language": language.value, "Vary": "Accept-Language", **(headers or {})}
    return Response(orjson.dumps(content), status, known, PROBLEM)


def language_wanted(request: Request) -> Language:
    """Chinese or English, whichever `Accept-Language` prefers; English when it says neither."""
    return preferred(request.headers.get("accept-language"))
