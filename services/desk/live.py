"""Telling browsers of changes as they happen: one ear per process, as many mouths as there are listeners.

Changes are heard of by Redis. While that is away the rows are asked once a second what was written since, and listeners
are told that it is so. The rows are asked now and then in any case, since what Redis loses it loses silently.
"""

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final, Protocol

from services.desk.notice import Notice, read
from services.desk.queue import Scope
from services.desk.row import Kept
from services.runtime.logging import get_logger
from services.runtime.metrics import DeskMetrics
from services.runtime.retries import FAILED

log = get_logger(__name__)

POLL_S: Final = 1.0
POLL_LIVE_S: Final = 15.0
OVERLAP: Final = timedelta(seconds=5)
"""Rows are looked for from a little before the last look: what was written then may not have been seen yet."""
POLLED_MAX: Final = 2_000
SEEN_MAX: Final = 20_000
QUEUE_MAX: Final = 500
"""Notices that wait for one browser; a slower one is told to load anew."""


class Mode(StrEnum):
    """How changes are heard of."""

    LIVE = "live"
    POLLING = "polling"


class Told(StrEnum):
    """Kinds of what listeners are told."""

    MODE = "mode"
    CHANGED = "changed"
    REFRESH = "refresh"
    CLOSED = "closed"


Telling = tuple[Told, dict[str, Any]]


class Subscription(Protocol):
    """What notices are heard by."""

    def open(self) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Pieces of notices; raises `ConnectionError` when there is nothing to hear them by."""


class Rows(Protocol):
    """Where changes are looked for."""

    async def shown_since(self, since: datetime, *, count_max: int) -> Sequence[tuple[datetime, Kept]]:
        """What was written since, the earliest first."""


class Listener:
    """One browser: what waits for it."""

    def __init__(self, scope: Scope, *, refreshed: Callable[[], None], size_max: int = QUEUE_MAX) -> None:
        self._scope = scope
        self._refreshed = refreshed
        self._waiting: asyncio.Queue[Telling] = asyncio.Queue(size_max)

    async def next(self) -> Telling:
        """The next thing to tell."""
        return await self._waiting.get()

    def notice(self, notice: Notice) -> None:
        """Tell of a change, if it may be seen."""
        if told := notice.told(self._scope):
            self.tell(Told.CHANGED, told)

    def tell(self, kind: Told, content: dict[str, Any]) -> None:
        """Tell something; whoever has fallen behind loses all that waits and is told so instead."""
        if self._waiting.full():
            while not self._waiting.empty():
                self._waiting.get_nowait()
            self._waiting.put_nowait((Told.REFRESH, {}))
            self._refreshed()
        self._waiting.put_nowait((kind, content))


class Live:
    """Hears of changes and tells them to all listeners."""

    def __init__(
        self,
        subscription: Subscription,
        rows: Rows,
        *,
        now: Callable[[], datetime],
        metrics: DeskMetrics,
        poll_s: float = POLL_S,
    ) -> None:
        self._subscription = subscription
        self._rows = rows
        self._now = now
        self._metrics = metrics
        self._poll_s = poll_s
        self._listeners: set[Listener] = set()
        self._seen: OrderedDict[str, int] = OrderedDict()
        self._since: datetime | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self.mode = Mode.POLLING

    async def start(self) -> None:
        """Begin."""
        self._since = self._now()
        self._tasks = [
            asyncio.create_task(self._hear(), name="hearing"),
            asyncio.create_task(self._look(), name="looking"),
        ]

    async def stop(self) -> None:
        """Tell listeners that it is over; each answer ends with that."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for listener in self._listeners:
            listener.tell(Told.CLOSED, {})

    @contextlib.contextmanager
    def listen(self, scope: Scope) -> Iterator[Listener]:
        """A listener for as long as it is used; it is told the mode at once."""
        listener = Listener(scope, refreshed=self._metrics.refreshes.inc)
        listener.tell(Told.MODE, {"mode": self.mode.value})
        self._listeners.add(listener)
        self._metrics.listeners.set(len(self._listeners))
        try:
            yield listener
        finally:
            self._listeners.discard(listener)
            self._metrics.listeners.set(len(self._listeners))

    async def _hear(self) -> None:
        while True:
            with contextlib.suppress(ConnectionError):
                async with self._subscription.open() as pieces:
                    self._set(Mode.LIVE)
                    async for piece in pieces:
                        self._tell_piece(piece)
            self._set(Mode.POLLING)
            await asyncio.sleep(self._poll_s)

    async def _look(self) -> None:
        waited_s = 0.0
        while True:
            await asyncio.sleep(self._poll_s)
            waited_s += self._poll_s
            if self.mode is Mode.POLLING or waited_s >= POLL_LIVE_S:
                waited_s = 0.0
                await self._guarded(self._look_once)

    async def _guarded(self, work: Callable[[], Awaitable[None]]) -> None:
        with contextlib.suppress(*FAILED):  # It comes again in a second, and begins where the last one ended.
            await work()

    async def _look_once(self) -> None:
        assert self._since is not None
        asked_at = self._now()
        found = await self._rows.shown_since(self._since - OVERLAP, count_max=POLLED_MAX)
        if len(found) >= POLLED_MAX:
            # More has changed than anybody could show one by one.
            for listener in self._listeners:
                listener.tell(Told.REFRESH, {})
        self._since = asked_at
        self._tell([Notice.of(k.row, revision=k.revision, before=None) for _, k in found if k.row.version])

    def _set(self, mode: Mode) -> None:
        if mode is self.mode:
            return
        log.info("live.mode", mode=mode.value)
        self.mode = mode
        self._metrics.is_live.set(mode is Mode.LIVE)
        for listener in self._listeners:
            listener.tell(Told.MODE, {"mode": mode.value})

    def _tell_piece(self, piece: bytes) -> None:
        try:
            self._tell(read(piece))
        except (ValueError, TypeError, KeyError, IndexError):
            log.warning("notice.unreadable", size=len(piece))

    def _tell(self, notices: Sequence[Notice]) -> None:
        for notice in notices:
            if self._seen.get(notice.ticket_id, 0) >= notice.revision:
                continue
            self._seen[notice.ticket_id] = notice.revision
            self._seen.move_to_end(notice.ticket_id)
            for listener in self._listeners:
                listener.notice(notice)
        while len(self._seen) > SEEN_MAX:
            self._seen.popitem(last=False)
