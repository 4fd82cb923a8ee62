"""The portal's stores, on the simulated database and a real one, reading what the other services' stores write."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from schemas import events as e
from schemas.codes import Clock, ClockState, TicketState
from schemas.notes import Note
from services.organisation.handling import HandlingPolicy
from services.portal.case import AppealWindow
from services.portal.note_store import MongoNoteStore
from services.portal.revocation_store import MongoRevocationStore
from services.portal.ticket_store import MongoTicketStore
from services.portal.upload_store import MongoUploadStore
from services.router.event_store import EventStore
from services.router.ticket_store import TicketStore
from services.runtime.link_store import MongoLinkStore
from services.runtime.mongo import Database
from services.runtime.sealing import Keyring
from services.service_levels.ticket_sla import Cycle, TicketSla
from services.sla_monitor.clock_store import Change, ClockStore
from tests.unit.portal.tickets import COMPLAINT, TICKET, event, life
from tests.unit.router.test_deciding import in_state

NOW = datetime(2026, 11, 22, 2, 0, tzinfo=UTC)
S = TicketState


@pytest.fixture
def tickets(database: Database) -> MongoTicketStore:
    return MongoTicketStore(database, timeout_s=5)


async def test_events_are_read_as_the_router_wrote_them(database: Database, tickets: MongoTicketStore):
    """Also those of an append whose writer died before they had documents of their own, up to the first gap."""
    written = life((e.TicketReviewStarted, S.IN_REVIEW, {}), (e.TicketReviewCompleted, S.INVESTIGATING, {}))
    await EventStore(database).append([written])
    await database["ticket_events"].delete_one({"_id": f"{TICKET}:2"})
    assert await tickets.events(TICKET) == written
    await EventStore(database).append([[event(e.TicketAnswered, 5, S.ANSWERED)]])
    assert await tickets.events(TICKET) == written
    assert await tickets.events(uuid4()) == []


async def test_clocks_that_run_are_read_as_the_sla_monitor_wrote_them(database: Database, tickets: MongoTicketStore):
    """Those that stopped or stand still promise nothing; the latest revision counts."""
    due = int(NOW.timestamp() * 1_000_000)

    def cycle(clock: Clock, state: ClockState) -> Cycle:
        return Cycle(
            clock=clock,
            number=1,
            state=state,
            start=0,
            target=1,
            rule="rule",
            version=1,
            calendar="always",
            due=None if state is ClockState.PAUSED else due,
            next=None,
        )

    sla = TicketSla(ticket_id=TICKET, routing_key="w:1")
    sla.cycles = [
        cycle(Clock.FIRST_ANSWER, ClockState.RUNNING),
        cycle(Clock.RESOLUTION, ClockState.PAUSED),
        cycle(Clock.STATUTORY_USER, ClockState.BREACHED),
        cycle(Clock.ACKNOWLEDGE, ClockState.MET),
    ]
    store = ClockStore(database)
    assert await tickets.due(TICKET) == {}
    for fresh in (TicketSla(ticket_id=TICKET, routing_key="w:1"), sla):
        before = (await store.load([TICKET], fresh=False)).get(TICKET)
        await store.save([Change(fresh, before, None, "0", (), is_to_arm=False)])
    assert await tickets.due(TICKET) == {Clock.FIRST_ANSWER: NOW, Clock.STATUTORY_USER: NOW}
    await store.settled()


async def test_how_long_one_may_appeal_is_read_as_the_router_shows_it(database: Database, tickets: MongoTicketStore):
    """By the policy of the network; not of a ticket that has gone on, since its projection comes a little later."""
    answered = in_state(S.ANSWERED)
    until = answered.updated_at + timedelta(days=3)
    await TicketStore(database).project([answered], policy=HandlingPolicy(appeal_days=3))
    assert await tickets.appeal_window(answered.id, version=answered.version) == AppealWindow(until)
    assert await tickets.appeal_window(answered.id, version=answered.version + 1) is None
    assert await tickets.appeal_window(uuid4(), version=1) is None
    appealed = in_state(S.APPEALED)
    await TicketStore(database).project([appealed])
    assert await tickets.appeal_window(appealed.id, version=appealed.version) == AppealWindow(None)


async def test_messages_are_those_to_the_complainant(database: Database, tickets: MongoTicketStore):
    """The latest first, masked, by the way they went; not those to others who complained of the same."""

    def message(moment: str, hours: int, complaint: object, **attempt: object) -> dict[str, object]:
        return {
            "_id": str(uuid4()),
            "ticket_id": str(TICKET),
            "moment": moment,
            "state": "sent" if attempt else "waiting",
            "requested_at": NOW + timedelta(hours=hours),
            "attempts": [attempt] if attempt else [],
            "person": {"complaint_id": str(complaint), "masked": {"phone": "138****8000", "email": None}},
        }

    await database["notifications"].insert_many(
        [
            message("received", 0, COMPLAINT, channel="sms", sent_at=NOW, delivered_at=None),
            message("answered", 2, COMPLAINT),
            message("answered", 2, uuid4(), channel="sms", sent_at=NOW, delivered_at=None),
        ]
    )
    told = await tickets.messages(TICKET, COMPLAINT)
    assert [(one.moment, one.state, one.channel, one.to) for one in told] == [
        ("answered", "waiting", "none", ""),
        ("received", "sent", "sms", "138****8000"),
    ]


async def test_of_a_note_only_what_is_for_the_customer_is_read(database: Database, tmp_path: Path):
    """Kept twice is kept once, sealed; what cannot be opened, or is another ticket's, is as if it were not there."""
    keyring = Keyring.create(tmp_path / "keyring.json")
    notes = MongoNoteStore(database, keyring, timeout_s=5)
    told, inside, broken = uuid4(), uuid4(), uuid4()
    for _ in range(2):
        await notes.put(told, Note(text="inside", for_customer="outside"), ticket=TICKET, at=NOW)
    await notes.put(inside, Note(text="inside"), ticket=TICKET, at=NOW)
    document = await database["notes"].find_one({"_id": str(told)})
    assert document is not None
    assert (document["ticket_id"], document["written_at"]) == (str(TICKET), NOW)
    assert b"inside" not in document["sealed"]["ciphertext"]
    await database["notes"].insert_one({**document, "_id": str(broken)})
    assert await notes.for_customer({told, inside, broken, uuid4()}, ticket=TICKET) == {told: "outside"}
    assert await notes.for_customer({told}, ticket=uuid4()) == {}


async def test_the_first_evidence_of_a_file_holds(database: Database):
    """For its form alone."""
    uploads = MongoUploadStore(database, timeout_s=5, now=lambda: NOW)
    await uploads.prepare()
    first = uuid4()
    await uploads.add("form", "aa", first)
    await uploads.add("form", "aa", uuid4())
    assert await uploads.find("form", ["aa", "bb"]) == {"aa": first}
    assert await uploads.find("other", ["aa"]) == {}


async def test_links_are_taken_back_by_ticket(database: Database):
    """A ticket without a line has all its links."""
    revocations = MongoRevocationStore(database, timeout_s=5)
    await MongoLinkStore(database).revoke(TICKET, NOW)
    assert await revocations.generation(TICKET) == 1
    assert await revocations.generation(uuid4()) == 0
