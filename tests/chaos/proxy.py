"""A TCP proxy whose connections can be cut, held and slowed: `python -m tests.chaos.proxy FRONT:BACK...`.

Takes a rule per line of standard input, `FRONT MODE`, answers each with a line, and ends with its input.
"""

import asyncio
import socket
import struct
import sys
from contextlib import suppress
from enum import StrEnum

HOST = "127.0.0.1"
CHUNK_BYTES = 65_536
SLOW_S = 0.15


class Mode(StrEnum):
    """What becomes of the bytes."""

    PASS = "pass"
    CUT = "cut"  # every connection is reset, and so is each new one
    HOLD = "hold"  # connections stand and new ones are taken, but nothing comes through, in either direction
    SLOW = "slow"  # every piece of at most 64 kB takes 0.15 s


class Route:
    """One port that passes on to another."""

    def __init__(self, back: int) -> None:
        self._back = back
        self._mode = Mode.PASS
        self._passes = asyncio.Event()
        self._passes.set()
        self._open: set[asyncio.StreamWriter] = set()

    def rule(self, mode: Mode) -> None:
        """Behave so from now on."""
        self._mode = mode
        if mode is Mode.HOLD:
            self._passes.clear()
        else:
            self._passes.set()
        if mode is Mode.CUT:
            for writer in self._open:
                _reset(writer)

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass on one connection, both ways, until either side ends it."""
        if self._mode is Mode.CUT:
            _reset(writer)
            return
        try:
            far_reader, far_writer = await asyncio.open_connection(HOST, self._back)
        except OSError:
            writer.transport.abort()
            return
        both = {writer, far_writer}
        self._open |= both
        with suppress(OSError, asyncio.CancelledError):
            await asyncio.wait(
                [asyncio.create_task(self._pump(*way)) for way in ((reader, far_writer), (far_reader, writer))],
                return_when=asyncio.FIRST_COMPLETED,
            )
        self._open -= both
        for one in both:
            one.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while chunk := await reader.read(CHUNK_BYTES):
                await self._passes.wait()
                if self._mode is Mode.SLOW:
                    await asyncio.sleep(SLOW_S)
                writer.write(chunk)
                await writer.drain()


def _reset(writer: asyncio.StreamWriter) -> None:
    """End it as a broken way does, not by a polite close."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def main(routes: dict[int, int]) -> None:
    """Serve until standard input ends."""
    by_front = {front: Route(back) for front, back in routes.items()}
    for front, route in by_front.items():
        await asyncio.start_server(route.connected, HOST, front)
    rules = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(rules), sys.stdin)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while line := (await rules.readline()).decode().split():
        by_front[int(line[0])].rule(Mode(line[1]))
        sys.stdout.write("done\n")
        sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main({int(front): int(back) for front, _, back in (word.partition(":") for word in sys.argv[1:])}))
