"""The gate that every request passes before anything of it is read: how many at once, how many from one client.

Plain ASGI, since it stands on the path of every complaint.
"""

import asyncio
import contextlib
import time
import traceback
from typing import Final

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.intake.answers import language_wanted, problem_answer
from services.runtime.logging import get_logger
from services.runtime.metrics import IntakeMetrics
from services.runtime.rate_limit import ClientLimit

log = get_logger(__name__)

API: Final = "/v1/"
_ROUTES: Final = ("/v1/complaints/batch", "/v1/complaints/", "/v1/complaints", "/v1/evidence")
_COMPLAINTS: Final = "/v1/complaints"
_LABELS: Final = ("/v1/complaints/batch", "/v1/complaints/{id}", "/v1/complaints", "/v1/evidence")


FEW: Final = 50
"""So many at once are let in however slow it is: they show when it is fast again."""
_NEWS: Final = 0.05
"""The weight of one complaint in the mean of those accepted of late."""


class Traffic:
    """Requests that are being worked on; the end of the process waits for them."""

    def __init__(self) -> None:
        self.in_flight = 0
        self._is_closing = False
        self._idle = asyncio.Event()

    @property
    def is_closing(self) -> bool:
        """Whether new requests are turned away."""
        return self._is_closing

    def enter(self) -> None:
        """One more."""
        self.in_flight += 1

    def leave(self) -> None:
        """One less."""
        self.in_flight -= 1
        if self._is_closing and self.in_flight == 0:
            self._idle.set()

    async def close(self, *, seconds_max: float) -> None:
        """Turn new requests away and wait for the others."""
        self._is_closing = True
        if self.in_flight == 0:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds_max):
                await self._idle.wait()


class Gate:
    """Bounds what is worked on, counts and times it, and turns what nobody foresaw into an answer."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        metrics: IntakeMetrics,
        limit: ClientLimit,
        traffic: Traffic,
        requests_in_flight_max: int,
        accept_s_max: float,
        retry_after_s: int,
    ) -> None:
        self._app = app
        self._metrics = metrics
        self._limit = limit
        self._in_flight_max = requests_in_flight_max
        self._accept_s_max = accept_s_max
        self._accept_s = 0.0
        self._retry_after_s = retry_after_s
        self._traffic = traffic
        self._seconds = {
            (label, status): metrics.seconds.labels(route=label, status=f"{status}xx")
            for label in (*_LABELS, "other")
            for status in range(2, 6)
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http" or not scope["path"].startswith(API):
            await self._app(scope, receive, send)
            return
        started_at = time.perf_counter()
        status = 500
        answered = False

        async def sending(message: Message) -> None:
            nonlocal status, answered
            if message["type"] == "http.response.start":
                status = message["status"]
                answered = True
            await send(message)

        self._traffic.enter()
        self._metrics.in_flight.set(self._traffic.in_flight)
        try:
            await self._guarded(scope, receive, sending)
        except Exception as error:
            if answered:
                raise
            # The values of a request may be personal: the log gets the type and the place, not the message.
            log.error("request.failed", error=type(error).__name__, at=places(error), route=_label(scope["path"]))  # noqa: TRY400
            await problem_answer("internal", 500, language_wanted(Request(scope)))(scope, receive, sending)
        finally:
            self._traffic.leave()
            self._metrics.in_flight.set(self._traffic.in_flight)
            label, took_s = _label(scope["path"]), time.perf_counter() - started_at
            if status == 202 and label == _COMPLAINTS:
                self._accept_s += _NEWS * (took_s - self._accept_s)
            self._seconds[label, min(max(status // 100, 2), 5)].observe(took_s)

    async def _guarded(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._traffic.is_closing or self._is_full(scope["path"]):
            answer = problem_answer(
                "overloaded",
                503,
                language_wanted(Request(scope)),
                headers={"Retry-After": str(self._retry_after_s), "Connection": "close"},
            )
            await answer(scope, receive, send)
            return
        client = scope.get("client")
        wait_s = await self._limit.retry_after_s(client[0]) if client else None
        if wait_s is not None:
            answer = problem_answer(
                "too-many-requests",
                429,
                language_wanted(Request(scope)),
                headers={"Retry-After": str(int(wait_s + 0.999))},
            )
            await answer(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _is_full(self, path: str) -> bool:
        """Whether one more would wait too long: better a 503 at once than a 202 after half a minute."""
        in_flight = self._traffic.in_flight
        is_slow = path == _COMPLAINTS and in_flight > FEW and self._accept_s > self._accept_s_max
        return is_slow or in_flight > self._in_flight_max


def _label(path: str) -> str:
    for route, label in zip(_ROUTES, _LABELS, strict=True):
        if path == route or (route.endswith("/") and path.startswith(route)):
            return label
    return "other"


def places(error: Exception) -> list[str]:
    """Where it happened, without its message, which may quote what was sent."""
    frames = traceback.extract_tb(error.__traceback__)[-5:]
    return [f"{frame.filename}:{frame.lineno}" for frame in frames]
