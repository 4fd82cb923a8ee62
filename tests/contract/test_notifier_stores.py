"""What the notifier relies on, of its stores: the fake and the one in the database."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from schemas import ids
from schemas.codes import Channel, Clock, DeliveryChannel, Language, Moment, Severity, TicketState
from schemas.complaint import Contact
from schemas.notes import Note
from services.notifier import notification
from services.notifier.addressee_store import MongoAddresseeStore
from services.notifier.contact_store import SealedContactStore
from services.notifier.gateway import Receipt
from services.notifier.moments import Addressee, Owed
from services.notifier.note_store import SealedNoteStore
from services.notifier.notice import Notice, Person
from services.notifier.notification import Notification, State, Wait
from services.notifier.notification_store import MongoNotificationStore, NotificationStore
from services.notifier.opt_out_store import MongoOptOutStore
from services.notifier.policy import NotificationPolicy
from services.notifier.standing import Standing
from services.runtime.link_store import MongoLinkStore
from services.runtime.mongo import Database
from services.runtime.sealing import Keyring
from tests.unit.notifier.fakes import FakeNotificationStore
from tests.unit.notifier.tickets import COMPLAINT, MASKED, NOON, TICKET

POLICY = NotificationPolicy.model_validate(
    {"version": 1, "sender": {"zh": "x", "en": "x"}, "moments": {m: {} for m in Moment}, "apology": {}}
)
PERSON = Person(COMPLAINT, COMPLAINT, MASKED, Channel.WEB, Language.ZH, "Asia/Shanghai", NOON)


@pytest.fixture(params=["fake", "simulated", pytest.param("real", marks=pytest.mark.integration)])
def store(request: pytest.FixtureRequest) -> NotificationStore:
    """Each of them."""
    if request.param == "fake":
        return FakeNotificationStore()
    return MongoNotificationStore(request.getfixturevalue(f"{request.param}_connections")())


async def test_indexes_may_be_made_again(database: Database) -> None:
    """Every process does so at every start; sparse ones leave out what has no value."""
    store = MongoNotificationStore(database)
    await store.create_indexes()
    await store.insert([note(), note()])
    await store.create_indexes()
    assert "recipient_1_counted_at_1" in await database["notifications"].index_information()
    assert "note_1" in await database["submissions"].index_information()


def note(moment: Moment = Moment.RECEIVED) -> Notification:
    """A claimed record of a ticket of its own."""
    facts = {"number": "2611-0042175", "category": "damage", "answer_by": NOON, "nothing": None}
    about = Notice(uuid4(), "w:1", moment, TICKET, NOON, PERSON, Severity.HIGH, facts, note_ref=UUID(int=3))
    return notification.fresh(about, trace="00-a-b-01", owner="me", now=NOON, policy=POLICY)


async def test_a_record_comes_back_as_it_was(store: NotificationStore) -> None:
    """With every field of every attempt."""
    kept = note()
    assert await store.insert([kept]) == set()
    assert (await store.load([kept.id, uuid4()])) == {kept.id: kept}
    notification.begin(kept, DeliveryChannel.SMS, template="t", now=NOON)
    notification.refused(kept, "no_such_number", now=NOON, channels=[DeliveryChannel.SMS, DeliveryChannel.EMAIL])
    notification.begin(kept, DeliveryChannel.EMAIL, template="u", now=NOON)
    notification.wait(kept, Wait.LOOKUP, until=NOON + timedelta(seconds=2))
    kept.recipient = "digest"
    assert await store.save([kept]) == set()
    assert kept.version == 2
    assert (await store.load([kept.id])) == {kept.id: kept}


async def test_what_exists_is_left_as_it_is(store: NotificationStore) -> None:
    """A second insert names it and changes nothing."""
    first, second, other = note(), note(), note()
    await store.insert([first])
    second.notice, second.owner = first.notice, "somebody else"
    assert await store.insert([other, second]) == {first.id}
    assert (await store.load([first.id, other.id])) == {first.id: first, other.id: other}


async def test_of_two_writers_one_loses(store: NotificationStore) -> None:
    """And is told which records those are; the others of its batch are written."""
    contested, free = note(), note()
    await store.insert([contested, free])
    (mine,), (theirs,) = [(await store.load([contested.id])).values() for _ in range(2)]
    notification.suppress(theirs, notification.Why.STALE, now=NOON)
    assert await store.save([theirs]) == set()
    notification.wait(mine, Wait.RETRY, until=NOON)
    notification.wait(free, Wait.RETRY, until=NOON)
    assert await store.save([mine, free]) == {contested.id}
    stored = await store.load([contested.id, free.id])
    assert stored[contested.id].state is State.SUPPRESSED
    assert stored[free.id].wait is Wait.RETRY


async def test_many_are_marked_as_delivered_at_once(store: NotificationStore) -> None:
    """Whatever they have in common; one that was changed meanwhile is named and left alone."""
    several = [note() for _ in range(5)]
    await store.insert(several)
    for number, each in enumerate(several):
        notification.begin(each, DeliveryChannel.SMS, template="t", now=NOON)
        notification.taken(each, (f"{each.id}",), now=NOON, policy=POLICY)
        if number == 3:
            notification.suppress(each, notification.Why.STALE, now=NOON)
    await store.save(several)
    (newer,) = (await store.load([several[4].id])).values()
    notification.no_receipt(newer, now=NOON)
    await store.save([newer])
    for each in several:
        notification.receipt(each, f"{each.id}", arrived=True, now=NOON + timedelta(seconds=1))
    assert await store.save(several) == {newer.id}
    stored = await store.load([n.id for n in several])
    for each in several[:4]:
        assert stored[each.id].state is each.state
        assert stored[each.id].version == each.version == 3
        assert stored[each.id].attempts[0].delivered_at == NOON + timedelta(seconds=1)
        assert stored[each.id].wake_at is None
    assert stored[newer.id] == newer


async def test_what_is_to_be_looked_at_by_now_is_told_from_the_rest(store: NotificationStore) -> None:
    """What has ended, or was put off to later, is left out."""
    due, later, over = note(), note(), note()
    await store.insert([due, later, over])
    notification.wait(due, Wait.RETRY, until=NOON)
    notification.wait(later, Wait.RETRY, until=NOON + timedelta(seconds=1))
    notification.suppress(over, notification.Why.STALE, now=NOON)
    await store.save([due, later, over])
    assert await store.load([due.id, later.id, over.id], due_by=NOON) == {due.id: due}


async def test_a_record_is_found_by_what_providers_call_it(store: NotificationStore) -> None:
    """By each segment's id; unknown ids are left out."""
    kept = note()
    await store.insert([kept, note()])
    notification.begin(kept, DeliveryChannel.SMS, template="t", now=NOON)
    notification.taken(kept, ("a.1", "$b"), now=NOON, policy=POLICY)
    await store.save([kept])
    found = await store.by_provider_ids(["$b", "c"])
    assert found["$b"] == kept
    assert "c" not in found
    assert (await store.by_provider_ids(["a.1"]))["a.1"].id == kept.id


