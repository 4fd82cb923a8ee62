"""The whole chain: complaints in over HTTP, tickets, clocks and SMS out, everything on this machine."""

import asyncio
import itertools
import math
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import orjson
import psutil

from deploy.local import running
from deploy.local.run_file import read_run
from schemas.topics import TOPICS
from services.cli.topic_reading import lag, read_to_end
from services.runtime.settings import RuntimeSettings

STARTS_ITSELF = True
AIM_PER_S = 500
FLOOD_S = 16
STEADY_S = 120
STEADY_SHARE = 0.8
"""Of what the flood showed that the chain holds: below it, nothing may pile up."""
HALF_S = 40
STILL_S_MAX = 240
GROUPS = ("amends-router", "amends-sla_monitor", "amends-notifier", "amends-desk")
BATCH = 50
AT_ONCE = 4
"""Batches that an intake works on at once."""
BACKLOG_S = 5.0
TEXTS = (
    "包裹 {waybill} 在分拨中心停了五天不动，客服只说在催，再不到就要误事了。",
    "快件{waybill}显示已签收，可我根本没收到，电话也打不通，请查清楚是谁签的。",
    "收到的时候外箱湿透，里面的东西全受潮了，单号{waybill}，要求赔偿。",
    "The tracking of {waybill} says delivered and signed, but nobody was home and nothing is here.",
)

Complaint = dict[str, Any]


async def run(folder: Path) -> dict[str, Any]:
    """A flood, for what the chain holds; two minutes close to that, for the backlog; half of it, for accept to SMS.

    What is held counts from the first complaint until the last confirmation is handed to the SMS gateway and nothing
    waits anywhere: a confirmation does not wait long for an SLA monitor that is behind.
    """
    running.up(folder, workers={}, detached=False, say=lambda _line: None)
    try:
        where = read_run(folder) or {}
        began = time.monotonic()
        fed = await load(where, complaints(range(AIM_PER_S * FLOOD_S)), per_s=AIM_PER_S)
        await until_done(where, fed)
        held_per_s = min(fed / (time.monotonic() - began), float(AIM_PER_S))
        steady_per_s = held_per_s * (1.0 if held_per_s >= AIM_PER_S else STEADY_SHARE)
        began = time.monotonic()
        steady = await load(where, complaints(_numbers(10, steady_per_s * STEADY_S)), per_s=steady_per_s)
        took_s = time.monotonic() - began
        await asyncio.sleep(BACKLOG_S)
        waiting = await _lag(where)
        await until_done(where, fed + steady)
        since = datetime.now(UTC)
        half = await load(where, complaints(_numbers(20, held_per_s / 2 * HALF_S)), per_s=held_per_s / 2)
        await until_done(where, fed + steady + half)
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


def _numbers(millions: int, count: float) -> range:
    return range(millions * 1_000_000, millions * 1_000_000 + int(count))


async def load(where: dict[str, Any], made: Iterable[Complaint], *, per_s: float) -> int:
    """Post them in batches at a steady pace; how many were accepted.

    A batch that is late is not waited for by the next. One that is refused for want of room is sent again.
    """
    url, turn, began = f"{where['http']['intake']}/v1/complaints/batch", asyncio.Semaphore(AT_ONCE), time.monotonic()
    async with httpx.AsyncClient(timeout=120, trust_env=False) as client:

        async def post(lines: list[Complaint], due: float) -> int:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            body = b"\n".join(map(orjson.dumps, lines))
            headers = {"Content-Type": "application/x-ndjson", "Idempotency-Key": f"bench-{uuid4()}"}
            async with turn:
                while True:
                    answer = await client.post(url, content=body, headers=headers)
                    if answer.status_code not in (429, 503):
                        return answer.text.count('"complaint_id"')
                    await asyncio.sleep(float(answer.headers.get("Retry-After", 1)))

        rest = iter(made)
        batches = iter(lambda: list(itertools.islice(rest, BATCH)), [])
        posts = [post(lines, began + n * BATCH / per_s) for n, lines in enumerate(batches)]
        return sum(await asyncio.gather(*posts))


def complaints(numbers: Iterable[int]) -> Iterator[Complaint]:
    """One of each number: its person, parcel and text."""
    return (complaint(TEXTS[n % len(TEXTS)], waybill=f"SF{n:013d}", phone=f"+86135{n:08d}") for n in numbers)


def complaint(text: str, *, waybill: str, phone: str) -> Complaint:
    """One from the web; the text names the parcel where it says `{waybill}`."""
    return {
        "channel": "web",
        "complainant": {"phone": phone},
        "waybills": [waybill],
        "description": text.format(waybill=waybill),
    }


async def until_done(where: dict[str, Any], count: int) -> None:
    """Wait until so many confirmations are handed over and no message waits for any service.

    Raises:
        TimeoutError: for `STILL_S_MAX` nothing became less.
    """
    await until_sent(where, count)
    await _while_it_moves(lambda: _lag(where), what="messages still wait", every_s=0.2)


async def _lag(where: dict[str, Any]) -> int:
    return await lag(RuntimeSettings(kafka=where["kafka"]), GROUPS)


async def until_sent(where: dict[str, Any], count: int) -> None:
    """Wait until so many confirmations are handed over, asking the gateway, which costs the chain the least.

    Raises:
        TimeoutError: for `STILL_S_MAX` none was.
    """
    async with httpx.AsyncClient(timeout=60) as client:

        async def missing() -> int:
            return count - int((await client.get(f"{where['sandbox']}/messages/count")).json()["sms"])

        await _while_it_moves(missing, what="confirmations are not handed over", every_s=0.1)


async def _while_it_moves(missing: Callable[[], Awaitable[int]], *, what: str, every_s: float) -> None:
    least, until = math.inf, time.monotonic() + STILL_S_MAX
    while (count := await missing()) > 0:
        now = time.monotonic()
        if count < least:
            least, until = count, now + STILL_S_MAX
        if now > until:
            raise TimeoutError(f"{count} {what}, and for {STILL_S_MAX} s they did not become fewer")
        await asyncio.sleep(every_s)


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
    return await _summed(where, "amends_consumed_backlog")


async def handled(where: dict[str, Any]) -> dict[str, float]:
    """Messages handled since its start, by process."""
    return await _summed(where, "amends_consumed_total")


async def _summed(where: dict[str, Any], metric: str) -> dict[str, float]:
    async with httpx.AsyncClient(timeout=10, trust_env=False) as client:
        pages = {name: (await client.get(url)).text for name, url in where["metrics"].items()}
    return {
        name: sum(float(line.rsplit(" ", 1)[1]) for line in page.splitlines() if line.startswith(f"{metric}{{"))
        for name, page in pages.items()
    }


async def _read(where: dict[str, Any], topic: str) -> Any:
    async for record in read_to_end(RuntimeSettings(kafka=where["kafka"]), [TOPICS[topic].name]):
        if record.payload is not None:
            yield record


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
