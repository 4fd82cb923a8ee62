"""A notifier as a process of its own, tickets for it to read, and customers who tell what they received."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import yaml
from aiokafka import AIOKafkaConsumer
from prometheus_client import CollectorRegistry
from pymongo import MongoClient

from deploy.local.stack import Stack
from schemas import ids
from schemas.classification import Classification, Matter
from schemas.codec import decode
from schemas.codes import (
    ActorKind,
    Category,
    Channel,
    Clock,
    DeliveryChannel,
    Grade,
    Language,
    Nature,
    Severity,
    Source,
    TicketState,
)
from schemas.complaint import Contact
from schemas.events import TicketAssigned, TicketClassified, TicketEvent, TicketOpened
from schemas.message import Actor, Message
from schemas.notifications import NotificationEvent
from schemas.sealed import ContactIndex, MaskedContact
from schemas.sla import SlaFact, SlaStarted
from schemas.topics import NOTIFICATION_EVENT, SLA_EVENT, TICKET_EVENT
from services.runtime.metrics import ProducingMetrics
from services.runtime.producing import Outgoing, Producer
from services.runtime.sealing import Keyring
from services.runtime.settings import RuntimeSettings
from services.runtime.topics import create_topics_async

SYSTEM = Actor(kind=ActorKind.SYSTEM)
PACKAGED_POLICY = Path("deploy/policies/notifications.yaml")


def now() -> datetime:
    """In milliseconds."""
    at = datetime.now(UTC)
    return at.replace(microsecond=at.microsecond // 1000 * 1000)


@dataclass
class Ticket:
    """A complaint, from opening to assignment, with the start of its first answer's clock."""

    contact: Contact
    channel: Channel = Channel.WEB
    language: Language = Language.ZH
    time_zone: str = "Asia/Shanghai"
    severity: Severity = Severity.NORMAL
    category: Matter = field(default_factory=lambda: Matter(category=Category.DAMAGE, sub="contents"))
    complaint_id: UUID = field(default_factory=uuid4)
    at: datetime = field(default_factory=now)
    sequence: int = 0

    @property
    def id(self) -> UUID:
        return ids.ticket_id(self.complaint_id)

    @property
    def key(self) -> str:
        return f"w:{self.complaint_id.hex[:12]}"

    @property
    def number(self) -> str:
        return f"2611-{self.complaint_id.int % 10_000_000:07d}"

    @property
    def received_id(self) -> UUID:
        """Of the notification that confirms it."""
        return ids.notification_id(self.id, "received", str(ids.event_id(self.complaint_id, "opened")))

    def event(self, kind: type[TicketEvent], state: TicketState, **fields: Any) -> TicketEvent:
        self.sequence += 1
        given = {"event_id": ids.event_id(self.complaint_id, f"{kind.TYPE.rpartition('.')[2]}/{self.sequence}")}
        return kind(
            **{
                "routing_key": self.key,
                "ticket_id": self.id,
                "sequence": self.sequence,
                "causation_id": self.complaint_id,
                "occurred_at": self.at,
                "actor": SYSTEM,
                "state": state,
                **given,
                **fields,
            }
        )

    def opening(self) -> list[Message]:
        """opened, classified, assigned."""
        masked = MaskedContact(
            phone="138****0000" if self.contact.phone else None,
            email="l***@example.com" if self.contact.email else None,
        )
        return [
            self.event(
                TicketOpened,
                TicketState.OPENED,
                event_id=ids.event_id(self.complaint_id, "opened"),
                complaint_id=self.complaint_id,
                number=self.number,
                channel=self.channel,
                source=Source.EXTERNAL,
                language=self.language,
                received_at=self.at,
                contact_ref=ids.contact_ref(self.complaint_id),
                masked=masked,
                contact_index=ContactIndex(),
                reachable_by=(DeliveryChannel.SMS,),
                time_zone=self.time_zone,
            ),
            self.event(
                TicketClassified,
                TicketState.OPENED,
                classification=Classification(
                    primary=self.category.category,
                    sub=self.category.sub,
                    nature=Nature.FUNCTIONAL,
                    grade=Grade.STAFF,
                    severity=self.severity,
                    confidence=0.9,
                    carrier_matter=True,
                    needs_review=False,
                ),
            ),
            self.event(
                TicketAssigned, TicketState.IN_REVIEW, department="centre", unit_calendar="centre", rule="default"
            ),
        ]

    def fact(self, kind: type[SlaFact], clock: Clock = Clock.FIRST_ANSWER, **fields: Any) -> SlaFact:
        return kind(
            **{
                "routing_key": self.key,
                "fact_id": ids.fact_id(self.id, clock, 1, kind.TYPE, str(fields.get("due_at"))),
                "ticket_id": self.id,
                "ticket_sequence": max(self.sequence, 1),
                "clock": clock,
                "cycle": 1,
                "at": self.at,
                "due_at": self.at + timedelta(hours=48),
                "target_s": 172800,
                "policy": "test",
                "policy_version": 1,
                **fields,
            }
        )

    def messages(self) -> list[Message]:
        """All that leads to its confirmation."""
        return [*self.opening(), self.fact(SlaStarted)]


