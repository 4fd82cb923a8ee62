"""The HTTP surface of complaints: what is read from a request, and which answer an outcome gives."""

import re
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID, uuid4

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import request_response

from schemas.codes import Channel, Language
from services.intake import openapi
from services.intake.answers import json_answer, language_wanted, problem_answer
from services.intake.body import BodyRefused, BytesInFlight, ClientDisconnect, expected_bytes, read_body
from services.intake.coalescing import Coalescing
from services.intake.complaint import MalformedJson, read_json
from services.intake.handlers import Accepted, Intake, Refused, Unavailable
from services.intake.problems import problem
from services.intake.rejected_store import RejectedStore
from services.intake.settings import IntakeSettings
from services.intake.waiting import Tracking
from services.runtime.logging import get_logger
from services.runtime.metrics import IntakeMetrics
from services.runtime.rejected import Rejected
from services.runtime.sealing import Keyring

log = get_logger(__name__)

Endpoint = Callable[[Request], Coroutine[Any, Any, Response]]
_TRACEPARENT: Final = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_JSON_TYPES: Final = ("application/json", "text/json", "")
_WAIT: Final = re.compile(r"(?:^|[,;\s])wait\s*=\s*\"?(\d{1,6})\"?", re.IGNORECASE)


class LeanRoute(APIRoute):
    """A route of FastAPI's documentation without its machinery: the endpoint reads the request itself.

    Dependency injection and the second validation cost more than everything else that is done for a complaint.
    """

    def __init__(self, path: str, endpoint: Endpoint, **options: Any) -> None:
        super().__init__(path, endpoint, **options)
        self.app = request_response(endpoint)


@dataclass(frozen=True, slots=True)
class Rejections:
    """Keeps what was refused. An answer does not wait for a store that is away; that it was not kept is counted."""

    store: Coalescing[Rejected, None]
    keyring: Keyring
    bytes_max: int
    now: Callable[[], datetime]
    metrics: IntakeMetrics

    @classmethod
    def into(
        cls,
        store: RejectedStore,
        *,
        keyring: Keyring,
        bytes_max: int,
        now: Callable[[], datetime],
        metrics: IntakeMetrics,
    ) -> "Rejections":
        """Into a store, many at once."""

        async def add(rejected: Any) -> list[None]:
            await store.add(rejected)
            return [None] * len(rejected)

        return cls(Coalescing(add), keyring, bytes_max, now, metrics)

    async def keep(self, refused: Refused, body: bytes, *, route: str) -> None:
        """Keep one, its body sealed and cut."""
        channel = refused.channel or _channel_in(body)
        self.metrics.rejected.labels(channel=channel or "unknown", why=refused.problems[0].code).inc()
        rejected_id = uuid4()
        rejected = Rejected(
            rejected_id=rejected_id,
            at=self.now(),
            route=route,
            channel=channel,
            kind=refused.kind,
            reasons=tuple((one.field, one.code) for one in refused.problems),
            body=self.keyring.seal(body[: self.bytes_max], about=rejected_id),
            body_bytes=len(body),
        )
        try:
            await self.store(rejected)
        except Unavailable:
            self.metrics.rejected_not_kept.inc()
            log.warning("rejected.not_kept", reasons=[f"{name}: {code}" for name, code in rejected.reasons])


