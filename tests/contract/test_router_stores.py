"""What the router relies on, of its stores in the database."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from itertools import chain
from uuid import uuid4

import pytest

from schemas.codes import RiskFlag, TicketState
from schemas.commands import FirstAction
from services.organisation.directory import WrongOrganisation
from services.organisation.directory_store import DirectoryStore
from services.router.assignment import Slot
from services.router.claim_store import ClaimStore
from services.router.claims import Claim, Held
from services.router.complaint_store import ComplaintStore
from services.router.event_store import EventStore
from services.router.fate import Fate, Shown
from services.router.number_store import NumberStore
from services.router.opening import opening
from services.router.parked_store import ParkedStore
from services.router.reservation_store import ReservationStore
from services.router.ticket_store import TicketStore
from services.runtime.mongo import Database
from tests.unit.router.examples import AT, NOBODY, command, complaint, said, ticket
from tests.unit.router.test_deciding import do


async def test_numbers_are_handed_out_once(connections: Callable[[], Database]) -> None:
    """Many takers at once, also at the very first of the month, get different serials and together all of them."""
    stores = [NumberStore(connections()) for _ in range(5)]
    taken = await asyncio.gather(*(stores[n % 5].take("2611", 3) for n in range(60)))
    assert sorted(chain(*taken)) == list(range(1, 181))
    assert await stores[0].take("2612", 1) == range(1, 2)


async def test_a_fate_is_decided_once(connections: Callable[[], Database]) -> None:
    """Whoever is first decides, and everybody hears the same."""
    stores = [ComplaintStore(connections()) for _ in range(4)]
    one = uuid4()
    given = [Fate(one, uuid4(), f"key-{n}", "text") for n in range(4)]
    heard = await asyncio.gather(*(s.decide([fate]) for s, fate in zip(stores, given, strict=True)))
    assert len({h[one] for h in heard}) == 1
    assert await stores[0].fates([one]) == heard[0]


def held(id_: str = "claim") -> Held:
    """A claim of a new complaint."""
    return Held(Claim(id_, "text", AT, ("YT1",)), uuid4(), "key")


async def test_a_claim_has_one_holder(connections: Callable[[], Database]) -> None:
    """Of many who lay the same claim all hear who holds it."""
    stores = [ClaimStore(connections()) for _ in range(4)]
    wanted = [held() for _ in stores]
    heard = await asyncio.gather(*(s.lay([claim]) for s, claim in zip(stores, wanted, strict=True)))
    (holder,) = {h["claim"] for h in heard}
    assert holder in wanted


async def test_a_claim_is_taken_over_from_the_one_that_was_seen(connections: Callable[[], Database]) -> None:
    """Of two who take it over from the same holder one gets it, and the other hears so."""
    stores = [ClaimStore(connections()) for _ in range(2)]
    old, *new = held(), held(), held()
    await stores[0].lay([old])
    heard = await asyncio.gather(*(s.take_over([(n, old.complaint_id)]) for s, n in zip(stores, new, strict=True)))
    (holder,) = {h["claim"] for h in heard}
    assert holder in new


async def test_events_are_appended_once_and_whole(connections: Callable[[], Database]) -> None:
    """Of two writers one wins with all its events; what both read is the same."""
    one, other = EventStore(connections()), EventStore(connections())
    groups = [
        opening(
            complaint(),
            number=number,
            said=said(),
            major=False,
            waybills=(),
            places=(),
            assignment=replace(NOBODY, person=number),
        )
        for number in ("2611-000015", "2611-000023")
    ]
    lost = await asyncio.gather(one.append([groups[0]]), other.append([groups[1]]))
    ticket_id = groups[0][0].ticket_id
    assert sorted(map(len, lost)) == [0, 1]
    winner = groups[0] if not lost[0] else groups[1]
    assert await one.load([ticket_id]) == await other.load([ticket_id]) == {ticket_id: winner}


async def test_a_reader_completes_what_a_dead_writer_left(connections: Callable[[], Database]) -> None:
    """The first event's document carries the others: they are never lost, and get documents of their own."""
    database = connections()
    store = EventStore(database)
    events = opening(
        complaint(), number="2611-000015", said=said(), major=False, waybills=(), places=(), assignment=NOBODY
    )
    await store.append([events])
    ticket_id = events[0].ticket_id
    await database["ticket_events"].delete_many({"sequence": {"$gt": 1}})
    assert await store.load([ticket_id]) == {ticket_id: events}
    assert await database["ticket_events"].count_documents({"ticket_id": str(ticket_id)}) == 3


