"""Each moment once, whatever is redelivered or killed."""

import asyncio
import random
from collections import Counter

import pytest

from schemas.codes import Channel
from schemas.complaint import Contact
from schemas.notifications import NotificationDelivered, NotificationRequested, NotificationSent
from tests.integration.notifier.scene import Scene, Ticket, phone, until

pytestmark = pytest.mark.integration


async def test_a_complaint_becomes_an_sms_with_number_understanding_and_time(scene: Scene) -> None:
    """The complainant has one SMS in hand that says number, category in words and the time of the next answer."""
    ticket = Ticket(Contact(name="王小明", phone=phone(10_000_001)))
    scene.start()
    await scene.complain(ticket)
    (sms,) = await until(lambda: scene.received(out_id=str(ticket.received_id)))
    assert sms["to"] == ticket.contact.phone
    assert ticket.number in sms["text"]
    assert "包裹里的物品破损" in sms["text"]
    assert "前答复您" in sms["text"]
    assert sms["parts"] <= 2
    events = await until(lambda: _delivered(scene, ticket))
    assert [type(e) for e in events] == [NotificationRequested, NotificationSent, NotificationDelivered]
    assert {e.to for e in events} == {"138****0000"}
    assert not any(str(ticket.contact.phone) in str(e) for e in events)


async def test_redelivery_writes_to_nobody_again(scene: Scene) -> None:
    """The same events again, by a notifier that starts anew, give no second message and no second event."""
    tickets = [Ticket(Contact(phone=phone(10_001_000 + n))) for n in range(20)]
    told = [m for t in tickets for m in t.messages()]
    scene.keep(*tickets)
    scene.start()
    await scene.tell(*told)
    await until(lambda: _all_have(scene, tickets))
    await scene.tell(*told)
    await scene.stop()
    scene.start()
    marker = Ticket(Contact(phone=phone(10_001_900)))
    await scene.tell(*told)
    await scene.complain(marker)
    await until(lambda: _all_have(scene, [marker]))
    assert await _copies(scene, tickets) == {1: len(tickets)}


async def test_kill_in_the_flow_loses_and_doubles_nothing(scene: Scene) -> None:
    """Killed again and again between sending and marking, everybody has one message in the end."""
    scene.policy["lease_s"] = 4
    tickets = [
        Ticket(Contact(phone=phone(10_002_000 + n)), channel=Channel.WEB)
        if n % 5
        else Ticket(Contact(email=f"p{n}@kill.example"), channel=Channel.EMAIL)
        for n in range(600)
    ]
    scene.keep(*tickets)
    chance = random.Random(7)
    scene.start()
    feeding = asyncio.create_task(_feed(scene, tickets, pause_s=0.02))
    for number in range(1, 6):
        # Killed as soon as it sends again, so that something is always under way.
        await until(lambda number=number: _count(scene, at_least=number * 60))
        await asyncio.sleep(chance.uniform(0, 0.05))
        scene.kill()
        scene.start()
    await feeding
    await until(lambda: _all_have(scene, tickets))
    await until(lambda: _all_are_delivered(scene))
    await until(lambda: _all_is_told(scene, tickets))
    assert await _copies(scene, tickets) == {1: len(tickets)}


async def _feed(scene: Scene, tickets: list[Ticket], *, pause_s: float) -> None:
    for start in range(0, len(tickets), 5):
        await scene.tell(*(m for t in tickets[start : start + 5] for m in t.messages()))
        await asyncio.sleep(pause_s)


async def _count(scene: Scene, *, at_least: int) -> bool:
    counts = (await scene.http.get("/messages/count")).json()
    return sum(counts.values()) >= at_least


async def _out_ids(scene: Scene) -> Counter[str]:
    return Counter(m["out_id"] for m in await scene.received())


async def _all_have(scene: Scene, tickets: list[Ticket]) -> bool:
    have = await _out_ids(scene)
    return all(have[str(t.received_id)] for t in tickets)


def _all_are_delivered(scene: Scene) -> bool:
    return scene.db["notifications"].count_documents({"state": {"$ne": "delivered"}}) == 0


async def _all_is_told(scene: Scene, tickets: list[Ticket]) -> bool:
    """A record is written before its events are published, so that the topic may be a moment behind."""
    told = {(e.notification_id, type(e)) for e in await scene.events()}
    kinds = (NotificationRequested, NotificationSent, NotificationDelivered)
    return all((t.received_id, kind) in told for t in tickets for kind in kinds)


async def _copies(scene: Scene, tickets: list[Ticket]) -> dict[int, int]:
    """How many people have how many copies."""
    have = await _out_ids(scene)
    return dict(Counter(have[str(t.received_id)] for t in tickets))


async def _delivered(scene: Scene, ticket: Ticket) -> list[object]:
    events = await scene.told(ticket.received_id)
    return list(events) if any(isinstance(e, NotificationDelivered) for e in events) else []
