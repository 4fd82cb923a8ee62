"""The intake over HTTP: single complaints with and without a key, and batches, against one process.

The load is raw bytes over kept-alive connections, prepared beforehand, since a real HTTP client would cost more than
the service that is measured.
"""

import asyncio
import itertools
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast
from uuid import uuid4

import httpx
import orjson
import psutil
import uvloop

from deploy.local.ports import free_ports
from deploy.local.stack import Addresses
from services.runtime.sealing import Keyring

CONNECTIONS: Final = 64
WARM_UP: Final = 1_000
COMPLAINTS: Final = 15_000
BATCH_LINES: Final = 50_000
PIECE: Final = 65_536
TEXTS: Final = (
    "包裹在分拨中心停了五天不动，客服每次都说在催，电话打了六次没有结果，再不到就要误事了，请尽快安排派送。",
    "快件显示已经签收，可是我根本没有收到，门卫和邻居都没有见过，请查清楚是谁签的，东西在哪里。",
    "The tracking says delivered and signed, but nobody was home and nothing is here. Who signed for it?",
)
_LENGTH: Final = re.compile(rb"content-length: (\d+)")


async def run(addresses: Addresses) -> dict[str, Any]:
    """Complaints and lines a second, and how long one takes."""
    with tempfile.TemporaryDirectory(prefix="amends-bench-intake-") as folder:
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
        await asyncio.to_thread(
            subprocess.run, [sys.executable, "-m", "services.runtime.topics"], env=environment, check=True
        )
        service = await asyncio.create_subprocess_exec(sys.executable, "-m", "services.intake", env=environment)
        try:
            await _ready(port)
            return await asyncio.to_thread(lambda: uvloop.run(_measure(port, service.pid)))
        finally:
            service.terminate()
            await service.wait()


async def _measure(port: int, pid: int) -> dict[str, Any]:
    numbers = itertools.count(1)
    await _load(port, _requests(numbers, count=WARM_UP, keyed=False))
    process = psutil.Process(pid)
    cpu = process.cpu_times()
    plain = await _load(port, _requests(numbers, count=COMPLAINTS, keyed=False))
    cpu_s = process.cpu_times().user + process.cpu_times().system - cpu.user - cpu.system
    keyed = await _load(port, _requests(numbers, count=COMPLAINTS, keyed=True))
    lines_s, accepted = await _batch(port, numbers)
    return {
        "complaints_per_s": plain.per_s,
        "complaint_p50_ms": plain.percentile_ms(0.50),
        "complaint_p99_ms": plain.percentile_ms(0.99),
        "cpu_us_per_complaint": cpu_s / COMPLAINTS * 1e6,
        "keyed_complaints_per_s": keyed.per_s,
        "keyed_complaint_p50_ms": keyed.percentile_ms(0.50),
        "keyed_complaint_p99_ms": keyed.percentile_ms(0.99),
        "answers_by_status": ", ".join(f"{n} x {status}" for status, n in (plain.statuses + keyed.statuses).items()),
        "batch_lines_per_s": accepted / lines_s,
        "batch_lines_refused": BATCH_LINES - accepted,
        "memory_mb": process.memory_info().rss / 1e6,
    }


@dataclass
class Load:
    """What came of some requests."""

    seconds: float = 0.0
    statuses: Counter[str] = field(default_factory=Counter)
    """Answers by HTTP status."""
    took_s: list[float] = field(default_factory=list)

    @property
    def per_s(self) -> float:
        """Complaints accepted a second; what was refused does not count."""
        return self.statuses["202"] / self.seconds

    def percentile_ms(self, share: float) -> float:
        """From request to answer."""
        return sorted(self.took_s)[int(len(self.took_s) * share)] * 1000


class _Connection(asyncio.Protocol):
    """Sends the next request when the answer to the last is there."""

    def __init__(self, requests: Iterator[bytes], load: Load, finished: asyncio.Future[None]) -> None:
        self._requests = requests
        self._load = load
        self._finished = finished
        self._rest = b""
        self._sent_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance
        self._next()

    def data_received(self, data: bytes) -> None:
        """Count an answer when all of it is there."""
        self._rest += data
        end = self._rest.find(b"\r\n\r\n")
        length = _LENGTH.search(self._rest, 0, end) if end > 0 else None
        if length is None or len(self._rest) < end + 4 + int(length.group(1)):
            return
        self._load.took_s.append(time.perf_counter() - self._sent_at)
        self._load.statuses[self._rest[9:12].decode()] += 1
        self._rest = b""
        self._next()

    def connection_lost(self, error: Exception | None) -> None:
        """End, early or not."""
        if not self._finished.done():
            self._finished.set_exception(error or ConnectionResetError("the intake closed the connection"))

    def _next(self) -> None:
        request = next(self._requests, None)
        if request is None:
            self._finished.set_result(None)
            self._transport.close()
            return
        self._sent_at = time.perf_counter()
        self._transport.write(request)


async def _load(port: int, requests: list[bytes]) -> Load:
    load = Load()
    shared = iter(requests)
    loop = asyncio.get_running_loop()
    finished = [loop.create_future() for _ in range(CONNECTIONS)]
    started_at = time.perf_counter()
    for one in finished:
        await loop.create_connection(lambda one=one: _Connection(shared, load, one), "127.0.0.1", port)  # type: ignore[misc]
    await asyncio.gather(*finished)
    load.seconds = time.perf_counter() - started_at
    return load


async def _batch(port: int, numbers: Iterator[int]) -> tuple[float, int]:
    body = b"".join(orjson.dumps(_complaint(next(numbers))) + b"\n" for _ in range(BATCH_LINES))

    async def pieces() -> Any:
        for start in range(0, len(body), PIECE):
            yield body[start : start + PIECE]

    async with httpx.AsyncClient(timeout=120) as client:
        started_at = time.perf_counter()
        answer = await client.post(
            f"http://127.0.0.1:{port}/v1/complaints/batch",
            content=pieces(),
            headers={"Content-Type": "application/x-ndjson", "Idempotency-Key": f"bench-{uuid4()}"},
        )
        return time.perf_counter() - started_at, answer.text.count('"accepted"')


def _requests(numbers: Iterator[int], *, count: int, keyed: bool) -> list[bytes]:
    return [_request(next(numbers), keyed=keyed) for _ in range(count)]


def _request(number: int, *, keyed: bool) -> bytes:
    body = orjson.dumps(_complaint(number))
    key = f"Idempotency-Key: bench-{number}\r\n" if keyed else ""
    head = (
        "POST /v1/complaints HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"{key}Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _complaint(number: int) -> dict[str, Any]:
    return {
        "channel": "web",
        "complainant": {"name": "测试", "phone": f"139{number:08d}"},
        "waybills": [f"YT{number:013d}"],
        "description": TEXTS[number % len(TEXTS)],
    }


async def _ready(port: int, *, seconds_max: float = 60.0) -> None:
    async with httpx.AsyncClient() as client, asyncio.timeout(seconds_max):
        while True:
            try:
                if (await client.get(f"http://127.0.0.1:{port}/readyz")).is_success:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.1)
