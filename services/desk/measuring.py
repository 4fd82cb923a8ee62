"""How long requests take and how they end, for whoever watches the desk."""

import time
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.runtime.metrics import DeskMetrics

_API: Final = "/v1/"
_UNCOUNTED: Final = ("/static/", "/v1/live", "/healthz", "/readyz", "/metrics")
"""Files that never fail, an answer that has no end, and what is asked by machines."""


class Measuring:
    """Middleware (ASGI): stands outside of all others, so that whatever they answer counts."""

    def __init__(self, app: ASGIApp, *, metrics: DeskMetrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Whatever comes."""
        if scope["type"] != "http" or scope["path"].startswith(_UNCOUNTED):
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 500

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, sending)
        finally:
            surface = "api" if scope["path"].startswith(_API) else "page"
            self._metrics.seconds.labels(surface=surface, status=str(status)).observe(time.perf_counter() - began)
