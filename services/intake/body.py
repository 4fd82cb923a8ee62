"""Reading a request's body: bounded before it is read, timed while it is, and refused in words."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.requests import ClientDisconnect, Request


class BodyRefused(Exception):  # noqa: N818  # said of the body
    """A body that is not read. `kind` is a key of `problems.TITLES`."""

    def __init__(self, kind: str, status: int) -> None:
        super().__init__(kind)
        self.kind = kind
        self.status = status


class BytesInFlight:
    """Bounds how many bytes of bodies are held at once."""

    def __init__(self, bytes_max: int) -> None:
        self._free = bytes_max

    @contextmanager
    def hold(self, amount: int) -> Iterator[None]:
        """Hold `amount` bytes for as long as the context lasts.

        Raises:
            BodyRefused: they are not free (503).
        """
        if amount > self._free:
            raise BodyRefused("overloaded", 503)
        self._free -= amount
        try:
            yield
        finally:
            self._free += amount


def expected_bytes(request: Request, *, bytes_max: int) -> int:
    """How much room a body may need: what it announces, else the limit.

    Raises:
        BodyRefused: it announces more than the limit (413), or is compressed (415): a few bytes could be gigabytes.
    """
    if request.headers.get("content-encoding", "identity").strip().lower() not in ("identity", ""):
        raise BodyRefused("unsupported-media-type", 415)
    announced = request.headers.get("content-length")
    if announced is None:
        return bytes_max
    if not announced.isdecimal() or len(announced) > 20 or int(announced) > bytes_max:
        raise BodyRefused("body-too-large", 413)
    return int(announced)


async def read_body(request: Request, *, bytes_max: int, seconds_max: float) -> bytes:
    """The whole body.

    Raises:
        BodyRefused: it is longer than the limit (413), or does not arrive in time (408).
        ClientDisconnect: the client went away.
    """
    pieces: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(seconds_max):
            async for piece in request.stream():
                size += len(piece)
                if size > bytes_max:
                    raise BodyRefused("body-too-large", 413)
                pieces.append(piece)
    except TimeoutError:
        raise BodyRefused("too-slow", 408) from None
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


__all__ = ["BodyRefused", "BytesInFlight", "ClientDisconnect", "expected_bytes", "read_body"]
