"""A hub stops: 50,000 complaints in a minute about five outlets, while others trickle in as ever.

Half of the burst are customers, each about a parcel. The other half are the outlets themselves, who name no parcel: all
of one outlet have one key, and so one partition.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterator
from itertools import count, islice
from typing import Any
from uuid import uuid4

from schemas.topics import COMPLAINT_SUBMITTED, TICKET_EVENT
from services.cli.bench import chain
from services.cli.topic_reading import read_to_end
from services.runtime.settings import RuntimeSettings
from tests.scale.figures import quantile
from tests.scale.load import Complaint, complaints
from tests.scale.options import Options
from tests.scale.system import System, whole_system

OUTLETS = ("NET-1001", "NET-1002", "NET-1003", "NET-1004", "NET-1005")
BURST_S = 60
BEFORE_S = 60
TRICKLE_PER_S = 5
BACKLOG_GONE_MAX = 100
"""Messages that wait at any moment because of the trickle alone."""
PHASES = ("before", "burst", "draining", "after")


async def run(options: Options) -> dict[str, Any]:
    """The trickle's seconds from acceptance to its ticket event, by phase, and how long the burst stays felt."""
    with whole_system() as system:
        is_over = asyncio.Event()
        trickle = asyncio.create_task(system.client.pour(_trickle(is_over), per_s=TRICKLE_PER_S))
        try:
            await asyncio.sleep(BEFORE_S)  # the time before is a part of what is measured
            began = time.time()
            accepted = await chain.load(system.where, islice(_burst(), options.burst), per_s=options.burst / BURST_S)
            poured = time.time()
            await system.drained(backlog_max=BACKLOG_GONE_MAX)
            gone = time.time()
            await asyncio.sleep(BEFORE_S / 2)
        finally:
            is_over.set()
            trickled = await trickle
        await system.drained()
        waits, missing = await _waits(system, trickled.accepted, marks=(began, poured, gone))
        audited = await system.audit(trickled.accepted, uncounted=accepted)
    return {
        "burst_accepted": accepted,
        "burst_posted_s": poured - began,
        "backlog_gone_after_s": gone - poured,
        "trickle_per_s": TRICKLE_PER_S,
        "trickle_refused": sum(answer.status != 202 for answer in trickled.answers),
        "trickle_without_ticket": missing,
        "to_ticket": waits,
        "audit": audited,
    }


def _trickle(is_over: asyncio.Event) -> Iterator[Complaint]:
    for complaint in complaints(places=["NET-1008"]):
        if is_over.is_set():
            return
        yield complaint


def _burst() -> Iterator[Complaint]:
    customers, run = complaints(), uuid4().int % 10**6
    for n in count():
        outlet = OUTLETS[n // 2 % len(OUTLETS)]
        if n % 2:
            yield {**next(customers), "places": [outlet]}
        else:
            said = f"{outlet} 分拨停运，第 {run}-{n} 号包袋没有发出，客户一直在催，请尽快处理。"
            person = {"phone": f"+861380000{outlet[-4:]}"}
            yield {"channel": "web", "complainant": person, "places": [outlet], "description": said}


async def _waits(
    system: System, trickled: set[str], *, marks: tuple[float, float, float]
) -> tuple[dict[str, dict[str, float]], int]:
    """Seconds to the ticket by phase and kind of partition, and how many of the trickle have none."""
    settings = RuntimeSettings(kafka=system.where["kafka"])
    sent: dict[str, tuple[float, int]] = {}
    hot = set()
    async for r in read_to_end(settings, [COMPLAINT_SUBMITTED.name]):
        if r.payload and r.payload["complaint_id"] in trickled:
            sent[r.payload["complaint_id"]] = (r.at.timestamp(), r.partition)
        elif r.payload and r.payload["routing_key"].startswith("c:"):
            hot.add(r.partition)
    took: dict[str, list[float]] = defaultdict(list)
    done = set()
    async for r in read_to_end(settings, [TICKET_EVENT.name]):
        if r.payload and (of := r.payload.get("complaint_id")) in sent and of not in done:
            done.add(of)
            at, partition = sent[of]
            phase = PHASES[sum(at >= mark for mark in marks)]
            took[phase].append(r.at.timestamp() - at)
            took[f"{phase}, partition {'with' if partition in hot else 'without'} an outlet's own"].append(
                r.at.timestamp() - at
            )
    order = sorted(took, key=lambda name: (PHASES.index(name.partition(",")[0]), name))
    return {
        name: {"count": len(took[name]), "p50_s": quantile(took[name], 0.5), "p99_s": quantile(took[name], 0.99)}
        for name in order
    }, len(trickled - done)
