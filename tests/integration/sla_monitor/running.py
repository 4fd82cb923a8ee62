"""The SLA monitor as processes, tickets to feed it, and what it tells."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4, uuid5

import httpx
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from prometheus_client import CollectorRegistry

from deploy.local.ports import free_ports
from deploy.local.stack import Stack
from schemas.classification import Classification
from schemas.codes import (
    ActorKind,
    Category,
    Channel,
    DeliveryChannel,
    Grade,
    Language,
    Moment,
    Nature,
    Severity,
    Source,
    TicketState,
)
from schemas.events import TicketAssigned, TicketClassified, TicketEvent, TicketOpened
from schemas.message import Actor, Message
from schemas.notifications import NotificationDelivered, NotificationEvent
from schemas.sealed import ContactIndex, MaskedContact
from schemas.topics import NOTIFICATION_EVENT, TICKET_EVENT
from services.cli.topic_reading import Record, read_to_end
from services.runtime import mongo
from services.runtime.metrics import ProducingMetrics
from services.runtime.producing import Outgoing, Producer
from services.runtime.settings import RuntimeSettings
from services.runtime.topics import create_topics_async
from services.service_levels.policy import SlaPolicy, parse_policy
from services.service_levels.policy_store import PolicyStore

PARTITIONS = 4
GROUP = "amends-sla_monitor"
ALWAYS = {"tz": "UTC", "hours": {"all": [["00:00", "24:00"]]}}


def policy(**fields: Any) -> SlaPolicy:
    """Limits of seconds: three to acknowledge, five to resolve."""
    written: dict[str, Any] = {
        "name": "test",
        "version": 1,
        "effective_from": "2020-01-01T00:00:00Z",
        "default_calendar": "24x7",
        "calendars": {"24x7": ALWAYS},
        "escalation": {"shares": [1.0, 1.5], "ladders": [{"name": "ordinary", "levels": ["agent", "team_lead"]}]},
        "clocks": {
            "acknowledge": {
                "start": {"at": "opened", "counted_from": "received"},
                "stop": "received_delivered",
                "calendar": "24x7",
                "rules": [{"name": "acknowledge", "target": "3s"}],
            },
            "resolution": {
                "start": {"at": ["classified", "assigned"], "counted_from": "opened"},
                "stop": "resolved",
                "pause": ["customer_awaited"],
                "resume": "waiting_over",
                "calendar": "24x7",
                "rules": [{"name": "resolution", "target": "5s"}],
            },
        },
    }
    return parse_policy(written | fields)


class Ticket:
    """The events of one ticket."""

    def __init__(self, received_at: datetime) -> None:
        self.id = uuid4()
        self.key = f"key-{self.id}"
        self.received_at = received_at
        self.sequence = 0

    def event(self, kind: type[TicketEvent], after_s: float, state: TicketState, **fields: Any) -> TicketEvent:
        """The next one, so many seconds after the complaint was received."""
        self.sequence += 1
        return kind.model_validate(
            {
                "routing_key": self.key,
                "event_id": uuid5(self.id, str(self.sequence)),
                "ticket_id": self.id,
                "sequence": self.sequence,
                "causation_id": self.id,
                "occurred_at": self.received_at + timedelta(seconds=after_s),
                "actor": Actor(kind=ActorKind.SYSTEM),
                "state": state,
            }
            | fields
        )

    def opening(self) -> list[Message]:
        """Opened, classified and assigned at once, as a router does it."""
        opened = {
            "complaint_id": self.id,
            "number": "2611-000017",
            "channel": Channel.WEB,
            "source": Source.EXTERNAL,
            "language": Language.ZH,
            "received_at": self.received_at,
            "contact_ref": self.id,
            "masked": MaskedContact(),
            "contact_index": ContactIndex(),
            "reachable_by": (DeliveryChannel.SMS,),
            "time_zone": "Asia/Shanghai",
        }
        understood = Classification(
            primary=Category.DELAY,
            sub="transit",
            nature=Nature.FUNCTIONAL,
            grade=Grade.STAFF,
            severity=Severity.HIGH,
            confidence=0.9,
            carrier_matter=True,
            needs_review=False,
        )
        unit = {"department": "hubs", "unit": "HUB-01", "person": "p1", "unit_calendar": "24x7", "rule": "r"}
        return [
            self.event(TicketOpened, 0, TicketState.OPENED, **opened),
            self.event(TicketClassified, 0, TicketState.OPENED, classification=understood),
            self.event(TicketAssigned, 0, TicketState.INVESTIGATING, **unit),
        ]

    def delivered(self, after_s: float) -> NotificationDelivered:
        """The confirmation is in the customer's hand."""
        return NotificationDelivered(
            routing_key=self.key,
            event_id=uuid5(self.id, "delivered"),
            notification_id=uuid5(self.id, "received"),
            ticket_id=self.id,
            moment=Moment.RECEIVED,
            occasion=self.id,
            at=self.received_at + timedelta(seconds=after_s),
            to="138****1234",
            channel=DeliveryChannel.SMS,
        )


@dataclass
class Told:
    """What stands on the topics of facts."""

    facts: dict[str, list[Record]] = field(default_factory=lambda: defaultdict(list))
    """Of `sla-event` by ticket."""
    breaches: dict[str, list[Record]] = field(default_factory=lambda: defaultdict(list))
    """Of `sla-breached` by ticket."""

    def types(self, ticket: UUID, clock: str) -> list[str]:
        """Past verbs of a ticket's clock, in order, each fact once."""
        seen = {self.id(r): r for r in self.facts[str(ticket)] if r.payload and r.payload["clock"] == clock}
        return [r.type.split(".")[2] for r in seen.values()]

    def payloads(self, ticket: UUID) -> list[dict[str, Any]]:
        """The breaches of a ticket."""
        return [r.payload for r in self.breaches[str(ticket)] if r.payload]

    @staticmethod
    def id(record: Record) -> str:
        """Of the fact."""
        return record.headers["ce_id"].decode()


