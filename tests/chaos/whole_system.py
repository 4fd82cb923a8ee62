"""The whole of Amends in a folder, what stands around it, and a client that never gives up."""

import asyncio
import itertools
import os
import random
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import yaml

from deploy.local import running
from deploy.local.part import PartUnavailableError
from deploy.local.run_file import read_run
from deploy.local.supervision import Supervisor
from services.cli.audit import Difference, Snapshot
from services.cli.bench import chain
from services.cli.verify import until_settled
from tests.chaos.surroundings import Clocks, Connections, Disks

TEXTS = yaml.safe_load((Path(__file__).parents[2] / "services" / "cli" / "demo_texts.yaml").read_text())
READY_S_MAX = 300.0
SNAPSHOT_S_MAX = 120.0
POSTS_MAX = 50
"""Under way at a time: a client that posts ever more while nothing answers spends its time on its own queue."""


class System:
    """A running Amends and what stands around it."""

    def __init__(self, folder: Path, *, brokers: int = 1, names: Sequence[str] = ()) -> None:
        self.folder = folder
        self.supervisor = Supervisor(folder)
        self.connections = Connections(folder, brokers=brokers)
        self.clocks = Clocks(folder / "clock", list(names))
        self.disks = Disks(folder, [*self.connections.fronts, "redis"])

    @property
    def run(self) -> dict[str, Any]:
        """`run.json` of now."""
        return read_run(self.folder) or {}

    @property
    def intakes(self) -> list[str]:
        """Addresses of the intakes."""
        return [url for name, url in self.run["http"].items() if name.startswith("intake")]

    def pids(self) -> dict[str, int]:
        """Process ids of what runs now, by name."""
        return self.supervisor.pids()

    def processes(self, kind: str) -> list[str]:
        """Names of the processes of a part or service, e.g. `kafka`."""
        return sorted(name for name in self.pids() if name.partition("-")[0] == kind)

    async def signal(self, name: str, number: signal.Signals) -> None:
        """Send it to a process, if it runs just now."""
        if pid := (await asyncio.to_thread(self.pids)).get(name):
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    async def ready(self) -> None:
        """Wait until every service says that it is ready, which takes Kafka and the database, and parts listen."""
        until = time.monotonic() + READY_S_MAX
        async with httpx.AsyncClient(timeout=5) as client:
            while waited_for := await self._not_ready(client):
                assert time.monotonic() < until, f"not ready after {READY_S_MAX} s: {waited_for}"
                await asyncio.sleep(0.2)

    async def _not_ready(self, client: httpx.AsyncClient) -> list[str]:
        waited_for = []
        for name, port in self.connections.backs.items():
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                waited_for.append(name)
            else:
                writer.close()
        for name, url in self.run["http"].items():
            try:
                (await client.get(f"{url}/readyz")).raise_for_status()
            except httpx.HTTPError:
                waited_for.append(name)
        return waited_for


@contextmanager
def whole_system(
    folder: Path, *, workers: dict[str, int], brokers: int = 1, breakable: bool = False
) -> Iterator[System]:
    """Start everything with the policy of short limits, and stop it whatever happens.

    With `breakable`, connections go through a proxy, and disks and clocks of single processes can be made to fail.
    """
    # One of each service is enough, and each look at a clock that can be set costs several times as much.
    names = list(workers) if breakable else []
    system = System(folder, brokers=brokers, names=names)
    with ExitStack() as around:
        if breakable:
            around.enter_context(system.connections.running())
            if Disks.is_there():
                around.enter_context(system.disks.mounted())
        try:
            running.up(
                folder, workers=workers, policy="demo", brokers=brokers, detached=False, say=lambda _line: None,
                fronts=system.connections.fronts if breakable else None, variables=system.clocks.variables,
            )  # fmt: skip
        except PartUnavailableError as error:
            if os.environ.get("CI") == "true":
                pytest.fail(str(error))
            pytest.skip(str(error))
        try:
            yield system
        finally:
            running.down(folder)
            left = [p for p in psutil.process_iter(["cmdline"]) if f"{folder}/" in " ".join(p.info["cmdline"] or ())]
            assert not left, f"still running: {left}"


def complaints(count: int, *, seed: int) -> list[dict[str, Any]]:
    """Invented complaints with waybills and phones of their own; one in ten is said again by another channel."""
    rng = random.Random(seed)
    made: list[dict[str, Any]] = []
    for n in range(count):
        if made and n % 10 == 9:
            made.append({**rng.choice(made), "channel": "phone", "key": f"k{seed}-{n}"})
            continue
        made.append(invented(n, seed=seed, rng=rng))
    return made


def invented(n: int, *, seed: int, rng: random.Random) -> dict[str, Any]:
    """A complaint with a waybill and a phone of its own."""
    text, waybill = rng.choice(TEXTS), f"SF{seed % 10_000:04d}{n:09d}"
    phone = f"+86136{seed % 1000:03d}{n:05d}"
    return {"key": f"k{seed}-{n}", **chain.complaint(text["text"], waybill=waybill, phone=phone)}


async def post(system: System, client: httpx.AsyncClient, complaint: dict[str, Any], *, at: int = 0) -> httpx.Response:
    """Post until it is answered otherwise than with 429 or 503, as a careful client does, at each intake in turn."""
    body = {name: value for name, value in complaint.items() if name != "key"}
    for attempt in itertools.count(at):
        intakes = system.intakes
        url = f"{intakes[attempt % len(intakes)]}/v1/complaints"
        try:
            answer = await client.post(url, json=body, headers={"Idempotency-Key": complaint["key"]})
        except httpx.HTTPError:
            await asyncio.sleep(0.2)
            continue
        if answer.status_code not in (429, 503):
            return answer
        await asyncio.sleep(min(float(answer.headers.get("Retry-After", 1)), 1.0))
    raise AssertionError("counting does not end")


async def feed(system: System, made: list[dict[str, Any]], *, per_s: float) -> dict[str, str]:
    """Post all, each until it is accepted; complaint ids by key."""
    accepted: dict[str, str] = {}
    turn = asyncio.Semaphore(POSTS_MAX)
    async with httpx.AsyncClient(timeout=10) as client:

        async def accept(complaint: dict[str, Any], due: float) -> None:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            async with turn:
                answer = await post(system, client, complaint)
            assert answer.status_code == 202, answer.text
            accepted[complaint["key"]] = answer.json()["complaint_id"]

        start = time.monotonic()
        await asyncio.gather(*(accept(c, start + n / per_s) for n, c in enumerate(made)))
    return accepted


async def settle(system: System, *, seconds: float) -> tuple[Snapshot, list[Difference]]:
    """Look until nothing is under way, or the time is over."""
    async with asyncio.timeout(seconds + SNAPSHOT_S_MAX):
        return await until_settled(system.run, wait_s=seconds, every_s=2)
