"""How much of a request is read at most: strangers send a name and a password, and nobody sends without end."""

from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

STRANGER_BYTES_MAX: Final = 65_536
"""Of whoever brings no session."""
_FILES: Final = "multipart/form-data"


class Bounded:
    """Middleware (ASGI): a body that is too long is answered 413, by what it announces or once it has come so far."""

    def __init__(self, app: ASGIApp, *, bytes_max: int, files_bytes_max: int) -> None:
        """`files_bytes_max` holds for forms with files, which lie on the disk while they are read."""
        self._app = app
        self._bytes_max = bytes_max
        self._files_bytes_max = files_bytes_max

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Whatever comes."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request, read = Request(scope), 0
        bytes_max = self._bound(request)
        announced = request.headers.get("content-length", "")
        is_too_long = announced.isdecimal() and (len(announced) > 15 or int(announced) > bytes_max)

        async def bounded() -> Message:
            nonlocal read
            if is_too_long:
                raise HTTPException(413)
            message = await receive()
            read += len(message.get("body", b""))
            if read > bytes_max:
                raise HTTPException(413)
            return message

        await self._app(scope, bounded, send)

    def _bound(self, request: Request) -> int:
        if not request.cookies:
            return STRANGER_BYTES_MAX
        is_form = request.headers.get("content-type", "").startswith(_FILES)
        return self._files_bytes_max if is_form else self._bytes_max