async def test_what_counts_for_the_cap_is_counted(store: NotificationStore) -> None:
    """By recipient, after a time."""
    several = [note(Moment.IN_PROGRESS) for _ in range(4)]
    for number, each in enumerate(several):
        each.recipient = "digest" if number < 3 else "other"
        each.requested_at = NOON + timedelta(minutes=number)
    await store.insert([*several, note()])
    assert (await store.capped_since(["digest", "nobody"], NOON)) == {"digest": 2}


async def test_receipts_are_kept_until_they_are_matched(store: NotificationStore) -> None:
    """Twice the same is one."""
    await store.park([Receipt("a", arrived=True), Receipt("b", arrived=False)], NOON)
    await store.park([Receipt("a", arrived=True)], NOON)
    assert await store.parked(["a", "c"]) == [Receipt("a", arrived=True)]
    await store.unpark(["a"])
    assert await store.parked(["a", "b"]) == [Receipt("b", arrived=False)]


async def test_an_addressee_comes_back_and_never_goes_backwards(database: Database) -> None:
    """A worker that lost its partition cannot overwrite what the new owner has read."""
    store = MongoAddresseeStore(database)
    who = Addressee(
        TICKET,
        "w:1",
        sequence=3,
        facts_seen=2,
        person=PERSON,
        opened_id=UUID(int=1),
        opened_at=NOON,
        number="2611-0042175",
        state=TicketState.ANSWERED,
        category="delay.delivery",
        severity=Severity.HIGH,
        major=True,
        amount="120.50 CNY",
        latest={Moment.ANSWERED: UUID(int=4)},
        owed=[Owed(UUID(int=2), 3, NOON, PERSON), Owed(UUID(int=4), 5, NOON, PERSON, Moment.IN_PROGRESS)],
        due={Clock.FIRST_ANSWER: NOON},
        promised_by=1,
        withdrawn={UUID(int=9)},
        held=[("amends.sla.breached.v1", "{}")],
    )
    await store.save([who])
    assert await store.load([TICKET, uuid4()]) == {TICKET: who}
    await store.save([Addressee(TICKET, "w:1", sequence=2, facts_seen=1), Addressee(UUID(int=5), "w:2", sequence=1)])
    assert await store.load([TICKET]) == {TICKET: who}
    known = Standing(TicketState.ANSWERED, frozenset({UUID(int=9)}), {Moment.ANSWERED: UUID(int=4)}, PERSON.language)
    assert await store.standing([TICKET, uuid4()]) == {TICKET: known}


