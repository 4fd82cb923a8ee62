import asyncio
import os
import random
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from prometheus_client import CollectorRegistry
from pymongo import MongoClient

from deploy.local.stack import Stack
from schemas.codec import decode
from schemas.complaint import ComplaintSubmitted
from schemas.events import TicketEvent, TicketFollowedUp, TicketOpened
from schemas.topics import COMPLAINT_SUBMITTED, TICKET_EVENT
from services.runtime.metrics import ProducingMetrics
from services.runtime.producing import Outgoing, Producer
from services.runtime.settings import RuntimeSettings
from services.runtime.topics import create_topics_async
from tests.integration.router.scene import Scene

COMPLAINTS = 900
MATTERS = 300
KILLS = 6
SEED = 20261122
PARTITIONS = 4


@pytest.mark.timeout(900)
async def test_routers_killed_again_and_again_lose_and_double_nothing(
    own_stack: Callable[..., Stack], tmp_path: Path
) -> None:
    """Two routers, kill -9 amid a feed: one fate per complaint, one ticket per matter, no gap and no double."""
    stack = own_stack("kafka", "database")
    dice = random.Random(SEED)
    environment = {
        **os.environ,
        **stack.environment(),
        "AMENDS_KEYRING": str(tmp_path / "keyring.json"),
        "AMENDS_PARTITIONS": str(PARTITIONS),
        "AMENDS_HTTP_PORT": "0",
        "AMENDS_LOG_LEVEL": "warning",
    }
    settings = RuntimeSettings(kafka=stack.addresses.kafka, partitions=PARTITIONS)
    await create_topics_async(settings)
    scene = Scene("", "", tmp_path, None)
    feed = [matter_of(scene, n % MATTERS, n) for n in range(COMPLAINTS)]
    dice.shuffle(feed)
    producer = Producer(settings, ProducingMetrics(CollectorRegistry()))
    await producer.start()
    routers = [start(environment) for _ in range(2)]
    try:
        for kill in range(KILLS):
            part = feed[kill * COMPLAINTS // KILLS : (kill + 1) * COMPLAINTS // KILLS]
            # Some of it twice, as an intake that is unsure sends it.
            await producer.publish([Outgoing(COMPLAINT_SUBMITTED, c) for c in [*part, *part[:20]]])
            seen = await count_fates(stack)
            await until(stack, at_least=min(seen + dice.randrange(20, 120), COMPLAINTS), seconds_max=60)
            victim = dice.randrange(2)
            routers[victim].kill()
            routers[victim].wait()
            routers[victim] = start(environment)
        events = await followed(stack, settings)
    finally:
        for router in routers:
            router.kill()
            router.wait()
        await producer.stop()
    check(events, feed)
    check_database(stack, events)


def matter_of(scene: Scene, matter: int, number: int) -> ComplaintSubmitted:
    """A complaint about the parcel of a matter, in words and from a person of its own."""
    return scene.complaint(f"Words {number}.", phone=f"+86138{number:08d}", waybills=(f"YT{matter:06d}",))


def start(environment: dict[str, str]) -> "subprocess.Popen[bytes]":
    """One router process."""
    return subprocess.Popen([sys.executable, "-m", "services.router"], env=environment)


async def until(stack: Stack, *, at_least: int, seconds_max: float) -> None:
    """Wait for so many complaints to be decided."""
    async with asyncio.timeout(seconds_max):
        while await count_fates(stack) < at_least:  # noqa: ASYNC110 - a database cannot set an event
            await asyncio.sleep(0.05)


async def count_fates(stack: Stack) -> int:
    """Complaints that are decided."""

    def count() -> int:
        with MongoClient[dict[str, Any]](stack.addresses.mongo) as client:
            return client["amends"]["complaints"].estimated_document_count()

    return await asyncio.to_thread(count)


async def followed(stack: Stack, settings: RuntimeSettings) -> list[TicketEvent]:
    """Everything on `ticket-event`, read until every complaint has its fate there."""
    consumer = AIOKafkaConsumer(
        TICKET_EVENT.name, bootstrap_servers=settings.kafka, auto_offset_reset="earliest", group_id=None
    )
    await consumer.start()
    events: list[TicketEvent] = []
    found: set[Any] = set()
    try:
        async with asyncio.timeout(200):
            while len(found) < COMPLAINTS:
                for records in (await consumer.getmany(timeout_ms=500)).values():
                    for record in records:
                        message = decode(record.value, record.headers, types=TICKET_EVENT.by_type).message
                        assert isinstance(message, TicketEvent)
                        events.append(message)
                        if isinstance(message, TicketOpened | TicketFollowedUp):
                            found.add(message.complaint_id)
    finally:
        await consumer.stop()
    return events


def check(events: list[TicketEvent], feed: list[ComplaintSubmitted]) -> None:
    """The invariants, on what was published."""
    tickets: dict[Any, dict[int, TicketEvent]] = defaultdict(dict)
    for event in events:
        assert tickets[event.ticket_id].setdefault(event.sequence, event) == event
    fates: Counter[Any] = Counter()
    numbers: Counter[str] = Counter()
    for numbered in tickets.values():
        assert sorted(numbered) == list(range(1, len(numbered) + 1))
        for event in numbered.values():
            if isinstance(event, TicketOpened):
                numbers[event.number] += 1
            if isinstance(event, TicketOpened | TicketFollowedUp):
                fates[event.complaint_id] += 1
    assert fates == Counter({complaint.complaint_id: 1 for complaint in feed})
    assert len(tickets) == MATTERS
    assert max(numbers.values()) == 1


def check_database(stack: Stack, events: list[TicketEvent]) -> None:
    """The store holds what was published and perhaps a little more, and nobody has more than one slot of a kind."""
    with MongoClient[dict[str, Any]](stack.addresses.mongo) as client:
        stored = {d["_id"]: d["event_id"] for d in client["amends"]["ticket_events"].find({}, {"event_id": 1})}
        for event in events:
            assert stored[f"{event.ticket_id}:{event.sequence}"] == str(event.event_id)
        held = Counter(d["ticket_id"] for d in client["amends"]["reservations"].find())
        assert not held or max(held.values()) == 1
