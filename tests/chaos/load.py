"""A steady load from outside: complaints, some twice, some again by another way, some wrong; and people's commands.

Everything is sent until it is acknowledged, and what was acknowledged is remembered, to be compared with what came out.
"""

import asyncio
import random
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import httpx
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from schemas import commands as c
from schemas.codec import encode
from schemas.codes import ActorKind, ApologyTier, Severity, StaffRole
from schemas.complaint import Money
from schemas.message import Actor
from schemas.topics import TICKET_COMMAND, TICKET_EVENT
from services.cli.topic_reading import follow
from services.runtime.settings import RuntimeSettings
from tests.chaos.whole_system import POSTS_MAX, System, invented, post

DONE_S_MAX = 180.0
ASKED, ASKS_S = 5, 0.5
"""So many of those that wait longest are asked for at the intake so often, beside reading the topic."""

WRONG: list[dict[str, Any]] = [
    {},
    {"channel": "pigeon", "description": "the parcel is lost"},
    {"channel": "web", "description": "the parcel is lost", "waybills": ["not a waybill !!"], "received_at": "soon"},
    {"channel": "web", "description": ["no text"], "complainant": {"phone": "12"}},
]
ACTIONS: list[Callable[[random.Random], c.Action]] = [
    *[lambda _: c.FirstAction()] * 4,
    *[lambda _: c.Answer(remedy="refund")] * 3,
    *[lambda _: c.Resolve(outcome="refunded")] * 2,
    lambda _: c.WaitForCustomer(),
    lambda _: c.WaitForThirdParty(),
    *[lambda _: c.Resume()] * 2,
    *[lambda rng: c.ChangeSeverity(severity=rng.choice(list(Severity)))] * 2,
    *[lambda _: c.StartReview()] * 2,
    *[lambda _: c.CompleteReview()] * 2,
    lambda _: c.Assign(),
    lambda _: c.Withdraw(),
    lambda _: c.Close(),
    *[lambda rng: c.Answer(remedy="refund", amount=Money(amount=Decimal(rng.choice((80, 1500, 9000)))))] * 3,
    *[lambda _: c.Approve()] * 3,
    lambda _: c.RefuseApproval(),
    lambda _: c.HandOver(department="finance"),
    lambda _: c.ReturnToCentre(),
    lambda _: c.RecordFindings(cause="missorted", whys=3),
    lambda _: c.EstimateLoss(loss=Money(amount=Decimal(120))),
    *[lambda _: c.ShareLiability(shares=(c.Share(unit="HUB-01", percent=60), c.Share(unit="NET-1001", percent=40)))]
    * 2,
    *[lambda rng: c.Respond(unit=rng.choice(("HUB-01", "NET-1001")))] * 2,
    *[lambda _: c.Accept()] * 2,
    *[lambda _: c.Appeal()] * 2,
    *[lambda rng: c.DecideAppeal(changed=rng.random() < 0.5, remedy="redeliver")] * 2,
    lambda _: c.Apologise(tier=ApologyTier.SUPERVISOR),
    *[lambda _: c.RequestSurvey()] * 2,
    *[lambda rng: c.RecordSurvey(score=rng.randint(1, 5))] * 2,
    lambda _: c.Reopen(),
    lambda _: c.AddNote(),
    lambda _: c.Archive(cause="missorted"),
]
STAFF: list[Actor] = [
    Actor(kind=ActorKind.AGENT, id="agent-1", via="desk", role=StaffRole.AGENT),
    Actor(kind=ActorKind.AGENT, id="lead-1", via="desk", role=StaffRole.SUPERVISOR),
    Actor(kind=ActorKind.AGENT, id="head-1", via="desk", role=StaffRole.CENTRE_MANAGER),
]


