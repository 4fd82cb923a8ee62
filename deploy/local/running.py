"""A whole Amends on this machine: parts, preparations, services. What `amends up`, `down` and `status` do."""

import fcntl
import os
import subprocess
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path

import yaml

from deploy.local.database import probe_database
from deploy.local.kafka import probe_kafka
from deploy.local.part import Part, PartUnavailableError, await_ready
from deploy.local.ports import free_ports, kept_ports
from deploy.local.programs import SERVICES, Program, preparations, program_names, programs
from deploy.local.redis import probe_redis
from deploy.local.run_file import change_run, read_run, refresh_pids, run_file, write_run
from deploy.local.stack import Addresses, plan
from deploy.local.supervision import ProcessState, Supervisor

Say = Callable[[str], None]

_LIVES_MAX = 6
"""Process ids that one process may go through, 0 included, before its start counts as failed."""


@dataclass(frozen=True)
class Line:
    """One process in `amends status`."""

    name: str
    state: str
    pid: int
    ready: bool
    address: str


def up(
    folder: Path, *, workers: Mapping[str, int], policy: str = "", brokers: int = 1, detached: bool, say: Say,
    fronts: Mapping[str, int] | None = None, variables: Mapping[str, Mapping[str, str]] | None = None,
) -> None:  # fmt: skip
    """Start everything in the folder and return when every service is ready; `run.json` is there then.

    Args:
        folder: of the stack.
        workers: processes of a service, one if it is not named.
        policy: to put in force.
        brokers: of Kafka.
        detached: whether it outlives this process.
        say: told of each process that is ready.
        fronts: ports of proxies, see `plan`.
        variables: further ones of single processes, by their names.

    Raises:
        PartUnavailableError: Something does not come up. Whatever was started is stopped again.
    """
    folder.mkdir(parents=True, exist_ok=True)
    supervisor = Supervisor(folder)
    with _only_one(folder):
        if supervisor.is_running():
            raise PartUnavailableError(f"A stack runs in {folder} already: `amends down` stops it.")
        supervisor.stop()
        run_file(folder).unlink(missing_ok=True)
        parts, addresses = plan(folder, brokers=brokers, fronts=fronts)
        ports = kept_ports(folder, program_names(workers))
        services = programs(workers=workers, ports=ports, variables=variables)
        environment = {
            **addresses.environment(),
            "AMENDS_KEYRING": str(folder / "keyring.json"),
            "AMENDS_RUN": str(folder),
            "AMENDS_REPLICATION_FACTOR": os.environ.get("AMENDS_REPLICATION_FACTOR") or str(brokers),
            **_met_over_http(ports),
        }
        if policy == "demo" and not os.environ.get("AMENDS_NOTIFICATION_POLICY"):
            environment["AMENDS_NOTIFICATION_POLICY"] = str(_without_nights(folder))
        try:
            _start(supervisor, parts, services, environment=environment, policy=policy, detached=detached, say=say)
            write_run(folder, _content(supervisor, addresses, parts, services, policy))
            refresh_pids(folder, supervisor.pids())
        except BaseException:
            supervisor.stop()
            raise


def _met_over_http(ports: Mapping[str, int]) -> dict[str, str]:
    """Where services find one another, unless the environment says it."""
    named = {"AMENDS_INTAKE": "intake", "AMENDS_PORTAL_URL": "portal"}
    return {
        variable: os.environ.get(variable) or f"http://127.0.0.1:{ports[service]}"
        for variable, service in named.items()
        if service in ports
    }


def _without_nights(folder: Path) -> Path:
    """The policy of messages that goes with limits of seconds: no message waits for the morning."""
    policy = yaml.safe_load(files("deploy.policies").joinpath("notifications.yaml").read_text("utf-8"))
    for rule in policy["moments"].values():
        rule["at_night"] = True
    file = folder / "notifications.yaml"
    file.write_text(yaml.safe_dump(policy, allow_unicode=True))
    return file


def scale(folder: Path, workers: Mapping[str, int], *, say: Say) -> None:
    """Run so many processes of the named services from now on, and return when new ones are ready.

    Raises:
        PartUnavailableError: Nothing runs in the folder, or a new process does not come up.
    """
    supervisor = Supervisor(folder)
    run = read_run(folder)
    if run is None or not supervisor.is_running():
        raise PartUnavailableError(f"Nothing is running in {folder}: `amends up` starts it.")
    with _only_one(folder):
        urls: dict[str, str] = run["http"]
        running_now = Counter(name.partition("-")[0] for name in urls)
        counts = {service: workers.get(service, running_now[service]) for service in SERVICES}
        added = [name for name in program_names(counts) if name not in urls]
        removed = sorted(urls.keys() - program_names(counts))
        ports = {name: int(url.rpartition(":")[2]) for name, url in urls.items()}
        ports |= zip(added, free_ports(len(added)), strict=True)
        started = [program for program in programs(workers=counts, ports=ports) if program.name in added]
        supervisor.remove(removed)
        supervisor.add(started)
        urls = {name: url for name, url in urls.items() if name not in removed}
        urls |= {program.name: program.url for program in started}
        change_run(folder, {"http": urls, "metrics": {name: f"{url}/metrics" for name, url in urls.items()}})
        for name in removed:
            say(f"{name:<12} stopped")
        for program in started:
            await_ready(_as_part(program, folder), alive=_lives(supervisor, program.name))
            say(f"{program.name:<12} ready  {program.url}")


