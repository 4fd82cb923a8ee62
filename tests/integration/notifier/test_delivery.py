"""What is done when a provider refuses, is slow, hangs up or forgets receipts; at night; when it is too much."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from deploy.local.ports import free_ports
from schemas import ids
from schemas.codes import Channel, DeliveryChannel, Moment, Severity, TicketState
from schemas.complaint import Contact
from schemas.events import TicketAnswered, TicketCustomerAwaited, TicketFollowedUp, TicketResolved
from schemas.notifications import (
    NotificationDelivered,
    NotificationEvent,
    NotificationFailed,
    NotificationRequested,
    NotificationSent,
    NotificationSuppressed,
)
from schemas.sealed import MaskedContact
from tests.integration.notifier.scene import Scene, Ticket, now, phone, until

SMS, EMAIL = DeliveryChannel.SMS, DeliveryChannel.EMAIL

pytestmark = pytest.mark.integration


def both(number: int) -> Contact:
    """Somebody with a telephone and a mailbox."""
    return Contact(phone=phone(number), email=f"p{number}@delivery.example")


async def story(scene: Scene, note: UUID, *, ends_with: type[NotificationEvent]) -> list[tuple[Any, ...]]:
    """What was told of a message, in the order of the topic, once the last of it is there."""

    async def told() -> list[NotificationEvent]:
        events = await scene.told(note)
        return events if any(isinstance(e, ends_with) for e in events) else []

    events: list[Any] = await until(told)
    return [(type(e), getattr(e, "channel", None), getattr(e, "why", None)) for e in events]


async def test_a_refused_number_is_followed_by_an_email(scene: Scene) -> None:
    """The provider does not know the number: the same moment goes by e-mail, at once."""
    ticket = Ticket(both(20_000_001))
    await scene.behave(channel="sms", mode="refuse", to_prefix=str(ticket.contact.phone))
    scene.start()
    await scene.complain(ticket)
    assert await story(scene, ticket.received_id, ends_with=NotificationDelivered) == [
        (NotificationRequested, None, None),
        (NotificationFailed, SMS, "no_such_number"),
        (NotificationSent, EMAIL, None),
        (NotificationDelivered, EMAIL, None),
    ]
    (letter,) = await scene.received(out_id=str(ticket.received_id))
    assert letter["channel"] == "email"
    assert ticket.number in letter["subject"]


async def test_a_missing_receipt_is_followed_by_an_email(scene: Scene) -> None:
    """No receipt within the policy's time: the next channel, and a failure that says why."""
    scene.policy["receipt_wait_s"] = 2
    ticket = Ticket(both(20_000_002))
    await scene.behave(channel="sms", mode="drop_receipts", to_prefix=str(ticket.contact.phone))
    scene.start()
    await scene.complain(ticket)
    assert await story(scene, ticket.received_id, ends_with=NotificationDelivered) == [
        (NotificationRequested, None, None),
        (NotificationSent, SMS, None),
        (NotificationFailed, SMS, "no_receipt"),
        (NotificationSent, EMAIL, None),
        (NotificationDelivered, EMAIL, None),
    ]


async def test_a_receipt_of_failure_is_followed_by_an_email(scene: Scene) -> None:
    """Nobody waits for a time-out when the provider says that it could not deliver."""
    ticket = Ticket(both(20_000_003))
    await scene.behave(channel="sms", mode="undeliverable", to_prefix=str(ticket.contact.phone))
    scene.start()
    await scene.complain(ticket)
    told = await story(scene, ticket.received_id, ends_with=NotificationDelivered)
    assert told[2:] == [
        (NotificationFailed, SMS, "undeliverable"),
        (NotificationSent, EMAIL, None),
        (NotificationDelivered, EMAIL, None),
    ]


async def test_who_wrote_an_email_is_answered_by_email_and_a_bounce_by_sms(scene: Scene) -> None:
    """The channel that the person used comes first; 550 is followed by SMS."""
    fine = Ticket(both(20_000_004), channel=Channel.EMAIL)
    bounced = Ticket(Contact(phone=phone(20_000_005), email="nobody@bounce.example"), channel=Channel.EMAIL)
    scene.start()
    await scene.complain(fine, bounced)
    told = await story(scene, fine.received_id, ends_with=NotificationDelivered)
    assert [entry[1] for entry in told] == [None, EMAIL, EMAIL]
    told = await story(scene, bounced.received_id, ends_with=NotificationDelivered)
    assert told[1] == (NotificationFailed, EMAIL, "smtp_550")
    assert told[-1] == (NotificationDelivered, SMS, None)


