"""Keeps readiness true to what the intake needs: Kafka and the database. Redis is not among them."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Final

from services.runtime.readiness import Readiness

INTERVAL_S: Final = 2.0
ANSWER_S_MAX: Final = 2.0


class Watch:
    """Asks each part now and then whether it is there."""

    def __init__(self, readiness: Readiness, checks: dict[str, Callable[[], Awaitable[object]]]) -> None:
        """What it works with.

        Args:
            readiness: what is told.
            checks: by name; one that raises means that the part is away.
        """
        self._readiness = readiness
        self._checks = checks
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to ask."""
        self._task = asyncio.create_task(self._ask_on(), name="watch")

    async def stop(self) -> None:
        """Ask no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _ask_on(self) -> None:
        while True:
            await asyncio.gather(*(self._ask(name, check) for name, check in self._checks.items()))
            await asyncio.sleep(INTERVAL_S)

    async def _ask(self, name: str, check: Callable[[], Awaitable[object]]) -> None:
        try:
            async with asyncio.timeout(ANSWER_S_MAX):
                await check()
        except Exception as error:  # noqa: BLE001  # whatever it is, the part is not there
            self._readiness.set(name, False, f"{name} does not answer ({type(error).__name__})")
        else:
            self._readiness.set(name, True)


async def connects(servers: str) -> None:
    """Whether any of the servers (`host:port,...`) takes a connection.

    Raises:
        OSError: none does.
    """
    for server in servers.split(","):
        host, _, port = server.strip().rpartition(":")
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection(host.strip("[]"), int(port))
            writer.close()
            return
    raise ConnectionRefusedError(f"none of {servers} takes a connection")
