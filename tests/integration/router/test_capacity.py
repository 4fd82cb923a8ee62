import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any
from uuid import UUID

from prometheus_client import CollectorRegistry
from pymongo.database import Database

from schemas import commands as c
from schemas.codes import RiskFlag
from schemas.events import TicketAssigned, TicketCommandRefused
from schemas.ids import ticket_id
from services.organisation.directory_store import DirectoryStore
from services.router.handlers import Router
from services.router.parked_store import ParkedStore
from services.router.ticket_store import TicketStore
from services.router.upkeep import Upkeep
from services.runtime import mongo as runtime_mongo
from services.runtime.database_clock import DatabaseClock
from services.runtime.metrics import RouterMetrics
from tests.integration.router.scene import Scene, received

SceneOf = Callable[[dict[str, Any] | None], Scene]

NETWORK = {
    "departments": [{"code": "outlets", "name": "Outlets", "calendar": "outlet"}],
    "units": [],
    "people": [
        {"id": "ann", "department": "outlets", "capacity": 3},
        {"id": "bo", "department": "outlets", "capacity": 2},
    ],
    "assignment": {"rules": [{"name": "all", "department": "outlets"}]},
    # Nothing waits for a review, so that everything is assigned as it opens.
    "risk": {"classifier": {"confidence_min": 0, "severity_review_min": 5, "review_flags": []}},
}


def holders(scene: Scene) -> dict[UUID, str | None]:
    """Who has which ticket, by the events."""
    return {
        ticket: [event.person for event in events if isinstance(event, TicketAssigned)][-1]
        for ticket, events in scene.events().items()
    }


def loads(scene: Scene) -> Counter[str | None]:
    """How many tickets each has."""
    return Counter(holders(scene).values())


async def open_tickets(scene: Scene, routers: list[Router], count: int) -> None:
    """Open tickets through all routers at once."""
    feeds = [
        [scene.complaint(f"T {n} {r}.", phone=f"+86{r}38{n:08d}") for n in range(count)] for r in range(len(routers))
    ]
    await asyncio.gather(*(one.handle(received(feed)) for one, feed in zip(routers, feeds, strict=True)))


def upkeep(scene: Scene, router: Router, mongo_url: str, database_name: str) -> Upkeep:
    """What runs beside a router, driven by hand."""
    database = runtime_mongo.connect(mongo_url, database=database_name)
    return Upkeep(
        placement=router.placement,
        directory=DirectoryStore(database),
        tickets=TicketStore(database),
        parked=ParkedStore(database),
        publish=scene._publish,
        clock=DatabaseClock.of(database),
        offers=lambda: True,
        metrics=RouterMetrics(CollectorRegistry()),
        poll_s=60,
        offer_s=60,
        step_s=60,
    )


async def test_two_routers_never_exceed_capacity(scene_of: SceneOf, mongo: Database[dict[str, Any]]) -> None:
    """Three routers assign at once: five tickets have a person, all others wait in the queue."""
    scene = scene_of(NETWORK)
    await open_tickets(scene, [await scene.router() for _ in range(3)], 10)
    assert loads(scene) == {"ann": 3, "bo": 2, None: 25}
    taken = {d["_id"]: UUID(d["ticket_id"]) for d in mongo["reservations"].find()}
    assert len(taken) == 5
    assert {(slot.split(":")[0], ticket) for slot, ticket in taken.items()} == {
        (person, ticket) for ticket, person in holders(scene).items() if person
    }


async def test_a_freed_slot_goes_to_the_oldest_that_waits(
    scene_of: SceneOf, mongo_url: str, database_name: str
) -> None:
    """When a ticket is resolved its person gets the one that has waited longest, and only one."""
    scene = scene_of(NETWORK)
    router = await scene.router()
    await open_tickets(scene, [router], 8)
    waiting = [ticket for ticket, person in holders(scene).items() if person is None]
    beside = upkeep(scene, router, mongo_url, database_name)
    await beside.offer()
    assert scene.undelivered == []
    done = next(ticket for ticket, person in holders(scene).items() if person == "bo")
    await router.handle(received([scene.command(done, c.Resolve())]))
    await beside.offer()
    await beside.offer()
    await scene.deliver(router)
    assert holders(scene)[waiting[0]] == "bo"
    assert loads(scene) == {"ann": 3, "bo": 2 + 1, None: 2}


