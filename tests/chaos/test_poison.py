"""Messages that nobody can process, on every topic at once, while good complaints flow."""

import asyncio
import json
import os
import subprocess
import sys
import time
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
from schemas.topics import MESSAGES, TICKET_COMMAND, TOPICS, Topic
from services.cli.audit import Difference, differences, settled
from services.cli.verify import take_snapshot
from services.runtime.sealing import Keyring
from tests.chaos.whole_system import System, complaints, feed, settle, whole_system

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

GOLDEN = Path(__file__).parents[2] / "schemas" / "golden"
READING = ("router", "sla_monitor", "notifier", "desk")
READERS = {
    topic: [f"amends-{service}" for service in topic.consumers if service in READING]
    for topic in TOPICS.values()
    if topic.consumers != ("downstream",)
}
DIVERSE = 20
NO_ID = "no-uuid"
POISONED = {
    NO_ID,
    *(
        value
        for path in GOLDEN.glob("*.v1.json")
        for name, value in json.loads(path.read_text()).items()
        if name.endswith(("_id", "number")) and isinstance(value, str)
    ),
}
"""Identities that stand in poison."""


async def test_poison_on_every_topic_is_set_aside_and_its_neighbours_are_processed(tmp_path, poison_rounds):
    """Each poison message ends among the dead letters of each reader, with its reason; each good one is done."""
    with whole_system(tmp_path / "run", workers={}) as system:
        made = complaints(100, seed=21)
        feeding = asyncio.create_task(feed(system, made, per_s=20))
        poured = await pour(system, rounds=poison_rounds)
        started = time.monotonic()
        letters = await all_listed(system, len(poured))
        seconds = time.monotonic() - started
        accepted = await feeding
        good = await settled_but_poison(system)
    assert len(accepted) == len(made)
    assert {difference.kind for difference in good} <= {"dead_letter"}, good
    rate = len(poured) / seconds
    print(f"{len(poured)} poison messages were set aside {seconds:.1f} s after the last was sent, {rate:.0f}/s")  # noqa: T201
    told = Counter((letter["consumer"], letter["topic"], letter["partition"], letter["offset"]) for letter in letters)
    assert told == Counter(poured)
    assert all(letter["reason"] and letter["why"] for letter in letters)
    assert len({letter["reason"].partition(":")[0][:40] for letter in letters}) > DIVERSE / 2


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


async def pour(system: System, *, rounds: int) -> list[tuple[str, str, int, int]]:
    """Send every kind of poison to every topic, so many times; who must set what aside."""
    placed: list[tuple[str, str, int, int]] = []
    async with AIOKafkaProducer(bootstrap_servers=system.run["kafka"], acks="all", max_request_size=2**20) as producer:
        for number in range(rounds):
            sent = [
                (readers, await producer.send(topic.name, value, key=key, headers=headers, timestamp_ms=time_ms))
                for topic, readers in READERS.items()
                for value, key, headers, time_ms in poison(topic, is_big=number == 0)
            ]
            for readers, future in sent:
                at = await future
                placed += [(reader, at.topic, at.partition, at.offset) for reader in readers]
    return placed


def poison(topic: Topic, *, is_big: bool) -> list[tuple[bytes | None, bytes | None, list[tuple[str, Any]], int | None]]:
    """One of every kind: value, key, headers and time of a record that nobody can process."""
    kind, model = next(iter(topic.by_type.items()))
    golden = json.loads((GOLDEN / f"{kind}.json").read_text())
    other = next(name for name in sorted(MESSAGES) if name not in topic.by_type)
    typed: list[tuple[str, Any]] = [("ce_type", kind.encode()), ("content-type", b"application/json")]
    key = golden["routing_key"].encode()

    def changed(**fields: Any) -> bytes:
        return json.dumps(golden | fields).encode()

    identity = next(name for name in model.model_fields if name.endswith("_id"))
    moment = next(name for name in ("issued_at", "occurred_at", "received_at", "at") if name in model.model_fields)
    values: list[bytes | None] = [
        None,
        b"",
        b'{"broken":',
        b"[" * 20_000,
        b"\xff\xfe\x00",
        b'{"routing_key": "\xe5\x8c"}',
        b'{"routing_key": "\\ud800"}',
        b"\x00",
        changed(routing_key=5),
        changed(routing_key=10**400),
        changed(**{identity: NO_ID}),
        changed(**{moment: "+275760-09-13T00:00:00Z"}),
        changed(**{moment: "yesterday"}),
        changed(**{moment: "2026-11-22T09:30:00"}),
        json.dumps([golden]).encode(),
        (GOLDEN / f"{other}.json").read_bytes() if topic.name != "sla-breached" else b"{}",
        *([b'{"routing_key": "' + b"x" * 900_000 + b'"}'] if is_big else []),
    ]
    good = changed()
    return [
        *((value, key, typed, None) for value in values),
        (good, key, [], None),
        (good, key, [("ce_type", None)], None),
        (good, key, [("ce_type", b"\xff")], None),
        (good, key, [("ce_type", b"amends.nothing.known.v1")], None),
        (good, key, [("ce_type", kind.replace(".v1", ".v99").encode())], None),
        (good, key, [*typed, ("ce_type", other.encode())], None),
        (good, key, [("ce_type", kind.encode()), ("content-type", b"application/avro")], None),
        (good, None, typed, None),
        (good, b"another", typed, None),
    ]


async def send(system: System, topic: str, key: bytes, value: bytes | None, headers: list[tuple[str, bytes]]) -> None:
    """One record, acknowledged by the broker."""
    async with AIOKafkaProducer(bootstrap_servers=system.run["kafka"], acks="all") as producer:
        await producer.send_and_wait(topic, value, key=key, headers=headers)


async def settled_but_poison(system: System) -> list[Difference]:
    """What the check from outside finds of good messages when nothing of them is under way.

    Some poison reads like a message, so the check misses what nobody was to make of it.
    """
    until = time.monotonic() + 60
    while True:
        found = differences(await take_snapshot(system.run))
        good = [one for one in found if not any(identity in f"{one.subject} {one.says}" for identity in POISONED)]
        if settled(good) or time.monotonic() > until:
            return good
        await asyncio.sleep(1)


async def all_listed(system: System, count: int) -> list[dict[str, Any]]:
    """Wait for so many dead letters."""
    while True:
        letters = await listed(system)
        if len(letters) >= count:
            return letters
        await asyncio.sleep(1)


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
