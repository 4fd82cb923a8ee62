"""The whole chain: complaints in over HTTP, tickets, clocks and SMS out, everything on this machine."""

import asyncio
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import orjson
import psutil

from deploy.local import running
from deploy.local.run_file import read_run
from schemas.topics import TOPICS
from services.cli.topic_reading import read_to_end
from services.runtime.settings import RuntimeSettings

STARTS_ITSELF = True
AIM_PER_S = 500
FLOOD_S = 16
STEADY_S = 120
STEADY_SHARE = 0.8
"""Of what the flood showed that the chain holds: below it, nothing may pile up."""
HALF_S = 40
SENT_S_MAX = 240
BATCH = 50
BACKLOG_S = 5.0
TEXTS = (
    "包裹 {waybill} 在分拨中心停了五天不动，客服只说在催，再不到就要误事了。",
    "快件{waybill}显示已签收，可我根本没收到，电话也打不通，请查清楚是谁签的。",
    "收到的时候外箱湿透，里面的东西全受潮了，单号{waybill}，要求赔偿。",
    "The tracking of {waybill} says delivered and signed, but nobody was home and nothing is here.",
)


async def run(folder: Path) -> dict[str, Any]:
    """A flood, for what the chain holds; two minutes close to that, for the backlog; half of it, for accept to SMS.

    What is held counts from the first complaint to the last confirmation handed to the SMS gateway.
    """
    running.up(folder, workers={}, detached=False, say=lambda _line: None)
    try:
        where = read_run(folder) or {}
        began = time.monotonic()
        fed, _ = await load(where, per_s=AIM_PER_S, seconds=FLOOD_S, start=0)
        await until_sent(where, fed)
        held_per_s = min(fed / (time.monotonic() - began), float(AIM_PER_S))
        steady_per_s = held_per_s * (1.0 if held_per_s >= AIM_PER_S else STEADY_SHARE)
        steady, took_s = await load(where, per_s=steady_per_s, seconds=STEADY_S, start=10_000_000)
        await asyncio.sleep(BACKLOG_S)
        waiting = int(sum((await backlog(where)).values()))
        await until_sent(where, fed + steady)
        since = datetime.now(UTC)
        half, _ = await load(where, per_s=held_per_s / 2, seconds=HALF_S, start=20_000_000)
        await until_sent(where, fed + steady + half)
        waits = await _accept_to_sms_ms(where, since=since)
        memory = {name: psutil.Process(pid).memory_info().rss / 1e6 for name, pid in where["pids"].items()}
    finally:
        running.down(folder)
    return {
        "complaints_per_s": held_per_s,
        "steady_per_s": steady / took_s,
        "backlog_end": waiting,
        "accept_to_sms_p50_ms": waits[len(waits) // 2],
        "accept_to_sms_p99_ms": waits[int(len(waits) * 0.99)],
        "accept_to_sms_max_ms": waits[-1],
        **{f"{name}_mb": mb for name, mb in memory.items()},
    }


async def load(where: dict[str, Any], *, per_s: float, seconds: int, start: int) -> tuple[int, float]:
    """Batches at a steady pace; one that is late is not waited for by the next. Returns (accepted, seconds)."""
    began = time.monotonic()
    async with httpx.AsyncClient(timeout=60) as client:

        async def post(first: int, due: float) -> int:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            body = b"\n".join(orjson.dumps(_complaint(n)) for n in range(first, first + BATCH))
            answer = await client.post(
                f"{where['http']['intake']}/v1/complaints/batch",
                content=body,
                headers={"Content-Type": "application/x-ndjson", "Idempotency-Key": f"bench-{first}"},
            )
            return answer.text.count('"complaint_id"')

        batches = int(per_s * seconds) // BATCH
        accepted = await asyncio.gather(*(post(start + n * BATCH, began + n * BATCH / per_s) for n in range(batches)))
    return sum(accepted), time.monotonic() - began


def _complaint(n: int) -> dict[str, Any]:
    waybill = f"SF{n:013d}"
    return {
        "channel": "web",
        "complainant": {"phone": f"+86135{n:08d}"},
        "waybills": [waybill],
        "description": TEXTS[n % len(TEXTS)].format(waybill=waybill),
    }


async def until_sent(where: dict[str, Any], count: int) -> None:
    """Wait until so many confirmations are handed over, asking the gateway, which costs the chain the least."""
    until = time.monotonic() + SENT_S_MAX
    async with httpx.AsyncClient(timeout=60) as client:
        while time.monotonic() < until:
            if (await client.get(f"{where['sandbox']}/messages/count")).json()["sms"] >= count:
                return
            await asyncio.sleep(0.5)
    raise TimeoutError(f"{count} confirmations were not handed over within {SENT_S_MAX} s")


async def _accept_to_sms_ms(where: dict[str, Any], *, since: datetime) -> list[float]:
    accepted = {
        r.payload["complaint_id"]: _time(r.payload["submitted_at"])
        async for r in _read(where, "complaint-submitted")
        if _time(r.payload["submitted_at"]) >= since
    }
    opened = {
        r.payload["event_id"]: r.payload["complaint_id"]
        async for r in _read(where, "ticket-event")
        if r.type.startswith("amends.ticket.opened") and r.payload["complaint_id"] in accepted
    }
    occasions = {
        r.payload["notification_id"]: r.payload["occasion"]
        async for r in _read(where, "notification-event")
        if r.payload["moment"] == "received"
    }
    async with httpx.AsyncClient(timeout=60) as client:
        messages = (await client.get(f"{where['sandbox']}/messages")).json()
    return sorted(
        (_time(m["received_at"]) - accepted[opened[occasions[m["out_id"]]]]).total_seconds() * 1000
        for m in messages
        if occasions.get(m["out_id"]) in opened
    )


async def backlog(where: dict[str, Any]) -> dict[str, float]:
    """Messages that wait, by process, as each counted them some seconds ago at most."""
    async with httpx.AsyncClient(timeout=10, trust_env=False) as client:
        pages = {name: (await client.get(url)).text for name, url in where["metrics"].items()}
    return {
        name: sum(
            float(line.rsplit(" ", 1)[1]) for line in page.splitlines() if line.startswith("amends_consumed_backlog{")
        )
        for name, page in pages.items()
    }


async def _read(where: dict[str, Any], topic: str) -> Any:
    async for record in read_to_end(RuntimeSettings(kafka=where["kafka"]), [TOPICS[topic].name]):
        if record.payload is not None:
            yield record


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
