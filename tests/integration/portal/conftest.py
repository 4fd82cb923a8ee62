"""An intake, a router and a portal as processes, on a broker and a database of their own: topics have fixed names."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from pymongo import MongoClient
from pymongo.database import Database

from deploy.local.ports import free_ports
from deploy.local.stack import Stack
from services.runtime.sealing import Keyring
from services.runtime.settings import RuntimeSettings
from services.runtime.topics import create_topics_async


@dataclass
class Network:
    """Where everything is."""

    intake: str
    portal: str
    kafka: str
    keyring: Keyring
    database: Database[dict[str, Any]]


@pytest.fixture
async def network(own_stack: Callable[..., Stack], tmp_path: Path) -> AsyncIterator[Network]:
    """A small network, ready."""
    stack = await asyncio.to_thread(own_stack, "kafka", "database", "redis")
    keyring = Keyring.create(tmp_path / "keyring.json")
    await create_topics_async(RuntimeSettings(kafka=stack.addresses.kafka))
    ports = dict(zip(("intake", "router", "portal"), free_ports(3), strict=True))
    urls = {service: f"http://127.0.0.1:{port}" for service, port in ports.items()}
    environment = {
        **os.environ,
        **stack.environment(),
        "AMENDS_KEYRING": str(tmp_path / "keyring.json"),
        "AMENDS_INTAKE": urls["intake"],
        "AMENDS_LOG_FORMAT": "json",
        "AMENDS_OUTCOME_S_MAX": "20",
    }
    running = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-m", f"services.{service}", env={**environment, "AMENDS_HTTP_PORT": str(port)}
        )
        for service, port in ports.items()
    ]
    try:
        await asyncio.gather(*(_ready(url) for url in urls.values()))
        with MongoClient[dict[str, Any]](stack.addresses.mongo, tz_aware=True) as client:
            yield Network(urls["intake"], urls["portal"], stack.addresses.kafka, keyring, client["amends"])
    finally:
        for process in running:
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
        await asyncio.gather(*(process.wait() for process in running))


async def _ready(url: str) -> None:
    async with httpx.AsyncClient() as client, asyncio.timeout(120):
        while True:
            try:
                if (await client.get(f"{url}/readyz")).is_success:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.05)
