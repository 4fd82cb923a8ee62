"""What is wrong with a request (RFC 9457), with every problem at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
from fastapi.exceptions import RequestValidationError
from starlette.requests import Request
from starlette.responses import Response

PROBLEM: Final = "application/problem+json"
_VALUE_CHARACTERS_MAX: Final = 200
_PROBLEMS_MAX: Final = 100
_TITLES: Final[Mapping[str, tuple[int, str, str]]] = {
    "not-signed-in": (401, "Nobody is signed in", "Sign in and ask again."),
    "not-allowed": (403, "Your role does not allow this", "Ask somebody whose role does."),
    "not-found": (404, "There is no such thing, or you may not see it", "Check the number or id."),
    "moved-on": (412, "It was changed meanwhile", "Read it again and repeat what you wanted on what is there now."),
    "version-wanted": (428, "The version is missing", "Send If-Match with the ETag that you read."),
    "wrong-request": (422, "The request has mistakes", "Correct what `errors` lists, all of it at once."),
    "too-many": (422, "There are too many of them", "Remove some first."),
    "unavailable": (503, "The database does not answer", "Ask again in a moment."),
}
"""(status, title, what to do) by kind."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with one field."""

    field: str
    code: str
    value: Any
    problem: str

    def told(self) -> dict[str, Any]:
        """As a member of `errors`."""
        return {"field": self.field, "code": self.code, "value": _shown(self.value), "problem": self.problem}


@dataclass(eq=False)
class Refused(Exception):  # noqa: N818  # said of the request
    """Ends a request with a problem of a kind of `_TITLES`."""

    kind: str
    problems: Sequence[Problem] = ()
    headers: Mapping[str, str] = field(default_factory=dict)


def refused(_: Request, refusal: Exception) -> Response:
    """The answer to a request that ended with `Refused`."""
    assert isinstance(refusal, Refused)
    status, title, detail = _TITLES[refusal.kind]
    content: dict[str, Any] = {
        "type": f"urn:amends:problem:{refusal.kind}",
        "title": title,
        "status": status,
        "detail": detail,
    }
    if refusal.problems:
        content["errors"] = [problem.told() for problem in refusal.problems[:_PROBLEMS_MAX]]
    return Response(orjson.dumps(content), status, dict(refusal.headers), PROBLEM)


def unreadable(request: Request, error: Exception) -> Response:
    """The answer to parameters or a body that their model refuses."""
    assert isinstance(error, RequestValidationError)
    problems = [
        Problem(".".join(str(step) for step in e["loc"][1:]), e["type"], e.get("input"), e["msg"])
        for e in error.errors()
    ]
    return refused(request, Refused("wrong-request", problems))


def unavailable(request: Request, _: Exception) -> Response:
    """The answer while a part that is needed is away."""
    return refused(request, Refused("unavailable", headers={"Retry-After": "2"}))


def _shown(value: Any) -> Any:
    if isinstance(value, str):
        return value[:_VALUE_CHARACTERS_MAX].encode("utf-8", "backslashreplace").decode()
    return value if isinstance(value, bool | int | float | None) else None
