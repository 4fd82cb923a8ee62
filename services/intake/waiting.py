"""Waiting for tickets: however many callers wait, one look into the database every few dozen milliseconds."""

import asyncio
from collections.abc import Sequence
from typing import Final, Protocol
from uuid import UUID

from services.intake.coalescing import Coalescing
from services.intake.handlers import Unavailable
from services.intake.identity import is_fresh_id
from services.intake.progress import Progress
from services.runtime.sealing import Keyring

POLL_S: Final = 0.04
ASKED_AT_ONCE_MAX: Final = 1000


class ProgressStore(Protocol):
    """Where progress is read."""

    async def read(self, ids: Sequence[UUID]) -> list[Progress | None]:
        """See `progress_store.MongoProgressStore.read`."""


class Tracking:
    """Answers how far a complaint has come, now or as soon as it has a ticket."""

    def __init__(self, store: ProgressStore, keyring: Keyring) -> None:
        self._store = store
        self._keyring = keyring
        self._read = Coalescing(store.read)
        self._waiting: dict[UUID, list[asyncio.Future[Progress]]] = {}
        self._poller: asyncio.Task[None] | None = None

    async def now(self, complaint_id: UUID) -> Progress | None:
        """How far it has come; None for an id that was never given out.

        Raises:
            Unavailable: the database does not answer.
        """
        found = await self._read(complaint_id)
        return found or (Progress(complaint_id) if is_fresh_id(self._keyring, complaint_id) else None)

    async def within(self, complaint_id: UUID, wait_s: float) -> Progress | None:
        """As `now`, but waits up to `wait_s` for a ticket.

        Raises:
            Unavailable: the database does not answer.
        """
        found = await self.now(complaint_id)
        if found is None or found.known or wait_s <= 0:
            return found
        answer: asyncio.Future[Progress] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(complaint_id, []).append(answer)
        if self._poller is None or self._poller.done():
            self._poller = asyncio.create_task(self._poll())
        try:
            async with asyncio.timeout(wait_s):
                return await answer
        except TimeoutError:
            return found
        finally:
            waiting = self._waiting.get(complaint_id, [])
            if answer in waiting:
                waiting.remove(answer)
            if not waiting:
                self._waiting.pop(complaint_id, None)

    async def _poll(self) -> None:
        while self._waiting:
            await asyncio.sleep(POLL_S)
            ids = list(self._waiting)
            for start in range(0, len(ids), ASKED_AT_ONCE_MAX):
                try:
                    found = await self._store.read(ids[start : start + ASKED_AT_ONCE_MAX])
                except Unavailable:
                    continue  # whoever waits gets what was known, when the time is over
                for progress in found:
                    if progress is not None and progress.known:
                        self._tell(progress)

    def _tell(self, progress: Progress) -> None:
        for answer in self._waiting.get(progress.complaint_id, ()):
            if not answer.done():
                answer.set_result(progress)
