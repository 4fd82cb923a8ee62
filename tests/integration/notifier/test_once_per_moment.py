"""Each moment once, whatever is redelivered or killed."""

from schemas.complaint import Contact
from schemas.notifications import NotificationDelivered, NotificationRequested, NotificationSent
from tests.integration.notifier.scene import Scene, Ticket, phone, until


async def test_a_complaint_becomes_an_sms_with_number_understanding_and_time(scene: Scene) -> None:
    """The complainant has one SMS in hand that says number, category in words and the time of the next answer."""
    ticket = Ticket(Contact(name="王小明", phone=phone(10_000_001)))
    scene.start()
    await scene.complain(ticket)
    (sms,) = await until(lambda: scene.received(out_id=str(ticket.received_id)))
    assert sms["to"] == ticket.contact.phone
    assert ticket.number in sms["text"]
    assert "包裹里的物品破损" in sms["text"]
    assert "前给您答复" in sms["text"]
    assert sms["parts"] <= 2
    events = await until(lambda: _delivered(scene, ticket))
    assert [type(e) for e in events] == [NotificationRequested, NotificationSent, NotificationDelivered]
    assert {e.to for e in events} == {"138****0000"}
    assert not any(ticket.contact.phone in str(e) for e in events)


async def _delivered(scene: Scene, ticket: Ticket) -> list[object]:
    events = await scene.told(ticket.received_id)
    return list(events) if any(isinstance(e, NotificationDelivered) for e in events) else []