class Scene:
    """Parts, and one notifier that can be started, killed and stopped."""

    def __init__(self, stack: Stack, folder: Path, database: str) -> None:
        self.stack = stack
        self.folder = folder
        self.database_name = database
        self.keyring = Keyring.create(folder / "keyring.json")
        self.settings = RuntimeSettings(
            kafka=stack.addresses.kafka, mongo=stack.addresses.mongo, mongo_database=database, partitions=3
        )
        self.producer = Producer(self.settings, ProducingMetrics(CollectorRegistry()))
        self.client: MongoClient[dict[str, Any]] = MongoClient(stack.addresses.mongo, tz_aware=True)
        self.db = self.client[database]
        self.http = httpx.AsyncClient(base_url=stack.addresses.sandbox, timeout=30)
        self.process: subprocess.Popen[bytes] | None = None
        self.policy: dict[str, Any] = yaml.safe_load(PACKAGED_POLICY.read_text())
        # It is day, whenever the tests run.
        hour = (now() + timedelta(hours=8)).hour
        self.policy["quiet_hours"] |= {"start": f"{(hour + 11) % 24:02d}:00", "end": f"{(hour + 12) % 24:02d}:00"}
        self.environment: dict[str, str] = {}
        self.log = folder / "notifier.log"
        self.port = 0

    async def open(self) -> None:
        await create_topics_async(self.settings)
        await self.producer.start()

    async def close(self) -> None:
        await self.stop()
        await self.http.delete("/messages")
        await self.behave(channel="sms", mode="accept")
        await self.behave(channel="email", mode="accept")
        await self.http.aclose()
        await self.producer.stop()
        self.client.drop_database(self.database_name)
        self.client.close()

    def start(self) -> None:
        """Start the notifier; it reads once it has its partitions."""
        policy = self.folder / "notifications.yaml"
        policy.write_text(yaml.safe_dump(self.policy, allow_unicode=True))
        environment = {
            **os.environ,
            **self.stack.environment(),
            "AMENDS_MONGO_DATABASE": self.database_name,
            "AMENDS_PARTITIONS": "3",
            "AMENDS_KEYRING": str(self.folder / "keyring.json"),
            "AMENDS_NOTIFICATION_POLICY": str(policy),
            "AMENDS_LOG_FORMAT": "json",
            **self.environment,
        }
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "services.notifier"], env=environment, stdout=log, stderr=log
            )

    def kill(self) -> None:
        assert self.process
        self.process.kill()
        self.process.wait()

    async def stop(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                await asyncio.to_thread(self.process.wait, 15)
            except subprocess.TimeoutExpired:
                self.kill()
                raise

    async def tell(self, *messages: Message) -> None:
        """Publish, each to its topic."""
        await self.producer.publish(
            [Outgoing(TICKET_EVENT if isinstance(m, TicketEvent) else SLA_EVENT, m) for m in messages]
        )

    def keep(self, *tickets: Ticket) -> None:
        """Keep their contacts, as the router does."""
        self.db["contacts"].insert_many(
            [
                {
                    "_id": str(ids.contact_ref(t.complaint_id)),
                    "complaint_id": str(t.complaint_id),
                    "contact": self.keyring.seal(t.contact.seal_bytes(), about=t.complaint_id).model_dump(),
                }
                for t in tickets
            ]
        )

    async def complain(self, *tickets: Ticket) -> None:
        """Keep contacts, then tell all that leads to confirmations."""
        self.keep(*tickets)
        await self.tell(*(m for t in tickets for m in t.messages()))

    async def behave(self, **rule: Any) -> None:
        (await self.http.post("/behaviour", json=rule)).raise_for_status()

    async def received(self, **query: Any) -> list[dict[str, Any]]:
        """What customers have in hand; what came back as undeliverable they have not."""
        answer = await self.http.get("/messages", params=query)
        answer.raise_for_status()
        return [m for m in answer.json() if m["receipt"] != "failed"]

    async def told(self, note: UUID) -> list[NotificationEvent]:
        """All distinct events of one message, as they stand on the topic."""
        return [e for e in await self.events() if e.notification_id == note]

    async def events(self) -> list[NotificationEvent]:
        consumer = AIOKafkaConsumer(
            NOTIFICATION_EVENT.name, bootstrap_servers=self.settings.kafka, auto_offset_reset="earliest"
        )
        await consumer.start()
        try:
            await consumer.seek_to_beginning()
            ends = await consumer.end_offsets(consumer.assignment())
            seen: dict[UUID, NotificationEvent] = {}
            while any([await consumer.position(p) < end for p, end in ends.items()]):
                for records in (await consumer.getmany(timeout_ms=500)).values():
                    for record in records:
                        message = decode(record.value, record.headers).message
                        assert isinstance(message, NotificationEvent)
                        before = seen.setdefault(message.event_id, message)
                        assert before == message, "the same event was told in two ways"
            return list(seen.values())
        finally:
            await consumer.stop()

    def notes(self) -> list[dict[str, Any]]:
        return list(self.db["notifications"].find())

    def logged(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]


async def until(holds: Callable[[], Awaitable[Any] | Any], *, seconds: float = 120.0) -> Any:
    """Wait until something holds, and give it."""
    deadline = time.monotonic() + seconds
    while True:
        found = holds()
        if asyncio.iscoroutine(found):
            found = await found
        if found:
            return found
        assert time.monotonic() < deadline, "it did not come to hold in time"
        await asyncio.sleep(0.05)


def phone(number: int) -> str:
    """A number that no other test uses, if `number` is of this test alone."""
    return f"+86138{number:08d}"
