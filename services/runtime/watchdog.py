"""Ends a process that hangs, because one that is dead is restarted and one that hangs is not.

Faust's own check for a stall never fires, and its search for a livelock only writes a log. This one runs in a thread of
its own, so that it notices a blocked event loop, too.
"""

import asyncio
import contextlib
import os
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from services.runtime.ledger import Place
from services.runtime.logging import get_logger
from services.runtime.metrics import ConsumingMetrics
from services.runtime.readiness import Readiness

log = get_logger(__name__)

EXIT_STALLED: Final = 70
"""EX_SOFTWARE of sysexits.h."""
_INTERVAL_S: Final = 1.0


class Stall:
    """Judges whether there is progress; pure, time is given.

    Progress is: messages get finished, or there are none, or the part that is waited for is known to be away.
    """

    def __init__(self, *, now_s: float) -> None:
        self.well_at_s = now_s
        self._finished = -1

    def observe(self, *, now_s: float, finished: int, backlog: int | None, excused: bool) -> None:
        """Note what is seen.

        Args:
            now_s: of a clock that only goes forward.
            finished: messages finished since the start.
            backlog: messages that wait; None when it cannot be learnt though Kafka answers.
            excused: whether a part that is needed is away.
        """
        if excused or finished != self._finished or backlog == 0:
            self.well_at_s = now_s
        self._finished = finished


class Watchdog:
    """Watches one consumption."""

    def __init__(
        self,
        *,
        stall_s_max: float,
        finished: Callable[[], int],
        waits_for: Callable[[], str | None],
        backlog: Callable[[], Awaitable[Mapping[Place, int]]],
        kafka: str,
        metrics: ConsumingMetrics,
        readiness: Readiness,
        end: Callable[[int], None] = os._exit,
    ) -> None:
        """A watchdog that is not started.

        Args:
            stall_s_max: seconds without progress after which the process ends.
            finished: messages finished since the start.
            waits_for: the part that is away, if one is.
            backlog: messages that wait, by partition; may raise when Kafka is away.
            kafka: bootstrap servers, to tell a Kafka that is away from a consumer that hangs.
            metrics: gets the backlog.
            readiness: gets the condition `kafka`.
            end: ends the process with this code.
        """
        self._stall_s_max = stall_s_max
        self._read_finished = finished
        self._waits_for = waits_for
        self._backlog = backlog
        self._kafka = kafka
        self._metrics = metrics
        self._readiness = readiness
        self._end = end
        self._stall = Stall(now_s=time.monotonic())
        self._stopped = threading.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to watch."""
        self._stall.well_at_s = time.monotonic()
        self._task = asyncio.create_task(self._observe(), name="watchdog")
        threading.Thread(target=self._guard, name="watchdog", daemon=True).start()

    async def stop(self) -> None:
        """Watch no more."""
        self._stopped.set()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _observe(self) -> None:
        while True:
            backlog: int | None = None
            away = False
            try:
                by_place = await self._backlog()
            except Exception:  # noqa: BLE001 - whatever it is, the question is whether Kafka answers at all
                away = not await asyncio.to_thread(_answers, self._kafka)
            else:
                backlog = sum(by_place.values())
                by_topic: dict[str, int] = {}
                for (topic, _partition), count in by_place.items():
                    by_topic[topic] = by_topic.get(topic, 0) + count
                for topic, count in by_topic.items():
                    self._metrics.backlog.labels(topic=topic).set(count)
            self._readiness.set("kafka", not away, f"Kafka at {self._kafka} does not answer")
            self._stall.observe(
                now_s=time.monotonic(),
                finished=self._read_finished(),
                backlog=backlog,
                excused=away or self._waits_for() is not None,
            )
            await asyncio.sleep(_INTERVAL_S)

    def _guard(self) -> None:
        while not self._stopped.wait(_INTERVAL_S):
            idle_s = time.monotonic() - self._stall.well_at_s
            if idle_s > self._stall_s_max:
                log.critical("worker.stalled", idle_s=round(idle_s, 1), finished=self._read_finished())
                self._end(EXIT_STALLED)
                return


def _answers(bootstrap: str) -> bool:
    """Whether any of the servers accepts a connection."""
    for server in bootstrap.split(","):
        host, _, port = server.strip().rpartition(":")
        with contextlib.suppress(OSError), socket.create_connection((host.strip("[]"), int(port)), timeout=2.0):
            return True
    return False
