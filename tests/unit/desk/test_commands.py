"""Commands at the desk, with a router that decides at once on events in memory."""

import re
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import reduce
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from fastapi import FastAPI

from schemas import commands as c
from schemas.codes import ActorKind, StaffRole, TicketState
from schemas.commands import TicketCommand
from schemas.events import TicketEvent
from schemas.notes import Note
from schemas.ticket import fold
from services.desk.app import scope_of
from services.desk.command_handlers import Commands, Wanted
from services.desk.commanding import (
    Another,
    Asked,
    Done,
    Forbidden,
    NeverAsked,
    Pending,
    Refused,
    Unknown,
    Unsure,
    possible_for,
)
from services.desk.commands_http import CommandRoutes
from services.desk.person import Person
from services.desk.reasons import REASONS
from services.desk.refusal_http import handle_refusals
from services.desk.row import Kept, Row
from services.desk.row import fold as fold_row
from services.desk.telling import event_told
from services.router import deciding
from services.router.opening import opening
from services.runtime.producing import Outgoing, PublishFailed
from tests.unit.router.examples import AT, NOBODY, complaint, said, small_network

AGENT = Person(id="ann", name="Ann", role=StaffRole.AGENT)
SUPERVISOR = Person(id="sue", name="Sue", role=StaffRole.SUPERVISOR)
OUTLET = Person(id="desk", name="Desk", role=StaffRole.OUTLET_STAFF, units=("NET-1001",))
ELSEWHERE = Person(id="far", name="Far", role=StaffRole.OUTLET_STAFF, units=("HUB-01",))
PEOPLE = {person.id: person for person in (AGENT, SUPERVISOR, OUTLET, ELSEWHERE)}
OF_UNIT = deciding.Assignment("outlets", "NET-1001", "ann", "outlet", "named", 1)


class World:
    """Tickets, notes and a router."""

    def __init__(self) -> None:
        self.stored: dict[UUID, list[TicketEvent]] = {}
        self.notes: dict[UUID, tuple[Note, UUID]] = {}
        self.published: list[TicketCommand] = []
        self.answers = True
        self.contents_kept: dict[UUID, str] = {}
        self.is_stalled = False
        self.owners: dict[UUID, UUID] = {}
        self.commands = Commands(
            trail=self,
            notes=self,
            files=self,
            issued=self,
            digest=str,
            publish=self.publish,
            now=lambda: AT,
            wait_s=30,
        )

    def open(self, name: str = "a", assignment: Any = OF_UNIT) -> UUID:
        """A ticket that is investigated."""
        events = opening(
            complaint(name),
            number="2611-000015",
            said=said(),
            major=False,
            waybills=(),
            places=(),
            assignment=assignment,
        )
        self.stored[events[0].ticket_id] = list(events)
        return events[0].ticket_id

    async def events(self, tickets: Iterable[UUID]) -> dict[UUID, list[TicketEvent]]:
        """The event store."""
        return {ticket: list(self.stored[ticket]) for ticket in tickets if ticket in self.stored}

    async def get(self, ticket: UUID) -> Kept | None:
        """Rows of the queue."""
        raise NotImplementedError

    async def by_number(self, number: str) -> Kept | None:
        """Likewise."""
        found = (events for events in self.stored.values() if fold(events).number == number)
        return next((Kept(reduce(fold_row, events, Row(id=events[0].ticket_id)), 1) for events in found), None)

    async def put(self, ref: UUID, note: Note, *, ticket: UUID, at: datetime) -> None:
        """Notes: kept before the command that names them is there."""
        assert all(command.note_ref != ref for command in self.published)
        assert at == AT
        self.notes[ref] = (note, ticket)

    async def claim(self, ids: Collection[UUID], *, ticket: UUID, complaints: Collection[UUID]) -> set[UUID]:
        """Files: each is of the first that names it."""
        assert complaints == fold(self.stored[ticket]).complaints
        return {one for one in ids if self.owners.setdefault(one, ticket) != ticket}

    async def keep(self, contents: Mapping[UUID, str], *, at: datetime) -> None:
        """What commands ask for."""
        assert at == AT
        self.contents_kept = {**contents, **self.contents_kept}

    async def contents(self, refs: Collection[UUID]) -> dict[UUID, str]:
        """Likewise."""
        return {ref: self.contents_kept[ref] for ref in refs if ref in self.contents_kept}

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        """The broker, and the router behind it."""
        if self.is_stalled:
            raise PublishFailed
        for message in messages:
            command = message.message
            assert isinstance(command, TicketCommand)
            self.published.append(command)
            if self.answers:
                before = fold(self.stored[command.ticket_id])
                told = deciding.decide(before, command, OF_UNIT, taken_at=AT, organisation=small_network())
                self.stored[command.ticket_id] += told


