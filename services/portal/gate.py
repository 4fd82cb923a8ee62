"""What every answer of the portal passes: headers that browsers obey, a limit for each address, counting.

Plain ASGI. The address is the connection's, or what a proxy in front says of it when `AMENDS_TRUSTED_PROXIES` names
that proxy. Of an IPv6 address the network of 64 bits counts, which is what one household has.
"""

import ipaddress
import secrets
import time
from collections.abc import Callable
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.runtime.dead_letters import place_of
from services.runtime.logging import get_logger
from services.runtime.metrics import PortalMetrics
from services.runtime.private_link import PATH
from services.runtime.rate_limit import ClientLimit

log = get_logger(__name__)

HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
}
STATIC: Final = "/static/"
_OPERATION: Final = frozenset({"/healthz", "/readyz", "/metrics"})
_LABELS: Final = ((PATH, "private"), ("/sent/", "sent"), (STATIC, "static"))

_REFERENCE_BYTES: Final = 4

Notice = Callable[[Request, str, int, str], Response]
"""A polite page of this kind, with this status and, where it is not empty, a reference that is in the log, too."""


class Gate:
    """In front of everything."""

    def __init__(self, app: ASGIApp, *, limit: ClientLimit, notice: Notice, metrics: PortalMetrics) -> None:
        self._app = app
        self._limit = limit
        self._notice = notice
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http" or (scope["path"] in _OPERATION and _is_inside(scope)):
            await self._app(scope, receive, send)
            return
        started_at = time.perf_counter()
        status = 500
        is_answered = False

        async def sending(message: Message) -> None:
            nonlocal status, is_answered
            if message["type"] == "http.response.start":
                status, is_answered = message["status"], True
                _protect(scope, message)
            await send(message)

        try:
            if scope["path"] in _OPERATION:
                await self._notice(Request(scope), "not_found", 404, "")(scope, receive, sending)
            else:
                await self._limited(scope, receive, sending)
        except Exception as error:
            if is_answered:
                raise
            reference = secrets.token_hex(_REFERENCE_BYTES)
            # What was sent may be personal: the log gets the type and the place.
            log.error("request.failed", reference=reference, error=place_of(error), page=label(scope["path"]))  # noqa: TRY400
            await self._notice(Request(scope), "broken", 500, reference)(scope, receive, sending)
        finally:
            took_s = time.perf_counter() - started_at
            self._metrics.seconds.labels(page=label(scope["path"]), status=f"{status // 100}xx").observe(took_s)

    async def _limited(self, scope: Scope, receive: Receive, send: Send) -> None:
        client = scope.get("client")
        if client and not scope["path"].startswith(STATIC):
            wait_s = await self._limit.retry_after_s(f"portal/{network(client[0])}")
            if wait_s is not None:
                answer = self._notice(Request(scope), "too_many", 429, "")
                answer.headers["Retry-After"] = str(int(wait_s + 0.999))
                await answer(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _is_inside(scope: Scope) -> bool:
    """Whether it comes from our own network: what is measured here is for nobody else."""
    try:
        address = ipaddress.ip_address((scope.get("client") or ("",))[0])
    except ValueError:
        return True
    return address.is_private or address.is_loopback


def network(address: str) -> str:
    """What one limit is counted for."""
    try:
        known = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(known, ipaddress.IPv6Address) and known.ipv4_mapped is None:
        return str(ipaddress.ip_network((int(known) >> 64 << 64, 64)))
    return address


def label(path: str) -> str:
    """The page, for counting: never the token in its address."""
    if path == "/":
        return "complaint"
    return next((name for start, name in _LABELS if path.startswith(start)), "other")


def _protect(scope: Scope, message: Message) -> None:
    headers = MutableHeaders(scope=message)
    for name, value in HEADERS.items():
        headers[name] = value
    if scope.get("scheme") == "https":
        headers["Strict-Transport-Security"] = "max-age=31536000"
    if not scope["path"].startswith(STATIC):
        headers["Cache-Control"] = "no-store"
        if scope["path"] != "/":
            headers["X-Robots-Tag"] = "noindex, nofollow"