async def test_without_a_way_left_the_failure_is_final(scene: Scene) -> None:
    """One number that does not exist and nothing else."""
    ticket = Ticket(Contact(phone=phone(20_000_006)))
    await scene.behave(channel="sms", mode="refuse", to_prefix=str(ticket.contact.phone))
    scene.start()
    await scene.complain(ticket)
    await story(scene, ticket.received_id, ends_with=NotificationFailed)
    failed = (await scene.told(ticket.received_id))[-1]
    assert isinstance(failed, NotificationFailed)
    assert failed.final


async def test_throttling_delays_and_loses_nothing(scene: Scene) -> None:
    """Forty submissions are answered with ESME_RTHROTTLED; everybody has one SMS, nobody an e-mail."""
    tickets = [Ticket(both(20_001_000 + n)) for n in range(60)]
    await scene.behave(channel="sms", mode="throttle", count=40)
    scene.start()
    await scene.complain(*tickets)
    await until(lambda: _each_has_one(scene, tickets))
    assert {m["channel"] for t in tickets for m in await scene.received(out_id=str(t.received_id))} == {"sms"}


async def test_a_provider_that_hangs_up_is_asked_what_it_took(scene: Scene) -> None:
    """Some were taken when the connection broke and some were not: each arrives once."""
    taken = [Ticket(Contact(phone=phone(20_002_000 + n))) for n in range(20)]
    dropped = [Ticket(Contact(phone=phone(20_003_000 + n))) for n in range(20)]
    await scene.behave(channel="sms", mode="take_and_hang_up", count=3, to_prefix="+8613820002")
    await scene.behave(channel="sms", mode="hang_up", count=3, to_prefix="+8613820003")
    scene.start()
    await scene.complain(*taken, *dropped)
    await until(lambda: _each_has_one(scene, [*taken, *dropped]))
    await until(lambda: all(n["state"] == "delivered" for n in scene.notes()))
    assert await _each_has_one(scene, [*taken, *dropped])
    assert await scene.http.get("/behaviour") is not None


async def test_at_night_only_the_confirmation_and_the_urgent_go(scene: Scene) -> None:
    """An answer waits until morning; one of the gravest severity does not."""
    hour = (now() + timedelta(hours=8)).hour  # in Shanghai
    scene.policy["quiet_hours"] |= {"start": f"{(hour - 1) % 24:02d}:00", "end": f"{(hour + 2) % 24:02d}:00"}
    calm, grave = Ticket(Contact(phone=phone(20_004_001))), Ticket(Contact(phone=phone(20_004_002)))
    grave.severity = Severity.CRITICAL
    scene.start()
    await scene.complain(calm, grave)
    await until(lambda: _each_has_one(scene, [calm, grave]))
    answers = {t.id: t.event(TicketAnswered, TicketState.ANSWERED, remedy="redeliver") for t in (calm, grave)}
    await scene.tell(*answers.values())
    notes = {t.id: ids.notification_id(t.id, Moment.ANSWERED, str(answers[t.id].event_id)) for t in (calm, grave)}
    await until(lambda: scene.received(out_id=str(notes[grave.id])))
    held = await until(lambda: scene.db["notifications"].find_one({"_id": str(notes[calm.id]), "state": "waiting"}))
    assert held["wait"] == "morning"
    assert timedelta(hours=1) <= held["wake_at"] - now() <= timedelta(hours=3, minutes=11)
    await until(lambda: scene.db["deadlines"].find_one({"payload.notes": str(notes[calm.id])}))
    assert await scene.received(out_id=str(notes[calm.id])) == []


async def test_a_message_held_back_is_not_sent_when_it_is_no_longer_true(scene: Scene) -> None:
    """A question that waited for the morning is not asked when the ticket has been resolved meanwhile."""
    scene.policy["quiet_hours"] |= {"start": "00:00", "end": "23:59", "spread_s": 0}
    ticket = Ticket(Contact(phone=phone(20_004_003)))
    scene.start()
    await scene.complain(ticket)
    asked = ticket.event(TicketCustomerAwaited, TicketState.WAITING_CUSTOMER, what="photos")
    await scene.tell(asked)
    note = ids.notification_id(ticket.id, Moment.ASKED_FOR_MORE, str(asked.event_id))
    await until(lambda: scene.db["notifications"].find_one({"_id": str(note), "state": "waiting"}))
    await scene.tell(ticket.event(TicketResolved, TicketState.RESOLVED))
    await until(lambda: scene.db["addressees"].find_one({"_id": str(ticket.id), "state": "resolved"}))
    await scene.stop()
    # The night is over.
    scene.db["notifications"].update_one({"_id": str(note)}, {"$set": {"wake_at": now()}})
    scene.db["deadlines"].update_one({"payload.notes": str(note)}, {"$set": {"due_at": now()}})
    scene.start()
    told = await story(scene, note, ends_with=NotificationSuppressed)
    assert told[-1][2] == "overtaken"
    assert await scene.received(out_id=str(note)) == []


