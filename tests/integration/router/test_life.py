from collections.abc import Callable
from decimal import Decimal
from typing import Any

from pymongo.database import Database

from schemas import commands as c
from schemas import events as e
from schemas.codes import ActorKind, StaffRole, TicketState
from schemas.complaint import Money
from schemas.ids import ticket_id
from schemas.message import Actor
from schemas.ticket import fold
from tests.integration.router.scene import Scene, received
from tests.integration.router.test_capacity import NETWORK, upkeep

SceneOf = Callable[[dict[str, Any] | None], Scene]

SETTLES_AT_ONCE = {"handling": {"appeal_days": 0, "close_days": 0, "survey": {"attempts": 0}}}


async def test_what_nobody_objects_to_comes_to_its_end(
    scene_of: SceneOf, mongo_url: str, database_name: str, mongo: Database[dict[str, Any]]
) -> None:
    """An answer settles the matter when the time to appeal is over, and the ticket is closed: by time alone, once."""
    scene = scene_of({**NETWORK, **SETTLES_AT_ONCE})
    router = await scene.router()
    await router.handle(received([scene.complaint("The box is crushed.")]))
    (ticket,) = scene.events()
    await router.handle(received([scene.command(ticket, c.Answer(remedy="apology"))]))
    beside = upkeep(scene, router, mongo_url, database_name)
    for _ in range(3):
        # Asked for twice before it is decided, it happens once.
        await beside.take_steps()
        await beside.take_steps()
        await scene.deliver(router)
    told = [type(event) for event in scene.events()[ticket]]
    assert told.count(e.TicketResolved) == told.count(e.TicketClosed) == 1
    assert fold(scene.events()[ticket]).state is TicketState.CLOSED
    shown = mongo["tickets"].find_one({"_id": str(ticket)})
    assert shown is not None
    assert (shown["state"], "next_step" in shown) == ("closed", False)


async def test_a_linked_ticket_is_followed_up_where_it_belongs(scene_of: SceneOf) -> None:
    """Somebody sees that two tickets tell of one matter: one is closed, the other has both complainants, once."""
    scene = scene_of(NETWORK)
    router = await scene.router()
    await router.handle(received([scene.complaint("The box is crushed."), scene.complaint("My box came broken.")]))
    here, there = scene.events()
    key = scene.events()[there][0].routing_key
    link = scene.command(here, c.LinkAsRepeat(to_ticket=there, to_routing_key=key))
    await router.handle(received([link]))
    await router.handle(received([link]))
    await scene.deliver(router)
    assert fold(scene.events()[here]).linked_to == there
    (absorbed,) = [event for event in scene.events()[there] if isinstance(event, e.TicketRepeatLinked)]
    assert absorbed.from_ticket == here
    assert fold(scene.events()[there]).complaints == (
        scene.events()[there][0].complaint_id,  # type: ignore[attr-defined]  # the first event opens
        scene.events()[here][0].complaint_id,  # type: ignore[attr-defined]
    )


async def test_after_linking_the_matter_is_the_other_tickets(scene_of: SceneOf) -> None:
    """The next complaint about either parcel follows up that one; when it is closed, the matter opens a new ticket."""
    scene = scene_of(NETWORK)
    router = await scene.router()
    first, second = (
        scene.complaint(f"The box is crushed. {n}", phone=f"+86138001380{n}0", waybills=(f"YT{n}",)) for n in (1, 2)
    )
    await router.handle(received([first, second]))
    here, there = ticket_id(first.complaint_id), ticket_id(second.complaint_id)
    link = c.LinkAsRepeat(to_ticket=there, to_routing_key=scene.events()[there][0].routing_key)
    await router.handle(received([scene.command(here, link)]))
    await scene.deliver(router)
    for n, end in ((3, c.Resolve()), (4, c.Resolve()), (5, c.Withdraw())):
        again = scene.complaint(f"Still crushed. {n}", phone=f"+86138001380{n}0", waybills=("YT1",))
        await router.handle(received([again]))
        await scene.deliver(router)
        assert scene.fates()[again.complaint_id] == ("followed_up", there)
        for action in (c.StartReview(), c.CompleteReview(), end):
            await router.handle(received([scene.command(there, action)]))
            await scene.deliver(router)
    assert fold(scene.events()[here]).state is TicketState.CLOSED
    assert fold(scene.events()[there]).state is TicketState.WITHDRAWN
    late = scene.complaint("Crushed again.", phone="+8613800138090", waybills=("YT1",))
    await router.handle(received([late]))
    assert scene.fates()[late.complaint_id] == ("opened", ticket_id(late.complaint_id))


async def test_a_remedy_waits_for_who_may_promise_it(scene_of: SceneOf, mongo: Database[dict[str, Any]]) -> None:
    """Proposed by an agent, approved by a supervisor: the complainant is answered with the approval and not before."""
    scene = scene_of(NETWORK)
    router = await scene.router()
    await router.handle(received([scene.complaint("The box is crushed.")]))
    (ticket,) = scene.events()
    offer = c.Answer(remedy="refund", amount=Money(amount=Decimal("1500.00")))
    await router.handle(received([scene.command(ticket, offer)]))
    assert fold(scene.events()[ticket]).state is TicketState.INVESTIGATING
    approve = scene.command(ticket, c.Approve()).model_copy(
        update={"actor": Actor(kind=ActorKind.AGENT, id="sue", via="desk", role=StaffRole.SUPERVISOR)}
    )
    await router.handle(received([approve]))
    answered = scene.events()[ticket][-1]
    assert isinstance(answered, e.TicketAnswered)
    assert answered.amount == Money(amount=Decimal("1500.00"))
    shown = mongo["tickets"].find_one({"_id": str(ticket)})
    assert shown is not None
    assert (shown["state"], shown["amount"]) == ("answered", {"amount": "1500.00", "currency": "CNY"})