class ComplaintRoutes:
    """`POST /v1/complaints` and `GET /v1/complaints/{id}`."""

    def __init__(
        self,
        *,
        intake: Intake,
        tracking: Tracking,
        rejections: Rejections,
        bytes_in_flight: BytesInFlight,
        metrics: IntakeMetrics,
        settings: IntakeSettings,
    ) -> None:
        self._intake = intake
        self._tracking = tracking
        self._rejections = rejections
        self._bytes_in_flight = bytes_in_flight
        self._metrics = metrics
        self._settings = settings
        self._accepted = {channel: metrics.accepted.labels(channel=channel.value) for channel in Channel}

    def add_to(self, app: FastAPI) -> None:
        """Serve them."""
        add_route(app, "/v1/complaints", self.post, "POST", openapi.POST_COMPLAINT)
        add_route(app, "/v1/complaints/{complaint_id}", self.get, "GET", openapi.GET_COMPLAINT)

    async def post(self, request: Request) -> Response:
        """Take one complaint."""
        try:
            require_type(request, _JSON_TYPES)
            room = expected_bytes(request, bytes_max=self._settings.body_bytes_max)
            with self._bytes_in_flight.hold(room):
                body = await read_body(
                    request, bytes_max=self._settings.body_bytes_max, seconds_max=self._settings.body_s_max
                )
                return await self._submit(request, body)
        except BodyRefused as refusal:
            return refusal_answer(refusal, request, retry_after_s=self._settings.retry_after_s)
        except ClientDisconnect:
            return Response(status_code=400)

    async def get(self, request: Request) -> Response:
        """Tell how far one has come."""
        language = language_wanted(request)
        try:
            complaint_id = UUID(request.path_params["complaint_id"])
        except ValueError:
            wrong = problem("complaint_id", "complaint_id_invalid", value=request.path_params["complaint_id"])
            return problem_answer("invalid-id", 400, language, problems=(wrong,))
        wait = _WAIT.search(request.headers.get("prefer", ""))
        wait_s = min(float(wait.group(1)), self._settings.wait_s_max) if wait else 0.0
        try:
            progress = await self._tracking.within(complaint_id, wait_s)
        except Unavailable:
            return unavailable_answer(language, self._settings.retry_after_s)
        if progress is None:
            return problem_answer("not-found", 404, language)
        headers = {"Content-Language": language.value, "Vary": "Accept-Language, Prefer", "Cache-Control": "no-store"}
        if wait:
            headers["Preference-Applied"] = f"wait={wait_s:g}"
        if not progress.known:
            headers["Retry-After"] = "1"
        return json_answer(progress.told(language), 200, headers)

    async def _submit(self, request: Request, body: bytes) -> Response:
        try:
            outcome: Accepted | Refused = await self._intake.submit(
                read_json(body), key=idempotency_key(request), traceparent=traceparent(request)
            )
        except MalformedJson as refusal:
            outcome = Refused("malformed-body", (problem("", refusal.code, details=refusal.details),))
        except Unavailable:
            self._metrics.unavailable.inc()
            return unavailable_answer(language_wanted(request), self._settings.retry_after_s)
        if isinstance(outcome, Refused):
            await self._rejections.keep(outcome, body, route="/v1/complaints")
            status = 400 if outcome.kind == "malformed-body" else 422
            return problem_answer(outcome.kind, status, language_wanted(request), problems=outcome.problems)
        self._accepted[outcome.channel].inc()
        return accepted_answer(outcome)


def accepted_answer(outcome: Accepted) -> Response:
    """202."""
    here = f"/v1/complaints/{outcome.complaint_id}"
    content: dict[str, Any] = {
        "complaint_id": str(outcome.complaint_id),
        "status": "accepted",
        "links": {"self": here, "status": here},
    }
    if outcome.ignored:
        content["ignored"] = list(shown_names(outcome.ignored))
    return json_answer(content, 202, {"Location": here})


def shown_names(names: tuple[str, ...]) -> list[str]:
    """Names of unknown fields, as they may stand in an answer."""
    return [problem(name, "invalid").field for name in names[:20]]


def refusal_answer(refusal: BodyRefused, request: Request, *, retry_after_s: int) -> Response:
    """A body that was not read. The connection ends, since its rest still stands in it."""
    headers = {"Connection": "close"}
    if refusal.status == 503:
        headers["Retry-After"] = str(retry_after_s)
    return problem_answer(refusal.kind, refusal.status, language_wanted(request), headers=headers)


def unavailable_answer(language: Language, retry_after_s: int) -> Response:
    """503: nothing was promised."""
    return problem_answer("unavailable", 503, language, headers={"Retry-After": str(retry_after_s)})


def require_type(request: Request, allowed: tuple[str, ...], *, charsets: tuple[str, ...] = ("utf-8", "utf8")) -> None:
    """Hold a request to media types and character sets.

    Raises:
        BodyRefused: it has another (415).
    """
    media, _, parameters = request.headers.get("content-type", "").partition(";")
    media = media.strip().lower()
    if media not in allowed and not (media.endswith("+json") and "application/json" in allowed):
        raise BodyRefused("unsupported-media-type", 415)
    if charset(parameters) not in (*charsets, None):
        raise BodyRefused("unsupported-media-type", 415)


def charset(parameters: str) -> str | None:
    """The character set among a content type's parameters, in lower case."""
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset":
            return value.strip().strip('"').lower()
    return None


def idempotency_key(request: Request) -> str | None:
    """What `Idempotency-Key` says; quotes of a structured header are not part of it."""
    key = request.headers.get("idempotency-key")
    if key is None:
        return None
    key = key.strip()
    return key[1:-1] if len(key) >= 2 and key[0] == key[-1] == '"' else key


def traceparent(request: Request) -> str | None:
    """The caller's trace (W3C), if it is well-formed."""
    header = request.headers.get("traceparent")
    return header if header and _TRACEPARENT.fullmatch(header) else None


def add_route(app: FastAPI, path: str, endpoint: Endpoint, method: str, documented: dict[str, Any]) -> None:
    """Serve one path by a lean route with its documentation."""
    app.router.add_api_route(
        path, endpoint, methods=[method], route_class_override=LeanRoute, response_model=None, **documented
    )


def _channel_in(body: bytes) -> str | None:
    """The channel that a refused body names, for counting; only names that exist, since labels are bounded."""
    found = re.search(rb'"channel"\s*:\s*"([a-z]{1,20})"', body[:2000])
    name = found.group(1).decode() if found else None
    return name if name in Channel._value2member_map_ else None
