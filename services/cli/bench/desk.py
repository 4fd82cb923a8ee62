"""The desk with a million tickets and a hundred agents: the queue, a ticket, a search by waybill.

Rows are inserted as the desk stores them; then agents ask over HTTP, each the next thing when the last answer is there
and a second has passed. `AMENDS_BENCH_ROWS`, `_AGENTS` and `_SECONDS` make it smaller.
"""

import asyncio
import dataclasses
import os
import random
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid5

import httpx
from pymongo import MongoClient

from deploy.local.ports import free_ports
from deploy.local.stack import Addresses
from schemas.codes import Category, Channel, Clock, Language, RiskFlag, Severity, Source, StaffRole, TicketState
from services.desk.clock_row import ClockRow
from services.desk.person import Person
from services.desk.row import Row
from services.desk.row_store import RowStore, document
from services.runtime import mongo
from services.runtime.sealing import Keyring

ROWS: Final = int(os.environ.get("AMENDS_BENCH_ROWS", "1000000"))
AGENTS: Final = int(os.environ.get("AMENDS_BENCH_AGENTS", "100"))
SECONDS: Final = float(os.environ.get("AMENDS_BENCH_SECONDS", "60"))
THINK_S: Final = 1.0
DEPARTMENTS: Final = 12
UNITS: Final = 3_000
PEOPLE: Final = 2_000
OPEN_SHARE: Final = 0.05
BATCH: Final = 2_000
TICKETS: Final = UUID("0b9f1a54-9d3a-5ac3-8f0e-2c3b1d4e5f60")


