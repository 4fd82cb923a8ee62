"""Messages that nobody can process, on every topic at once, while good complaints flow."""

import asyncio
import json
import os
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from aiokafka import AIOKafkaProducer

from schemas import ids
from schemas.codec import encode
from schemas.codes import ActorKind
from schemas.commands import TicketCommand, Withdraw
from schemas.message import Actor
from schemas.topics import TICKET_COMMAND, TOPICS, Topic
from services.cli.verify import take_snapshot
from services.runtime.sealing import Keyring
from tests.chaos.whole_system import System, complaints, feed, settle, whole_system

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]

READERS = {
    topic: [f"amends-{service}" for service in topic.consumers if service in ("router", "sla_monitor", "notifier")]
    for topic in TOPICS.values()
    if topic.consumers != ("downstream",)
}
ROUNDS = 5


async def test_poison_on_every_topic_is_set_aside_and_its_neighbours_are_processed(tmp_path):
    """Each poison message ends among the dead letters of each reader, with its reason; each good one is done."""
    with whole_system(tmp_path / "run", workers={}) as system:
        made = complaints(100, seed=21)
        feeding = asyncio.create_task(feed(system, made, per_s=20))
        poured = [await pour(system, topic) for _ in range(ROUNDS) for topic in READERS]
        accepted = await feeding
        _, found = await settle(system, seconds=60)
        assert len(accepted) == len(made)
        assert {difference.kind for difference in found} == {"dead_letter"}
        letters = await listed(system)
    assert Counter((letter["topic"], letter["consumer"]) for letter in letters) == {
        (topic.name, reader): sum(poured) // len(READERS) for topic, readers in READERS.items() for reader in readers
    }
    assert all(letter["reason"] and letter["why"] == "undecodable" for letter in letters)


async def test_a_letter_is_done_once_the_reason_is_gone_and_it_is_replayed(tmp_path):
    """A command that came before its ticket is refused; after the complaint it is replayed and the ticket obeys."""
    with whole_system(tmp_path / "run", workers={}) as system:
        (complaint,) = complaints(1, seed=22)
        keyring = Keyring.load(Path(system.run["keyring"]))
        complaint_id = keyring.complaint_id(complaint["channel"], complaint["key"])
        early = TicketCommand(
            command_id=uuid4(),
            ticket_id=ids.ticket_id(complaint_id),
            routing_key=f"w:{complaint['waybills'][0]}",
            issued_at=datetime.now(UTC),
            actor=Actor(kind=ActorKind.AGENT, id="desk-1"),
            action=Withdraw(),
        )
        encoded = encode(early)
        await send(system, TICKET_COMMAND.name, encoded.key, encoded.value, encoded.headers)
        letter = await first_letter(system)
        assert "there is no ticket" in letter["reason"]
        assert await feed(system, [complaint], per_s=1) == {complaint["key"]: str(complaint_id)}
        await settle(system, seconds=30)
        await amends(system, "dead-letters", "replay", "--all")
        await happened(system, early.ticket_id, "withdrawn")
        _, found = await settle(system, seconds=30)
    assert found == []


async def first_letter(system: System) -> dict[str, Any]:
    """Wait for a dead letter."""
    while True:
        if letters := await listed(system):
            return letters[0]


async def happened(system: System, ticket: UUID, verb: str) -> None:
    """Wait until the event store has such an event of the ticket."""
    async with asyncio.timeout(60):
        while True:
            events = (await take_snapshot(system.run)).events[str(ticket)].values()
            if verb in {event["type"] for event in events}:
                return
            await asyncio.sleep(0.5)


async def pour(system: System, topic: Topic) -> int:
    """Send one of every kind of poison to a topic; how many."""
    some_type, *_ = topic.by_type
    json_, ce = ("content-type", b"application/json"), "ce_type"
    poison: list[tuple[bytes | None, list[tuple[str, bytes]]]] = [
        (b"{}", []),
        (b"{}", [(ce, b"amends.nothing.known.v1"), json_]),
        (b'{"broken":', [(ce, some_type.encode()), json_]),
        (b"\xff\xfe\x00", [(ce, some_type.encode()), json_]),
        (json.dumps({"routing_key": 5}).encode(), [(ce, some_type.encode()), json_]),
        (b"[" * 20_000, [(ce, some_type.encode()), json_]),
        (None, [(ce, some_type.encode()), json_]),
        (None, [(ce, b"\xff")]),
    ]
    for value, headers in poison:
        await send(system, topic.name, uuid4().bytes, value, headers)
    return len(poison)


async def send(system: System, topic: str, key: bytes, value: bytes | None, headers: list[tuple[str, bytes]]) -> None:
    """One record, acknowledged by the broker."""
    async with AIOKafkaProducer(bootstrap_servers=system.run["kafka"], acks="all") as producer:
        await producer.send_and_wait(topic, value, key=key, headers=headers)


async def listed(system: System) -> list[dict[str, Any]]:
    """`amends dead-letters list`."""
    return [json.loads(line) for line in (await amends(system, "dead-letters", "list", "--json")).splitlines()]


async def amends(system: System, *arguments: str) -> str:
    """The command, as a person runs it beside the running system."""
    done = await asyncio.to_thread(
        subprocess.run,
        [Path(sys.executable).with_name("amends"), *arguments],
        env={**os.environ, "AMENDS_RUN": str(system.folder)},
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    return done.stdout
