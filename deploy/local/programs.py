"""What `amends up` runs beside the parts: the commands that prepare, once, and the services, for as long as it runs."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

AMENDS = str(Path(sys.executable).with_name("amends"))

PREPARATIONS: tuple[tuple[str, ...], ...] = (
    (AMENDS, "keyring", "create", "{folder}/keyring.json"),
    (sys.executable, "-m", "services.runtime.topics"),
    (AMENDS, "policy", "load", "{policy}"),
)
"""Run in this order when the parts are ready and before the services start; each must be harmless when run again.

`{folder}` and `{policy}` are filled in; a command that names a policy is left out when none was asked for, so that a
restart leaves in force what was. The environment is that of the services, which take the packaged directory and
policies when they find none.
"""

BEHIND = ("nice", "-n", "5")
"""How all run that nobody waits for: what has been accepted lies safely in Kafka and can wait a little."""
ANSWERING = ("intake", "desk", "portal")

SERVICES = ("intake", "router", "sla_monitor", "notifier", "desk", "portal")


@dataclass(frozen=True, kw_only=True)
class Program:
    """One process of a service with its HTTP port. The first is named as the service, further ones `router-2`."""

    name: str
    service: str
    port: int
    worker: int
    variables: Mapping[str, str] = field(default_factory=dict)
    """Further ones for this process alone."""

    @property
    def command(self) -> tuple[str, ...]:
        """How it is started."""
        return (*(() if self.service in ANSWERING else BEHIND), sys.executable, "-m", f"services.{self.service}")

    @property
    def environment(self) -> dict[str, str]:
        """What only this process is told."""
        return {"AMENDS_HTTP_PORT": str(self.port), "AMENDS_WORKER": str(self.worker), **self.variables}

    @property
    def url(self) -> str:
        """Its HTTP surface."""
        return f"http://127.0.0.1:{self.port}"


def program_names(workers: Mapping[str, int]) -> list[str]:
    """Names of all processes when each service has one, or as many as `workers` says; 0 leaves it out."""
    return [
        service if worker == 1 else f"{service}-{worker}"
        for service in SERVICES
        for worker in range(1, workers.get(service, 1) + 1)
    ]


def programs(
    *, workers: Mapping[str, int], ports: Mapping[str, int], variables: Mapping[str, Mapping[str, str]] | None = None
) -> list[Program]:
    """The processes of the services, in the order they start; `variables` by name of the process."""
    return [
        Program(
            name=name,
            service=name.partition("-")[0],
            port=ports[name],
            worker=int(name.partition("-")[2] or 1),
            variables=(variables or {}).get(name, {}),
        )
        for name in program_names(workers)
    ]


def preparations(*, folder: Path, policy: str) -> list[list[str]]:
    """The commands of `PREPARATIONS`, filled in; no `policy` is an empty one."""
    return [
        [word.replace("{folder}", str(folder)).replace("{policy}", policy) for word in command]
        for command in PREPARATIONS
        if policy or "{policy}" not in command
    ]
