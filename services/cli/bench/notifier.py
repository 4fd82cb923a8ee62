"""The notifier: one process writes to the complainants of tickets that wait on the topics, receipts included."""

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid4, uuid5

import httpx
import psutil
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from deploy.local.ports import free_ports
from deploy.local.stack import Addresses
from schemas import ids
from schemas.classification import Classification
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
from schemas.sealed import ContactIndex, MaskedContact
from schemas.sla import SlaStarted
from schemas.topics import SLA_EVENT, TICKET_EVENT
from services.runtime.metrics import ProducingMetrics
from services.runtime.mongo import connect
from services.runtime.producing import Outgoing, Producer
from services.runtime.sealing import Keyring
from services.runtime.settings import RuntimeSettings
from services.runtime.topics import create_topics_async

TICKETS: Final = 12_000
WARM_UP: Final = 2_000
"""Not counted: connections and caches."""
SECONDS_MAX: Final = 240
_PARTS: Final = {"sandbox": "deploy.local.sandbox", "kafka": "kafka.Kafka", "database": "secantusd"}
"""Processes of the local stack, by what stands in their command lines."""
_SYSTEM: Final = Actor(kind=ActorKind.SYSTEM)


async def run(addresses: Addresses) -> dict[str, Any]:
    """SMS a second, what one costs, and how long the notifier takes from the last event to all receipts."""
    with tempfile.TemporaryDirectory(prefix="amends-bench-notifier-") as folder:
        keyring = Keyring.create(Path(folder) / "keyring.json")
        settings = RuntimeSettings(kafka=addresses.kafka, mongo=addresses.mongo)
        await create_topics_async(settings)
        await _preload(settings, keyring)
        (port,) = free_ports(1)
        environment = {
            **os.environ,
            **addresses.environment(),
            "AMENDS_KEYRING": str(Path(folder) / "keyring.json"),
            "AMENDS_HTTP_PORT": str(port),
            "AMENDS_LOG_LEVEL": "warning",
        }
        service = await asyncio.create_subprocess_exec(sys.executable, "-m", "services.notifier", env=environment)
        try:
            return await _measure(f"http://127.0.0.1:{port}/metrics", psutil.Process(service.pid))
        finally:
            service.terminate()
            await service.wait()


async def _measure(url: str, process: psutil.Process) -> dict[str, Any]:
    until = time.monotonic() + SECONDS_MAX
    begun: tuple[float, float, Mapping[str, float]] | None = None
    async with httpx.AsyncClient(timeout=10) as client:
        while time.monotonic() < until:
            sent, delivered = await _counts(client, url)
            now, cpu = time.monotonic(), _cpu_s(process)
            if begun is None and delivered >= WARM_UP:
                begun = (now, delivered, cpu)
            if begun is not None and delivered >= TICKETS:
                seconds, many = now - begun[0], delivered - begun[1]
                return {
                    "sms_per_s": round(many / seconds, 1),
                    **{f"cpu_ms_per_sms_{name}": round(1000 * (cpu[name] - begun[2][name]) / many, 3) for name in cpu},
                    "memory_mb": round(process.memory_info().rss / 2**20, 1),
                    "measured": int(many),
                }
            await asyncio.sleep(0.2)
    raise TimeoutError(f"{sent:.0f} of {TICKETS} SMS were sent and {delivered:.0f} delivered in {SECONDS_MAX} s")


def _cpu_s(notifier: psutil.Process) -> dict[str, float]:
    """Processor time so far of the notifier, and of the parts that share its cores."""
    used = {"notifier": sum(notifier.cpu_times()[:2])}
    for child in psutil.Process().children():
        command = " ".join(child.cmdline())
        for name, mark in _PARTS.items():
            if mark in command:
                used[name] = sum(child.cpu_times()[:2])
    return used


