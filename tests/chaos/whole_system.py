"""The whole of Amends in a folder, a feed that never gives up, and faults that are injected and healed."""

import asyncio
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import yaml

from deploy.local import running
from deploy.local.part import PartUnavailableError
from deploy.local.run_file import read_run
from services.cli.audit import Difference, Snapshot, differences, lateness_s, settled
from services.cli.verify import take_snapshot

TEXTS = yaml.safe_load((Path(__file__).parents[2] / "services" / "cli" / "demo_texts.yaml").read_text())
READY_S_MAX = 120.0


@dataclass
class System:
    """A running Amends, and what was done to it."""

    folder: Path
    outages: list[tuple[datetime, datetime]] = field(default_factory=list)
    """From when to when Kafka or the database was away, so that no deadline could be told."""
    kills: list[tuple[str, str]] = field(default_factory=list)
    """(time, process), in order."""

    @property
    def run(self) -> dict[str, Any]:
        """`run.json` of now."""
        return read_run(self.folder) or {}

    def pid(self, name: str) -> int:
        """Process id of now; 0 while it is being started again."""
        return next((line.pid for line in running.status(self.folder) if line.name == name), 0)

    def names(self) -> list[str]:
        """Every process."""
        return [line.name for line in running.status(self.folder)]

    async def kill(self, name: str) -> None:
        """`kill -9`, then wait until the supervisor has it ready again."""
        pid = await asyncio.to_thread(self.pid, name)
        if not pid:
            return
        since = datetime.now(UTC)
        os.kill(pid, signal.SIGKILL)
        self.kills.append((since.isoformat(), name))
        await self.ready(name, other_than=pid)
        if name.startswith(("kafka", "database")):
            # Clients notice and come back within their own back-off.
            await self.ready(*self.names())
            self.outages.append((since, datetime.now(UTC)))

    async def ready(self, *names: str, other_than: int = 0) -> None:
        """Wait until these processes are ready, and are not the one that was killed."""
        until = time.monotonic() + READY_S_MAX
        while True:
            lines = {line.name: line for line in await asyncio.to_thread(running.status, self.folder)}
            if all(name in lines and lines[name].ready and lines[name].pid != other_than for name in names):
                return
            assert time.monotonic() < until, f"not ready after {READY_S_MAX} s: {[lines.get(n) for n in names]}"
            await asyncio.sleep(0.2)

    def late(self, snapshot: Snapshot, *, than_s: float) -> list[str]:
        """Breaches that were told later than this although something could have told them, each as a sentence."""
        return [
            f"{fact['clock']} of {fact['ticket_id']}, due {fact['breached_at']}, was told {late_s:.2f} s late"
            for fact in snapshot.facts.values()
            if fact["type"] == "breached"
            and (late_s := lateness_s(fact, snapshot)) > than_s
            and not self._was_out(fact)
        ]

    def _was_out(self, fact: dict[str, Any]) -> bool:
        due, told = (datetime.fromisoformat(fact[name]) for name in ("breached_at", "detected_at"))
        return any(due <= end and told >= start for start, end in self.outages)


@contextmanager
def whole_system(folder: Path, *, workers: dict[str, int]) -> Iterator[System]:
    """Start everything with the policy of short limits, and stop it whatever happens."""
    try:
        running.up(folder, workers=workers, policy="demo", brokers=1, detached=False, say=lambda _line: None)
    except PartUnavailableError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error))
        pytest.skip(str(error))
    try:
        yield System(folder)
    finally:
        running.down(folder)
        left = [p for p in psutil.process_iter(["cmdline"]) if str(folder) in " ".join(p.info["cmdline"] or ())]
        assert not left, f"still running: {left}"


def complaints(count: int, *, seed: int) -> list[dict[str, Any]]:
    """Invented complaints with waybills and phones of their own; one in ten is said again by another channel."""
    rng = random.Random(seed)
    made: list[dict[str, Any]] = []
    for n in range(count):
        if made and n % 10 == 9:
            made.append({**rng.choice(made), "channel": "phone", "key": f"k{seed}-{n}"})
            continue
        text = rng.choice(TEXTS)
        waybill = f"SF{seed:04d}{n:09d}"
        made.append(
            {
                "key": f"k{seed}-{n}",
                "channel": "web",
                "complainant": {"phone": f"+86136{seed % 1000:03d}{n:05d}"},
                "waybills": [waybill],
                "description": text["text"].format(waybill=waybill),
            }
        )
    return made


async def feed(system: System, made: list[dict[str, Any]], *, per_s: float) -> dict[str, str]:
    """Post each until it is answered with 202, as a careful client does; complaint ids by key."""
    accepted: dict[str, str] = {}
    async with httpx.AsyncClient(timeout=10) as client:

        async def post(complaint: dict[str, Any], due: float) -> None:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            body = {name: value for name, value in complaint.items() if name != "key"}
            while True:
                try:
                    answer = await client.post(
                        f"{system.run['http']['intake']}/v1/complaints",
                        json=body,
                        headers={"Idempotency-Key": complaint["key"]},
                    )
                except httpx.HTTPError:
                    await asyncio.sleep(0.2)
                    continue
                if answer.status_code == 202:
                    accepted[complaint["key"]] = answer.json()["complaint_id"]
                    return
                assert answer.status_code in (429, 503), answer.text
                await asyncio.sleep(min(float(answer.headers.get("Retry-After", 1)), 1.0))

        start = time.monotonic()
        await asyncio.gather(*(post(c, start + n / per_s) for n, c in enumerate(made)))
    return accepted


async def settle(system: System, *, seconds: float) -> tuple[Snapshot, list[Difference]]:
    """Look until nothing is under way, or the time is over."""
    until = time.monotonic() + seconds
    while True:
        async with asyncio.timeout(60):
            snapshot = await take_snapshot(system.run)
        found = differences(snapshot)
        if settled(found) or time.monotonic() > until:
            return snapshot, found
        await asyncio.sleep(1)


async def faults(system: System, schedule: list[Callable[[], Any]], *, pause_s: float) -> None:
    """One fault after the other, each healed before the next."""
    for fault in schedule:
        await asyncio.sleep(pause_s)
        await fault()
