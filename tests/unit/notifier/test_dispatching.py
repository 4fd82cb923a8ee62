"""A message from its notice to its end, with providers and stores that fail at every point."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from prometheus_client import CollectorRegistry

from schemas.codes import Channel, DeliveryChannel, Language, Moment, Severity, TicketState
from schemas.complaint import Contact
from services.notifier.dispatching import Dispatcher
from services.notifier.gateway import Later, Receipt, Refused, Taken, Unsure
from services.notifier.means import Means, Portal
from services.notifier.notice import Notice, Person
from services.notifier.notification import Notification, State
from services.notifier.policy import NotificationPolicy
from services.notifier.receiving import Receiving
from services.runtime.metrics import NotifierMetrics
from services.runtime.private_link import PrivateLink, PrivateLinks
from services.wording.in_force import Wordings
from services.wording.templates import Templates
from tests.unit.notifier.fakes import (
    FakeAlarm,
    FakeContacts,
    FakeGateway,
    FakeLinks,
    FakeNotes,
    FakeNotificationStore,
    FakeOptOuts,
    FakePublisher,
    FakeTickets,
)
from tests.unit.notifier.tickets import COMPLAINT, MASKED, NOON, TICKET

SMS, EMAIL = DeliveryChannel.SMS, DeliveryChannel.EMAIL
LINKS = PrivateLinks(bytes(32))
FACTS: dict[Moment, dict[str, Any]] = {
    Moment.RECEIVED: {"category": "damage", "answer_by": NOON},
    Moment.ANSWERED: {"remedy": "", "amount": "", "resolve_by": None},
    Moment.APPEAL_DECIDED: {"changed": True, "remedy": "refund", "amount": "12.50 CNY"},
    Moment.SURVEY: {"attempt": 1},
    Moment.APOLOGY: {"spoken_by": "supervisor"},
    Moment.ASKED_FOR_MORE: {"what": "photos"},
    Moment.BREACHED_APOLOGY: {"about": "answer", "due_at": NOON, "tier": "agent"},
    Moment.IN_PROGRESS: {"about": "answer", "due_at": NOON, "after_wait": False},
}


def notice(
    moment: Moment = Moment.RECEIVED,
    *,
    used: Channel = Channel.WEB,
    severity: Severity = Severity.NORMAL,
    number: int = 0,
) -> Notice:
    """An occasion at noon in Shanghai; `number` tells tickets apart."""
    person = Person(COMPLAINT, COMPLAINT, MASKED, used, Language.ZH, "Asia/Shanghai", NOON)
    ticket = TICKET if not number else replace_id(number)
    return Notice(ticket, "w:1", moment, TICKET, NOON, person, severity, {"number": "2611-0042175", **FACTS[moment]})


def replace_id(number: int) -> Any:
    """Another ticket."""
    return type(TICKET)(int=number)


@dataclass
class World:
    """Everything around dispatchers; `worker` makes another process on the same world."""

    policy: NotificationPolicy
    wordings: Wordings
    store: FakeNotificationStore = field(default_factory=FakeNotificationStore)
    contacts: FakeContacts = field(
        default_factory=lambda: FakeContacts(Contact(phone="+8613800138000", email="li@example.com"))
    )
    tickets: FakeTickets = field(default_factory=FakeTickets)
    notes: FakeNotes = field(default_factory=FakeNotes)
    opt_outs: FakeOptOuts = field(default_factory=FakeOptOuts)
    links: FakeLinks = field(default_factory=FakeLinks)
    portal: str = ""
    sms: FakeGateway = field(default_factory=lambda: FakeGateway(SMS))
    email: FakeGateway = field(default_factory=lambda: FakeGateway(EMAIL))
    publisher: FakePublisher = field(default_factory=FakePublisher)
    alarm: FakeAlarm = field(default_factory=FakeAlarm)
    now: datetime = NOON
    workers: int = 0
    metrics: NotifierMetrics = field(default_factory=lambda: NotifierMetrics(CollectorRegistry()))

    def worker(self, **changes: Any) -> Dispatcher:
        self.workers += 1
        means = Means(
            store=self.store,
            contacts=self.contacts,
            tickets=self.tickets,
            notes=self.notes,
            opt_outs=self.opt_outs,
            portal=Portal(self.portal, LINKS, self.links) if self.portal else None,
            gateways={SMS: self.sms, EMAIL: self.email},
            wordings=self.wordings,
            policy=self.policy,
            publisher=self.publisher,
            alarm=self.alarm,
            metrics=self.metrics,
            blind=lambda kind, value: f"{kind}:{value}",
            now=lambda: self.now,
            owner=f"worker-{self.workers}",
            partitions=3,
        )
        return Dispatcher(replace(means, **changes))

    def note(self, about: Notice) -> Notification:
        return self.store.notes[about.id]

    async def pass_time(self, worker: Dispatcher, seconds: float) -> None:
        """Let time pass, and let what is due be handled."""
        self.now += timedelta(seconds=seconds)
        due = [d for d in self.alarm.armed.values() if d.due_at <= self.now]
        for deadline in due:
            del self.alarm.armed[deadline.id]
        await worker.take_up([UUID(note) for d in due for note in d.payload["notes"]], due_by=self.now)


@pytest.fixture(scope="module")
def templates(policy: NotificationPolicy) -> Templates:
    return Templates.load(policy)


@pytest.fixture
def world(policy: NotificationPolicy, templates: Templates) -> World:
    return World(policy, Wordings(templates))


async def mark_and_die(world: World) -> None:
    """A worker sends a message and writes so, and tells nobody."""
    world.publisher.broken = True
    with pytest.raises(ConnectionError):
        await world.worker().take_in([(notice(), None)])
    world.publisher.broken = False


async def received(receiving: Receiving, receipt: Receipt) -> bool:
    """How the gateway is told to answer the provider."""
    answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
    receiving.receive(receipt, answer.set_result)
    return await answer


async def test_what_is_met_twice_is_sent_once(world: World) -> None:
    """By the same worker and by another; the second one tells again what was told."""
    one, other = world.worker(), world.worker()
    for worker in (one, one, other):
        await worker.take_in([(notice(), None)])
    assert len(world.sms.sent) == 1
    assert world.publisher.story == ["requested", "sent"]
    assert world.note(notice()).state is State.SENT


async def test_a_receipt_ends_it(world: World) -> None:
    """Delivered is told once however often the receipt comes, and when its deadline comes there is nothing to do."""
    worker = world.worker()
    await worker.take_in([(notice(), None)])
    assert len(world.alarm.armed) == 1
    for _ in range(3):
        assert await worker.receipts.apply([Receipt("sms-0", arrived=True)]) == []
    assert world.publisher.story == ["requested", "sent", "delivered"]
    told = list(world.publisher.told)
    await world.pass_time(worker, 301)
    assert world.alarm.armed == {}
    assert world.email.sent == []
    assert world.publisher.told == told


async def test_what_was_handled_and_not_told_is_told_when_its_deadline_comes_again(world: World) -> None:
    """A worker died between the two: the same deadline is handed out a second time."""
    world.email.outcomes = [Taken()]
    worker = world.worker()
    await worker.take_in([(notice(), None)])
    world.now += timedelta(seconds=301)
    world.publisher.broken = True
    with pytest.raises(ConnectionError):
        await worker.take_up([notice().id], due_by=world.now)
    world.publisher.broken = False
    await world.worker().take_up([notice().id], due_by=world.now, again=True)
    assert world.publisher.story == ["requested", "sent", "failed", "sent", "delivered"]
    assert len(world.email.sent) == 1


async def test_a_clock_that_is_set_back_makes_nobody_forget_a_message(world: World) -> None:
    """Its deadline was handed out, and is gone then: whatever the clock says now, the message is seen to."""
    world.email.outcomes = [Taken()]
    worker = world.worker()
    await worker.take_in([(notice(), None)])
    came_at = world.note(notice()).wake_at
    assert came_at is not None
    world.now = came_at - timedelta(milliseconds=1)
    await worker.take_up([notice().id], due_by=came_at)
    await world.pass_time(worker, 0.001)
    assert world.publisher.story == ["requested", "sent", "failed", "sent", "delivered"]


async def test_a_gateway_that_breaks_doubles_nothing(world: World) -> None:
    """What it sent before it failed nobody knows: each provider is asked before anything goes again."""
    send = world.email.send

    async def fails(envelopes: Any) -> Any:
        await send(envelopes)
        raise IndexError

    world.email.send = fails  # type: ignore[method-assign]
    by_mail, by_sms = notice(used=Channel.EMAIL), notice(number=1)
    worker = world.worker()
    await worker.take_in([(by_mail, None), (by_sms, None)])
    world.email.send = send  # type: ignore[method-assign]
    await world.pass_time(worker, world.policy.lookup_after_s)
    assert [envelope.notification_id for envelope in world.email.sent] == [by_mail.id]
    assert [envelope.notification_id for envelope in world.sms.sent] == [by_sms.id]


async def test_all_segments_must_arrive(world: World) -> None:
    """A text of two is delivered with the second receipt."""
    world.sms.outcomes = [Taken(("a", "b"))]
    worker = world.worker()
    await worker.take_in([(notice(), None)])
    await worker.receipts.apply([Receipt("b", arrived=True)])
    assert world.note(notice()).state is State.SENT
    await worker.receipts.apply([Receipt("b", arrived=True), Receipt("a", arrived=True)])
    assert world.note(notice()).state is State.DELIVERED


async def test_a_receipt_before_the_mark_is_kept_and_matched(world: World) -> None:
    """It came to another process, before ours had written what the provider calls the message."""
    receiving = Receiving(store=world.store, metrics=world.metrics, now=lambda: world.now)
    receiving.serve(world.worker())
    await receiving.start()
    assert await received(receiving, Receipt("sms-0", arrived=True))
    assert list(world.store.receipts) == ["sms-0"]
    await world.worker().take_in([(notice(), None)])
    await receiving.stop()
    assert world.note(notice()).state is State.DELIVERED
    assert world.store.receipts == {}
    assert world.publisher.story == ["requested", "sent", "delivered"]


async def test_a_kept_receipt_counts_when_its_worker_died_before_it_looked(world: World) -> None:
    """The message had arrived, so its time limit brings no second one by e-mail."""
    await world.worker().take_in([(notice(), None)])
    await world.store.park([Receipt("sms-0", arrived=True)], world.now)
    await world.pass_time(world.worker(), 301)
    assert world.email.sent == []
    assert world.publisher.story == ["requested", "sent", "delivered"]
    assert await world.store.parked(["sms-0"]) == []


async def test_a_kept_receipt_is_taken_in_when_the_notice_comes_again(world: World) -> None:
    """Who was not answered when it took it in has the notice again at once, long before the time limit."""
    await world.worker().take_in([(notice(), None)])
    await world.store.park([Receipt("sms-0", arrived=True)], world.now)
    await world.worker().take_in([(notice(), None)])
    assert world.note(notice()).state is State.DELIVERED
    assert set(world.publisher.story) == {"requested", "sent", "delivered"}


async def test_what_a_dead_worker_marked_is_told_with_its_kept_receipt(world: World) -> None:
    """It died before it told anything: who meets the notice again after the time limit tells all of it."""
    await mark_and_die(world)
    await world.store.park([Receipt("sms-0", arrived=True)], world.now)
    world.now += timedelta(seconds=301)
    await world.worker().take_in([(notice(), None)])
    assert len(world.sms.sent) == 1
    assert set(world.publisher.story) == {"requested", "sent", "delivered"}


async def test_who_loses_a_record_to_a_receipt_tells_what_its_dead_writer_did_not(world: World) -> None:
    """The receipt is taken in between reading and writing, and tells only that the message arrived."""
    await mark_and_die(world)
    world.now += timedelta(seconds=301)
    other, load = world.worker(), world.store.load

    async def load_and_lose(ids: Iterable[UUID], *, due_by: datetime | None = None) -> dict[UUID, Notification]:
        found = await load(ids, due_by=due_by)
        world.store.load = load  # type: ignore[method-assign]
        await world.worker().receipts.apply([Receipt("sms-0", arrived=True)])
        return found

    world.store.load = load_and_lose  # type: ignore[method-assign]
    await other.take_in([(notice(), None)])
    assert set(world.publisher.story) == {"requested", "sent", "delivered"}
    assert len(world.sms.sent) == 1


async def test_a_receipt_that_cannot_be_stored_is_not_acknowledged(world: World) -> None:
    """The gateway hears of the error and lets the provider send it again."""
    worker = world.worker()
    await worker.take_in([(notice(), None)])
    receiving = Receiving(store=world.store, metrics=world.metrics, now=lambda: world.now)
    receiving.serve(worker)
    await receiving.start()
    world.store.broken = True
    assert not await received(receiving, Receipt("sms-0", arrived=True))
    world.store.broken = False
    assert await received(receiving, Receipt("sms-0", arrived=True))
    await receiving.stop()
    assert world.publisher.story[-1] == "delivered"


async def cut_off(world: World, *, before_sending: bool) -> None:
    """A worker dies with a claimed message, before or after the provider has it."""
    broken = world.worker()
    if before_sending:
        world.sms.outcomes = [Later("x")]
    await broken._take_in([(notice(), None)])
    fresh = world.note(notice())
    fresh.state, fresh.version, fresh.attempts = State.CLAIMED, 1, []
    fresh.owner, fresh.wait = "worker-1", None
    fresh.lease_until = fresh.wake_at = world.now + timedelta(seconds=15)
    world.publisher.told.clear()
    world.alarm.armed.clear()


@pytest.mark.parametrize("before_sending", [True, False])
async def test_a_message_of_a_dead_worker_is_asked_for_and_sent_once(world: World, before_sending: bool) -> None:
    """Not before its lease ends; then the provider is asked, and only what it does not have is sent."""
    await cut_off(world, before_sending=before_sending)
    worker = world.worker()
    await worker.take_in([(notice(), None)])
    assert len(world.sms.sent) == (0 if before_sending else 1)
    await world.pass_time(worker, 16)
    assert len(world.sms.sent) == 1
    assert world.note(notice()).state is State.SENT
    assert world.publisher.story == ["requested", "sent"]


@pytest.mark.parametrize(("policy_says", "copies"), [("count_as_sent", 1), ("send_again", 2)])
async def test_a_provider_that_cannot_be_asked_is_treated_by_policy(
    world: World, policy_says: str, copies: int
) -> None:
    """By default rather none than two."""
    world.policy = world.policy.model_copy(update={"when_unknown": policy_says})
    world.sms.can_be_asked = world.email.can_be_asked = False
    await cut_off(world, before_sending=False)
    worker = world.worker()
    await worker.take_in([(notice(), None)])
    await world.pass_time(worker, 16)
    assert len(world.sms.sent) == copies
    assert world.note(notice()).state is State.SENT


async def test_a_provider_that_does_not_answer_is_asked_again(world: World) -> None:
    """Nothing is sent before it has said what it has."""
    await cut_off(world, before_sending=False)
    worker = world.worker()
    world.sms.answers = False
    await worker.take_in([(notice(), None)])
    for _ in range(5):
        await world.pass_time(worker, 16)
    assert len(world.sms.sent) == 1
    world.sms.answers = True
    await world.pass_time(worker, 16)
    assert len(world.sms.sent) == 1
    assert world.note(notice()).state is State.SENT


async def test_an_unsure_outcome_is_cleared_up_by_asking(world: World) -> None:
    """Taken although the connection broke: not sent again."""
    world.sms.outcomes = [Unsure()]
    worker = world.worker()
    await worker.take_in([(notice(), None)])
    world.sms.known[notice().id] = Taken(("late",))
    await world.pass_time(worker, 3)
    assert world.sms.sent == []
    assert world.note(notice()).attempts[-1].provider_ids == ("late",)


async def test_a_text_of_which_a_provider_has_a_part_is_sent_whole(world: World) -> None:
    """The connection broke between two segments: one that arrived is not the text."""
    world.sms.outcomes = [Unsure(segments=2)]
    worker = world.worker()
    await worker.take_in([(notice(), None)])
    world.sms.known[notice().id] = Taken(("half",), arrived=True)
    await world.pass_time(worker, 3)
    assert len(world.sms.sent) == 1
    assert world.note(notice()).state is State.SENT


@pytest.mark.parametrize("part", ["store", "publisher"])
async def test_what_was_sent_is_known_when_the_mark_could_not_be_written(world: World, part: str) -> None:
    """The batch is handled again by the same worker, and nothing goes out twice though nobody can be asked."""
    world.sms.can_be_asked = world.email.can_be_asked = False
    worker = world.worker()
    broken = getattr(world, part)
    send = world.sms.send

    async def send_and_break(envelope: Any) -> Any:
        outcome = await send(envelope)
        broken.broken = True
        return outcome

    world.sms.send = send_and_break  # type: ignore[method-assign]
    with pytest.raises(ConnectionError):
        await worker.take_in([(notice(), None)])
    broken.broken = False
    world.sms.send = send  # type: ignore[method-assign]
    await worker.take_in([(notice(), None)])
    assert len(world.sms.sent) == 1
    assert world.note(notice()).attempts[-1].provider_ids == ("sms-0",)
    assert world.publisher.story == ["requested", "sent"]
    assert len(world.alarm.armed) == 1


async def test_what_was_claimed_and_never_sent_is_sent_by_the_same_worker(world: World) -> None:
    """The answer to the insert was lost: nothing had gone out, so nobody need be asked."""
    world.sms.can_be_asked = world.email.can_be_asked = False
    worker, insert = world.worker(), world.store.insert

    async def insert_and_break(notes: Any) -> Any:
        await insert(notes)
        raise ConnectionError

    world.store.insert = insert_and_break  # type: ignore[method-assign]
    with pytest.raises(ConnectionError):
        await worker.take_in([(notice(), None)])
    world.store.insert = insert  # type: ignore[method-assign]
    await worker.take_in([(notice(), None)])
    assert len(world.sms.sent) == 1


async def test_a_fault_in_one_message_leaves_its_neighbours_alone(world: World) -> None:
    """The faulty one raises, so that it is set aside; the others are sent and marked."""
    wrong = notice(number=7)
    object.__setattr__(wrong, "facts", {"number": "1"})
    worker = world.worker()
    with pytest.raises(KeyError):
        await worker.take_in([(notice(number=5), None), (wrong, None), (notice(number=6), None)])
    assert len(world.sms.sent) == 2
    assert {n.state for n in world.store.notes.values()} == {State.SENT, State.CLAIMED}


async def test_a_passing_fault_is_tried_again_then_by_the_next_channel(world: World) -> None:
    """Waits grow from one second; after two minutes the e-mail goes."""
    world.sms.outcomes = [Later("provider_unreachable")] * 100
    worker = world.worker()
    await worker.take_in([(notice(), None)])
    waits = []
    while not world.email.sent:
        (armed,) = world.alarm.armed.values()
        waits.append((armed.due_at - world.now).total_seconds())
        await world.pass_time(worker, waits[-1])
    assert waits[:4] == [1, 2, 4, 8]
    assert 120 <= sum(waits) <= 240
    assert world.publisher.story == ["requested", "failed", "sent", "delivered"]


async def test_with_one_channel_it_is_tried_for_a_day(world: World) -> None:
    """Then it has failed for good, and says so."""
    world.contacts.contact = Contact(phone="+8613800138000")
    world.sms.outcomes = [Later("provider_unreachable")] * 10_000
    worker = world.worker()
    await worker.take_in([(notice(), None)])
    while world.note(notice()).state is State.WAITING:
        (armed,) = world.alarm.armed.values()
        await world.pass_time(worker, (armed.due_at - world.now).total_seconds())
    assert world.now - NOON >= timedelta(days=1)
    assert world.publisher.told[-1].model_dump()["final"] is True
    assert world.alarm.armed == {}


async def test_a_late_receipt_of_the_first_channel_stops_the_second(world: World) -> None:
    """The SMS had arrived after all while the e-mail waited for its server."""
    world.email.outcomes = [Later("smtp_451")] * 3
    worker = world.worker()
    await worker.take_in([(notice(), None)])
    await world.pass_time(worker, 301)
    assert world.note(notice()).state is State.WAITING
    await worker.receipts.apply([Receipt("sms-0", arrived=True)])
    assert world.note(notice()).state is State.DELIVERED
    await world.pass_time(worker, 600)
    assert world.email.sent == []
    assert world.publisher.story == ["requested", "sent", "failed", "delivered"]


async def test_the_night_holds_back_what_is_not_urgent(world: World) -> None:
    """An answer of 23:00 goes after 08:00; severity 4 and the confirmation go at once."""
    world.now = NOON + timedelta(hours=11)
    worker = world.worker()
    calm, grave = notice(Moment.ANSWERED, number=1), notice(Moment.ANSWERED, number=2, severity=Severity.CRITICAL)
    await worker.take_in([(calm, None), (grave, None), (notice(number=3), None)])
    assert {e.notification_id for e in world.sms.sent} == {grave.id, notice(number=3).id}
    await world.pass_time(worker, 9 * 3600 - 1)
    assert len(world.sms.sent) == 2
    await world.pass_time(worker, 601)
    assert len(world.sms.sent) == 3


@pytest.mark.parametrize(
    ("prepare", "moment", "why"),
    [
        (lambda w: setattr(w, "now", NOON + timedelta(days=8)), Moment.RECEIVED, "stale"),
        (lambda w: setattr(w.contacts, "contact", Contact(wechat="o-1")), Moment.RECEIVED, "no_way_to_reach"),
    ],
)
async def test_what_is_not_sent_says_why(
    world: World, prepare: Callable[[World], None], moment: Moment, why: str
) -> None:
    """History is told to nobody, and WeChat alone is no way while it has no provider."""
    prepare(world)
    await world.worker().take_in([(notice(moment), None)])
    assert world.sms.sent == []
    assert world.publisher.story == ["requested", "suppressed"]
    assert world.publisher.told[-1].model_dump()["why"] == why


async def test_a_contact_that_is_not_there_yet_is_waited_for(world: World) -> None:
    """Half a minute; what never comes was erased."""
    contact, world.contacts.contact = world.contacts.contact, None
    worker = world.worker()
    await worker.take_in([(notice(number=1), None)])
    world.contacts.contact = contact
    await world.pass_time(worker, 2)
    assert len(world.sms.sent) == 1
    world.contacts.contact = None
    await worker.take_in([(notice(number=2), None)])
    for _ in range(16):
        await world.pass_time(worker, 2)
    assert world.note(notice(number=2)).why == "no_way_to_reach"


async def test_the_cap_counts_over_tickets_and_an_owed_answer_is_above_it(world: World) -> None:
    """Four progress messages within the hour, not five; the answer all the same."""
    worker = world.worker()
    await worker.take_in([(notice(Moment.IN_PROGRESS, number=n), None) for n in range(1, 4)])
    await worker.take_in([(notice(Moment.IN_PROGRESS, number=n), None) for n in range(4, 7)])
    assert len(world.sms.sent) == 4
    await worker.take_in([(notice(Moment.ANSWERED, number=9), None)])
    assert len(world.sms.sent) == 5
    world.now += timedelta(hours=1, seconds=1)
    await worker.take_in([(notice(Moment.IN_PROGRESS, number=10), None)])
    assert len(world.sms.sent) == 6


async def test_what_is_overtaken_while_it_waits_is_not_sent(world: World) -> None:
    """A question, when the ticket is resolved before morning."""
    world.now = NOON + timedelta(hours=11)
    worker = world.worker()
    await worker.take_in([(notice(Moment.ASKED_FOR_MORE), None)])
    world.tickets.state = TicketState.RESOLVED
    await world.pass_time(worker, 10 * 3600)
    assert world.sms.sent == []
    assert world.note(notice(Moment.ASKED_FOR_MORE)).why == "overtaken"


async def test_an_apology_whose_breach_was_taken_back_is_not_sent(world: World) -> None:
    """Neither when both came together, nor in the morning it waited for; one that went is left alone."""
    apology = notice(Moment.BREACHED_APOLOGY)
    worker = world.worker()
    await worker.take_in([(replace(apology, withdrawn=True), None)])
    assert world.sms.sent == []
    world.now = NOON + timedelta(hours=11)
    waiting = notice(Moment.BREACHED_APOLOGY, number=1)
    await worker.take_in([(waiting, None)])
    world.tickets.withdrawn = {waiting.occasion}
    await world.pass_time(worker, 10 * 3600)
    assert world.sms.sent == []
    assert world.note(waiting).state is State.SUPPRESSED
    assert [e.model_dump()["why"] for e in world.publisher.told if type(e).__name__ == "NotificationSuppressed"] == [
        "withdrawn",
        "withdrawn",
    ]


async def test_a_refusal_falls_back_at_once_and_a_dead_worker_in_the_middle_doubles_nothing(world: World) -> None:
    """The e-mail went out and was not marked: the next worker asks the mail server, too."""
    world.sms.outcomes = [Refused("no_such_number")] * 2
    worker = world.worker()
    await worker.take_in([(notice(), None)])
    assert len(world.email.sent) == 1
    dead = world.note(notice())
    dead.state, dead.version, dead.attempts, dead.owner, dead.wait = State.CLAIMED, 1, [], "worker-0", None
    dead.lease_until = dead.wake_at = world.now
    await world.worker().take_up([notice().id], due_by=world.now)
    assert len(world.email.sent) == 1
    assert world.note(notice()).state is State.DELIVERED


async def test_messages_of_one_ticket_go_in_order(world: World) -> None:
    """What happened first is read first."""
    moments = [Moment.RECEIVED, Moment.ASKED_FOR_MORE, Moment.ANSWERED]
    await world.worker().take_in([(notice(m), None) for m in moments])
    assert [e.notification_id for e in world.sms.sent] == [notice(m).id for m in moments]


@pytest.mark.parametrize("severity", [Severity.NORMAL, Severity.CRITICAL])
@pytest.mark.parametrize("moment", [Moment.SURVEY, Moment.APOLOGY])
async def test_nobody_is_woken_for_a_survey_or_an_apology(world: World, moment: Moment, severity: Severity) -> None:
    """However grave the case."""
    world.now = NOON + timedelta(hours=11)
    about = replace(notice(moment, severity=severity), at=world.now)
    await world.worker().take_in([(about, None)])
    assert world.sms.sent == []
    assert world.note(about).state is State.WAITING


@pytest.mark.parametrize(
    ("latest", "sent"), [({Moment.SURVEY: TICKET}, 1), ({}, 0), ({Moment.SURVEY: replace_id(1)}, 0)]
)
async def test_a_survey_that_waited_goes_only_while_it_is_to_be_answered(
    world: World, latest: dict[Moment, UUID], sent: int
) -> None:
    """Not when it was answered, stopped or asked again, or the ticket was opened again meanwhile."""
    world.now = NOON + timedelta(hours=11)
    worker = world.worker()
    await worker.take_in([(notice(Moment.SURVEY), None)])
    world.tickets.state, world.tickets.latest = TicketState.RESOLVED, latest
    await world.pass_time(worker, 10 * 3600)
    assert len(world.sms.sent) == sent
    assert world.note(notice(Moment.SURVEY)).why == ("" if sent else "overtaken")


async def test_what_waited_for_the_morning_is_written_as_its_reader_wants_it_now(world: World) -> None:
    """Not in the language of the evening before; what goes at once is in that of its occasion."""
    world.now = NOON + timedelta(hours=11)
    worker = world.worker()
    await worker.take_in([(notice(Moment.SURVEY), None)])
    world.tickets.state, world.tickets.latest = TicketState.RESOLVED, {Moment.SURVEY: TICKET}
    world.tickets.language = Language.EN
    await world.pass_time(worker, 10 * 3600)
    await worker.take_in([(notice(Moment.APPEAL_DECIDED), None)])
    assert [(e.rendered.template, e.language) for e in world.sms.sent] == [
        ("survey.sms.en", Language.EN),
        ("appeal_decided.sms.zh", Language.ZH),
    ]


async def test_who_does_not_want_to_be_asked_is_not(world: World) -> None:
    """Nor does what is not sent count for the cap; what is owed is sent to them as to all."""
    world.opt_outs.refs = {COMPLAINT}
    survey, decision = notice(Moment.SURVEY), notice(Moment.APPEAL_DECIDED)
    await world.worker().take_in([(survey, None), (decision, None)])
    assert [e.notification_id for e in world.sms.sent] == [decision.id]
    assert (world.note(survey).state, world.note(survey).why) == (State.SUPPRESSED, "opted_out")
    assert world.note(survey).recipient == ""


async def test_a_message_carries_the_words_of_whoever_acted(world: World) -> None:
    """Read when it is sent; erased meanwhile, it goes without them."""
    with_words, erased = (
        replace(notice(Moment.APPEAL_DECIDED, number=n), note_ref=replace_id(100 + n)) for n in (1, 2)
    )
    assert with_words.note_ref is not None
    world.notes.words_by_note[with_words.note_ref] = "我们重新核对了监控录像"
    await world.worker().take_in([(with_words, None), (erased, None)])
    assert ["监控录像" in e.rendered.text for e in world.sms.sent] == [True, False]


async def test_a_message_that_is_sent_again_has_the_same_link(world: World) -> None:
    """By every channel and at every time, until the ticket's links are revoked."""
    world.portal = "https://care.example"
    world.sms.outcomes = [Refused("no_such_number")]
    about = notice(Moment.ANSWERED)
    await world.worker().take_in([(about, None)])
    token = LINKS.make(TICKET, COMPLAINT, NOON)
    assert f"https://care.example/t/{token}" in world.email.sent[0].rendered.text
    link = LINKS.read(token, NOON)
    assert isinstance(link, PrivateLink)
    assert link.is_of(about.person.complaint_id)
    world.links.generation[replace_id(1)] = 1
    await world.worker().take_in([(notice(Moment.ANSWERED, number=1), None)])
    later = world.sms.sent[0].rendered.text.rpartition("/t/")[2]
    read = LINKS.read(later, NOON)
    assert isinstance(read, PrivateLink)
    assert (read.ticket, read.generation) == (replace_id(1), 1)