class Load:
    """A load on a system; `counts` tells what it was."""

    def __init__(self, system: System, *, seed: int, per_s: float, commands_per_s: float) -> None:
        self._system = system
        self._rng = random.Random(seed)
        self._seed = seed
        self._every_s = 1 / per_s
        self._commands_every_s = 1 / commands_per_s
        self._posting: set[asyncio.Task[None]] = set()
        self._open: dict[str, float] = {}
        """When a complaint was first sent, by key, until it has its ticket."""
        self._awaited: dict[str, str] = {}
        """Key by complaint id of what was accepted and has no ticket yet."""
        self._seen: set[str] = set()
        """Complaint ids of what has a ticket."""
        self._newest_done = 0.0
        self._sent: list[dict[str, Any]] = []
        self._tickets: deque[tuple[UUID, str]] = deque(maxlen=150)
        self.accepted: dict[str, str] = {}
        """Complaint id by key."""
        self.commands: dict[UUID, str] = {}
        """Action by command id, of those that the broker acknowledged."""
        self.counts = {"new": 0, "repeated": 0, "followed_up": 0, "wrong": 0}
        self.mistakes: list[str] = []
        """Answers that a client must never see."""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """For as long as it lasts; ends when all that was sent is answered."""
        settings = RuntimeSettings(kafka=self._system.run["kafka"])
        async with (
            httpx.AsyncClient(timeout=10) as client,
            AIOKafkaProducer(bootstrap_servers=settings.kafka, acks="all", request_timeout_ms=5000) as producer,
        ):
            senders = [
                asyncio.create_task(self._complain(client)),
                asyncio.create_task(self._command(producer)),
            ]
            observers = [
                asyncio.create_task(self._ask(client)),
                asyncio.create_task(_for_ever(lambda: self._watch(settings))),
            ]
            try:
                yield
                for sender in senders:
                    sender.cancel()
                async with asyncio.timeout(DONE_S_MAX):
                    await asyncio.gather(*self._posting)
                    while self._awaited:  # noqa: ASYNC110  # the observers empty it
                        await asyncio.sleep(0.1)
            finally:
                tasks = [*senders, *observers, *self._posting]
                for task in tasks:
                    task.cancel()
                ended = await asyncio.gather(*tasks, return_exceptions=True)
        for error in ended:
            if isinstance(error, Exception):
                raise error

    async def resumed(self, since: float) -> None:
        """Wait until what was sent before has its ticket, and something that was sent after it as well."""
        async with asyncio.timeout(DONE_S_MAX):
            while self._newest_done < since or min(self._open.values(), default=since) < since:  # noqa: ASYNC110
                await asyncio.sleep(0.05)

    async def _complain(self, client: httpx.AsyncClient) -> None:
        start = time.monotonic()
        number = 0
        while True:
            while len(self._posting) > POSTS_MAX:
                await asyncio.wait(self._posting, return_when=asyncio.FIRST_COMPLETED)
                self._take_done()
            kind, complaint = self._next(number)
            self.counts[kind] += 1
            task = asyncio.create_task(self._post(client, kind, complaint, number))
            self._posting.add(task)
            number += 1
            await asyncio.sleep(max(0.0, start + number * self._every_s - time.monotonic()))

    def _take_done(self) -> None:
        """Forget what is done; an error in it is one of ours and ends the run."""
        done = {task for task in self._posting if task.done()}
        self._posting -= done
        for task in done:
            task.result()

    def _next(self, number: int) -> tuple[str, dict[str, Any]]:
        rng, key = self._rng, f"k{self._seed}-{number}"
        kind = rng.choices(["new", "repeated", "followed_up", "wrong"], [72, 10, 10, 8])[0] if self._sent else "new"
        if kind == "repeated":
            return kind, rng.choice(self._sent[-50:])
        if kind == "followed_up":
            return kind, {**rng.choice(self._sent[-50:]), "channel": "phone", "key": key}
        if kind == "wrong":
            return kind, {**rng.choice(WRONG), "key": key}
        self._sent.append(invented(number, seed=self._seed, rng=rng))
        return kind, self._sent[-1]

    async def _post(self, client: httpx.AsyncClient, kind: str, complaint: dict[str, Any], number: int) -> None:
        key, began = complaint["key"], time.monotonic()
        if kind in ("new", "followed_up"):
            self._open[key] = began
        answer = await post(self._system, client, complaint, at=number)
        if kind == "wrong":
            if not 400 <= answer.status_code < 500:
                self.mistakes.append(f"a wrong complaint was answered {answer.status_code}")
            return
        if answer.status_code != 202:
            self.mistakes.append(f"complaint {key} was answered {answer.status_code}: {answer.text}")
            self._open.pop(key, None)
            return
        complaint_id = answer.json()["complaint_id"]
        if self.accepted.setdefault(key, complaint_id) != complaint_id:
            self.mistakes.append(f"the key {key} became {complaint_id} and {self.accepted[key]}")
        if kind != "repeated":
            self._awaited[complaint_id] = key
            if complaint_id in self._seen:
                self._done(complaint_id)

    async def _ask(self, client: httpx.AsyncClient) -> None:
        """Ask for complaints that were accepted until they have a ticket."""
        turn = 0
        while True:
            await asyncio.sleep(ASKS_S)
            for complaint_id in list(self._awaited)[:ASKED]:
                turn += 1
                intakes = self._system.intakes
                try:
                    answer = await client.get(f"{intakes[turn % len(intakes)]}/v1/complaints/{complaint_id}", timeout=2)
                except httpx.HTTPError:
                    continue
                if answer.status_code == 200 and answer.json()["status"] != "accepted":
                    self._done(complaint_id)

    async def _watch(self, settings: RuntimeSettings) -> None:
        async for record in follow(settings, [TICKET_EVENT.name]):
            kind, event = record.type, record.payload
            if event is not None and kind.startswith(("amends.ticket.opened", "amends.ticket.followed_up")):
                self._done(event["complaint_id"])
                if kind.startswith("amends.ticket.opened"):
                    self._tickets.append((UUID(event["ticket_id"]), event["routing_key"]))

    def _done(self, complaint_id: str) -> None:
        self._seen.add(complaint_id)
        if (key := self._awaited.pop(complaint_id, None)) is not None:
            self._newest_done = max(self._newest_done, self._open.pop(key, 0.0))

    async def _command(self, producer: AIOKafkaProducer) -> None:
        while True:
            await asyncio.sleep(self._commands_every_s)
            if not self._tickets:
                continue
            ticket_id, routing_key = self._rng.choice(self._tickets)
            action = self._rng.choice(ACTIONS)(self._rng)
            command_id = UUID(int=self._rng.getrandbits(128), version=4)
            command = c.TicketCommand(
                command_id=command_id,
                ticket_id=ticket_id,
                routing_key=routing_key,
                issued_at=datetime.now(UTC),
                actor=self._rng.choice(STAFF),
                reason="because",
                note_ref=command_id,
                action=action,
            )
            task = asyncio.create_task(self._send(producer, command, copies=1 + (self._rng.random() < 0.05)))
            self._posting.add(task)

    async def _send(self, producer: AIOKafkaProducer, command: c.TicketCommand, *, copies: int) -> None:
        """Until the broker has it; sent again after an error, it may be there twice, as on purpose now and then."""
        encoded = encode(command)
        while copies:
            try:
                async with asyncio.timeout(15):
                    await producer.send_and_wait(
                        TICKET_COMMAND.name, encoded.value, key=encoded.key, headers=encoded.headers
                    )
            except (KafkaError, TimeoutError):
                await asyncio.sleep(0.5)
                continue
            copies -= 1
        self.commands[command.command_id] = command.action.name


async def _for_ever(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Begin anew whenever Kafka is away."""
    while True:
        try:
            await work()
        except (KafkaError, OSError):
            await asyncio.sleep(0.5)
