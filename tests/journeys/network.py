"""A small network at work: all parts and services, an account for each role, and what customers receive."""

import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import httpx
import yaml

from deploy.local import running
from deploy.local.programs import AMENDS
from deploy.local.run_file import read_run
from deploy.local.supervision import Supervisor, marked_processes

T = TypeVar("T")

AGENT, COLLEAGUE = "complaint_centre-01", "complaint_centre-02"
SUPERVISOR, MANAGER = "complaint_centre-lead", "centre-manager"
OUTLET, OTHER_OUTLET = "net-1001-desk", "net-1003-desk"
PATIENCE_S = 120.0
"""For whatever passes through the whole of it, on a slow machine."""
SETTINGS = {"AMENDS_OUTCOME_S_MAX": "30", "AMENDS_DESK_COMMAND_S_MAX": "60"}
"""So long a page waits for the router before it says that it takes longer."""


@dataclass(frozen=True, kw_only=True)
class Network:
    """Where everything is."""

    folder: Path
    desk: str
    portal: str
    intake: str
    sandbox: str
    passwords: Mapping[str, str]
    """By account."""

    def complain(self, text: str, *, phone: str, language: str = "en", **more: Any) -> str:
        """Complain over HTTP; the number of the ticket."""
        body = {"channel": "web", "language": language, "complainant": {"phone": phone}, "description": text, **more}
        sent = httpx.post(f"{self.intake}/v1/complaints", json=body, headers={"Idempotency-Key": str(uuid4())})
        assert sent.status_code == 202, sent.text
        place = f"{self.intake}/v1/complaints/{sent.json()['complaint_id']}"
        return until(lambda: httpx.get(place).json().get("ticket_number"), f"a ticket for {text!r}")

    def message(self, phone: str, about: str) -> str:
        """The newest message to a phone with these words in it, once it has come."""

        def found() -> str | None:
            told = httpx.get(f"{self.sandbox}/messages").json()
            texts = [m["text"] for m in told if m["to"].endswith(phone[-11:]) and about in m["text"]]
            return texts[-1] if texts else None

        return until(found, f"a message to {phone} with {about!r}")

    def link(self, phone: str, about: str) -> str:
        """The private link in that message."""
        found = re.search(r"https?://\S+/t/[\w.-]+", self.message(phone, about))
        assert found, "the message has no link"
        return found[0]

    @contextmanager
    def without_redis(self) -> Iterator[None]:
        """Redis is away."""
        supervisor = Supervisor(self.folder)
        supervisor.stop_process("redis")
        try:
            yield
        finally:
            supervisor.start_process("redis")


def until(look: Callable[[], T | None], what: str) -> T:
    """What it gives, once that is something."""
    end = time.monotonic() + PATIENCE_S
    while not (found := look()):
        assert time.monotonic() < end, f"waited {PATIENCE_S:.0f} s for {what}"
        time.sleep(0.1)
    return found


@contextmanager
def network(folder: Path) -> Iterator[Network]:
    """Start it, and stop it whatever happens. Nothing of it is left.

    Raises:
        PartUnavailableError: something does not come up.
    """
    folder.mkdir(parents=True, exist_ok=True)
    os.environ |= {"AMENDS_NOTIFICATION_POLICY": str(_at_any_hour(folder)), **SETTINGS}
    try:
        running.up(folder, workers={}, brokers=1, detached=False, say=lambda _line: None)
        run = read_run(folder) or {}
        http = run["http"]
        yield Network(
            folder=folder,
            desk=http["desk"],
            portal=http["portal"],
            intake=http["intake"],
            sandbox=run["sandbox"],
            passwords=_accounts(run["mongo"]),
        )
    finally:
        running.down(folder)
        for name in ("AMENDS_NOTIFICATION_POLICY", *SETTINGS):
            del os.environ[name]
        assert not marked_processes(folder)


def _at_any_hour(folder: Path) -> Path:
    """The packaged policy of messages, but that none waits for the morning."""
    policy = yaml.safe_load(files("deploy.policies").joinpath("notifications.yaml").read_text("utf-8"))
    for moment in policy["moments"].values():
        moment |= {"at_night": True, "capped": False}
    file = folder / "messages-at-any-hour.yaml"
    file.write_text(yaml.safe_dump(policy, allow_unicode=True))
    return file


def _accounts(mongo: str) -> dict[str, str]:
    environment = {**os.environ, "AMENDS_MONGO": mongo}
    command = [AMENDS, "desk", "account", "demo", "--json"]
    told = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    return {one["name"]: one["password"] for one in map(json.loads, told.splitlines())}
