"""What one complaint costs: processor, database, disk, wire."""

import asyncio
import time
from pathlib import Path
from typing import Any

import psutil
from pymongo import MongoClient

from schemas.topics import TOPICS
from tests.scale.figures import per_unit
from tests.scale.load import complaints
from tests.scale.model import Costs
from tests.scale.options import Options
from tests.scale.system import System, whole_system

REST_S = 30
WARM_UP_S = 10
COUNTED = ("insert", "query", "update", "delete", "getmore", "command")
"""By the database itself: updates and deletes by statement. SecantusDB counts an insert of many documents as one."""
OPERATIONS = ("documents kept", "query", "update", "delete", "getmore")
"""What the model counts: every document that was written and is kept, and what was done beside."""


async def run(options: Options) -> dict[str, Any]:
    """A steady run at half of what holds; what the same processes need a second with nothing to do is taken off."""
    with whole_system() as system:
        made = complaints()
        warmed = await system.client.pour(made, per_s=options.rate / 2, seconds=WARM_UP_S)
        await system.drained()
        rested_at, rested = time.monotonic(), _counters(system)
        await asyncio.sleep(REST_S)
        began, before = time.monotonic(), _counters(system)
        poured = await system.client.pour(made, per_s=options.rate / 2, seconds=2 * options.complaints / options.rate)
        await system.drained()
        after, ended = _counters(system), time.monotonic()
        audited = await system.audit(warmed.accepted | poured.accepted)
    if system.ended:
        raise RuntimeError(f"{', '.join(system.ended)} ended and was started again: its costs are not known")
    count = len(poured.accepted)
    refused = len(poured.answers) - count + poured.unsent
    at_rest, each = per_unit((rested, before, began - rested_at), (before, after, ended - began), count)
    return {
        "complaints": count,
        "not_accepted": refused,
        "per_s": options.rate / 2,
        "at_rest": at_rest,
        "each": each,
        "audit": audited,
    }


def costs(figures: dict[str, Any]) -> Costs:
    """What the model takes of the figures."""
    each: dict[str, float] = figures["each"]
    cpu_ms = {name.removeprefix("cpu_ms "): ms for name, ms in each.items() if name.startswith("cpu_ms ")}
    parts = {name for name in cpu_ms if name.partition("-")[0] in ("kafka", "database", "redis", "sandbox")}
    return Costs(
        service_cpu_ms={name: ms for name, ms in cpu_ms.items() if name not in parts},
        parts_cpu_ms=sum(cpu_ms[name] for name in parts),
        database_operations=sum(n for name, n in each.items() if name in {f"database {o}" for o in OPERATIONS}),
        record_bytes=sum(n for name, n in each.items() if name.startswith("record_bytes ")),
    )


def _counters(system: System) -> dict[str, float]:
    with MongoClient[dict[str, Any]](system.where["mongo"]) as client:
        status = client.admin.command("serverStatus")
        kept = client["amends"].command("dbStats")["objects"]
    found = {f"database {name}": float(status["opcounters"][name]) for name in COUNTED}
    found["database documents kept"] = float(kept)
    found["wire_bytes database in"] = float(status["network"]["bytesIn"])
    found["wire_bytes database out"] = float(status["network"]["bytesOut"])
    found["wire_bytes loopback, everything"] = float(psutil.net_io_counters(pernic=True)["lo"].bytes_sent)
    found |= {f"cpu_ms {name}": ms for name, ms in system.look(_cpu_ms).items()}
    for topic in TOPICS:
        found[f"record_bytes {topic}"] = float(
            sum(f.stat().st_size for f in system.folder.glob(f"kafka/**/{topic}-[0-9]*/*.log"))
        )
    for part in ("kafka", "database"):
        found[f"disk_bytes {part}"] = float(_disk_bytes(system.folder / part))
    return found


def _cpu_ms(process: psutil.Process) -> float:
    used = process.cpu_times()
    return (used.user + used.system) * 1000


def _disk_bytes(folder: Path) -> int:
    """What it really occupies: files that are reserved and empty have holes."""
    total = 0
    for file in folder.rglob("*"):
        try:
            total += file.stat().st_blocks * 512
        except FileNotFoundError:
            continue  # rolled away meanwhile
    return total
