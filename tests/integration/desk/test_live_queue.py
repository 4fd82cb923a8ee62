"""The desk on a real broker, database and Redis."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from prometheus_client import CollectorRegistry

from deploy.local.ports import free_ports
from deploy.local.stack import Stack
from schemas.message import Message
from schemas.notifications import NotificationEvent
from schemas.sla import SlaFact
from schemas.topics import NOTIFICATION_EVENT, SLA_EVENT, TICKET_EVENT, Topic
from services.runtime.metrics import ProducingMetrics
from services.runtime.producing import Outgoing, Producer
from services.runtime.sealing import Keyring
from services.runtime.settings import RuntimeSettings
from services.runtime.topics import create_topics_async
from tests.unit.desk.stories import Story

pytestmark = pytest.mark.integration
PATIENCE_S = 120.0


def topic(message: Message) -> Topic:
    """Where it belongs."""
    if isinstance(message, SlaFact):
        return SLA_EVENT
    return NOTIFICATION_EVENT if isinstance(message, NotificationEvent) else TICKET_EVENT


@pytest.fixture
def stack(own_stack: Callable[..., Stack]) -> Stack:
    """Of this test alone: it stops Redis."""
    return own_stack("kafka", "database", "redis")


@pytest.fixture
async def producer(stack: Stack) -> AsyncIterator[Producer]:
    """In place of the services that tell the desk."""
    settings = RuntimeSettings(kafka=stack.addresses.kafka, mongo=stack.addresses.mongo)
    await create_topics_async(settings)
    made = Producer(settings, ProducingMetrics(CollectorRegistry()))
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
def desk(stack: Stack, producer: Producer, tmp_path: Path) -> Iterator[str]:
    """The address of a desk that was started."""
    (port,) = free_ports(1)
    Keyring.create(tmp_path / "keyring.json")
    environment = {
        **os.environ,
        **stack.environment(),
        "AMENDS_KEYRING": str(tmp_path / "keyring.json"),
        "AMENDS_HTTP_PORT": str(port),
    }
    program = str(Path(__file__).with_name("desk_program.py"))
    process = subprocess.Popen([sys.executable, program], env=environment | {"PYTHONPATH": str(Path.cwd())})
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    assert process.wait(20) == 0


@pytest.fixture
async def client(desk: str) -> AsyncIterator[httpx.AsyncClient]:
    """To the desk, when it is ready."""
    async with httpx.AsyncClient(base_url=desk, trust_env=False, timeout=30) as made:
        await until(lambda: ready(made))
        yield made


async def ready(client: httpx.AsyncClient) -> bool:
    """Whether the desk says so."""
    try:
        return (await client.get("/readyz")).is_success
    except httpx.TransportError:
        return False


async def until(holds: Callable[[], Any]) -> Any:
    """What it gives once that is something."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            if found := await holds():
                return found
            await asyncio.sleep(0.1)


async def publish(producer: Producer, messages: Sequence[Message]) -> None:
    """As the services do."""
    await producer.publish([Outgoing(topic(message), message) for message in messages])


async def tellings(client: httpx.AsyncClient) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    """What a browser hears."""
    async with client.stream("GET", "/v1/live", timeout=PATIENCE_S) as answer:
        kind = ""
        async for line in answer.aiter_lines():
            name, _, value = line.partition(": ")
            if name == "event":
                kind = value
            elif name == "data":
                yield kind, json.loads(value)


async def told(heard: AsyncIterator[tuple[str, dict[str, Any]]], kind: str, **wanted: Any) -> None:
    """Wait for a telling."""
    async with asyncio.timeout(PATIENCE_S):
        async for found, content in heard:
            if found == kind and wanted.items() <= content.items():
                return
    raise AssertionError(f"never told {kind} {wanted}")


async def test_a_change_is_seen_with_and_without_redis(
    client: httpx.AsyncClient, producer: Producer, stack: Stack
) -> None:
    """A ticket is listed, a change of it is told at once, and after Redis has gone it is told all the same."""
    story = Story(ticket=uuid4(), received_at=datetime.now(UTC))
    story.deliver(0.1)
    await publish(producer, story.all)

    async def listed() -> dict[str, Any] | None:
        tickets = (await client.get("/v1/tickets", params={"q": "2611-000017"})).json()["tickets"]
        return next((t for t in tickets if t["messages"] and t["next_due_at"]), None)

    ticket = await until(listed)
    assert (ticket["version"], ticket["messages"]) == (3, {"received": "delivered"})
    heard = tellings(client)
    await told(heard, "mode", mode="live")
    story.step("act", 0.2)
    await publish(producer, story.events[3:])
    await told(heard, "changed", ticket_id=str(story.ticket), version=4)
    stack.kill("redis")
    await told(heard, "mode", mode="polling")
    story.step("resolve", 0.3)
    await publish(producer, story.events[4:])
    await told(heard, "changed", ticket_id=str(story.ticket), version=5)
    assert (await client.get("/v1/tickets")).json()["tickets"] == []
    stack.restart("redis")
    await told(heard, "mode", mode="live")
    await heard.aclose()  # type: ignore[attr-defined]  # a generator is what it is
