"""Refusals over HTTP: RFC 9457 for programs, a plain page for a browser that came by a link."""

import html
from typing import Any, Final, cast

import orjson
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pymongo.errors import PyMongoError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from schemas.codes import Language
from services.desk.accounts import Wrong
from services.desk.refusal import RETRY_AFTER_S, Refusal
from services.runtime import mongo
from services.runtime.logging import get_logger

log = get_logger(__name__)

_SECRET: Final = ("password", "phone", "email", "wechat", "reason")
"""Fields whose value is not repeated, however wrong it is."""
_VALUE_CHARACTERS_MAX: Final = 200
_VERSION: Final = ("header", "If-Match")
DATABASE_ERRORS: Final = (PyMongoError, TimeoutError, *mongo.UNAVAILABLE)
_BY_STATUS: Final = {400: "unreadable", 404: "no-such-page", 405: "method-not-allowed", 413: "too-large"}
PROBLEMS: Final[dict[int | str, dict[str, Any]]] = {
    "default": {
        "description": "It was refused: which of the problems (RFC 9457), in the reader's language.",
        "content": {
            "application/problem+json": {
                "schema": {
                    "type": "object",
                    "required": ["type", "title", "status", "detail"],
                    "properties": {
                        "type": {"type": "string", "description": "Stable, may be programmed against."},
                        "title": {"type": "string"},
                        "status": {"type": "integer"},
                        "detail": {"type": "string"},
                        "errors": {
                            "type": "array",
                            "description": "Everything that is wrong, at once.",
                            "items": {
                                "type": "object",
                                "required": ["field", "code", "value", "problem", "todo"],
                                "properties": {
                                    "field": {"type": "string"},
                                    "code": {"type": "string"},
                                    "value": {"type": ["string", "null"]},
                                    "problem": {"type": "string"},
                                    "todo": {"type": "string"},
                                },
                            },
                        },
                    },
                }
            }
        },
    }
}
"""How descriptions of an API name what any route may answer."""


def handle_refusals(app: FastAPI) -> None:
    """Answer whatever goes wrong in an app by RFC 9457."""
    app.add_exception_handler(Refusal, _refused)
    app.add_exception_handler(RequestValidationError, _wrong_request)
    app.add_exception_handler(HTTPException, _http)
    for error in DATABASE_ERRORS:
        app.add_exception_handler(error, _database)


def database_refusal(error: Exception) -> Refusal:
    """What is told when the database does not answer; an error that is a mistake is raised again."""
    if not (isinstance(error, (TimeoutError, *mongo.UNAVAILABLE)) or mongo.is_unable(error)):
        raise error
    log.warning("database.away", error=type(error).__name__)
    return Refusal("unavailable", retry_after_s=RETRY_AFTER_S)


def refusal_answer(refusal: Refusal, request: Request) -> Response:
    """The answer to a request that is refused."""
    language = language_wanted(request)
    headers = {"Content-Language": language.value, "Vary": "Accept-Language", "Cache-Control": "no-store"}
    if refusal.retry_after_s is not None:
        headers["Retry-After"] = str(refusal.retry_after_s)
    told = refusal.told(language)
    if refusal.status == 401:
        headers["WWW-Authenticate"] = 'Session realm="desk"'
    if "text/html" in request.headers.get("accept", ""):
        return HTMLResponse(_page(told, language), refusal.status, headers)
    return Response(orjson.dumps(told), refusal.status, headers, "application/problem+json")


def language_wanted(request: Request) -> Language:
    """Chinese or English, whichever `Accept-Language` names first; English when it names neither."""
    for part in request.headers.get("accept-language", "")[:1000].split(","):
        tag = part.partition(";")[0].strip().partition("-")[0].lower()
        if tag in set(Language):
            return Language(tag)
    return Language.EN


def _page(told: dict[str, Any], language: Language) -> str:
    back = "返回登录" if language is Language.ZH else "Back to sign in"
    title, detail = html.escape(told["title"]), html.escape(told["detail"])
    return (
        f'<!doctype html><html lang="{language.value}"><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width"><title>{title}</title>'
        f'<main><h1>{title}</h1><p>{detail}</p><p><a href="/">{back}</a></p></main></html>'
    )


async def _refused(request: Request, error: Exception) -> Response:
    return refusal_answer(cast("Refusal", error), request)


async def _wrong_request(request: Request, error: Exception) -> Response:
    errors = cast("RequestValidationError", error).errors()
    if all(one["loc"] == _VERSION and one["type"] == "missing" for one in errors):
        return refusal_answer(Refusal("version-wanted"), request)
    problems = [_wrong(one) for one in errors]
    return refusal_answer(Refusal("wrong-fields", problems=problems), request)


async def _http(request: Request, error: Exception) -> Response:
    known = cast("HTTPException", error)
    answer = refusal_answer(Refusal(_BY_STATUS.get(known.status_code, "internal")), request)
    if known.status_code not in _BY_STATUS:
        answer.status_code = known.status_code
    answer.headers.update(known.headers or {})
    return answer


async def _database(request: Request, error: Exception) -> Response:
    return refusal_answer(database_refusal(error), request)


def _wrong(error: dict[str, Any]) -> Wrong:
    names = [str(step) for step in error["loc"] if step not in ("body", "query", "path", "header")]
    given = error.get("input")
    shown = None
    if isinstance(given, str | int | float | bool) and not any(name in _SECRET for name in names):
        shown = str(given)[:_VALUE_CHARACTERS_MAX].encode("utf-8", "backslashreplace").decode()
    return Wrong(".".join(names), error["type"], shown, {**(error.get("ctx") or {}), "message": error["msg"]})
