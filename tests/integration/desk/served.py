"""A desk that runs, with an account for each role and two tickets: one of the outlet NET-1 and one of another."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx

from deploy.local.ports import free_ports
from deploy.local.stack import Stack
from schemas.codes import StaffRole
from services.desk.settings import DeskSettings
from services.runtime import mongo
from services.runtime.topics import create_topics_async
from tests.unit.desk.stories import TICKET, Story, stories
from tests.unit.desk.web_scene import PASSWORD, WebScene

OWN, OTHERS, OTHERS_ID = "2611-000004", "2611-000017", str(TICKET)
READY_S_MAX = 120.0


@dataclass(frozen=True)
class Served:
    """Where it is."""

    url: str
    client: httpx.Client
    """Keeps no cookies: who asks is in the headers."""

    def enter(self, role: StaffRole) -> dict[str, str]:
        """The headers with which somebody of a role asks."""
        named = {"name": role.value, "password": PASSWORD}
        answer = self.client.post("/v1/session", json=named)
        answer.raise_for_status()
        self.client.cookies.clear()
        cookies = "; ".join(f"{name}={value}" for name, value in answer.cookies.items())
        return {"Cookie": cookies, "X-CSRF-Token": answer.json()["csrf_token"]}

    def is_known(self, headers: Mapping[str, str]) -> bool:
        """Whether that still holds."""
        return self.client.get("/v1/me", headers=dict(headers)).is_success


@contextmanager
def served(stack: Stack, folder: Path, *, database: str) -> Iterator[Served]:
    """One on these parts."""
    (port,) = free_ports(1)
    asyncio.run(_furnish(stack, folder, database))
    environment = {
        **os.environ,
        **stack.environment(),
        "AMENDS_MONGO_DATABASE": database,
        "AMENDS_KEYRING": str(folder / "keyring.json"),
        "AMENDS_HTTP_PORT": str(port),
        "AMENDS_SIGN_IN_TRIES_OF_ADDRESS": "100000",
        "AMENDS_DESK_COMMAND_S_MAX": "0.05",
    }
    process = subprocess.Popen([sys.executable, "-m", "services.desk"], env=environment)
    try:
        url = f"http://127.0.0.1:{port}"
        with httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
            _wait(client)
            yield Served(url, client)
    finally:
        process.terminate()
        process.wait(30)


async def _furnish(stack: Stack, folder: Path, database: str) -> None:
    await create_topics_async(DeskSettings(kafka=stack.addresses.kafka, mongo=stack.addresses.mongo))
    scene = WebScene(mongo.connect(stack.addresses.mongo, database=database), folder)
    scene.now = datetime.now(UTC)
    await scene.people()
    await scene.tickets([Story(), *stories(["4"], assigned={"unit": "NET-1"})])


def _wait(client: httpx.Client) -> None:
    until = time.monotonic() + READY_S_MAX
    while True:
        try:
            if client.get("/readyz").is_success:
                return
        except httpx.TransportError:
            pass
        assert time.monotonic() < until, "the desk did not become ready"
        time.sleep(0.1)
