"""Wiring of the SLA monitor: the only place that knows every part."""

import asyncio
import contextlib
from collections import Counter as Multiset
from collections.abc import Sequence
from functools import partial
from typing import Final

from prometheus_client import CollectorRegistry

from schemas.topics import NOTIFICATION_EVENT, TICKET_EVENT
from services.runtime import worker
from services.runtime.consuming import Consumption, Ownership
from services.runtime.deadline_store import MongoDeadlineStore
from services.runtime.deadlines import Deadlines, Firing, Timing
from services.runtime.logging import get_logger
from services.runtime.metrics import ConsumingMetrics, DeadlineMetrics, ProducingMetrics, SlaMetrics
from services.runtime.producing import Producer
from services.runtime.readiness import Readiness
from services.runtime.retries import every, until_available
from services.runtime.settings import load
from services.runtime.surroundings import Surroundings
from services.runtime.time_source import Clock, utc_of
from services.service_levels.policy import SlaPolicy, read_policy
from services.service_levels.policy_store import PolicyStore
from services.service_levels.rulebook import Policies
from services.sla_monitor.clock_store import ClockStore
from services.sla_monitor.counting import Counter
from services.sla_monitor.handlers import SlaMonitor
from services.sla_monitor.settings import SlaMonitorSettings

log = get_logger(__name__)
SERVICE = SlaMonitorSettings.SERVICE
DIGITS_MAX: Final = 2
"""Clocks are counted in parts, by the first digits of their tickets' ids; by none where there are few."""
_PART_MAX: Final = 10_000
_WORK_TO_REST: Final = 20
"""Counting a million clocks takes the database half a minute, in which it should do other things, too."""


class Foundation:
    """What must be there before the first batch: indexes, the time, policies; policies and counts are looked after."""

    def __init__(
        self,
        *,
        settings: SlaMonitorSettings,
        clock: Clock,
        deadlines: MongoDeadlineStore,
        clocks: ClockStore,
        policies: PolicyStore,
        metrics: SlaMetrics,
        default: SlaPolicy,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._deadlines = deadlines
        self._clocks = clocks
        self._store = policies
        self._metrics = metrics
        self._default = default
        self._numbers: list[int] = []
        self._digits = DIGITS_MAX
        self._tasks: list[asyncio.Task[None]] = []
        self.policies = Policies([default])
        self.ownership: Ownership | None = None

    async def start(self) -> None:
        """Make it, for as long as the database is away."""
        async for attempt in until_available():
            with attempt:
                await self._clock.sync()
                await self._deadlines.prepare()
                await self._clocks.prepare()
                await self._store.begin_with(self._default)
                await self._follow_policies()
        self._tasks = [
            asyncio.create_task(every(self._settings.policy_poll_s, self._follow_policies), name="policies"),
            asyncio.create_task(every(self._settings.clocks_count_s, self._count), name="counts"),
        ]

    async def stop(self) -> None:
        """End."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with contextlib.suppress(TimeoutError):  # It can wait: the next load of a ticket finds what was left undone.
            await asyncio.wait_for(self._clocks.settled(), 1.0)

    async def _follow_policies(self) -> None:
        numbers = await self._store.numbers()
        if numbers != self._numbers:
            self.policies = Policies(await self._store.versions())
            self._numbers = numbers
            self._metrics.policy_version.set(numbers[-1])
            log.info("policies.loaded", versions=numbers)

    async def _count(self) -> None:
        loop, counts = asyncio.get_running_loop(), Multiset[tuple[str, str, str]]()
        for number in range(16**self._digits):
            started_at = loop.time()
            prefix = f"{number:0{self._digits}x}" if self._digits else ""
            counts.update(await self._clocks.open_clocks(prefix))
            await asyncio.sleep(_WORK_TO_REST * (loop.time() - started_at))
        self._digits = next((d for d in range(DIGITS_MAX) if counts.total() <= _PART_MAX * 16**d), DIGITS_MAX)
        owned = {f"{SERVICE}:{p}" for p in (self.ownership.partitions if self.ownership else ())}
        self._metrics.clocks_open.clear()
        for (shard, clock, state), count in counts.items():
            if shard in owned:
                self._metrics.clocks_open.labels(clock=clock, state=state).inc(count)


def parts(
    settings: SlaMonitorSettings,
    around: Surroundings,
    *,
    default: SlaPolicy,
    timing: Timing,
    readiness: Readiness,
    registry: CollectorRegistry,
) -> Sequence[worker.Part]:
    """Everything that runs, in the order in which it starts; `default` is the policy where none was ever loaded."""
    database = around.database
    producer = Producer(settings, ProducingMetrics(registry), client=around.producer)
    deadline_store = MongoDeadlineStore(database)
    deadlines = Deadlines(SERVICE, deadline_store, DeadlineMetrics(registry), clock=around.clock, timing=timing)
    clocks, metrics = ClockStore(database), SlaMetrics(registry)
    foundation = Foundation(
        settings=settings,
        clock=around.clock,
        deadlines=deadline_store,
        clocks=clocks,
        policies=PolicyStore(database),
        metrics=metrics,
        default=default,
    )
    handlers = SlaMonitor(
        service=SERVICE,
        clocks=clocks,
        deadlines=deadlines,
        policies=lambda: foundation.policies,
        publish=producer.publish_records,
        caught_up=lambda partition: (
            deadlines.is_following(around.clock.time()) and consumption.ownership.caught_up(partition)
        ),
        has_followed_since=deadlines.has_followed_since,
        now=partial(utc_of, around.clock),
        counting=Counter(metrics),
    )
    consumption = Consumption(
        SERVICE,
        [TICKET_EVENT, NOTIFICATION_EVENT],
        handlers.on_messages,
        settings,
        producer,
        ConsumingMetrics(registry),
        readiness=readiness,
        batch_max=settings.sla_batch_max,
        linger_s=settings.sla_linger_s,
        application=around.application,
    )
    foundation.ownership = consumption.ownership
    consumption.ownership.on_change(clocks.forget)
    firing = Firing(deadlines, handlers.on_due, consumption.ownership)
    return [producer, foundation, consumption, firing]


def main() -> None:
    """Run the SLA monitor until it is told to stop. Never returns."""
    settings = load(SlaMonitorSettings)
    registry, readiness = CollectorRegistry(), Readiness()
    running = parts(
        settings,
        Surroundings.of(settings),
        default=read_policy(),
        timing=Timing(window_s=settings.deadline_window_s, window_size_max=settings.deadline_window_max),
        readiness=readiness,
        registry=registry,
    )
    worker.run(settings, running, readiness=readiness, registry=registry)
