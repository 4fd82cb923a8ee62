"""The faults: each is injected as its context is entered and healed, whatever happens, as it is left.

A context yields an `Injected`: what was hit, and for how many seconds that lasts. Healing does not wait until
all is well again: that is what the run measures.
"""

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

import httpx
import redis.asyncio
import yaml
from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.errors import PyMongoError

from deploy.local import running
from tests.chaos.proxy import Mode
from tests.chaos.surroundings import Clocks, Disks
from tests.chaos.whole_system import System

SERVICES = ("intake", "router", "sla_monitor", "notifier")
SHORT_S, LONG_S = 2.5, 9.0
"""Below every time limit, and above those of the consumer groups (6 s), the intake (5 and 8 s) and leases."""


@dataclass(frozen=True)
class Injected:
    """What was hit."""

    subject: str
    lasts_s: float = 0.0


Context = Callable[[System, random.Random], AbstractAsyncContextManager[Injected]]


@dataclass(frozen=True)
class Fault:
    """A kind of fault."""

    about: str
    inject: Context
    possible: Callable[[], bool] = lambda: True
    """Whether this machine can have it."""


def killed(*kinds: str) -> Context:
    """`kill -9` of one process; the supervisor starts it again."""

    @asynccontextmanager
    async def context(system: System, rng: random.Random) -> AsyncIterator[Injected]:
        name = _one(system, rng, *kinds)
        await system.signal(name, signal.SIGKILL)
        yield Injected(name)

    return context


@asynccontextmanager
async def terminated(system: System, rng: random.Random) -> AsyncIterator[Injected]:
    """SIGTERM to one process of a service, as a restart does it."""
    name = _one(system, rng, *SERVICES)
    await system.signal(name, signal.SIGTERM)
    yield Injected(name)


def paused(*kinds: str, seconds: float) -> Context:
    """SIGSTOP, then SIGCONT: a process that was away without knowing it."""

    @asynccontextmanager
    async def context(system: System, rng: random.Random) -> AsyncIterator[Injected]:
        name = _one(system, rng, *kinds)
        pid = system.pids()[name]
        os.kill(pid, signal.SIGSTOP)
        try:
            yield Injected(name, seconds)
        finally:
            os.kill(pid, signal.SIGCONT)

    return context


def away(kind: str, *, seconds: float, count: int = 1) -> Context:
    """`kill -9`, and it stays away for a while."""

    @asynccontextmanager
    async def context(system: System, rng: random.Random) -> AsyncIterator[Injected]:
        names = rng.sample(system.processes(kind), count)
        try:
            for name in names:
                await system.signal(name, signal.SIGKILL)
                await asyncio.to_thread(system.supervisor.stop_process, name)
            yield Injected(", ".join(names), seconds)
        finally:
            for name in names:
                await asyncio.to_thread(system.supervisor.start_process, name)

    return context


@asynccontextmanager
async def flushed(system: System, _rng: random.Random) -> AsyncIterator[Injected]:
    """Redis forgets everything."""
    client = redis.asyncio.from_url(system.run["redis"])
    await client.flushall()
    await client.aclose()
    yield Injected("redis")


def misbehaving(mode: str, **rule: Any) -> Context:
    """The gateway of SMS behaves so."""

    @asynccontextmanager
    async def context(system: System, _rng: random.Random) -> AsyncIterator[Injected]:
        async with httpx.AsyncClient(base_url=system.run["sandbox"], timeout=10) as gateway:
            try:
                (await gateway.post("/behaviour", json={"channel": "sms", "mode": mode, **rule})).raise_for_status()
                yield Injected("sms", 5)
            finally:
                answer = await gateway.post("/behaviour", json={"channel": "sms", "mode": "accept"})
                answer.raise_for_status()

    return context


def connected_badly(kind: str, mode: Mode, *, seconds: float) -> Context:
    """The connections of everybody to one broker or to the database behave so."""

    @asynccontextmanager
    async def context(system: System, rng: random.Random) -> AsyncIterator[Injected]:
        name = _one(system, rng, kind)
        try:
            await system.connections.rule(name, mode)
            yield Injected(name, seconds)
        finally:
            await system.connections.rule(name, Mode.PASS)

    return context


