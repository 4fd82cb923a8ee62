import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pymongo.database import Database

from schemas import commands as c
from schemas.classification import Matter
from schemas.codes import Category, RiskFlag, TicketState
from schemas.complaint import ComplaintSubmitted
from schemas.events import (
    TicketAssigned,
    TicketCommandRefused,
    TicketEvent,
    TicketFollowedUp,
    TicketOpened,
    TicketReopened,
    TicketSeverityChanged,
)
from schemas.ids import contact_ref, ticket_id
from schemas.message import Message
from services.router.claims import claims_of
from services.router.handlers import Router
from tests.integration.router.scene import AT, Crash, Dying, Fuse, Scene, received

OTHER = "+8613900139000"


async def test_a_complaint_becomes_a_ticket(scene: Scene, mongo: Database[dict[str, Any]]) -> None:
    """Opened, understood, numbered, assigned and shown; contact and words kept sealed, and nowhere else."""
    router = await scene.router()
    accepted = scene.complaint("My parcel YT1234567890123 for my grandmother arrived broken, I want a refund.")
    assert await router.handle(received([accepted])) == []
    ((ticket, events),) = scene.events().items()
    assert ticket == ticket_id(accepted.complaint_id)
    opened = events[0]
    assert isinstance(opened, TicketOpened)
    assert opened.waybills == ("YT1234567890123",)
    assert [event.causation_id for event in events] == [accepted.complaint_id] * len(events)
    shown = mongo["tickets"].find_one({"_id": str(ticket)})
    assert shown is not None
    assert (shown["number"], shown["version"], shown["category"]) == (opened.number, len(events), "damage")
    fate = mongo["complaints"].find_one({"_id": str(accepted.complaint_id)})
    assert fate is not None
    assert (fate["ticket_id"], fate["role"]) == (str(ticket), "opened")
    kept = mongo["contacts"].find_one({"_id": str(contact_ref(accepted.complaint_id))})
    assert kept is not None
    assert kept["wording"]["ciphertext"] == accepted.wording.ciphertext
    for name in set(mongo.list_collection_names()) - {"contacts"}:
        assert "grandmother" not in str(list(mongo[name].find()))
        assert "+8613800138000" not in str(list(mongo[name].find()))


async def test_the_same_again_is_a_follow_up(scene: Scene) -> None:
    """Same parcel from either side, same words from the same person, same case: one ticket, repeats counted."""
    router = await scene.router()
    first = scene.complaint(waybills=("YT1",), case_number="77")
    again = [
        scene.complaint("It is damaged.", phone=OTHER, waybills=("YT1",)),
        scene.complaint(),
        scene.complaint("Something else.", phone=OTHER, case_number="77"),
    ]
    await router.handle(received([first]))
    await router.handle(received(again))
    assert await scene.deliver(router) == []
    fates = scene.fates()
    assert fates[first.complaint_id][0] == "opened"
    assert [fates[one.complaint_id] for one in again] == [("followed_up", ticket_id(first.complaint_id))] * 3
    (events,) = scene.events().values()
    assert sum(isinstance(event, TicketSeverityChanged) for event in events) >= 1
    assert all(RiskFlag.REPEATED in event.flags for event in events if hasattr(event, "repeats"))


async def test_another_matter_opens_another_ticket(scene: Scene) -> None:
    """Another person with the same words, or the price of the same parcel, is not the same matter."""
    router = await scene.router()
    await router.handle(
        received(
            [
                scene.complaint("It has not come.", waybills=("YT1",)),
                scene.complaint("You charged me twice, that is far too expensive!", waybills=("YT1",), phone=OTHER),
                scene.complaint("It has not come.", phone="+8613700137000"),
                scene.complaint("It has not come.", waybills=("YT2",)),
            ]
        )
    )
    assert len(scene.events()) == 4
    assert len(scene.numbers()) == 4


async def test_a_follow_ups_other_parcel_leads_to_the_ticket_too(scene: Scene) -> None:
    """What a repeat adds belongs to the matter from then on."""
    router = await scene.router()
    for one in (
        scene.complaint("One.", waybills=("YT1",)),
        scene.complaint("Two.", phone=OTHER, waybills=("YT1", "YT2")),
        scene.complaint("Three.", phone="+8613700137000", waybills=("YT2",)),
    ):
        await router.handle(received([one]))
        await scene.deliver(router)
    assert len(scene.events()) == 1
    assert len(scene.fates()) == 3