async def test_nobody_has_more_than_the_cap(scene: Scene) -> None:
    """Six follow-ups within the hour are answered twice when two are allowed; the rest is told as suppressed."""
    scene.policy["cap"] = {"messages": 2, "within_s": 3600}
    ticket = Ticket(Contact(phone=phone(20_005_001)))
    scene.start()
    await scene.complain(ticket)
    again = [Ticket(ticket.contact) for _ in range(6)]
    scene.keep(*again)
    notes = []
    for other in again:
        event = ticket.event(
            TicketFollowedUp,
            TicketState.IN_REVIEW,
            complaint_id=other.complaint_id,
            channel=Channel.WEB,
            received_at=now(),
            contact_ref=ids.contact_ref(other.complaint_id),
            masked=MaskedContact(phone="138****0000"),
            matched_by="text",
            repeats=ticket.sequence,
        )
        await scene.tell(event)
        notes.append(ids.notification_id(ticket.id, Moment.FOLLOW_UP_RECEIVED, str(event.event_id)))
    await until(lambda: scene.db["notifications"].count_documents({"state": {"$in": ["delivered", "suppressed"]}}) == 7)
    sent = [m for note in notes for m in await scene.received(out_id=str(note))]
    assert len(sent) == 2

    async def suppressed() -> list[NotificationSuppressed]:
        told = [e for e in await scene.events() if isinstance(e, NotificationSuppressed) and e.notification_id in notes]
        return told if len(told) == 4 else []

    assert [e.why for e in await until(suppressed)] == ["frequency_cap"] * 4


async def test_the_confirmation_does_not_wait_for_a_silent_sla_monitor(scene: Scene) -> None:
    """Without the promised clock it goes without a time, because none is watched."""
    scene.policy["promise"]["wait_s"] = 2
    ticket = Ticket(Contact(phone=phone(20_006_001)))
    scene.keep(ticket)
    scene.start()
    await scene.tell(*ticket.opening())
    (sms,) = await until(lambda: scene.received(out_id=str(ticket.received_id)))
    assert ticket.number in sms["text"]
    assert "最晚" not in sms["text"]


async def test_nobody_to_write_to_is_told_as_such(scene: Scene) -> None:
    """An anonymous complaint has a notification, suppressed."""
    ticket = Ticket(Contact())
    scene.db["contacts"].insert_one(
        {"_id": str(ids.contact_ref(ticket.complaint_id)), "complaint_id": "", "contact": None}
    )
    scene.start()
    await scene.tell(*ticket.messages())
    told = await story(scene, ticket.received_id, ends_with=NotificationSuppressed)
    assert told == [(NotificationRequested, None, None), (NotificationSuppressed, None, "no_way_to_reach")]


async def test_logs_metrics_and_events_name_nobody(scene: Scene) -> None:
    """Numbers, addresses and names are nowhere but in the message itself."""
    scene.policy["receipt_wait_s"] = 2
    scene.environment["AMENDS_LOG_LEVEL"] = "debug"
    (port,) = free_ports(1)
    scene.environment["AMENDS_HTTP_PORT"] = str(port)
    person = Contact(name="欧阳不群", phone=phone(20_007_001), email="ouyang.buqun@private.example")
    tickets = [Ticket(person), Ticket(person, channel=Channel.EMAIL)]
    await scene.behave(channel="sms", mode="drop_receipts", to_prefix=str(person.phone))
    await scene.behave(channel="email", mode="throttle", to_prefix=str(person.email), count=1)
    scene.start()
    await scene.complain(*tickets)
    for ticket in tickets:
        await story(scene, ticket.received_id, ends_with=NotificationDelivered)
    metrics = (await scene.http.get(f"http://127.0.0.1:{port}/metrics")).text
    assert "amends_notifications_total" in metrics
    events = "".join(e.model_dump_json() for e in await scene.events())
    stored = str(scene.notes()) + str(list(scene.db["addressees"].find()))
    for private in (str(person.phone), str(person.phone)[3:], "ouyang", "private.example", "欧阳"):
        for place in (scene.log.read_text(), metrics, events, stored):
            assert private not in place


async def _each_has_one(scene: Scene, tickets: list[Ticket]) -> bool:
    have = [len(await scene.received(out_id=str(t.received_id))) for t in tickets]
    assert max(have) <= 1
    return min(have) == 1