def full(kind: str) -> Context:
    """The disk of one part has no room left."""

    @asynccontextmanager
    async def context(system: System, rng: random.Random) -> AsyncIterator[Injected]:
        name = _one(system, rng, kind)
        try:
            await asyncio.to_thread(system.disks.fill, name)
            yield Injected(name, 6)
        finally:
            await asyncio.to_thread(system.disks.free, name)

    return context


@asynccontextmanager
async def database_full(system: System, _rng: random.Random) -> AsyncIterator[Injected]:
    """The disk of the database has no room left, nor has what it set apart; then it must be restarted.

    WiredTiger panics: the server lives on and refuses everything, with room again as without.
    """
    with MongoClient[dict[str, Any]](f"mongodb://127.0.0.1:{system.connections.backs['database']}") as client:
        ballast = client["ballast"]["ballast"]
        ballast.insert_one({})
        try:
            await asyncio.to_thread(system.disks.fill, "database")
            await asyncio.to_thread(_insert_until_refused, ballast)
            yield Injected("database", 6)
        finally:
            await asyncio.to_thread(system.disks.free, "database")
            await system.signal("database", signal.SIGKILL)


def _insert_until_refused(ballast: Collection[dict[str, Any]]) -> None:
    try:
        for _ in range(300):
            ballast.insert_one({"ballast": os.urandom(1_000_000)})
    except PyMongoError:
        return
    raise AssertionError("the disk is full, and the database goes on writing")


def clock_off(*, forwards: bool) -> Context:
    """The wall clock of one process of a service jumps, and jumps back."""

    @asynccontextmanager
    async def context(system: System, rng: random.Random) -> AsyncIterator[Injected]:
        name = rng.choice(SERVICES)
        ahead_s = rng.choice([1.5, 5.0, 30.0]) * (1 if forwards else -1)
        try:
            system.clocks.set(name, ahead_s)
            yield Injected(f"{name} by {ahead_s:+} s", 5)
        finally:
            system.clocks.set(name, 0)

    return context


@asynccontextmanager
async def policy_changed(system: System, _rng: random.Random) -> AsyncIterator[Injected]:
    """A new version of the service levels is loaded, and those who work by it are restarted one after the other."""
    policy = yaml.safe_load(await _amends(system, "policy", "show"))
    loaded = json.loads(await _amends(system, "policy", "list", "--json"))["versions"]
    policy["version"] = max(version["version"] for version in loaded) + 1
    policy["effective_from"] = (datetime.now(UTC) + timedelta(seconds=15)).isoformat()
    policy["clocks"]["first_answer"]["rules"][0]["target"] = f"{55 + policy['version'] % 10}s"
    file = system.folder / "policy.yaml"
    file.write_text(yaml.safe_dump(policy, allow_unicode=True))
    await _amends(system, "policy", "load", str(file))
    for name in system.processes("sla_monitor"):
        await system.signal(name, signal.SIGTERM)
        await asyncio.sleep(1)
        await system.ready()
    yield Injected(f"version {policy['version']}")


@asynccontextmanager
async def scaled(system: System, rng: random.Random) -> AsyncIterator[Injected]:
    """A service runs with one process, with four, with two."""
    service = rng.choice(["router", "sla_monitor", "notifier"])
    try:
        for count in (1, 4):
            await asyncio.to_thread(running.scale, system.folder, {service: count}, say=lambda _line: None)
        yield Injected(service, 1)
    finally:
        await asyncio.to_thread(running.scale, system.folder, {service: 2}, say=lambda _line: None)


def _one(system: System, rng: random.Random, *kinds: str) -> str:
    return rng.choice([name for kind in kinds for name in system.processes(kind)])