@pytest.mark.parametrize("end", ["withdraw", "close"])
async def test_after_the_end_the_same_opens_a_new_ticket(scene: Scene, end: str) -> None:
    """Claims of a ticket that is over are taken over, also those that its follow-ups had laid."""
    router = await scene.router()
    first, again = scene.complaint(waybills=("YT1",)), scene.complaint("More.", waybills=("YT1", "YT2"), phone=OTHER)
    await router.handle(received([first]))
    await router.handle(received([again]))
    await scene.deliver(router)
    ticket = ticket_id(first.complaint_id)
    if scene.events()[ticket][-1].state is TicketState.OPENED:
        await router.handle(received([scene.command(ticket, a) for a in (c.StartReview(), c.CompleteReview())]))
    way: dict[str, list[c.Action]] = {"withdraw": [c.Withdraw()], "close": [c.Resolve(), c.Close()]}
    await router.handle(received([scene.command(ticket, action) for action in way[end]]))
    late = [scene.complaint(waybills=("YT2",), phone="+8613700137000"), scene.complaint()]
    await router.handle(received(late))
    await scene.deliver(router)
    assert {scene.fates()[one.complaint_id][0] for one in late} == {"opened"}


async def test_a_complaint_about_a_resolved_ticket_reopens_it(scene: Scene, mongo: Database[dict[str, Any]]) -> None:
    """It is worked on again and holds its matter: the next complaint follows it up, and opens nothing anew."""
    router = await scene.router()
    first = scene.complaint(waybills=("YT1",))
    await router.handle(received([first]))
    ticket = ticket_id(first.complaint_id)
    if scene.events()[ticket][-1].state is TicketState.OPENED:
        await router.handle(received([scene.command(ticket, a) for a in (c.StartReview(), c.CompleteReview())]))
    await router.handle(received([scene.command(ticket, c.Resolve())]))
    for phone in (OTHER, "+8613700137000"):
        await router.handle(received([scene.complaint("Again.", phone=phone, waybills=("YT1",))]))
        await scene.deliver(router)
    kinds = [type(event) for event in scene.events()[ticket]]
    assert (kinds.count(TicketFollowedUp), kinds.count(TicketReopened)) == (2, 1)
    shown = mongo["tickets"].find_one({"_id": str(ticket)})
    assert shown is not None
    assert (shown["state"], shown["needs_review"], shown["person"]) == ("opened", True, None)
    assert mongo["reservations"].count_documents({"ticket_id": str(ticket)}) == 0
    await router.handle(received([scene.command(ticket, a) for a in (c.StartReview(), c.CompleteReview())]))
    assert scene.events()[ticket][-1].state is TicketState.INVESTIGATING


async def test_a_complaint_that_loses_to_a_withdrawal_reopens_the_ticket(scene: Scene) -> None:
    """It was a follow-up when it was decided: nobody is told so of a case on which nobody works."""
    router = await scene.router()
    first, again = scene.complaint(waybills=("YT1",)), scene.complaint("Again.", waybills=("YT1",), phone=OTHER)
    await router.handle(received([first]))
    ticket = ticket_id(first.complaint_id)
    await router.handle(received([again]))
    await router.handle(received([scene.command(ticket, c.Withdraw())]))
    await scene.deliver(router)
    assert [event.state for event in scene.events()[ticket]][-2:] == [TicketState.OPENED, TicketState.OPENED]
    third = scene.complaint("Again, again.", waybills=("YT1",), phone="+8613700137000")
    await router.handle(received([third]))
    await scene.deliver(router)
    assert scene.fates()[third.complaint_id] == ("followed_up", ticket)


async def test_a_command_from_the_future_is_refused_and_again_when_it_is_redelivered(scene: Scene) -> None:
    """It dates nothing ahead, whoever handles it and how often."""
    one, other = await scene.router(), await scene.router()
    accepted = scene.complaint()
    await one.handle(received([accepted]))
    ticket = ticket_id(accepted.complaint_id)
    ahead = scene.command(ticket, c.WaitForCustomer(), issued_at=datetime(9999, 1, 1, tzinfo=UTC))
    record = [r._replace(recorded_at=AT + timedelta(hours=1)) for r in received([ahead])]
    for router in (one, other):
        await router.handle(record)
    refused = scene.events()[ticket][-1]
    assert isinstance(refused, TicketCommandRefused)
    assert (refused.why, refused.occurred_at) == ("issued_in_future", AT + timedelta(hours=1))
    assert sum(isinstance(event, TicketCommandRefused) for event in scene.events()[ticket]) == 1