async def test_a_slot_has_one_ticket(connections: Callable[[], Database]) -> None:
    """Of many who want a slot one gets it; a ticket has at most one slot per person."""
    stores = [ReservationStore(connections()) for _ in range(4)]
    await stores[0].create_indexes()
    tickets = [uuid4() for _ in stores]
    lost = await asyncio.gather(*(s.reserve([(Slot("ann", 0), t)]) for s, t in zip(stores, tickets, strict=True)))
    assert sum(not one for one in lost) == 1
    winner = next(t for t, one in zip(tickets, lost, strict=True) if not one)
    assert await stores[1].reserve([(Slot("ann", 1), winner)]) == set()
    assert await stores[2].taken() == [Slot("ann", 0)]
    assert await stores[3].settle({winner: "ann"}) == []
    assert await stores[3].settle({winner: "bo"}) == [Slot("ann", 0)]
    assert await stores[0].taken() == []


async def test_the_projection_never_goes_back(connections: Callable[[], Database]) -> None:
    """A late writer of an earlier version changes nothing."""
    database = connections()
    store = TicketStore(database)
    now = ticket()
    later = now._replace(version=now.version + 1, state=TicketState.ANSWERED, updated_at=AT + timedelta(hours=1))
    await store.project([now], fresh=[now.id])
    await store.project([later])
    await store.project([now])
    await store.project([now], fresh=[now.id])
    assert await store.shown([now.id]) == {now.id: Shown(TicketState.ANSWERED, now.complaint_id, now.routing_key)}


async def test_a_linked_ticket_is_shown_with_those_that_it_leads_to(connections: Callable[[], Database]) -> None:
    """One after the other, also in a circle; not those that an open one names no more."""
    store = TicketStore(connections())
    names = [uuid4() for _ in range(4)]
    links = [names[1], names[2], names[0], names[0]]
    closed = ticket()._replace(state=TicketState.CLOSED)
    await store.project([closed._replace(id=one, linked_to=to) for one, to in zip(names, links, strict=True)])
    shown = await store.shown(names[:1])
    assert [shown[one].linked_to for one in names[:3]] == links[:3]
    assert shown.keys() == set(names[:3])
    assert await store.shown([uuid4()]) == {}


async def test_versions_of_the_directory_do_not_lose_one_another(connections: Callable[[], Database]) -> None:
    """Two loads at once both count; a wrong one changes nothing."""
    one, other = DirectoryStore(connections()), DirectoryStore(connections())
    await asyncio.gather(one.current_or_packaged(), other.current_or_packaged())
    assert await one.version() == 1
    person = {"id": "ann", "department": "outlets", "capacity": 1}
    await asyncio.gather(one.load({"people": [person]}), other.load({"risk": {"major_flags": ["legal"]}}))
    now = await one.current()
    assert now is not None
    assert (now.version, len(now.people), now.risk.major_flags) == (3, 1, (RiskFlag.LEGAL,))
    with pytest.raises(WrongOrganisation, match="no department moon"):
        await one.load({"people": [{**person, "department": "moon"}]})
    with pytest.raises(WrongOrganisation, match="peple: unknown"):
        await one.load({"peple": []})
    assert await other.version() == 3


async def test_a_parked_command_is_counted_until_it_is_unparked(connections: Callable[[], Database]) -> None:
    """Parked twice it is one; it is found by its ticket."""
    store = ParkedStore(connections())
    waiting = command(ticket(), FirstAction())
    await store.park([waiting])
    await store.park([waiting])
    assert await store.waiting_for([waiting.ticket_id]) == [waiting]
    assert await store.count() == 1
    await store.unpark([waiting])
    assert await store.count() == 0


async def test_what_time_brings_about_is_found_when_it_is_due(database: Database) -> None:
    """A settled ticket's next step is found from its time on, and not any more when the ticket went on."""
    store = TicketStore(database)
    await store.create_indexes()
    resolved = do(ticket(), "resolve")
    await store.project([ticket(needs_review=True)._replace(id=uuid4()), resolved])
    assert await store.due(AT + timedelta(hours=23), count_max=10) == []
    (due,) = await store.due(AT + timedelta(hours=24), count_max=10)
    assert due["_id"] == str(resolved.id)
    assert due["next_step"] == {"at": AT + timedelta(hours=24), "command": "request_survey"}
    await store.project([do(resolved, "stop_surveys", "close")])
    assert await store.due(AT + timedelta(days=4000), count_max=10) == []