async def run(addresses: Addresses) -> dict[str, Any]:
    """Milliseconds of each question, as 100 agents see them."""
    name = os.environ.get("AMENDS_MONGO_DATABASE", "amends")
    await RowStore(mongo.connect(addresses.mongo, database=name)).create_indexes()
    started_at = time.perf_counter()
    await asyncio.to_thread(fill, addresses.mongo, name)
    filled_s = time.perf_counter() - started_at
    with tempfile.TemporaryDirectory(prefix="amends-bench-desk-") as folder:
        keyring = Path(folder) / "keyring.json"
        Keyring.create(keyring)
        (port,) = free_ports(1)
        environment = {
            **os.environ,
            **addresses.environment(),
            "AMENDS_KEYRING": str(keyring),
            "AMENDS_HTTP_PORT": str(port),
            "AMENDS_LOG_LEVEL": "warning",
        }
        topics = await asyncio.create_subprocess_exec(sys.executable, "-m", "services.runtime.topics", env=environment)
        await topics.wait()
        service = await asyncio.create_subprocess_exec(sys.executable, "-m", "services.cli.bench.desk", env=environment)
        try:
            took = await _agents(f"http://127.0.0.1:{port}")
        finally:
            service.terminate()
            await service.wait()
    figures: dict[str, Any] = {"rows": ROWS, "rows_filled_per_s": ROWS / filled_s, "agents": AGENTS}
    for kind, seconds in took.items():
        for share in (50, 95, 99):
            figures[f"{kind}_p{share}_ms"] = sorted(seconds)[len(seconds) * share // 100] * 1000
    return figures


def fill(uri: str, name: str) -> None:
    """Insert the rows."""
    with MongoClient[dict[str, Any]](uri, tz_aware=True, uuidRepresentation="standard") as client:
        rows = client[name]["desk_tickets"]
        if rows.estimated_document_count() >= ROWS:
            return
        now, batch = datetime.now(UTC), list[dict[str, Any]]()
        for row in made(ROWS, now):
            batch.append(document(row, revision=1, at=now))
            if len(batch) == BATCH or row.number == number(ROWS - 1):
                rows.insert_many(batch, ordered=False)
                batch.clear()


def number(n: int) -> str:
    """The ticket number of a row, without a right check digit."""
    return f"2611-{n:08d}"


def made(count: int, now: datetime) -> Iterator[Row]:
    """Rows as they are after a year: most are settled, those that are open are due within days."""
    rng = random.Random(count)  # noqa: S311  # tickets, not keys
    for n in range(count):
        is_open = rng.random() < OPEN_SHARE
        received_at = now - (timedelta(days=rng.uniform(0, 5)) if is_open else timedelta(days=rng.uniform(1, 365)))
        unit = int(UNITS * rng.random() ** 3)  # A few hubs have most of it.
        yield Row(
            id=uuid5(TICKETS, str(n)),
            version=4,
            number=number(n),
            state=TicketState.INVESTIGATING if is_open else TicketState.CLOSED,
            channel=rng.choice(list(Channel)),
            source=Source.EXTERNAL,
            language=Language.ZH,
            received_at=received_at,
            opened_at=received_at,
            updated_at=received_at + timedelta(hours=1),
            contacts=(f"{rng.getrandbits(256):064x}",),
            waybills=(f"YT{n:013d}",),
            places=(f"HUB-{unit:04d}",),
            category=rng.choice(list(Category)),
            severity=Severity(rng.choices((1, 2, 3, 4), (30, 50, 15, 5))[0]),
            flags=(RiskFlag.SAFETY,) if rng.random() < 0.002 else (),
            department=f"D{int(DEPARTMENTS * rng.random() ** 2):02d}",
            unit=f"HUB-{unit:04d}",
            person=f"p{rng.randrange(PEOPLE)}" if rng.random() < 0.9 else None,
            clocks=_clocks(received_at, now, rng) if is_open else (),
        )


def _clocks(received_at: datetime, now: datetime, rng: random.Random) -> tuple[ClockRow, ...]:
    plain = ClockRow(Clock.RESOLUTION, 1, None, 432_000, "resolution", (3, received_at, 0))
    return tuple(
        dataclasses.replace(plain, clock=clock, due_at=now + timedelta(hours=rng.uniform(0, hours)))
        for clock, hours in ((Clock.FIRST_ANSWER, 48), (Clock.RESOLUTION, 120), (Clock.STATUTORY_USER, 168))
    )


async def _agents(url: str) -> dict[str, list[float]]:
    took: dict[str, list[float]] = defaultdict(list)
    until = time.monotonic() + SECONDS
    async with httpx.AsyncClient(base_url=url, timeout=30, limits=httpx.Limits(max_connections=AGENTS)) as client:
        await _ready(client)
        await asyncio.gather(*(_agent(client, random.Random(n), took, until) for n in range(AGENTS)))  # noqa: S311  # as above
    return took


async def _agent(client: httpx.AsyncClient, rng: random.Random, took: dict[str, list[float]], until: float) -> None:
    while time.monotonic() < until:
        n = rng.randrange(ROWS)
        kind, path, params = rng.choices(
            (
                ("queue", "/v1/tickets", _queue(rng)),
                ("ticket", f"/v1/tickets/{uuid5(TICKETS, str(n))}", {}),
                ("waybill", "/v1/tickets", {"q": f"YT{n:013d}"}),
            ),
            (6, 3, 1),
        )[0]
        started_at = time.perf_counter()
        answer = await client.get(path, params=params)
        took[kind].append(time.perf_counter() - started_at)
        answer.raise_for_status()
        await asyncio.sleep(rng.uniform(0, 2 * THINK_S))


def _queue(rng: random.Random) -> dict[str, Any]:
    return rng.choice(
        [
            {},
            {"department": f"D{rng.randrange(DEPARTMENTS):02d}"},
            {"person": f"p{rng.randrange(PEOPLE)}"},
            {"unit": f"HUB-{rng.randrange(UNITS):04d}", "standing": "any"},
            {"severity": 4, "sort": "received"},
            {"flag": "safety"},
            {"category": "damage", "sort": "severity"},
            {"standing": "any", "sort": "updated"},
        ]
    )


async def _ready(client: httpx.AsyncClient, *, seconds_max: float = 120.0) -> None:
    async with asyncio.timeout(seconds_max):
        while True:
            try:
                if (await client.get("/readyz")).is_success:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.2)


async def somebody() -> Person:
    """Whoever asks is a supervisor: what is measured is not the sign-in."""
    return Person(id="p1", name="bench", role=StaffRole.SUPERVISOR)


if __name__ == "__main__":
    from services.desk.app import main

    main(allows=lambda _action: somebody)
