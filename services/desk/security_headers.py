"""What every answer of the desk tells the browser not to do.

No script or style stands in a page, so the policy needs neither `unsafe-inline` nor nonces. What a route sets itself
(e.g. how long a picture may be kept) stays.
"""

from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; media-src 'self'; "
    "connect-src 'self'; manifest-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS: Final = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""`no-store` unless a route says otherwise: what is forgotten to be marked as personal is not kept either."""
STRICT_TRANSPORT_SECURITY: Final = "max-age=63072000; includeSubDomains"


class SecurityHeaders:
    """Middleware (ASGI)."""

    def __init__(self, app: ASGIApp, *, url: str = "") -> None:
        """What it works with.

        Args:
            app: whose answers they are put on.
            url: under which browsers reach us; empty: as each request says.
        """
        self._app = app
        self._url = url

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Whatever comes."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        is_secure = (self._url or f"{scope['scheme']}:").startswith("https:")

        async def answered(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                if is_secure:
                    headers.setdefault("Strict-Transport-Security", STRICT_TRANSPORT_SECURITY)
            await send(message)

        await self._app(scope, receive, answered)