@pytest.fixture
def world() -> World:
    return World()


async def ask(world: World, person: Person, ticket: UUID, action: c.Action, *, version: int | None = 3, **asked: Any):
    """Give one command."""
    (answer,) = await world.commands.issue(person, [Wanted(ticket, Asked(action=action, **asked), version)])
    return answer


async def test_a_command_carries_who_from_where_why_and_the_version(world: World) -> None:
    """And its words are sealed away before it is issued; the event leads to them."""
    ticket = world.open()
    note = Note(text="called twice", for_customer="We are sorry.")
    answer = await ask(world, AGENT, ticket, c.Answer(remedy="apology"), reason="customer_called", note=note)
    assert isinstance(answer, Done)
    (command,) = world.published
    assert (command.actor.kind, command.actor.id, command.actor.via) == (ActorKind.AGENT, "ann", "desk")
    assert (command.actor.role, command.reason, command.expected_version) == (StaffRole.AGENT, "customer_called", 3)
    assert world.notes[command.note_ref] == (note, ticket)  # type: ignore[index]  # it has one
    assert answer.events[0].note_ref == command.note_ref
    assert answer.ticket.state is TicketState.ANSWERED


async def test_a_file_is_added_to_one_ticket_alone(world: World) -> None:
    """Who may read the other one would read it there, too."""
    first, second, file = world.open("a"), world.open("b"), uuid4()
    for action in (c.AddEvidence(evidence=(file,)), c.RecordFindings(cause="sorting.error", evidence=(file,))):
        assert isinstance(await ask(world, AGENT, first, action, version=None), Done)
        refused = await ask(world, AGENT, second, action, version=None)
        assert isinstance(refused, Refused)
        assert refused.why == "no_such_evidence"
    assert {command.ticket_id for command in world.published} == {first}


async def test_the_second_of_two_is_told_what_changed(world: World) -> None:
    """Nothing is issued that the router would refuse for certain, and nobody overwrites what they have not seen."""
    ticket = world.open()
    await ask(world, SUPERVISOR, ticket, c.ChangeSeverity(severity=4))  # type: ignore[arg-type]  # as JSON brings it
    answer = await ask(world, AGENT, ticket, c.Answer(remedy="apology"))
    assert isinstance(answer, Refused)
    assert answer.why == "version_moved_on"
    assert [(event.actor.id, event.TYPE) for event in answer.since] == [("sue", "amends.ticket.severity_changed")]
    assert len(world.published) == 1


async def test_what_the_router_refuses_is_told_with_its_reason(world: World) -> None:
    """What only the router can know comes back as a refusal, too."""
    answer = await ask(world, AGENT, world.open(), c.AddNote())
    assert isinstance(answer, Refused)
    assert answer.why == "note_missing"


async def test_asking_again_with_the_same_id_is_the_same_command(world: World) -> None:
    """A browser that sends a form twice has done a thing once."""
    ticket, id_ = world.open(), uuid4()
    first = await ask(world, AGENT, ticket, c.Answer(remedy="apology"), command_id=id_)
    again = await ask(world, AGENT, ticket, c.Answer(remedy="apology"), command_id=id_)
    assert isinstance(first, Done)
    assert isinstance(again, Done)
    assert again.events == first.events
    assert len(world.published) == 1


async def test_a_command_that_is_not_decided_in_time_is_not_lost(world: World) -> None:
    """The answer says that it was issued; later it says what became of it."""
    ticket, id_ = world.open(), uuid4()
    world.answers, world.commands = False, replace(world.commands, wait_s=0.05)
    assert await ask(world, AGENT, ticket, c.Answer(remedy="apology"), command_id=id_) == Pending(id_)
    assert await world.commands.look(AGENT, id_, ticket) == Pending(id_)
    assert await world.commands.look(AGENT, uuid4(), ticket) == NeverAsked()