async def _counts(client: httpx.AsyncClient, url: str) -> tuple[float, float]:
    """(sent, delivered); nothing before the service listens."""
    try:
        text = (await client.get(url)).text
    except httpx.TransportError:
        return 0.0, 0.0
    found = {"sent": 0.0, "delivered": 0.0}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == "amends_notifications_total" and sample.labels["result"] in found:
                found[sample.labels["result"]] += sample.value
    return found["sent"], found["delivered"]


async def _preload(settings: RuntimeSettings, keyring: Keyring) -> None:
    contacts = connect(settings.mongo, database=settings.mongo_database)["contacts"]
    producer = Producer(settings, ProducingMetrics(CollectorRegistry()))
    await producer.start()
    try:
        for start in range(0, TICKETS, 500):
            numbered = [(n, uuid4()) for n in range(start, start + 500)]
            await contacts.insert_many([_contact(keyring, n, complaint) for n, complaint in numbered], ordered=False)
            told = [m for n, complaint in numbered for m in _messages(n, complaint)]
            await producer.publish(
                [Outgoing(SLA_EVENT if isinstance(m, SlaStarted) else TICKET_EVENT, m) for m in told]
            )
    finally:
        await producer.stop()


def _contact(keyring: Keyring, number: int, complaint: UUID) -> dict[str, Any]:
    contact = Contact(name="王小明", phone=f"+86139{number:08d}", email=f"p{number}@bench.example")
    return {
        "_id": str(ids.contact_ref(complaint)),
        "complaint_id": str(complaint),
        "contact": keyring.seal(contact.seal_bytes(), about=complaint).model_dump(),
    }


def _messages(number: int, complaint: UUID) -> Iterator[Message]:
    """What the router and the SLA monitor tell of one complaint."""
    ticket, at = ids.ticket_id(complaint), datetime.now(UTC)

    def event(kind: type[TicketEvent], sequence: int, state: TicketState, **fields: Any) -> TicketEvent:
        return kind(
            **{
                "routing_key": f"w:{complaint.hex}",
                "event_id": uuid5(complaint, str(sequence)),
                "ticket_id": ticket,
                "sequence": sequence,
                "causation_id": complaint,
                "occurred_at": at,
                "actor": _SYSTEM,
                "state": state,
                **fields,
            }
        )

    yield event(
        TicketOpened,
        1,
        TicketState.OPENED,
        complaint_id=complaint,
        number=f"2611-{number:07d}",
        channel=Channel.WEB,
        source=Source.EXTERNAL,
        language=Language.ZH if number % 2 else Language.EN,
        received_at=at,
        contact_ref=ids.contact_ref(complaint),
        masked=MaskedContact(phone=f"139****{number % 10_000:04d}"),
        contact_index=ContactIndex(),
        reachable_by=(DeliveryChannel.SMS, DeliveryChannel.EMAIL),
        time_zone="Asia/Shanghai",
    )
    said = Classification(
        primary=Category.DELAY,
        sub="delivery",
        nature=Nature.FUNCTIONAL,
        grade=Grade.STAFF,
        severity=Severity.NORMAL,
        confidence=0.9,
        carrier_matter=True,
        needs_review=False,
    )
    yield event(TicketClassified, 2, TicketState.OPENED, classification=said)
    yield event(TicketAssigned, 3, TicketState.IN_REVIEW, department="centre", unit_calendar="centre", rule="default")
    for clock in (Clock.ACKNOWLEDGE, Clock.FIRST_REVIEW, Clock.FIRST_ANSWER, Clock.RESOLUTION, Clock.STATUTORY_USER):
        yield SlaStarted(
            routing_key=f"w:{complaint.hex}",
            fact_id=ids.fact_id(ticket, clock, 1, "started"),
            ticket_id=ticket,
            ticket_sequence=2,
            clock=clock,
            cycle=1,
            at=at,
            due_at=at + timedelta(hours=48),
            target_s=172_800,
            policy="bench",
            policy_version=1,
        )
