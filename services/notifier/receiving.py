"""Receipts, from a gateway to the record of their message, many at a time.

A receipt is acknowledged to the provider when what it says is stored and told, not before: one that is cut off comes
again. One whose message is just being marked here, or has other segments, waits a moment for that; one of a message
that another process is sending is kept until that one has marked it.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from services.notifier.dispatching import Dispatcher
from services.notifier.gateway import Receipt
from services.notifier.notification_store import NotificationStore
from services.notifier.schedule.now import Now
from services.runtime.logging import get_logger
from services.runtime.metrics import NotifierMetrics

log = get_logger(__name__)

_GATHER_S: Final = 0.02
"""Receipts wait so long for more: each batch costs the same round trips."""
_PATIENCE_S: Final = 0.5
"""How long a receipt waits here for its message to be marked, or for those of its other segments."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    receipt: Receipt
    acknowledge: Callable[[bool], None]
    until: float


class Receiving:
    """Gathers receipts while earlier ones are being written."""

    def __init__(self, *, store: NotificationStore, metrics: NotifierMetrics, now: Now) -> None:
        self._store = store
        self._metrics = metrics
        self._now = now
        self._dispatcher: Dispatcher | None = None
        self._waiting: list[_Waiting] = []
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

    def serve(self, dispatcher: Dispatcher) -> None:
        """Whose messages the receipts are of."""
        self._dispatcher = dispatcher

    def receive(self, receipt: Receipt, acknowledge: Callable[[bool], None]) -> None:
        """Take a receipt, and acknowledge it when it is stored, or refuse it for now."""
        self._waiting.append(_Waiting(receipt, acknowledge, asyncio.get_running_loop().time() + _PATIENCE_S))
        self._wake.set()

    async def _work(self) -> None:
        while True:
            await self._wake.wait()
            await asyncio.sleep(_GATHER_S)
            self._wake.clear()
            batch, self._waiting = self._waiting, []
            try:
                done = await self._take_in(batch)
            except Exception as error:  # noqa: BLE001 - whatever it was, the provider is to send them again
                log.warning("receipts.put_off", error=type(error).__name__, count=len(batch))
                for each in batch:
                    each.acknowledge(False)
            else:
                for each in done:
                    each.acknowledge(True)
            if self._waiting:
                self._wake.set()

    async def _take_in(self, batch: list[_Waiting]) -> list[_Waiting]:
        """Take in what can be, leave in `_waiting` what may still be used at once, and give the rest."""
        dispatcher = self._dispatcher
        assert dispatcher is not None
        receipts, now = dispatcher.receipts, asyncio.get_running_loop().time()
        early: list[_Waiting] = []
        ripe: list[_Waiting] = []
        for each in batch:
            may_be_ours = dispatcher.is_sending and now < each.until and not receipts.knows(each.receipt)
            (early if may_be_ours or receipts.is_being_marked(each.receipt) else ripe).append(each)
        unmatched = {r.provider_id for r in await receipts.apply([w.receipt for w in ripe])}
        done: list[_Waiting] = []
        kept: list[Receipt] = []
        for each in ripe:
            if each.receipt.provider_id in unmatched and now < each.until and receipts.knows(each.receipt):
                early.append(each)
                continue
            done.append(each)
            if each.receipt.provider_id in unmatched:
                kept.append(each.receipt)
        if kept:
            await self._keep(kept)
        self._waiting += early
        return done

    async def _keep(self, receipts: list[Receipt]) -> None:
        """Keep receipts for whoever marks their messages.

        Kept first and looked up again after: whoever marks the message does the same in the other order.
        """
        assert self._dispatcher is not None
        await self._store.park(receipts, self._now())
        still = {r.provider_id for r in await self._dispatcher.receipts.apply(receipts)}
        await self._store.unpark([r.provider_id for r in receipts if r.provider_id not in still])
        self._metrics.receipts.labels(what="kept").inc(len(still))
