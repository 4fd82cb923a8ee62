"""What nobody foresaw: one line in the log, and an answer that names it and tells nothing else."""

import secrets
from collections.abc import Callable
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.runtime.dead_letters import place_of
from services.runtime.logging import get_logger

log = get_logger(__name__)

_REFERENCE_BYTES: Final = 4


class Failing:
    """Middleware (ASGI): stands inside of what puts headers on answers, so that this answer has them, too."""

    def __init__(self, app: ASGIApp, *, answer: Callable[[Request, str], Response]) -> None:
        """`answer` makes it, of the request and the reference."""
        self._app = app
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Whatever comes."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        is_answered = False

        async def sending(message: Message) -> None:
            nonlocal is_answered
            is_answered = True
            await send(message)

        try:
            await self._app(scope, receive, sending)
        except Exception as error:
            reference = secrets.token_hex(_REFERENCE_BYTES)
            # An error's words and an address may quote a customer: the log gets kind, place and route.
            route = getattr(scope.get("route"), "path", "")
            log.error("request.failed", reference=reference, error=place_of(error), route=route)  # noqa: TRY400
            if is_answered:
                raise
            await self._answer(Request(scope), reference)(scope, receive, send)