async def test_the_same_words_after_the_window_open_a_new_ticket(scene: Scene) -> None:
    """A week later the same sentence is another matter."""
    router = await scene.router()
    await router.handle(received([scene.complaint()]))
    await router.handle(received([scene.complaint(received_at=AT + timedelta(days=8))]))
    await router.handle(received([scene.complaint(received_at=AT + timedelta(days=9))]))
    await scene.deliver(router)
    assert sorted(role for role, _ in scene.fates().values()) == ["followed_up", "opened", "opened"]


async def test_doubles_racing_through_two_routers_make_one_ticket(scene: Scene) -> None:
    """Whoever wins, of each matter there is one ticket; every other complaint of it is a follow-up of that one."""
    one, other = await scene.router(), await scene.router()
    matters = 40
    # Every complaint shares a parcel with the one before it and the words with the one after it.
    feeds: list[list[ComplaintSubmitted]] = [[], []]
    for n in range(matters):
        phone = f"+86138{n:08d}"
        for k in range(4):
            feeds[k % 2].append(scene.complaint(f"Text {n} {k // 2}.", phone=phone, waybills=(f"M{n}", f"X{n}{k}")))
    feeds[1].reverse()
    batches = [[feed[i : i + 16] for i in range(0, len(feed), 16)] for feed in feeds]

    async def feed(router: Router, parts: list[list[ComplaintSubmitted]]) -> None:
        for part in parts:
            await router.handle(received(part))

    await asyncio.gather(feed(one, batches[0]), feed(other, batches[1]))
    assert await scene.deliver(one) == []
    fates = scene.fates()
    assert len(fates) == matters * 4
    assert sum(role == "opened" for role, _ in fates.values()) == matters
    assert len(scene.numbers()) == matters


async def test_a_zombie_changes_nothing(scene: Scene) -> None:
    """Two routers that both believe to own the partition write one history."""
    one, other = await scene.router(), await scene.router()
    batch = received([scene.complaint(f"Text {n}.", phone=f"+86138{n:08d}") for n in range(60)])
    await asyncio.gather(one.handle(batch), other.handle(batch))
    assert len(scene.fates()) == 60
    tickets = list(scene.events())
    commands: list[Message] = []
    for ticket in tickets:
        commands += [scene.command(ticket, c.StartReview()), scene.command(ticket, c.Withdraw())]
    await asyncio.gather(one.handle(received(commands)), other.handle(received(commands[::-1])))
    for events in scene.events().values():
        assert len({event.causation_id for event in events if event.sequence > 1}) >= 2
        assert events[-1].state is TicketState.WITHDRAWN
    assert len(scene.numbers()) == 60


def feed_of_everything(scene: Scene) -> list[Message]:
    """A new matter, its double in the same batch, and another matter."""
    return [
        scene.complaint("A parcel is lost.", waybills=("YT1",)),
        scene.complaint("The same parcel.", phone=OTHER, waybills=("YT1", "YT3")),
        scene.complaint("Another one.", phone="+8613700137000", waybills=("YT2",)),
    ]


@pytest.mark.parametrize("before", [True, False])
async def test_a_crash_anywhere_ends_in_the_same_events(scene: Scene, *, before: bool) -> None:
    """Die before or after every single call of a store or of Kafka, deliver again: one fate each, no gap, no double."""
    crashes = 0
    survivor = await scene.router()
    for calls in range(200):
        batch = received(
            [
                message.model_copy(update={"waybills": tuple(f"{w}-{calls}-{before}" for w in message.waybills)})
                for message in feed_of_everything(scene)
                if isinstance(message, ComplaintSubmitted)
            ]
        )
        batch = [r._replace(message=_unlike(scene, r.message, calls)) for r in batch]  # type: ignore[arg-type]
        fuse = Fuse(calls, before=before)
        crashed = await dies(await dying(scene, fuse), batch, fuse)
        crashes += crashed
        await survivor.handle(batch)
        await scene.deliver(survivor)
        ids = [r.message.ce_id for r in batch]
        fates = scene.fates()
        assert [fates[one][0] for one in ids] == ["opened", "followed_up", "opened"]
        if not crashed:
            break
    assert crashes >= 10
    assert len(scene.numbers()) == 2 * (crashes + 1)