async def test_what_kafka_did_not_acknowledge_is_asked_for_again_and_done_once(world: World) -> None:
    """Nobody can say whether it arrived; whoever asks again with its id learns it, and another thing is refused."""
    ticket, id_ = world.open(), uuid4()
    world.is_stalled = True
    assert await ask(world, AGENT, ticket, c.Answer(remedy="apology"), command_id=id_) == Unsure(id_)
    world.is_stalled = False
    done = await ask(world, AGENT, ticket, c.Answer(remedy="apology"), command_id=id_)
    assert isinstance(done, Done)
    assert await ask(world, AGENT, ticket, c.Answer(remedy="apology"), command_id=id_) == done
    assert await ask(world, AGENT, ticket, c.Resolve(), command_id=id_) == Another(id_)
    other = Note(for_customer="Other words.")
    assert await ask(world, AGENT, ticket, c.Answer(remedy="apology"), command_id=id_, note=other) == Another(id_)
    assert await ask(world, ELSEWHERE, ticket, c.Resolve(), command_id=id_) == Unknown()
    assert len(world.published) == 1
    world.answers = True
    (command,) = world.published
    await world.publish([Outgoing(None, command, None)])  # type: ignore[arg-type]  # no topic is looked at
    assert isinstance(await world.commands.look(AGENT, id_, ticket), Done)


async def test_nobody_acts_on_or_learns_of_what_is_not_theirs(world: World) -> None:
    """An outlet that tries another's ticket is told that there is none; a role without the right, that it has none."""
    ticket = world.open()
    assert isinstance(await ask(world, ELSEWHERE, ticket, c.FirstAction()), Unknown)
    assert isinstance(await ask(world, OUTLET, ticket, c.Resolve()), Forbidden)
    assert isinstance(await ask(world, AGENT, uuid4(), c.Resolve()), Unknown)
    assert isinstance(await world.commands.look(ELSEWHERE, uuid4(), ticket), Unknown)
    assert world.published == []
    done = await ask(world, OUTLET, ticket, c.FirstAction())
    assert isinstance(done, Done)
    assert (done.events[0].actor.kind, done.events[0].actor.unit) == (ActorKind.UNIT, "NET-1001")


async def test_no_member_of_staff_says_what_follows_from_complaints(world: World) -> None:
    """Follow-ups come from complainants alone."""
    ticket = world.open()
    fields = {"complaint_id": uuid4(), "channel": "web", "received_at": AT, "contact_ref": uuid4(), "masked": {}}
    action = c.FollowUp.model_validate(fields | {"matched_by": "text"})
    assert isinstance(await ask(world, SUPERVISOR, ticket, action), Forbidden)


def test_buttons_are_what_is_legal_and_permitted(world: World) -> None:
    """An agent sees no button of a supervisor; approvals only where one was delegated."""
    ticket = fold(world.stored[world.open()])
    assert "answer" in possible_for(AGENT, ticket)
    assert "change_severity" not in possible_for(AGENT, ticket)
    assert "change_severity" in possible_for(SUPERVISOR, ticket)
    assert possible_for(ELSEWHERE, ticket) == []
    pending = ticket._replace(
        approval=deciding.Approval("answer", "", None, None, None, "bo", (StaffRole.SUPERVISOR,))  # type: ignore[arg-type]
    )
    assert "approve" in possible_for(SUPERVISOR, pending)
    assert "approve" not in possible_for(AGENT, pending)
    delegated = pending._replace(approval=pending.approval and pending.approval._replace(delegate="ann"))
    assert "approve" in possible_for(AGENT, delegated)


@pytest.fixture
async def client(world: World) -> AsyncIterator[httpx.AsyncClient]:
    """The routes, for whoever the header names."""

    def allows(_action: str) -> Any:
        from starlette.requests import Request  # noqa: PLC0415  # FastAPI reads the annotation here

        async def who(request: Request) -> Person:
            return PEOPLE[request.headers["x-who"]]

        return who

    app = FastAPI()
    routes = CommandRoutes(
        commands=world.commands,
        told=lambda event, person: event_told(event, scope_of(person)),
        allows=allows,
        rows=world,
    )
    app.include_router(routes.router())
    handle_refusals(app)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://desk", headers={"x-who": "ann"}) as made:
        yield made