async def _amends(system: System, *arguments: str) -> str:
    done = await asyncio.to_thread(
        subprocess.run,
        [str(Path(sys.executable).with_name("amends")), *arguments],
        env={**os.environ, "AMENDS_RUN": str(system.folder)},
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


FAULTS: Mapping[str, Fault] = MappingProxyType(
    {
        "kill_intake": Fault("`kill -9` of an intake", killed("intake")),
        "kill_router": Fault("`kill -9` of a router", killed("router")),
        "kill_sla_monitor": Fault("`kill -9` of an SLA monitor", killed("sla_monitor")),
        "kill_notifier": Fault("`kill -9` of a notifier", killed("notifier")),
        "kill_broker": Fault("`kill -9` of a broker", killed("kafka")),
        "kill_database": Fault("`kill -9` of the database", killed("database")),
        "kill_redis": Fault("`kill -9` of Redis", killed("redis")),
        "kill_gateway": Fault("`kill -9` of the gateways", killed("sandbox")),
        "restart_service": Fault("SIGTERM to a process of a service", terminated),
        "pause_service_short": Fault(f"A service stands still for {SHORT_S} s", paused(*SERVICES, seconds=SHORT_S)),
        "pause_service_long": Fault(f"A service stands still for {LONG_S:.0f} s", paused(*SERVICES, seconds=LONG_S)),
        "pause_broker": Fault(f"A broker stands still for {LONG_S:.0f} s", paused("kafka", seconds=LONG_S)),
        "pause_database": Fault(f"The database stands still for {LONG_S:.0f} s", paused("database", seconds=LONG_S)),
        "broker_away": Fault("One of three brokers away for 15 s", away("kafka", seconds=15)),
        "two_brokers_away": Fault("Two of three brokers away for 10 s", away("kafka", seconds=10, count=2)),
        "database_away": Fault("The database away for 8 s", away("database", seconds=8)),
        "redis_away": Fault("Redis away for 5 s", away("redis", seconds=5)),
        "redis_flushed": Fault("Redis flushed", flushed),
        "gateway_refuses": Fault("SMS refused for 5 s", misbehaving("refuse")),
        "gateway_throttles": Fault("SMS throttled for 5 s", misbehaving("throttle")),
        "gateway_delays": Fault("Each SMS answered after 3 s, for 5 s", misbehaving("delay", seconds=3)),
        "gateway_hangs_up": Fault("The SMS connection drops at each message, for 5 s", misbehaving("hang_up")),
        "gateway_takes_and_hangs_up": Fault(
            "An SMS is taken, then the connection drops, for 5 s", misbehaving("take_and_hang_up")
        ),
        "receipts_dropped": Fault("Receipts lost for 5 s", misbehaving("drop_receipts")),
        "broker_cut": Fault("Connections to a broker cut for 5 s", connected_badly("kafka", Mode.CUT, seconds=5)),
        "broker_silent": Fault(
            f"Connections to a broker silent for {LONG_S:.0f} s", connected_badly("kafka", Mode.HOLD, seconds=LONG_S)
        ),
        "broker_slow": Fault("Connections to a broker slow for 8 s", connected_badly("kafka", Mode.SLOW, seconds=8)),
        "database_cut": Fault(
            "Connections to the database cut for 5 s", connected_badly("database", Mode.CUT, seconds=5)
        ),
        "database_silent": Fault(
            f"Connections to the database silent for {LONG_S:.0f} s",
            connected_badly("database", Mode.HOLD, seconds=LONG_S),
        ),
        "database_slow": Fault(
            "Connections to the database slow for 8 s", connected_badly("database", Mode.SLOW, seconds=8)
        ),
        "disk_full_broker": Fault("The disk of a broker full for 6 s", full("kafka"), possible=Disks.is_there),
        "disk_full_database": Fault("The disk of the database full for 6 s", database_full, possible=Disks.is_there),
        "disk_full_redis": Fault("The disk of Redis full for 6 s", full("redis"), possible=Disks.is_there),
        "clock_ahead": Fault(
            "The clock of a process 1.5, 5 or 30 s ahead for 5 s", clock_off(forwards=True), possible=Clocks.is_there
        ),
        "clock_behind": Fault(
            "The clock of a process 1.5, 5 or 30 s behind for 5 s", clock_off(forwards=False), possible=Clocks.is_there
        ),
        "policy_changed": Fault("A new version of the policy, SLA monitors restarted in turn", policy_changed),
        "scaled": Fault("A service scaled to 1, 4, then 2 processes", scaled),
    }
)


def schedule(count: int, *, seed: int) -> list[str]:
    """Which kinds come in which order: each as often as the others, as far as this machine can have them."""
    rng = random.Random(seed)
    there = [name for name, fault in FAULTS.items() if fault.possible()]
    drawn: list[str] = []
    while len(drawn) < count:
        drawn += rng.sample(there, min(len(there), count - len(drawn)))
    return drawn