def _unlike(scene: Scene, message: ComplaintSubmitted, calls: int) -> ComplaintSubmitted:
    return message.model_copy(update={"text_fingerprint": f"{message.text_fingerprint}-{calls}"})


async def dying(scene: Scene, fuse: Fuse) -> Router:
    """A router all of whose stores share the fuse."""
    router = await scene.router()
    for handler in (router.complaints, router.commands):
        for name in ("fates", "claims", "contacts", "events", "numbers", "states", "parked"):
            if hasattr(handler, name):
                object.__setattr__(handler, name, Dying(getattr(handler, name), fuse))
    for name in ("tickets", "reservations", "parked"):
        object.__setattr__(router, name, Dying(getattr(router, name), fuse))
    return router


async def dies(router: Router, batch: list[Any], fuse: Fuse) -> bool:
    """Whether the router died over the batch."""
    try:
        await router.handle(batch)
    except Crash:
        # What ran beside the crash is dead, too: nothing more of it reaches the database.
        await asyncio.sleep(0)
        return True
    assert not fuse.blown
    return False


async def test_a_crash_among_commands_ends_in_the_same_events(scene: Scene) -> None:
    """The same for commands with several events each, an assignment and a release."""
    survivor = await scene.router()
    for calls in range(100):
        accepted = scene.complaint(f"A parcel is lost {calls}.", phone=f"+86137{calls:08d}")
        await survivor.handle(received([accepted]))
        ticket = ticket_id(accepted.complaint_id)
        if scene.events()[ticket][-1].state is not TicketState.OPENED:
            actions: list[c.Action] = [c.Assign(department="finance"), c.Resolve(), c.Answer(), c.Close()]
        else:
            review = c.CompleteReview(primary=Matter(category=Category.LOSS))
            actions = [c.StartReview(), review, c.Resolve(), c.Answer(), c.Close()]
        batch = received([scene.command(ticket, action) for action in actions])
        fuse = Fuse(calls, before=calls % 2 == 0)
        crashed = await dies(await dying(scene, fuse), batch, fuse)
        await survivor.handle(batch)
        events = scene.events()[ticket]
        assert events[-1].state is TicketState.CLOSED
        assert sum(isinstance(event, TicketCommandRefused) for event in events) == 1
        assert len({event.event_id for event in events}) == len(events)
        if not crashed:
            break
    assert calls >= 4


async def test_nobody_waits_for_a_dead_router(scene: Scene) -> None:
    """A complaint whose router died after its claims becomes the follow-up of the next one of the same matter."""
    first, second = scene.complaint("A.", waybills=("YT1",)), scene.complaint("B.", phone=OTHER, waybills=("YT1",))
    fuse = Fuse(0, before=True)
    half_dead = await scene.router()
    object.__setattr__(half_dead.complaints, "contacts", Dying(half_dead.complaints.contacts, fuse))
    survivor = await scene.router()

    async def decide(_fates: Any) -> Any:
        raise Crash

    object.__setattr__(half_dead.complaints.fates, "decide", decide)
    with pytest.raises(Crash):
        await half_dead.handle(received([first]))
    await survivor.handle(received([second]))
    await survivor.handle(received([first]))
    await scene.deliver(survivor)
    assert scene.fates() == {
        second.complaint_id: ("opened", ticket_id(second.complaint_id)),
        first.complaint_id: ("followed_up", ticket_id(second.complaint_id)),
    }


async def test_what_a_dead_router_did_not_publish_comes_before_what_follows(scene: Scene) -> None:
    """A follow-up that is read before the complaint comes again is not told ahead of the ticket's opening."""
    first, second = scene.complaint("A.", waybills=("YT1",)), scene.complaint("B.", phone=OTHER, waybills=("YT1",))

    async def publish(_outgoing: Any) -> None:
        raise Crash

    half_dead, survivor = await scene.router(), await scene.router()
    object.__setattr__(half_dead, "publish", publish)
    with pytest.raises(Crash):
        await half_dead.handle(received([first]))
    assert not scene.published
    await survivor.handle(received([second]))
    await scene.deliver(survivor)
    await survivor.handle(received([first]))
    numbers = [m.sequence for m in scene.published if isinstance(m, TicketEvent)]
    assert list(dict.fromkeys(numbers)) == list(range(1, max(numbers) + 1))
    assert scene.fates()[second.complaint_id] == ("followed_up", ticket_id(first.complaint_id))