async def test_reassignment_moves_the_reservation(scene_of: SceneOf, mongo: Database[dict[str, Any]]) -> None:
    """By hand from one to another: the first one's slot is free; who is full gets nothing."""
    scene = scene_of(NETWORK)
    router = await scene.router()
    await open_tickets(scene, [router], 4)
    assert loads(scene) == {"ann": 2, "bo": 2} or loads(scene) == {"ann": 3, "bo": 1}
    mine = next(ticket for ticket, person in holders(scene).items() if person == "ann")
    await router.handle(received([scene.command(mine, c.Assign(person="bo"))]))
    again = next(ticket for ticket, person in holders(scene).items() if person == "ann")
    await router.handle(received([scene.command(again, c.Assign(person="bo"))]))
    refused = scene.events()[again][-1]
    assert isinstance(refused, TicketCommandRefused)
    assert refused.why == "no_capacity"
    assert Counter(d["person"] for d in mongo["reservations"].find()) == {
        person: count for person, count in loads(scene).items() if person
    }


async def test_everything_is_released_in_the_end(scene_of: SceneOf, mongo: Database[dict[str, Any]]) -> None:
    """No ticket that is over keeps a slot."""
    scene = scene_of(NETWORK)
    router = await scene.router()
    await open_tickets(scene, [router], 8)
    tickets = list(holders(scene))
    await router.handle(received([scene.command(ticket, c.Withdraw()) for ticket in tickets]))
    assert mongo["reservations"].count_documents({}) == 0


async def test_two_routers_reassigning_at_once_agree(scene_of: SceneOf, mongo: Database[dict[str, Any]]) -> None:
    """Each ticket ends with the slot of the one person whom its events name."""
    scene = scene_of(NETWORK)
    one, other = await scene.router(), await scene.router()
    await open_tickets(scene, [one], 4)
    tickets = list(holders(scene))
    await asyncio.gather(
        *(
            router.handle(received([scene.command(t, c.Assign(person=person)) for t in tickets]))
            for router, person in ((one, "ann"), (other, "bo"))
        )
    )
    await one.handle(received([scene.command(t, c.FirstAction()) for t in tickets]))
    per_person = Counter(d["person"] for d in mongo["reservations"].find())
    assert per_person == {person: count for person, count in loads(scene).items() if person}


async def test_a_router_that_stood_still_frees_no_slot(scene_of: SceneOf, mongo: Database[dict[str, Any]]) -> None:
    """The ticket that it finishes late has been given to somebody else meanwhile."""
    scene = scene_of(NETWORK)
    frozen, other = await scene.router(), await scene.router()
    await open_tickets(scene, [other], 1)
    ((ticket, holder),) = holders(scene).items()
    next_one = "bo" if holder == "ann" else "ann"
    published, thawed = asyncio.Event(), asyncio.Event()

    async def stand_still(outgoing: Any) -> None:
        await scene._publish(outgoing)
        published.set()
        await thawed.wait()

    object.__setattr__(frozen, "publish", stand_still)
    late = asyncio.create_task(frozen.handle(received([scene.command(ticket, c.FirstAction())])))
    await published.wait()
    await other.handle(received([scene.command(ticket, c.Assign(person=next_one))]))
    thawed.set()
    await late
    assert holders(scene) == {ticket: next_one}
    assert [d["person"] for d in mongo["reservations"].find()] == [next_one]


async def test_a_directory_loaded_while_running_counts(scene_of: SceneOf, mongo_url: str, database_name: str) -> None:
    """More capacity in a new version: the router follows, and those who waited are given to people."""
    scene = scene_of(NETWORK)
    router = await scene.router()
    await open_tickets(scene, [router], 8)
    beside = upkeep(scene, router, mongo_url, database_name)
    store = DirectoryStore(runtime_mongo.connect(mongo_url, database=database_name))
    loaded = await store.load({"people": [{"id": "ann", "department": "outlets", "capacity": 30}]})
    await beside.refresh()
    assert router.placement.organisation.version == loaded.version
    assert loaded.assignment.rules[0].name == "all"
    await beside.offer()
    await scene.deliver(router)
    assert loads(scene) == {"ann": 6, "bo": 2}


async def test_risk_policy_decides_who_is_reviewed(scene_of: SceneOf) -> None:
    """Flags of the policy send a proposal to a person and make a complaint a major one."""
    risk = {"classifier": {"confidence_min": 0, "severity_review_min": 5, "review_flags": ["legal"]}}
    scene = scene_of({**NETWORK, "risk": risk | {"major_flags": ["legal"]}})
    router = await scene.router()
    grave = scene.complaint("My parcel is lost and my lawyer will sue you in court.")
    plain = scene.complaint("My parcel is late.", phone="+8613900139000")
    await router.handle(received([grave, plain]))
    events = scene.events()[ticket_id(grave.complaint_id)]
    assert len(events) == 2
    assert events[1].major  # type: ignore[attr-defined]
    assert RiskFlag.LEGAL in events[1].classification.flags  # type: ignore[attr-defined]
    assert isinstance(scene.events()[ticket_id(plain.complaint_id)][-1], TicketAssigned)
