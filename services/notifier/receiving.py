"""Receipts, from a gateway to the record of their message, many at a time.

A receipt is acknowledged to the provider when what it says is stored and told, not before: one that is cut off comes
again. One of a message that another process is just sending is kept until that one has marked it.
"""

import asyncio
import contextlib
from typing import Final

from services.notifier.dispatching import Dispatcher
from services.notifier.gateway import Receipt
from services.notifier.notification_store import NotificationStore
from services.notifier.schedule.now import Now
from services.runtime.metrics import NotifierMetrics

_BATCH_GOOD: Final = 24
_GATHER_S: Final = 0.01
"""Few receipts wait so long for more: each batch costs the same three round trips."""


class Receiving:
    """Gathers receipts while earlier ones are being written."""

    def __init__(self, *, store: NotificationStore, metrics: NotifierMetrics, now: Now) -> None:
        self._store = store
        self._metrics = metrics
        self._now = now
        self._dispatcher: Dispatcher | None = None
        self._waiting: list[tuple[Receipt, asyncio.Future[None]]] = []
        self._wake = asyncio.Event()
        self._working: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin."""
        self._working = asyncio.create_task(self._work(), name="receipts")

    async def stop(self) -> None:
        """End; receipts without an answer come again."""
        if self._working:
            self._working.cancel()
            await asyncio.gather(self._working, return_exceptions=True)
        for _, future in self._waiting:
            future.cancel()

    def serve(self, dispatcher: Dispatcher) -> None:
        """Whose messages the receipts are of."""
        self._dispatcher = dispatcher

    async def receive(self, receipt: Receipt) -> None:
        """Return when it is stored.

        Raises:
            Exception: it is not, and is to come again.
        """
        if self._dispatcher and (marked := self._dispatcher.marked(receipt.provider_id)):
            await marked.wait()
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((receipt, future))
        self._wake.set()
        await future

    async def _work(self) -> None:
        while True:
            await self._wake.wait()
            if len(self._waiting) < _BATCH_GOOD:
                await asyncio.sleep(_GATHER_S)
            self._wake.clear()
            batch, self._waiting = self._waiting, []
            try:
                await self._take_in([receipt for receipt, _ in batch])
            except Exception as error:  # noqa: BLE001 - whatever it was, the provider is to send them again
                for _, future in batch:
                    with contextlib.suppress(asyncio.InvalidStateError):
                        future.set_exception(error)
            else:
                for _, future in batch:
                    with contextlib.suppress(asyncio.InvalidStateError):
                        future.set_result(None)

    async def _take_in(self, receipts: list[Receipt]) -> None:
        assert self._dispatcher is not None
        unmatched = await self._dispatcher.apply(receipts)
        if not unmatched:
            return
        # Kept first and looked up again after: whoever marks the message does the same in the other order.
        await self._store.park(unmatched, self._now())
        still = {r.provider_id for r in await self._dispatcher.apply(unmatched)}
        await self._store.unpark([r.provider_id for r in unmatched if r.provider_id not in still])
        self._metrics.receipts.labels(what="kept").inc(len(still))
