"""The router and the deadlines with ever more tickets in the database: does anything depend on how many there are?

Copied tickets are all open, which is worse than a real database of that size, where most are closed. Each size is
measured with an empty Kafka, so that nothing but the database grows.
"""

import asyncio
import itertools
import os
import statistics
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import psutil
from pymongo import MongoClient
from pymongo.database import Database

from deploy.local import running
from deploy.local.ports import free_ports
from deploy.local.programs import SERVICES
from deploy.local.stack import Addresses, Stack
from services.cli.bench import chain, router, sla
from services.cli.bench.sla_tickets import opening
from services.runtime.sealing import Keyring
from services.runtime.settings import RuntimeSettings
from tests.scale.figures import quantile
from tests.scale.filling import COLLECTIONS, fill
from tests.scale.options import Options
from tests.scale.system import System, whole_system

SEEDS = 2_000
ACKNOWLEDGE_S = 900
"""The shortest clock of the packaged policy: of a ticket without a confirmation it is breached then."""
DUE_PER_S = 1_000
LEAD_S = 75
"""For the tickets to be read before the first is due."""
WARM_UP_SHARE = 5
"""A fifth as many complaints as are measured come before them."""
MEASURED_S_MAX = 600.0


async def run(options: Options) -> dict[str, Any]:
    """For each size, complaints a second of one router and the lateness of breaches."""
    sizes = sorted(options.growth)
    seeds = min(SEEDS, sizes[0])
    curve = []
    with whole_system() as system, MongoClient[dict[str, Any]](system.where["mongo"], tz_aware=True) as client:
        fed = await chain.load(system.where, chain.complaints(range(seeds)), per_s=200)
        await chain.until_sent(system.where, fed)
        await system.drained()
        running.scale(system.folder, dict.fromkeys(SERVICES, 0), say=lambda _line: None)
        database: Database[dict[str, Any]] = client["amends"]
        found = {name: list(database[name].find()) for name in COLLECTIONS}
        copied, first = 0, 0
        for size in sizes:
            now, began = datetime.now(UTC), time.monotonic()
            missing = max(0, size - database["tickets"].estimated_document_count())
            copies = range(copied + 1, copied + 1 + round(missing / fed))
            copied = copies.stop - 1
            await asyncio.to_thread(lambda c=copies, n=now: fill(database, seeds=found, copies=c, now=n))  # type: ignore[misc]
            filled_s = time.monotonic() - began
            # What an earlier size left to do later would be done now.
            database["deadlines"].delete_many({"due_at": {"$lt": now + timedelta(hours=6)}})
            stats = database.command("dbStats")
            with Stack(system.folder / f"size-{size}", parts=("kafka",)) as kafka:
                addresses = _addresses(system, kafka)
                tickets = database["tickets"].estimated_document_count()
                routed = await _router(system, addresses, options.complaints, first=first)
                late = await _lateness(addresses, options.complaints)
            first += 2 * options.complaints
            curve.append(
                {"tickets": tickets, "documents": int(stats["objects"]), "filled_s": filled_s, **routed, **late}
            )
    return {"complaints": options.complaints, "seeds": fed, "curve": curve}


def _addresses(system: System, kafka: Stack) -> Addresses:
    names = ("mongo", "redis", "sandbox", "smpp", "smtp")
    addresses = Addresses(kafka=kafka.addresses.kafka, **{name: system.where[name] for name in names})
    subprocess.run(
        [sys.executable, "-m", "services.runtime.topics"], env={**os.environ, **addresses.environment()}, check=True
    )
    return addresses


async def _router(system: System, addresses: Addresses, count: int, *, first: int) -> dict[str, float]:
    """The measurement of `amends bench router`, on a database that is not empty."""
    keyring, (port,) = system.folder / "keyring.json", free_ports(1)
    warm_up = count // WARM_UP_SHARE
    made = router.complaints(Keyring.load(keyring), range(first, first + warm_up + count), first=first)
    await router.preload(RuntimeSettings(kafka=addresses.kafka), made)
    own = {"AMENDS_KEYRING": str(keyring), "AMENDS_HTTP_PORT": str(port), "AMENDS_LOG_LEVEL": "warning"}
    service = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.router", env={**os.environ, **addresses.environment(), **own}
    )
    try:
        process = psutil.Process(service.pid)
        async with asyncio.timeout(MEASURED_S_MAX):
            begin, begun_at, begun_cpu_s = await router.wait_for(port, max(warm_up, 1), process)
            end, ended_at, ended_cpu_s = await router.wait_for(port, warm_up + count, process)
    finally:
        service.terminate()
        await service.wait()
    handled = max(end - begin, 1)
    return {
        "complaints_per_s": handled / (ended_at - begun_at),
        "cpu_us_per_complaint": (ended_cpu_s - begun_cpu_s) / handled * 1e6,
    }


async def _lateness(addresses: Addresses, count: int) -> dict[str, float]:
    """The measurement of `amends bench sla`, on that database and by the packaged policy."""
    bench = sla.Bench(addresses)
    async with bench.service("growth", database="amends") as (page, process):
        shards = RuntimeSettings().partitions
        read, _, _ = await sla.wait_until(page, process, lambda p: p.get("amends_deadlines_shards_open", 0) >= shards)
        before, ends = sla.consumed(read), await bench.ends()
        begin = datetime.now(UTC) + timedelta(seconds=LEAD_S)
        due = [begin + timedelta(seconds=n / DUE_PER_S) for n in range(count)]
        received = (at - timedelta(seconds=ACKNOWLEDGE_S) for at in due)
        await bench.publish(itertools.chain.from_iterable(opening(uuid4(), at, count=1) for at in received))
        await sla.wait_until(page, process, lambda p: sla.consumed(p) >= before + count)
        spare_s = (begin - datetime.now(UTC)).total_seconds()
        late = [late_s async for late_s in bench.breaches(ends, count)]
    return {
        "late_p50_ms": 1000 * statistics.median(late),
        "late_p99_ms": 1000 * quantile(late, 0.99),
        "late_max_ms": 1000 * max(late),
        "earliest_ms": 1000 * min(late),
        "read_before_due_s": spare_s,
    }