def down(folder: Path) -> bool:
    """Stop everything of the folder, also what a killed supervisor left; whether anything ran."""
    run_file(folder).unlink(missing_ok=True)
    ended = Supervisor(folder).stop()
    run_file(folder).unlink(missing_ok=True)
    return bool(ended)


def status(folder: Path) -> list[Line]:
    """Every process with whether it is ready, asked now; empty when nothing runs. Freshens `run.json`."""
    supervisor = Supervisor(folder)
    states = supervisor.states()
    if not states:
        return []
    refresh_pids(folder, supervisor.pids())
    found = read_run(folder) or {}
    addresses = {**found.get("parts", {}), **found.get("http", {})}

    def line(process: ProcessState) -> Line:
        address = addresses.get(process.name, "")
        ready = bool(process.pid and address) and _is_ready(process.name, address)
        return Line(process.name, process.state, process.pid, ready, address)

    with ThreadPoolExecutor(len(states)) as threads:
        return list(threads.map(line, states))


def _start(
    supervisor: Supervisor, parts: list[Part], services: list[Program], *, environment: Mapping[str, str], policy: str,
    detached: bool, say: Say,
) -> None:  # fmt: skip
    began = time.monotonic()
    supervisor.start(parts=parts, programs=services, environment=environment, detached=detached)
    for part in parts:
        await_ready(part, alive=_lives(supervisor, part.name))
        say(f"{part.name:<12} ready after {time.monotonic() - began:4.1f} s  {part.address}")
    for command in preparations(folder=supervisor.folder, policy=policy):
        _prepare(command, environment)
    for service in services:
        supervisor.start_process(service.name)
    for service in services:
        await_ready(_as_part(service, supervisor.folder), alive=_lives(supervisor, service.name))
        say(f"{service.name:<12} ready after {time.monotonic() - began:4.1f} s  {service.url}")


def _lives(supervisor: Supervisor, name: str) -> Callable[[], bool]:
    """Whether a process is worth waiting for: not once it has been started again and again."""
    seen: set[int] = set()

    def lives() -> bool:
        seen.add(supervisor.pids().get(name, 0))
        return len(seen) <= _LIVES_MAX and supervisor.is_running()

    return lives


def _prepare(command: list[str], environment: Mapping[str, str]) -> None:
    done = subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, check=False, timeout=120
    )
    if done.returncode:
        spoken = (done.stdout + done.stderr).strip()[-2000:]
        raise PartUnavailableError(f"`{' '.join(command[1:])}` ended with {done.returncode}:\n{spoken}")


def _as_part(program: Program, folder: Path) -> Part:
    return Part(
        name=program.name,
        command=program.command,
        folder=folder / program.name,
        address=program.url,
        probe=lambda: _get_ready(program.url),
        advice="What it waits for stands in the brackets.",
    )


def _content(
    supervisor: Supervisor, addresses: Addresses, parts: list[Part], services: list[Program], policy: str
) -> dict[str, object]:
    return {
        **asdict(addresses),
        "parts": {part.name: part.address for part in parts},
        "http": {service.name: service.url for service in services},
        "metrics": {service.name: f"{service.url}/metrics" for service in services},
        "pids": supervisor.pids(),
        "supervisor": supervisor.pid(),
        "folder": str(supervisor.folder),
        "keyring": str(supervisor.folder / "keyring.json"),
        "policy": policy,
        "started_at": datetime.now(UTC).isoformat(),
    }


def _is_ready(name: str, address: str) -> bool:
    probe: Callable[[str], None] = {
        "kafka": lambda bootstrap: probe_kafka(bootstrap, brokers=1),
        "database": probe_database,
        "redis": probe_redis,
    }.get(name.partition("-")[0], _get_ready)
    try:
        probe(address)
    except Exception:  # noqa: BLE001 - whatever a client raises means "not ready"
        return False
    return True


def _get_ready(url: str) -> None:
    """Raises unless `/readyz` answers 200, with what it says instead."""
    try:
        urllib.request.urlopen(f"{url}/readyz", timeout=2).close()  # noqa: S310 - an address of our own
    except urllib.error.HTTPError as error:
        raise ConnectionError(f"{error.code} {error.read(500).decode(errors='replace')}") from error


@contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    """Two starts of the same folder must not mix."""
    with (folder / "up.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise PartUnavailableError(f"Another `amends up` is starting in {folder}: wait for it.") from error
        yield