async def test_events_and_facts_of_a_ticket_are_kept_apart_and_read_as_one(database: Database) -> None:
    """They come on two topics, and what came on one of them is written without the other."""
    store = MongoAddresseeStore(database)
    await store.save([Addressee(TICKET, "w:1", facts_seen=1, due={Clock.FIRST_ANSWER: NOON})])
    assert await store.promised([TICKET, uuid4()], Clock.FIRST_ANSWER) == {TICKET}
    assert await store.promised([TICKET], Clock.RESOLUTION) == set()
    (who,) = (await store.load([TICKET])).values()
    who.sequence, who.person = 1, PERSON
    await store.save([who])
    (known,) = (await store.load([TICKET])).values()
    assert known == who
    known.facts_seen, known.due = 2, {Clock.FIRST_ANSWER: NOON + timedelta(hours=1)}
    await store.save([known])
    assert (await store.load([TICKET])) == {TICKET: known}


async def test_contacts_are_opened_and_what_cannot_be_is_missing(database: Database, tmp_path: object) -> None:
    """A sealed contact as the router keeps it; one of another complaint or of nobody is left out."""
    keyring = Keyring.create(tmp_path / "keyring.json")  # type: ignore[operator]
    store, contact = SealedContactStore(database, keyring), Contact(name="王小明", phone="+8613800138000")
    complaints = [uuid4() for _ in range(3)]
    sealed = keyring.seal(contact.seal_bytes(), about=complaints[0]).model_dump()
    await database["contacts"].insert_many(
        [
            {"_id": str(ids.contact_ref(c)), "complaint_id": str(c), "contact": given}
            for c, given in zip(complaints, (sealed, sealed, None), strict=True)
        ]
    )
    opened = await store.load([ids.contact_ref(c) for c in (*complaints, uuid4())])
    assert opened == {ids.contact_ref(complaints[0]): contact}


async def test_words_for_the_complainant_are_opened_and_what_cannot_be_is_missing(
    database: Database, tmp_path: object
) -> None:
    """Sealed for their note alone; one of another ticket is not read out to this one's complainant."""
    keyring = Keyring.create(tmp_path / "keyring.json")  # type: ignore[operator]
    mine, foreign, moved, broken, missing = (uuid4() for _ in range(5))
    sealed = keyring.seal(Note(text="inside", for_customer="我们核实了").seal_bytes(), about=mine).model_dump()
    nonsense = keyring.seal(b"{", about=broken).model_dump()
    await database["notes"].insert_many(
        [
            {"_id": str(mine), "ticket_id": str(TICKET), "sealed": sealed, "written_at": NOON},
            {"_id": str(foreign), "ticket_id": str(uuid4()), "sealed": sealed, "written_at": NOON},
            {"_id": str(moved), "ticket_id": str(TICKET), "sealed": sealed, "written_at": NOON},
            {"_id": str(broken), "ticket_id": str(TICKET), "sealed": nonsense, "written_at": NOON},
        ]
    )
    store = SealedNoteStore(database, keyring)
    wanted = [(note, TICKET) for note in (mine, foreign, moved, broken, missing)]
    assert await store.words(wanted) == {mine: "我们核实了"}
    assert await store.words([]) == {}


async def test_an_opt_out_holds_for_whoever_has_the_same_contact(database: Database) -> None:
    """One digest in common is enough, and saying it again changes nothing."""
    refs = {name: uuid4() for name in ("first", "later", "other", "unknown")}
    await database["contacts"].insert_many(
        [
            {"_id": str(refs["first"]), "index": ["phone-digest", "email-digest"]},
            {"_id": str(refs["later"]), "index": ["other-digest", "email-digest"]},
            {"_id": str(refs["other"]), "index": ["other-digest"]},
        ]
    )
    store = MongoOptOutStore(database)
    assert await store.opted_out(refs.values()) == set()
    await store.opt_out([refs["first"], refs["unknown"]], NOON)
    await store.opt_out([refs["first"]], NOON + timedelta(days=1))
    assert await store.opted_out(refs.values()) == {refs["first"], refs["later"]}
    await store.opt_out([refs["unknown"]], NOON)
    assert await store.opted_out([refs["unknown"]]) == await store.opted_out([]) == set()


async def test_links_are_revoked_one_generation_after_the_other(database: Database) -> None:
    """Of one ticket; those of others go on."""
    store = MongoLinkStore(database)
    assert await store.generations([TICKET]) == await store.generations([]) == {}
    await store.revoke(TICKET, NOON)
    await store.revoke(TICKET, NOON)
    assert await store.generations([TICKET, uuid4()]) == {TICKET: 2}
