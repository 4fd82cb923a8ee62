"""A relay of TCP before the SMPP server, because that library has no way to drop a connection without a word."""

import asyncio
import contextlib


class Relay:
    """Passes octets between `port` of `host` and `target` on 127.0.0.1 until told to hang up."""

    def __init__(self, *, host: str, port: int, target: int) -> None:
        self._host = host
        self._port = port
        self._target = target
        self._open: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, self._host, self._port)

    async def stop(self) -> None:
        """Listen no more and drop all connections."""
        if self._server:
            self._server.close()
        self.hang_up()

    def hang_up(self) -> None:
        """Drop every connection at once, with nothing said on either side."""
        for writer in self._open:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", self._target)
        ends = {writer, inner_writer}
        self._open |= ends
        try:
            await asyncio.gather(_pump(reader, inner_writer), _pump(inner_reader, writer))
        finally:
            self._open -= ends


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while octets := await reader.read(65536):
            writer.write(octets)
            await writer.drain()
    writer.close()
