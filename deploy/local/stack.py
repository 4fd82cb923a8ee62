"""Parts of the local stack as processes of one caller: for tests, which also kill and restart them.

    with Stack(folder) as stack:
        environment = stack.environment()   # AMENDS_KAFKA and so on
        stack.kill("database")              # SIGKILL
        stack.restart("database")           # same port, same data; returns when it answers

Whoever sets `AMENDS_KAFKA`, `AMENDS_MONGO` or `AMENDS_REDIS` has own servers: those parts are not started.
"""

import os
import signal
import subprocess
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from deploy.local.database import database_part
from deploy.local.kafka import kafka_parts
from deploy.local.part import Part, await_ready, send_signal, spawn, terminate
from deploy.local.ports import kept_ports
from deploy.local.redis import redis_part
from deploy.local.sandbox.part import sandbox_part

PARTS = ("kafka", "database", "redis", "sandbox")
_OWN_SERVER = {"kafka": "AMENDS_KAFKA", "database": "AMENDS_MONGO", "redis": "AMENDS_REDIS"}


@dataclass(frozen=True)
class Addresses:
    """Where the parts are; empty for a part that was not asked for."""

    kafka: str = ""
    """Bootstrap servers, `host:port,...`."""
    mongo: str = ""
    """Connection string with the database's name."""
    redis: str = ""
    sandbox: str = ""
    """HTTP surface of the sandbox, which lists what customers received."""
    smpp: str = ""
    """`host:port`."""
    smtp: str = ""
    """`host:port`."""

    def environment(self) -> dict[str, str]:
        """As the services' settings name them."""
        named = {
            "AMENDS_KAFKA": self.kafka,
            "AMENDS_MONGO": self.mongo,
            "AMENDS_REDIS": self.redis,
            "AMENDS_SANDBOX": self.sandbox,
            "AMENDS_SMPP": self.smpp,
            "AMENDS_SMTP": self.smtp,
        }
        return {name: value for name, value in named.items() if value}


def plan(
    folder: Path,
    *,
    parts: Iterable[str] = PARTS,
    brokers: int = 1,
    fronts: Mapping[str, int] | None = None,
    cache_mb: int | None = None,
) -> tuple[list[Part], Addresses]:
    """The parts to run in `folder`, fetched and prepared, and where everything will be.

    Ports are those of the last time when they are still free, so that clients find a restarted stack again. `fronts`
    names other ports at which clients find the database or a broker, where a proxy listens; `cache_mb` is what the
    database may keep in memory, unless it is the usual.

    Raises:
        PartUnavailableError: A part cannot be had on this machine.
    """
    wanted = set(parts)
    if unknown := wanted - set(PARTS):
        raise ValueError(f"Unknown parts {sorted(unknown)}; there are {', '.join(PARTS)}")
    own = {part: os.environ[name] for part, name in _OWN_SERVER.items() if part in wanted and os.environ.get(name)}
    started = wanted - set(own)
    ports = kept_ports(
        folder, ("database", "redis", "sandbox", "smpp", "smtp", *(f"kafka-{n}" for n in range(2 * brokers)))
    )
    planned: list[Part] = []
    addresses = dict.fromkeys(Addresses.__dataclass_fields__, "")
    addresses |= {{"database": "mongo"}.get(part, part): value for part, value in own.items()}
    if "kafka" in started:
        nodes = kafka_parts(folder=folder, ports=[ports[f"kafka-{n}"] for n in range(2 * brokers)], fronts=fronts)
        planned += nodes
        addresses["kafka"] = ",".join(node.address for node in nodes)
    if "database" in started:
        front = (fronts or {}).get("database")
        where = folder / "database"
        planned.append(database_part(folder=where, port=ports["database"], front=front, cache_mb=cache_mb))
        addresses["mongo"] = planned[-1].address
    if "redis" in started:
        planned.append(redis_part(folder=folder / "redis", port=ports["redis"]))
        addresses["redis"] = planned[-1].address
    if "sandbox" in started:
        planned.append(
            sandbox_part(folder=folder / "sandbox", http=ports["sandbox"], smpp=ports["smpp"], smtp=ports["smtp"])
        )
        addresses["sandbox"] = planned[-1].address
        addresses["smpp"] = f"127.0.0.1:{ports['smpp']}"
        addresses["smtp"] = f"127.0.0.1:{ports['smtp']}"
    return planned, Addresses(**addresses)


class Stack:
    """Some parts, run as children of this process; they end with it, however it ends.

    Attributes:
        addresses: Known after `start`.
    """

    def __init__(
        self, folder: Path, *, parts: Iterable[str] = PARTS, brokers: int = 1, cache_mb: int | None = None
    ) -> None:
        self.folder = folder.absolute()
        self.addresses = Addresses()
        self._wanted = tuple(parts)
        self._brokers = brokers
        self._cache_mb = cache_mb
        self._parts: dict[str, Part] = {}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> Self:
        """Start all parts at once and return when each answers.

        Raises:
            PartUnavailableError: One does not; those that run are stopped again.
        """
        planned, self.addresses = plan(self.folder, parts=self._wanted, brokers=self._brokers, cache_mb=self._cache_mb)
        self._parts = {part.name: part for part in planned}
        try:
            self._start(planned)
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Stop everything; data stays in the folder."""
        with ThreadPoolExecutor(len(self._processes) or 1) as threads:
            list(threads.map(terminate, self._processes.values()))
        self._processes.clear()

    def environment(self) -> dict[str, str]:
        """`AMENDS_KAFKA` and so on, for a service that is to use this stack."""
        return self.addresses.environment()

    def kill(self, part: str, number: signal.Signals = signal.SIGKILL) -> None:
        """Send the signal to a part, `kafka` meaning all brokers and `kafka-2` one of several; a kill is awaited."""
        for name in self._names(part):
            send_signal(self._processes[name], number)
            if number is signal.SIGKILL:
                self._processes[name].wait(10)

    def restart(self, part: str) -> None:
        """Start a part again on its port with its data, ending it first when it still runs; waits until it answers."""
        names = self._names(part)
        for name in names:
            terminate(self._processes[name])
        self._start([self._parts[name] for name in names])

    def pid(self, part: str) -> int:
        """The process id of a part."""
        return self._processes[part].pid

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _start(self, parts: list[Part]) -> None:
        for part in parts:
            self._processes[part.name] = spawn(part)
        for part in parts:
            process = self._processes[part.name]
            await_ready(part, alive=lambda process=process: process.poll() is None)  # type: ignore[misc]

    def _names(self, part: str) -> list[str]:
        names = [name for name in self._parts if name == part or name.startswith(f"{part}-")]
        if not names:
            raise KeyError(f"{part} is not run by this stack, which runs {', '.join(self._parts)}")
        return names
