"""The router: one process works through complaints that wait on the topic, classification included."""

import asyncio
import itertools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import httpx
import psutil
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from deploy.local.ports import free_ports
from deploy.local.stack import Addresses
from schemas.codes import Channel, Language, Source
from schemas.complaint import ComplaintSubmitted, Contact, Wording
from schemas.sealed import ContactIndex, MaskedContact
from schemas.topics import COMPLAINT_SUBMITTED
from services.runtime.metrics import ProducingMetrics
from services.runtime.producing import Outgoing, Producer
from services.runtime.sealing import Keyring
from services.runtime.settings import RuntimeSettings

COMPLAINTS: Final = 20_000
WARM_UP: Final = 3_000
"""Not counted: connections, caches, and the capacity of people, which is full after the first hundreds."""
SECONDS_MAX: Final = 240
TEXTS: Final = (
    "包裹在分拨中心停了五天不动，客服每次都说在催，电话打了六次没有结果，再不到就要误事了，请尽快安排派送。",
    "快件显示已经签收，可是我根本没有收到，门卫和邻居都没有见过，请查清楚是谁签的，东西在哪里。",
    "收到时外箱已经湿透，里面的茶具碎了三只，保价两千元，只肯赔运费，我不接受，要求按保价赔偿。",
    "The tracking says delivered and signed, but nobody was home and nothing is here. I want to know who signed.",
)


async def run(addresses: Addresses) -> dict[str, Any]:
    """Complaints a second, and what one costs."""
    with tempfile.TemporaryDirectory(prefix="amends-bench-router-") as folder:
        keyring = Path(folder) / "keyring.json"
        (port,) = free_ports(1)
        environment = {
            **os.environ,
            **addresses.environment(),
            "AMENDS_KEYRING": str(keyring),
            "AMENDS_HTTP_PORT": str(port),
            "AMENDS_LOG_LEVEL": "warning",
        }
        await asyncio.to_thread(
            subprocess.run, [sys.executable, "-m", "services.runtime.topics"], env=environment, check=True
        )
        await preload(RuntimeSettings(kafka=addresses.kafka), complaints(Keyring.create(keyring), range(COMPLAINTS)))
        service = await asyncio.create_subprocess_exec(sys.executable, "-m", "services.router", env=environment)
        try:
            return await _measure(port, service.pid)
        finally:
            service.terminate()
            await service.wait()


def complaints(keyring: Keyring, numbers: Iterable[int], *, first: int = 0) -> Iterator[ComplaintSubmitted]:
    """One of each number: its person, parcel and text. A number that comes again is said again.

    Their ids are counted from `first`: who makes some after others begins where those ended.
    """
    for n, number in enumerate(numbers, first):
        complaint_id = keyring.complaint_id("web", f"bench-{n}")
        phone, text, now = f"+86139{number:08d}", TEXTS[number % len(TEXTS)], datetime.now(UTC)
        yield ComplaintSubmitted(
            routing_key=str(complaint_id),
            complaint_id=complaint_id,
            channel=Channel.WEB,
            source=Source.EXTERNAL,
            language=Language.ZH,
            received_at=now,
            submitted_at=now,
            contact=keyring.seal(Contact(name="测试", phone=phone).seal_bytes(), about=complaint_id),
            masked=MaskedContact(phone=f"139****{phone[-4:]}"),
            contact_index=ContactIndex(phone=keyring.blind("phone", phone)),
            wording=keyring.seal(Wording(description=text).seal_bytes(), about=complaint_id),
            text_fingerprint=keyring.fingerprint(text),
            waybills=(f"YT{number:013d}",),
        )


async def preload(settings: RuntimeSettings, made: Iterator[ComplaintSubmitted]) -> None:
    """Have them in the topic before anybody reads it."""
    producer = Producer(settings, ProducingMetrics(CollectorRegistry()))
    await producer.start()
    while some := [Outgoing(COMPLAINT_SUBMITTED, complaint) for complaint in itertools.islice(made, 1_000)]:
        await producer.publish(some)
    await producer.stop()


async def _measure(port: int, pid: int) -> dict[str, Any]:
    process = psutil.Process(pid)
    async with asyncio.timeout(SECONDS_MAX):
        first, begun_at, begun_cpu_s = await wait_for(port, WARM_UP, process)
        last, ended_at, ended_cpu_s = await wait_for(port, COMPLAINTS, process)
    handled = last - first
    return {
        "complaints_per_s": handled / (ended_at - begun_at),
        "cpu_us_per_complaint": (ended_cpu_s - begun_cpu_s) / handled * 1e6,
        "complaints_per_cpu_s": handled / (ended_cpu_s - begun_cpu_s),
        "memory_mb": process.memory_info().rss / 1e6,
    }


async def wait_for(port: int, count: int, process: psutil.Process) -> tuple[float, float, float]:
    """When so many complaints are handled: how many, the time, the processor time used."""
    async with httpx.AsyncClient() as client:
        while True:
            await asyncio.sleep(0.1)
            try:
                page = (await client.get(f"http://127.0.0.1:{port}/metrics", timeout=10)).text
            except httpx.TransportError:
                continue
            handled = _handled(page)
            if handled >= count:
                used = process.cpu_times()
                return handled, time.perf_counter(), used.user + used.system


def _handled(page: str) -> float:
    return sum(
        sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
        if sample.name == "amends_consumed_total" and sample.labels.get("topic") == COMPLAINT_SUBMITTED.name
    )