class World:
    """A broker, a database, and workers of the SLA monitor."""

    def __init__(self, stack: Stack, folder: Path, database: str) -> None:
        self.stack = stack
        self.folder = folder
        self.database = database
        self.workers: dict[int, tuple[subprocess.Popen[bytes], int]] = {}
        self.settings = RuntimeSettings(
            kafka=stack.addresses.kafka, mongo=stack.addresses.mongo, mongo_database=database, partitions=PARTITIONS
        )

    async def prepare(self, **policy_fields: Any) -> None:
        """Topics, and a policy of seconds."""
        await create_topics_async(self.settings)
        database = mongo.connect(self.settings.mongo, database=self.database)
        await PolicyStore(database).add(policy(**policy_fields), now=datetime.now(UTC))
        database.client.close()

    def start(self, number: int = 1) -> None:
        """Start a worker."""
        (port,) = free_ports(1)
        environment = os.environ | {
            "AMENDS_KAFKA": self.settings.kafka,
            "AMENDS_MONGO": self.settings.mongo,
            "AMENDS_MONGO_DATABASE": self.database,
            "AMENDS_PARTITIONS": str(PARTITIONS),
            "AMENDS_HTTP_PORT": str(port),
            "AMENDS_LOG_FORMAT": "json",
        }
        log = (self.folder / f"worker-{number}.log").open("ab")
        process = subprocess.Popen([sys.executable, "-m", "services.sla_monitor"], env=environment, stderr=log)
        self.workers[number] = (process, port)

    async def ready(self, number: int = 1) -> None:
        """Wait until a worker says so."""
        process, port = self.workers[number]
        deadline = time.monotonic() + 120
        async with httpx.AsyncClient(trust_env=False) as client:
            while True:
                assert process.poll() is None, self.log(number)
                assert time.monotonic() < deadline, self.log(number)
                try:
                    if (await client.get(f"http://127.0.0.1:{port}/readyz")).status_code == 200:
                        return
                except httpx.TransportError:
                    pass
                await asyncio.sleep(0.1)

    async def metrics(self, number: int = 1) -> str:
        """What a worker counts."""
        async with httpx.AsyncClient(trust_env=False) as client:
            return (await client.get(f"http://127.0.0.1:{self.workers[number][1]}/metrics")).text

    async def counted(self, line: str, number: int) -> None:
        """Wait until a worker's metrics have that line."""
        deadline = time.monotonic() + 120
        while line not in await self.metrics(number):
            assert time.monotonic() < deadline, self.log(number)
            await asyncio.sleep(0.2)

    def stop(self, number: int = 1, *, how: signal.Signals = signal.SIGTERM) -> int:
        """End a worker; gives its exit code."""
        process, _ = self.workers.pop(number)
        process.send_signal(how)
        return process.wait(20)

    def stop_all(self) -> None:
        """End all, so that their group is empty at once."""
        for number in list(self.workers):
            self.stop(number)

    def log(self, number: int = 1) -> str:
        """The end of a worker's log."""
        return (self.folder / f"worker-{number}.log").read_text()[-3000:]

    async def publish(self, messages: Sequence[Message]) -> None:
        """Publish to the topic of each."""
        producer = Producer(self.settings, ProducingMetrics(CollectorRegistry()))
        await producer.start()
        topics = [NOTIFICATION_EVENT if isinstance(m, NotificationEvent) else TICKET_EVENT for m in messages]
        await producer.publish([Outgoing(topic, m) for topic, m in zip(topics, messages, strict=True)])
        await producer.stop()

    async def told(self) -> Told:
        """Everything that was told so far."""
        told = Told()
        async for record in read_to_end(self.settings, ["sla-event", "sla-breached"]):
            assert record.payload is not None
            by_ticket = told.facts if record.topic == "sla-event" else told.breaches
            by_ticket[record.payload["ticket_id"]].append(record)
        return told

    async def until(self, holds: Callable[[Told], Any], *, limit_s: float = 120.0) -> Told:
        """Wait until what was told is as wanted."""
        deadline = time.monotonic() + limit_s
        while True:
            told = await self.told()
            if holds(told):
                return told
            if time.monotonic() > deadline:
                heard = {
                    t: [r.type.split(".")[2] + "/" + str((r.payload or {})["clock"]) for r in rs]
                    for t, rs in told.facts.items()
                }
                pytest.fail(f"told was only {heard}; workers said {[self.log(n) for n in self.workers]}")
            await asyncio.sleep(0.2)

    async def forget_offsets(self) -> None:
        """Let the group, which must be empty, read everything again."""
        consumer = AIOKafkaConsumer(bootstrap_servers=self.settings.kafka, group_id=GROUP, enable_auto_commit=False)
        await consumer.start()
        places = [TopicPartition(t.name, p) for t in (TICKET_EVENT, NOTIFICATION_EVENT) for p in range(PARTITIONS)]
        consumer.assign(places)
        await consumer.commit(dict.fromkeys(places, 0))
        await consumer.stop()


def lateness_s(record: Record) -> float:
    """From the due time of a breach to the moment a worker saw it."""
    assert record.payload is not None
    due, seen = (datetime.fromisoformat(record.payload[name]) for name in ("breached_at", "detected_at"))
    return (seen - due).total_seconds()