async def test_what_the_dead_and_their_heirs_name_leads_to_the_ticket_too(
    scene: Scene, mongo: Database[dict[str, Any]]
) -> None:
    """Also what a router that died had not laid yet, and what the next one had not when it met that."""
    named, added = ("YT1", "YT2"), tuple(f"YT{n}" for n in range(3, 9))
    first = scene.complaint("A.", phone=None, waybills=named)
    half_dead, survivor = await scene.router(), await scene.router()
    object.__setattr__(half_dead.complaints, "claims", Dying(half_dead.complaints.claims, Fuse(1, before=True)))
    with pytest.raises(Crash):
        await half_dead.handle(received([first]))
    (laid,) = mongo["claims"].find()
    (shared,) = (w for w in named if laid["_id"] == claims_of(first, Category.OTHER, (w,))[0].id)
    second = scene.complaint("B.", phone=None, waybills=(shared, *added))
    await survivor.handle(received([second]))
    await survivor.handle(received([first]))
    for n, waybill in enumerate((*named, *added)):
        await survivor.handle(received([scene.complaint(f"C{n}.", phone=None, waybills=(waybill,))]))
        await scene.deliver(survivor)
    assert scene.fates().pop(second.complaint_id)[0] == "opened"
    assert {ticket for _, ticket in scene.fates().values()} == {ticket_id(second.complaint_id)}


async def test_a_follow_up_that_comes_too_early_is_parked(scene: Scene, mongo: Database[dict[str, Any]]) -> None:
    """The first complaint is decided and its router dies: the second's follow-up waits for the ticket."""
    first, second = scene.complaint("A.", waybills=("YT1",)), scene.complaint("B.", phone=OTHER, waybills=("YT1",))
    half_dead, survivor = await scene.router(), await scene.router()

    async def append(_groups: Any) -> Any:
        raise Crash

    object.__setattr__(half_dead.complaints.events, "append", append)
    with pytest.raises(Crash):
        await half_dead.handle(received([first]))
    await survivor.handle(received([second]))
    assert await scene.deliver(survivor) == []
    assert mongo["parked"].count_documents({}) == 1
    await survivor.handle(received([first]))
    await scene.deliver(survivor)
    assert mongo["parked"].count_documents({}) == 0
    assert scene.fates()[second.complaint_id] == ("followed_up", ticket_id(first.complaint_id))


async def test_a_follow_up_that_waits_is_found_by_the_heir_of_who_opened_its_ticket(
    scene: Scene, mongo: Database[dict[str, Any]]
) -> None:
    """The ticket's router dies between appending and looking for what waits; the complaint comes again."""
    first, second = scene.complaint("A.", waybills=("YT1",)), scene.complaint("B.", phone=OTHER, waybills=("YT1",))
    early, half_dead, survivor = await scene.router(), await scene.router(), await scene.router()

    async def crash(*_: Any) -> Any:
        raise Crash

    object.__setattr__(early.complaints.events, "append", crash)
    with pytest.raises(Crash):
        await early.handle(received([first]))
    await survivor.handle(received([second]))
    assert await scene.deliver(survivor) == []
    assert mongo["parked"].count_documents({}) == 1
    object.__setattr__(half_dead.complaints.parked, "waiting_for", crash)
    with pytest.raises(Crash):
        await half_dead.handle(received([first]))
    await survivor.handle(received([first]))
    await scene.deliver(survivor)
    assert mongo["parked"].count_documents({}) == 0
    assert scene.fates()[second.complaint_id] == ("followed_up", ticket_id(first.complaint_id))