async def test_a_command_over_http(world: World, client: httpx.AsyncClient) -> None:
    """Without the version it is not taken; done, it gives the new version and what is possible now."""
    ticket = world.open()
    body = {"action": {"name": "answer", "remedy": "refund"}, "note": {"for_customer": "We pay it back."}}
    without = await client.post(f"/v1/tickets/{ticket}/commands", json=body)
    assert (without.status_code, without.json()["type"]) == (428, "urn:amends:problem:version-wanted")
    done = await client.post(f"/v1/tickets/{ticket}/commands", json=body, headers={"If-Match": '"3"'})
    assert done.status_code == 200, done.text
    assert done.headers["etag"] == '"4"'
    assert done.json()["ticket"]["state"] == "answered"
    assert "appeal" in done.json()["possible"]
    assert "pay it back" not in done.text
    moved = await client.post(f"/v1/tickets/{ticket}/commands", json=body, headers={"If-Match": '"3"'})
    assert (moved.status_code, moved.json()["why"]) == (412, "version_moved_on")
    assert [event["actor"]["id"] for event in moved.json()["since"]] == ["ann"]
    refused = await client.post(
        f"/v1/tickets/{ticket}/commands", json={"action": {"name": "start_review"}}, headers={"If-Match": '"4"'}
    )
    assert (refused.status_code, refused.json()["why"]) == (409, "illegal_in_state")
    assert refused.json()["possible"] == done.json()["possible"]
    told = refused.json()["detail"]
    chinese = await client.post(
        f"/v1/tickets/{ticket}/commands",
        json={"action": {"name": "start_review"}},
        headers={"If-Match": '"4"', "Accept-Language": "zh"},
    )
    assert told.isascii()
    assert not chinese.json()["detail"].isascii()
    for named in (ticket, "2611-000015"):
        later = await client.get(f"/v1/tickets/{named}/commands/{done.json()['command_id']}")
        assert later.json()["events"] == done.json()["events"]
    nobody = await client.post("/v1/tickets/2611-000099/commands", json=body, headers={"If-Match": '"4"'})
    assert nobody.json()["type"] == "urn:amends:problem:no-such-ticket"


async def test_many_tickets_get_an_answer_each(world: World, client: httpx.AsyncClient) -> None:
    """What cannot be done for one is done for the others."""
    one, other = world.open("a"), world.open("b", NOBODY)
    tickets = [{"id": str(one), "version": 3}, {"id": str(other), "version": 1}, {"id": str(uuid4()), "version": 3}]
    body = {"action": {"name": "change_severity", "severity": 3}, "tickets": tickets}
    answer = (await client.post("/v1/commands", json=body, headers={"x-who": "sue"})).json()
    assert [row["result"] for row in answer["answers"]] == ["done", "refused", "no_such_ticket"]
    assert answer["done"] == 1
    twice = await client.post("/v1/commands", json={**body, "tickets": [tickets[0], tickets[0]]})
    assert (twice.status_code, twice.json()["errors"][0]["code"]) == (422, "twice")


def test_every_reason_has_its_words() -> None:
    """What the router can say is said in both languages, and nothing is said that it cannot."""
    root = Path(deciding.__file__).parents[2]
    files = (
        "services/router/deciding.py",
        "schemas/ticket.py",
        "services/router/assignment.py",
        "services/desk/command_handlers.py",
    )
    source = "".join((root / path).read_text() for path in (*files, "services/router/placement.py"))
    said_of = set(re.findall(r'(?:_need\([^\n]*|Refused\(|Unassignable\(|return )"([a-z_]{6,})"', source))
    assert len(said_of) > 30
    assert said_of - REASONS.keys() <= {"answered"}
    for why, words in REASONS.items():
        assert f'"{why}"' in source, why
        assert set(words) == {"en", "zh"}


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({}, ("action", "missing", "缺少此项")),
        ({"action": {"name": "fly"}}, ("action", "union_tag_invalid", "不是以下之一：follow_up, ")),
        ({"action": {"name": "resolve"}, "colour": 1}, ("colour", "extra_forbidden", "没有此字段")),
        ({"action": {"name": "resolve"}, "command_id": "7"}, ("command_id", "uuid_parsing", "不是有效的编号")),
    ],
)
async def test_what_is_wrong_with_a_body_is_told_in_the_readers_language(
    world: World, client: httpx.AsyncClient, body: dict[str, Any], told: tuple[str, str, str]
) -> None:
    """Not in that of a library."""
    headers = {"If-Match": '"3"', "Accept-Language": "zh"}
    refused = await client.post(f"/v1/tickets/{world.open()}/commands", json=body, headers=headers)
    (error,) = refused.json()["errors"]
    assert refused.status_code == 422
    assert (error["field"], error["code"]) == told[:2]
    assert error["problem"].startswith(told[2])
