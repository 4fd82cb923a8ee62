"""The desk's questions to its database with ever more tickets: does any of them depend on how many there are?

One after the other, so that what is measured is the question and not the waiting for others. The tickets are those of
`amends bench desk`, which shares the largest database; those of a year, a twentieth of them open.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from statistics import median
from typing import Any, Final

from deploy.local.cache import cache_folder, file_lock
from deploy.local.stack import Stack
from services.cli.bench import desk
from services.cli.bench import desk_filling as filling
from services.desk.queue import EVERYTHING, Filters, Standing, reading
from services.desk.row_store import RowStore
from services.router.event_store import EventStore
from services.runtime import mongo
from tests.scale.figures import quantile
from tests.scale.options import Options

ASKED: Final = 300
WARM_UP: Final = 100
PAGE: Final = 50

Ask = Callable[[random.Random], Awaitable[Any]]


async def run(options: Options) -> dict[str, Any]:
    """For each size, milliseconds of each question."""
    kept, curve = cache_folder() / "bench-desk", []
    large = Stack(kept, parts=("database",), cache_mb=filling.CACHE_MB)
    with file_lock(kept.with_suffix(".lock")), large as stack:
        for size in sorted(options.growth):
            name = desk.NAME if size == desk.ROWS else f"{desk.NAME}_{size}"
            filled_s = await asyncio.to_thread(filling.fill, stack.addresses.mongo, name, rows=size)
            database = mongo.connect(stack.addresses.mongo, database=name)
            curve.append({"tickets": size, "filled_s": filled_s, "asked": await _asked(database, size)})
    return {"times": ASKED, "page": PAGE, "curve": curve}


async def _asked(database: mongo.Database, size: int) -> dict[str, dict[str, float]]:
    """Median and p95 of each question, in milliseconds."""
    figures = {}
    for name, ask in _questions(database, size).items():
        rng, taken = random.Random(name), list[float]()
        for _ in range(WARM_UP + ASKED):
            began = time.perf_counter()
            await ask(rng)
            taken.append(1000 * (time.perf_counter() - began))
        measured = taken[WARM_UP:]
        figures[name] = {"p50_ms": median(measured), "p95_ms": quantile(measured, 0.95)}
    return figures


def _questions(database: mongo.Database, size: int) -> dict[str, Ask]:
    rows, events = RowStore(database), EventStore(database)

    def page(fields: Callable[[random.Random], dict[str, Any]]) -> Ask:
        async def ask(rng: random.Random) -> None:
            asked = Filters.model_validate(fields(rng))
            found = await rows.page(reading(asked, scope=EVERYTHING, me="p0", now=datetime.now(UTC)), size=PAGE)
            assert found.rows or not asked.q, "a parcel that is there was not found"

        return ask

    async def ticket(rng: random.Random) -> None:
        n = rng.randrange(size)
        kept = await rows.by_number(filling.number(n))
        assert kept is not None
        assert await events.load([kept.row.id])

    return {
        "all, by time left": page(lambda _: {}),
        "a department's": page(lambda rng: {"department": [f"D{rng.randrange(filling.DEPARTMENTS):02d}"]}),
        "a person's": page(lambda rng: {"person": [f"p{rng.randrange(filling.PEOPLE)}"]}),
        "an outlet's": page(lambda rng: {"unit": [f"HUB-{rng.randrange(filling.UNITS):04d}"]}),
        "an outlet's, settled too": page(
            lambda rng: {"unit": [f"HUB-{rng.randrange(filling.UNITS):04d}"], "standing": Standing.ANY}
        ),
        "the gravest, by age": page(lambda _: {"severity": [4], "sort": "received"}),
        "of one matter, by severity": page(lambda _: {"category": ["damage"], "sort": "severity"}),
        "what changed last": page(lambda _: {"standing": Standing.ANY, "sort": "updated"}),
        "by waybill": page(lambda rng: {"q": filling.waybill(rng.randrange(size))}),
        "a ticket with its events": ticket,
    }
