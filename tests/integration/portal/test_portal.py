"""From the public form to the private page and back to the router, on real parts."""

import asyncio
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import httpx
from aiokafka import AIOKafkaConsumer, TopicPartition
from prometheus_client import CollectorRegistry

from schemas import commands as c
from schemas import ids
from schemas.codec import decode
from schemas.codes import ActorKind
from schemas.message import Actor
from schemas.notes import Note
from schemas.sealed import Sealed
from schemas.topics import TICKET_COMMAND
from services.runtime.metrics import ProducingMetrics
from services.runtime.private_link import PURPOSE, PrivateLinks
from services.runtime.producing import Outgoing, Producer
from services.runtime.settings import RuntimeSettings
from tests.integration.portal.conftest import Network
from tests.unit.portal.tickets import hidden

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b550000"
    "000a49444154789c636000000002000148afa4710000000049454e44ae426082"
)
TEXT = "The parcel SF1234567890123 has been stuck in the sorting centre for five days and nobody answers the phone."


async def _complain(client: httpx.AsyncClient, text: str = TEXT) -> tuple[UUID, str]:
    """Send the form; gives the complaint and the page with its number."""
    form = hidden((await client.get("/?lang=en")).text, "form")
    typed = {"form": form, "description": text, "phone": "13800138000", "name": "Somebody"}
    sent = await client.post("/?lang=en", data=typed, files=[("files", ("photo.png", PNG))])
    assert sent.status_code == 303, sent.text
    async with asyncio.timeout(60):
        while 'class="number"' not in (page := (await client.get(sent.headers["location"])).text):
            continue  # the page itself waits for some seconds
    return UUID(urlsplit(sent.headers["location"]).path.rpartition("/")[2]), page


def _link(network: Network, complaint_id: UUID) -> str:
    ticket_id = ids.ticket_id(complaint_id)
    links = PrivateLinks(network.keyring.key_for(PURPOSE))
    return f"/t/{links.make(ticket_id, complaint_id, datetime.now(UTC))}"


def _ticket(network: Network, complaint_id: UUID) -> dict[str, Any]:
    return network.database["tickets"].find_one({"_id": str(ids.ticket_id(complaint_id))}) or {}


async def test_a_complaint_is_seen_and_taken_back_by_its_complainant(network: Network) -> None:
    """Form, number, private page, action, and what became of it."""
    async with httpx.AsyncClient(base_url=network.portal, timeout=60) as client:
        complaint_id, page = await _complain(client)
        number = _ticket(network, complaint_id)["number"]
        assert number in page
        link = _link(network, complaint_id)
        shown = (await client.get(f"{link}?lang=en")).text
        assert number in shown
        assert "SF1234567890123" in shown
        assert "13800138000" not in shown
        data = {"form": hidden(shown, "form"), "words": "It came after all."}
        asked = [await client.post(f"{link}/withdraw?lang=en", data=data) for _ in range(2)]
        told = [(await client.get(one.headers["location"])).text for one in asked]
        assert all("The complaint is taken back." in one for one in told)
        assert _ticket(network, complaint_id)["state"] == "withdrawn"
    withdrawn = list(network.database["ticket_events"].find({"type": "amends.ticket.withdrawn.v1"}))
    assert len(withdrawn) == 1
    assert withdrawn[0]["actor"]["kind"] == "complainant"
    assert b"after all" not in str(list(network.database["ticket_events"].find())).encode()


async def test_an_appeal_reaches_the_router_and_its_words_are_sealed(network: Network) -> None:
    """The answer's words for the customer are on the page; the reason of the appeal is in the note that it names."""
    async with httpx.AsyncClient(base_url=network.portal, timeout=60) as client:
        complaint_id, _ = await _complain(client)
        link = _link(network, complaint_id)
        await _answer(network, complaint_id, Note(text="INSIDE", for_customer="It comes tomorrow."))
        async with asyncio.timeout(60):
            while "It comes tomorrow." not in (page := (await client.get(f"{link}?lang=en")).text):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert "INSIDE" not in page
        data = {"form": hidden(page, "form"), "words": "That is too late."}
        assert (await client.post(f"{link}/appeal", data=data)).status_code == 303
    commands = await _commands(network.kafka)
    (appeal,) = [one for one in commands if isinstance(one.action, c.Appeal)]
    assert appeal.ticket_id == ids.ticket_id(complaint_id)
    assert appeal.actor == Actor(kind=ActorKind.COMPLAINANT, via="portal")
    assert appeal.note_ref is not None
    kept = network.database["notes"].find_one({"_id": str(appeal.note_ref)})
    assert kept is not None
    opened = network.keyring.open(Sealed.model_validate(kept["sealed"]), about=appeal.note_ref)
    assert Note.from_seal_bytes(opened) == Note(text="That is too late.")


async def _answer(network: Network, complaint_id: UUID, note: Note) -> None:
    """What the centre does, up to the answer; steps that this ticket does not need are refused."""
    ticket = _ticket(network, complaint_id)
    ref = uuid4()
    sealed = network.keyring.seal(note.seal_bytes(), about=ref)
    kept = {"ticket_id": str(ids.ticket_id(complaint_id)), "written_at": datetime.now(UTC)}
    network.database["notes"].insert_one({"_id": str(ref), "sealed": dict(sealed), **kept})
    steps: list[c.Action] = [c.StartReview(), c.CompleteReview(), c.Answer(remedy="redeliver")]
    asked = [
        c.TicketCommand(
            routing_key=ticket["routing_key"],
            command_id=uuid4(),
            ticket_id=ids.ticket_id(complaint_id),
            issued_at=datetime.now(UTC),
            actor=Actor(kind=ActorKind.AGENT, id="agent-1", via="desk"),
            note_ref=ref if isinstance(action, c.Answer) else None,
            action=action,
        )
        for action in steps
    ]
    producer = Producer(RuntimeSettings(kafka=network.kafka), ProducingMetrics(CollectorRegistry()))
    await producer.start()
    try:
        await producer.publish([Outgoing(TICKET_COMMAND, one) for one in asked])
    finally:
        await producer.stop()


async def _commands(kafka: str) -> list[c.TicketCommand]:
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, enable_auto_commit=False, auto_offset_reset="earliest")
    await consumer.start()
    try:
        partitions = [TopicPartition(TICKET_COMMAND.name, p) for p in range(12)]
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        await consumer.seek_to_beginning(*partitions)
        found = []
        while any([await consumer.position(p) < end for p, end in ends.items()]):
            for records in (await consumer.getmany(timeout_ms=500)).values():
                found += [decode(record.value, record.headers).message for record in records]
        return [one for one in found if isinstance(one, c.TicketCommand)]
    finally:
        await consumer.stop()
