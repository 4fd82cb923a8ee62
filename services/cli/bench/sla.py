"""The SLA monitor, one process: ticket events a second; lateness of a thousand breaches a second; a burst; memory.

Lateness is from the due time of a breach to the time that its record on `sla-breached` carries, so it has everything in
it: claiming the deadline, deciding, saving, and handing over to the producer.
"""

import asyncio
import contextlib
import itertools
import os
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

import httpx
import psutil
from aiokafka import AIOKafkaConsumer, TopicPartition
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from deploy.local.ports import free_ports
from deploy.local.stack import Addresses
from schemas.message import Message
from schemas.notifications import NotificationEvent
from schemas.topics import NOTIFICATION_EVENT, SLA_BREACHED, TICKET_EVENT
from services.cli.bench.sla_tickets import EVENTS_PER_TICKET, opening, waves
from services.runtime import mongo
from services.runtime.deadline_store import Deadline, MongoDeadlineStore
from services.runtime.metrics import ProducingMetrics
from services.runtime.producing import Outgoing, Producer
from services.runtime.settings import RuntimeSettings
from services.service_levels.policy import SlaPolicy, parse_policy
from services.service_levels.policy_store import PolicyStore

TICKETS: Final = 4_000
WARM_UP_EVENTS: Final = 2_000
PER_SECOND: Final = 1_000
SECONDS: Final = 20
BURST: Final = 50_000
ARMED: Final = 1_000_000
LIMIT_S: Final = 60
"""Of the one clock whose breaches are measured."""
SECONDS_MAX: Final = 300

Page = dict[str, float]


async def run(addresses: Addresses) -> dict[str, Any]:
    """All figures, each with a database of its own."""
    environment = {**os.environ, **addresses.environment(), "AMENDS_LOG_LEVEL": "warning"}
    await asyncio.to_thread(
        subprocess.run, [sys.executable, "-m", "services.runtime.topics"], env=environment, check=True
    )
    bench = Bench(addresses)
    return {**await bench.events(), **await bench.lateness(), **await bench.burst(), **await bench.memory()}