async def test_a_follow_up_goes_on_to_where_its_ticket_went(scene: Scene, mongo: Database[dict[str, Any]]) -> None:
    """B follows A, and then A turns out to be a follow-up of C: B's command is sent on to C's ticket."""
    a, b = scene.complaint("A.", waybills=("YT1",)), scene.complaint("B.", phone=OTHER, waybills=("YT1",))
    router = await scene.router()

    async def crash(_groups: Any) -> Any:
        raise Crash

    half_dead = await scene.router()
    object.__setattr__(half_dead.complaints.events, "append", crash)
    with pytest.raises(Crash):
        await half_dead.handle(received([a]))
    await router.handle(received([b]))
    other = scene.complaint("C.", phone="+8613700137000")
    await router.handle(received([other]))
    # What a third router would have written that met A before it was decided.
    target = ticket_id(other.complaint_id)
    mongo["complaints"].update_one(
        {"_id": str(a.complaint_id)},
        {
            "$set": {
                "role": "followed_up",
                "opened_by": str(other.complaint_id),
                "ticket_id": str(target),
                "routing_key": other.routing_key,
                "matched_by": "text",
            }
        },
    )
    await router.handle(received([a]))
    assert await scene.deliver(router) == []
    fates = scene.fates()
    assert fates[a.complaint_id] == fates[b.complaint_id] == ("followed_up", target)
    shown = mongo["complaints"].find_one({"_id": str(b.complaint_id)})
    assert shown is not None
    assert shown["ticket_id"] == str(target)


async def test_a_command_for_no_ticket_is_refused(scene: Scene) -> None:
    """It goes to the dead letters with a reason; its neighbours are done."""
    router = await scene.router()
    accepted = scene.complaint()
    await router.handle(received([accepted]))
    known = ticket_id(accepted.complaint_id)
    command = scene.command(known, c.Withdraw())
    lost = command.model_copy(update={"ticket_id": accepted.complaint_id})
    (refusal,) = await router.handle(received([lost, command]))
    assert refusal.reason == f"there is no ticket {accepted.complaint_id}"
    assert scene.events()[known][-1].state is TicketState.WITHDRAWN


async def test_altered_data_is_refused_and_its_neighbours_are_done(scene: Scene) -> None:
    """What does not open cannot be classified; nobody else suffers."""
    router = await scene.router()
    good, bad = scene.complaint("Good.", waybills=("YT1",)), scene.complaint("Bad.", phone=OTHER)
    swapped = bad.model_copy(update={"wording": good.wording})
    (refusal,) = await router.handle(received([swapped, good]))
    assert "was altered, or belongs to another complaint" in refusal.reason
    assert list(scene.fates()) == [good.complaint_id]


async def test_an_agent_who_has_not_seen_the_latest_is_refused(scene: Scene) -> None:
    """Of two commands based on the same version one is done."""
    router = await scene.router()
    accepted = scene.complaint()
    await router.handle(received([accepted]))
    ticket = ticket_id(accepted.complaint_id)
    version = len(scene.events()[ticket])
    pair = [scene.command(ticket, c.WaitForCustomer(), expected_version=version) for _ in range(2)]
    await router.handle(received(pair))
    *_, done, refused = scene.events()[ticket]
    assert done.state is TicketState.WAITING_CUSTOMER
    assert isinstance(refused, TicketCommandRefused)
    assert refused.why == "version_moved_on"


async def test_assignment_tells_rule_unit_and_calendar(scene: Scene) -> None:
    """The event says who has it, by which rule, and whose hours count."""
    router = await scene.router()
    accepted = scene.complaint("It has still not been delivered, ten days late!", places=("NET-1001",))
    await router.handle(received([accepted]))
    assigned = [
        event for event in scene.events()[ticket_id(accepted.complaint_id)] if isinstance(event, TicketAssigned)
    ]
    assert [(a.department, a.unit, a.person, a.unit_calendar, a.rule) for a in assigned] == [
        ("outlets", "NET-1001", "net-1001-desk", "outlet", "at-a-named-outlet")
    ]


async def test_what_is_shown_when_its_complaint_comes_again_is_told_all_the_same(scene: Scene) -> None:
    """Only one who publishes an event may take it for published: a look at the projection does not tell."""
    first = scene.complaint(waybills=("YT1",))
    survivor = await scene.router()
    await survivor.handle(received([first]))
    ticket = ticket_id(first.complaint_id)
    before = len(scene.events()[ticket])
    commands = received([scene.command(ticket, c.StartReview())])

    async def publish(_outgoing: Any) -> None:
        raise Crash

    half_dead = await scene.router()
    object.__setattr__(half_dead, "publish", publish)
    with pytest.raises(Crash):
        await half_dead.handle(commands)
    await survivor.handle(received([first]))
    await survivor.handle(commands)
    assert [event.causation_id for event in scene.events()[ticket][before:]] == [commands[0].message.ce_id]