class Bench:
    """What the measurements share."""

    def __init__(self, addresses: Addresses) -> None:
        self._addresses = addresses
        self._settings = RuntimeSettings(kafka=addresses.kafka)

    async def events(self) -> dict[str, Any]:
        """Events that wait on the topic, worked through by one process with the packaged policy."""
        tickets = [uuid4() for _ in range(TICKETS)]
        total = TICKETS * EVENTS_PER_TICKET
        for wave in waves(tickets, datetime.now(UTC)):
            await self.publish(wave)
        async with self.service("events") as (page, process):
            first, begun_at, begun_cpu_s = await wait_until(page, process, lambda p: consumed(p) >= WARM_UP_EVENTS)
            last, ended_at, ended_cpu_s = await wait_until(page, process, lambda p: consumed(p) >= total)
            handled = consumed(last) - consumed(first)
            return {
                "ticket_events_per_s": handled / (ended_at - begun_at),
                "cpu_us_per_event": (ended_cpu_s - begun_cpu_s) / handled * 1e6,
            }

    async def lateness(self) -> dict[str, Any]:
        """A thousand breaches a second for a while."""
        async with self.service("lateness", _one_clock()) as (page, process):
            begin = datetime.now(UTC) + timedelta(seconds=LIMIT_S + 5)
            count = PER_SECOND * SECONDS
            due = [begin + timedelta(seconds=n / PER_SECOND) for n in range(count)]
            ends = await self.ends()
            await self.publish(m for at in due for m in opening(uuid4(), at - timedelta(seconds=LIMIT_S), count=1))
            await wait_until(page, process, lambda p: consumed(p) >= count)
            late = sorted([late_s async for late_s in self.breaches(ends, count)])
        return {
            "lateness_p50_ms": 1000 * statistics.median(late),
            "lateness_p99_ms": 1000 * late[int(0.99 * (len(late) - 1))],
            "lateness_max_ms": 1000 * late[-1],
            "earliest_ms": 1000 * late[0],
        }

    async def burst(self) -> dict[str, Any]:
        """Many breaches in the same second."""
        async with self.service("burst", _one_clock(limit_s=2 * LIMIT_S)) as (page, process):
            received_at = datetime.now(UTC)
            ends = await self.ends()
            await self.publish(m for _ in range(BURST) for m in opening(uuid4(), received_at, count=1))
            await wait_until(page, process, lambda p: consumed(p) >= BURST)
            spare_s = 2 * LIMIT_S - (datetime.now(UTC) - received_at).total_seconds()
            late = [late_s async for late_s in self.breaches(ends, BURST)]
        return {"burst_50k_published_s": max(late), "burst_ready_before_s": spare_s}

    async def memory(self) -> dict[str, Any]:
        """A process that has a million armed deadlines to look after, due from five minutes on."""
        name = f"bench_memory_{uuid4().hex[:6]}"
        database = mongo.connect(self._addresses.mongo, database=name)
        store = MongoDeadlineStore(database)
        await store.prepare()
        begin = datetime.now(UTC) + timedelta(seconds=300)
        for start in range(0, ARMED, 5_000):
            await store.put(
                [
                    Deadline(
                        f"sla:{UUID(int=n)}",
                        f"sla_monitor:{n % self._settings.partitions}",
                        begin + timedelta(seconds=n / 10_000),
                        revision=1,
                    )
                    for n in range(start, start + 5_000)
                ]
            )
        # The window is opened wide, so that as many are held in memory as ever are.
        async with self.service("memory", database=name, AMENDS_DEADLINE_WINDOW_S="3600") as (page, process):
            held, _, _ = await wait_until(page, process, lambda p: p.get("amends_deadlines_in_memory", 0) > 0)
            await asyncio.sleep(5)
            return {"armed_1m_mb": process.memory_info().rss / 1e6, "held": held["amends_deadlines_in_memory"]}

    async def publish(self, messages: Iterable[Message]) -> None:
        """Have them in their topics."""
        producer = Producer(self._settings, ProducingMetrics(CollectorRegistry()))
        await producer.start()
        rest = iter(messages)
        while some := list(itertools.islice(rest, 1_000)):
            topics = [NOTIFICATION_EVENT if isinstance(m, NotificationEvent) else TICKET_EVENT for m in some]
            await producer.publish([Outgoing(topic, m) for topic, m in zip(topics, some, strict=True)])
        await producer.stop()

    @asynccontextmanager
    async def service(
        self, name: str, policy: SlaPolicy | None = None, *, database: str = "", **environment: str
    ) -> AsyncIterator[tuple[Callable[[], Any], psutil.Process]]:
        """The service on an empty database, and its metrics."""
        database = database or f"bench_{name}_{uuid4().hex[:6]}"
        if policy:
            await PolicyStore(mongo.connect(self._addresses.mongo, database=database)).add(
                policy, now=datetime.now(UTC)
            )
        (port,) = free_ports(1)
        own = {"AMENDS_MONGO_DATABASE": database, "AMENDS_HTTP_PORT": str(port), "AMENDS_LOG_LEVEL": "warning"}
        service = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "services.sla_monitor",
            env={**os.environ, **self._addresses.environment(), **own, **environment},
        )
        async with httpx.AsyncClient(timeout=30, trust_env=False) as client:

            async def page() -> Page:
                text = (await client.get(f"http://127.0.0.1:{port}/metrics")).text
                families = text_string_to_metric_families(text)
                return {
                    "|".join((s.name, *(f"{k}={v}" for k, v in sorted(s.labels.items())))): s.value
                    for family in families
                    for s in family.samples
                }

            try:
                await _ready(client, port)
                yield page, psutil.Process(service.pid)
            finally:
                service.terminate()
                await service.wait()

    async def ends(self) -> dict[TopicPartition, int]:
        """Where the breaches end by now."""
        consumer = AIOKafkaConsumer(bootstrap_servers=self._addresses.kafka)
        await consumer.start()
        try:
            places = [TopicPartition(SLA_BREACHED.name, p) for p in range(self._settings.partitions)]
            consumer.assign(places)
            ends: dict[TopicPartition, int] = await consumer.end_offsets(places)
            return ends
        finally:
            await consumer.stop()

    async def breaches(self, since: dict[TopicPartition, int], count: int) -> AsyncIterator[float]:
        """Lateness of so many breaches, in seconds, each once."""
        consumer = AIOKafkaConsumer(bootstrap_servers=self._addresses.kafka, enable_auto_commit=False)
        await consumer.start()
        seen: set[bytes] = set()
        try:
            consumer.assign(list(since))
            for place, offset in since.items():
                consumer.seek(place, offset)
            async with asyncio.timeout(SECONDS_MAX):
                while len(seen) < count:
                    for records in (await consumer.getmany(timeout_ms=200, max_records=5_000)).values():
                        for record in records:
                            headers = dict(record.headers)
                            if headers["ce_id"] not in seen:
                                seen.add(headers["ce_id"])
                                due = datetime.fromisoformat(headers["ce_time"].decode())
                                yield record.timestamp / 1000 - due.timestamp()
        finally:
            await consumer.stop()


def _one_clock(*, limit_s: int = LIMIT_S) -> SlaPolicy:
    """A policy of one clock without warnings, so that each ticket has one deadline."""
    return parse_policy(
        {
            "name": "bench",
            "version": 1,
            "effective_from": "2020-01-01T00:00:00Z",
            "default_calendar": "24x7",
            "warnings": [],
            "calendars": {"24x7": {"tz": "UTC", "hours": {"all": [["00:00", "24:00"]]}}},
            "escalation": {"shares": [1.0], "ladders": [{"name": "ordinary", "levels": ["agent"]}]},
            "clocks": {
                "first_answer": {
                    "start": {"at": "opened", "counted_from": "received"},
                    "stop": "answered",
                    "calendar": "24x7",
                    "rules": [{"name": "first-answer", "target": f"{limit_s}s"}],
                }
            },
        }
    )


def consumed(page: Page) -> float:
    """Ticket events handled so far."""
    return page.get(f"amends_consumed_total|topic={TICKET_EVENT.name}", 0.0)


async def _ready(client: httpx.AsyncClient, port: int) -> None:
    async with asyncio.timeout(120):
        while True:
            with contextlib.suppress(httpx.TransportError):
                if (await client.get(f"http://127.0.0.1:{port}/readyz")).status_code == httpx.codes.OK:
                    return
            await asyncio.sleep(0.1)


async def wait_until(
    page: Callable[[], Any], process: psutil.Process, holds: Callable[[Page], bool]
) -> tuple[Page, float, float]:
    """When the metrics are so: those, the time, the processor time used."""
    async with asyncio.timeout(SECONDS_MAX):
        while True:
            now: Page = await page()
            if holds(now):
                used = process.cpu_times()
                return now, time.perf_counter(), used.user + used.system
            await asyncio.sleep(0.1)
