"""The whole of Amends in one process: the services as they are, on a broker, a database and providers that are not."""

import asyncio
import contextlib
import gc
import json
import math
import random
import traceback
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final, Self
from unittest import mock
from uuid import UUID
from zoneinfo import ZoneInfo

import structlog
import time_machine
from prometheus_client import CollectorRegistry

from schemas.codec import encode
from schemas.codes import ActorKind, DeliveryChannel
from schemas.commands import TicketCommand
from schemas.message import Actor
from services.intake.app import KafkaPublisher, to_the_millisecond
from services.intake.evidence_store import MemoryEvidenceStore
from services.intake.handlers import Accepted, Intake, Unavailable
from services.intake.idempotency_store import MongoIdempotencyStore
from services.intake.published_store import RedisPublishedStore
from services.intake.settings import IntakeSettings
from services.notifier import app as notifier_app
from services.notifier.app import Providers
from services.notifier.receiving import Receiving
from services.notifier.settings import NotifierSettings
from services.router import app as router_app
from services.router.settings import RouterSettings
from services.runtime.deadlines import Timing
from services.runtime.metrics import ProducingMetrics
from services.runtime.producing import Producer as RuntimeProducer
from services.runtime.readiness import Readiness
from services.runtime.surroundings import Surroundings
from services.runtime.time_source import SystemClock
from services.runtime.worker import Part, Watched
from services.sla_monitor import app as sla_app
from services.sla_monitor.settings import SlaMonitorSettings
from tests.simulation import broker as simulated
from tests.simulation.aims import Aim, Aims, Carrier, Expected
from tests.simulation.broker import Broker
from tests.simulation.database import SimulatedDatabase, Store
from tests.simulation.history import Answer, History, Recorded
from tests.simulation.loop import Process, VirtualLoop
from tests.simulation.made_once import (
    keyring,
    made_once,
    notification_policy,
    settings,
    sla_policy,
    sla_policy_document,
)
from tests.simulation.network import Mishap, Way
from tests.simulation.provider import Provider, Whim
from tests.simulation.redis import Redis
from tests.simulation.scenario import HITS, POISON, SAFETY_S, Asked, Fault, Scenario, Sent

LIVENESS_S: Final = 150.0
"""After everything has healed, whatever was accepted comes to its end within so long."""
TIMING: Final = Timing(window_s=60.0, tick_s=1.5, swept_after_s=1.5, lease_s=3.0, followed_s=6.0, gather_s=0.05)
"""Coarser than in production, because every look at the database costs a simulation its time."""
LATE_S_MAX: Final = 7.0
"""What `TIMING` allows for: a sweep after 1.5 s, a lease of 3 s of a sweeper that died, a tick of 1.5 s, and what the
database takes."""
TAKEN_OVER_S: Final = 10.0
"""So long after an owner's death the next one has read what came meanwhile: a session, a heartbeat, a beginning."""
ABLE_AFTER_S: Final = 12.0
"""So long after everything has healed, everybody has taken up his work."""


@dataclass(slots=True)
class Place:
    """Where one process runs after another."""

    name: str
    service: str
    process: Process | None = None
    intake: Intake | None = None
    stop: asyncio.Event | None = None
    lives: int = 0
    away_s: float = 0.0
    """How long it stays away when it dies next; 0: as long as chance has it."""


class World:
    """One run of a scenario."""

    def __init__(self, loop: VirtualLoop, scenario: Scenario) -> None:
        self.loop = loop
        self.scenario = scenario
        chance = random.Random(f"network {scenario.seed}")
        self.ways = {
            "broker": Way(loop, chance, (0.001, 0.03), patience_s=2.0),
            "database": Way(loop, chance, (0.0005, 0.03), patience_s=1.5),
            "redis": Way(loop, chance, (0.0002, 0.01), patience_s=0.2),
            "sms": Way(loop, chance, (0.01, 0.3), patience_s=2.0),
            "email": Way(loop, chance, (0.01, 0.3), patience_s=2.0),
        }
        self.broker = Broker(loop, self.ways["broker"], partitions=scenario.partitions)
        self.store = Store()
        self.redis = Redis(self.ways["redis"])
        self.providers = {
            "sms": Provider(loop, self.ways["sms"], DeliveryChannel.SMS, receipts=True),
            "email": Provider(loop, self.ways["email"], DeliveryChannel.EMAIL, receipts=False),
        }
        self.places = [Place(name, name.rpartition("-")[0]) for name in scenario.places]
        self.aims = {service: Aims() for service in scenario.workers}
        self.answers: list[Answer] = []
        self.poison: set[tuple[str, int, int]] = set()
        self.logs: list[tuple[str, str]] = []
        self.crashes: list[str] = []
        self.personal: list[str] = []
        self._chance = random.Random(f"people {scenario.seed}")
        self._faults_chance = random.Random(f"faults {scenario.seed}")
        self._pending = 0
        self._opened: list[dict[str, Any]] = []
        self._sla_lives = Lives(loop)
        self._able_from_s = math.inf
        self.broker.log.watchers.append(self._watch)

    async def run(self) -> History:
        """Let everything happen, heal, and wait for the end."""
        began_at = datetime.now(UTC)
        for place in self.places:
            self._start(place)
        for sent in self.scenario.sent:
            for after_s in (0.0,) if sent.again_s is None else (0.0, sent.again_s):
                self._pending += 1
                self.loop.later(sent.at_s + after_s, self._send, sent)
        for fault in self.scenario.faults:
            self.loop.later(fault.at_s, self._inject, fault)
        await asyncio.sleep(SAFETY_S)
        self._heal()
        while not all(place.process and not place.process.frozen for place in self.places):  # noqa: ASYNC110
            await asyncio.sleep(0.5)
        healed_at = datetime.now(UTC)
        self._able_from_s = self.loop.now + ABLE_AFTER_S
        settled = await self._settle()
        return History(
            records=[
                Recorded(
                    topic=r.topic,
                    partition=r.partition,
                    offset=r.offset,
                    at=datetime.fromtimestamp(r.timestamp / 1000, UTC),
                    key=r.key,
                    headers=r.headers,
                    value=r.value,
                )
                for r in self.broker.log.arrived
            ],
            answers=self.answers,
            arrived=sorted((a for p in self.providers.values() for a in p.arrived), key=lambda a: a.at),
            acknowledged=[a for p in self.providers.values() for a in p.acknowledged],
            documents=self.store.snapshot(),
            sla_policy=sla_policy_document(self.scenario.rules),
            began_at=began_at,
            healed_at=healed_at,
            ended_at=datetime.now(UTC),
            able=[(healed_at + timedelta(seconds=ABLE_AFTER_S), datetime.now(UTC))],
            sla_lives=self._sla_lives.told(began_at, without=self.broker.way.absences),
            followed_s=TIMING.followed_s,
            late_s_max=LATE_S_MAX,
            taken_over_s=TAKEN_OVER_S,
            poison=self.poison,
            settled=settled,
            personal=self.personal,
            logs=[f"{event} {detail}" for event, detail in self.logs],
        )

    async def _settle(self) -> bool:
        """Wait until nothing is left to do; False when that does not come."""
        until = self.loop.now + LIVENESS_S
        calm = 0
        while self.loop.now < until:
            await asyncio.sleep(0.5)
            calm = calm + 1 if self._is_calm() else 0
            if calm == 3:
                return True
        return False

    def note_error(self, _loop: object, about: dict[str, Any]) -> None:
        """What the loop tells of callbacks that failed; that nobody asked for an error is no news.

        Nor is that a killed process leaves tasks behind.
        """
        left_behind = "was destroyed" in about["message"] and any(f.what == "kill" for f in self.scenario.faults)
        if "never retrieved" not in about["message"] and not left_behind:
            self.crashes.append(f"{about['message']}: {about.get('exception')!r}")

    def unfinished(self) -> str:
        """What is under way, in words."""
        lag = {name: count for name, count in self.broker.lag().items() if count}
        return f"{self._pending} requests, lag {lag}, {self.store.count('deadlines')} deadlines"

    def _is_calm(self) -> bool:
        return (
            self._pending == 0
            and not self.store.count("deadlines")
            and len(self.broker.groups) == 3
            and all(group.members and not group.rebalancing for group in self.broker.groups.values())
            and not any(self.broker.lag().values())
        )

    def _start(self, place: Place) -> None:
        place.lives += 1
        process = Process(self.loop, f"{place.name}#{place.lives}")
        place.process, place.intake = process, None
        process.on_death.append(partial(self._restart_later, place, process))
        if place.service == "sla_monitor":
            self._sla_lives.begin(process)
        process.spawn(self._live(place, process))

    def _restart_later(self, place: Place, process: Process) -> None:
        if place.process is process:
            place.process, place.intake = None, None
            away_s, place.away_s = place.away_s or self._faults_chance.choice((0.2, 1.0, 4.0)), 0.0
            self.loop.later(away_s, self._start, place)

    async def _live(self, place: Place, process: Process) -> None:
        place.stop = stop = asyncio.Event()
        try:
            parts = self._parts(place)
            for part in parts:
                await part.start()
            failures = [asyncio.create_task(p.wait_failed()) for p in parts if isinstance(p, Watched)]
            stopping = asyncio.create_task(stop.wait())
            done, _ = await asyncio.wait((stopping, *failures), return_when=asyncio.FIRST_COMPLETED)
            if stopping in done:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(10):
                        for part in reversed(parts):
                            await part.stop()
            else:
                error = done.pop().result()
                self.crashes.append(f"{process.name}: {error!r}")
        except Exception:  # noqa: BLE001 - a process that ends by a fault of ours is what the judge is to see
            # What is thrown away with the dead, or with the world, runs its last lines and goes nowhere.
            if not process.dead and self.loop.is_running():
                self.crashes.append(f"{process.name}: {traceback.format_exc()}")
        process.kill()

    def _parts(self, place: Place) -> Sequence[Part]:
        around = Surroundings(
            SimulatedDatabase(self.store, Carrier(self.ways["database"], self.aims[place.service])),  # type: ignore[arg-type]
            SystemClock(),
            producer=partial(simulated.Producer, self.broker),  # type: ignore[arg-type]
            application=partial(simulated.Application, self.broker),  # type: ignore[arg-type]
        )
        readiness, registry, partitions = Readiness(), CollectorRegistry(), self.scenario.partitions
        match place.service:
            case "intake":
                return self._intake(place, around, registry)
            case "router":
                return router_app.parts(
                    settings(RouterSettings, partitions, router_linger_s=0.0, directory_poll_s=5.0, offer_s=6.0),
                    around,
                    keyring=keyring(),
                    readiness=readiness,
                    registry=registry,
                )
            case "sla_monitor":
                return sla_app.parts(
                    settings(SlaMonitorSettings, partitions, sla_linger_s=0.0, policy_poll_s=10.0, clocks_count_s=60.0),
                    around,
                    default=sla_policy(self.scenario.rules),
                    timing=TIMING,
                    readiness=readiness,
                    registry=registry,
                )
            case _:
                return notifier_app.parts(
                    settings(NotifierSettings, partitions, notifier_linger_s=0.0),
                    around,
                    keyring=keyring(),
                    policy=notification_policy(),
                    provide=self._provide,
                    timing=TIMING,
                    readiness=readiness,
                    registry=registry,
                )

    def _provide(self, receiving: Receiving, _readiness: Readiness) -> Providers:
        sms, email = (
            self.providers[name].connect(receiving.receive, self.aims["notifier"]) for name in ("sms", "email")
        )
        return Providers(receiving, sms=sms, email=email)

    def _intake(self, place: Place, around: Surroundings, registry: CollectorRegistry) -> Sequence[Part]:
        made = settings(IntakeSettings, self.scenario.partitions)
        producer = RuntimeProducer(
            made, ProducingMetrics(registry), publish_s_max=made.publish_s_max, client=around.producer
        )
        place.intake = Intake(
            keyring=keyring(),
            idempotency=MongoIdempotencyStore(around.database, timeout_s=made.store_s_max),
            published=RedisPublishedStore(self.redis, now=self.loop.time),  # type: ignore[arg-type]
            evidence=MemoryEvidenceStore(),
            publisher=KafkaPublisher(producer, seconds_max=made.publish_s_max),
            zones={channel: ZoneInfo(zone.key) for channel, zone in made.zones().items()},
            now=to_the_millisecond,
        )
        return [producer]

    def _send(self, sent: Sent) -> None:
        self.personal += [value for value in sent.body.get("complainant", {}).values() if value not in self.personal]
        self.loop.world(self._ask(sent))

    async def _ask(self, sent: Sent) -> None:
        """Send a complaint until it is answered, as a careful client does; one without a key only until it is taken."""
        while True:
            awake = [p for p in self.places if p.intake is not None and p.process is not None]
            if awake:
                place = self._chance.choice(awake)
                assert place.process is not None
                answered: asyncio.Future[Any] = self.loop.create_future()
                place.process.spawn(_submit(place.intake, sent, answered))
                try:
                    async with asyncio.timeout(8.0):
                        outcome = await answered
                except TimeoutError:
                    if sent.key is None:
                        break  # It may have been taken: another one would be another complaint.
                    continue
                if outcome is not None:
                    self._note(sent, outcome)
                    break
            await asyncio.sleep(0.3)
        self._pending -= 1

    def _note(self, sent: Sent, outcome: Any) -> None:
        accepted = isinstance(outcome, Accepted)
        self.answers.append(
            Answer(
                key=sent.key,
                body=sent.body,
                status=202 if accepted else 422,
                complaint_id=str(outcome.complaint_id) if accepted else None,
                at=datetime.now(UTC),
            )
        )

    def _watch(self, record: simulated.Stored) -> None:
        """People act on tickets that they see."""
        if record.topic != "ticket-event" or ("ce_type", b"amends.ticket.opened.v1") not in record.headers:
            return
        with contextlib.suppress(ValueError):
            opened = json.loads(record.value or b"")
            if any(known["ticket_id"] == opened["ticket_id"] for known in self._opened):
                return
            number = len(self._opened)
            self._opened.append(opened)
            for place, asked in enumerate(self.scenario.asked):
                if asked.ticket == number:
                    self._pending += 1
                    self.loop.later(asked.after_s, self._command, opened, asked, place)

    def _command(self, opened: dict[str, Any], asked: Asked, place: int) -> None:
        self._pending -= 1
        id_ = UUID(int=random.Random(f"command {self.scenario.seed} {place}").getrandbits(128), version=4)
        command = TicketCommand(
            command_id=id_,
            ticket_id=UUID(opened["ticket_id"]),
            routing_key=opened["routing_key"],
            issued_at=datetime.now(UTC),
            actor=Actor(kind=ActorKind.AGENT, id=asked.role or "agent-7", via="desk", role=asked.role),
            reason="because" if asked.role else "",
            note_ref=id_ if asked.role else None,
            action=self._resolved(asked.action),  # type: ignore[arg-type]
        )
        encoded = encode(command)
        for _ in range(1 + asked.twice):
            self.broker.log.append(
                "ticket-command", self._partition_of(opened), encoded.key, encoded.value, encoded.headers
            )

    def _resolved(self, action: dict[str, Any]) -> dict[str, Any]:
        """The action with the ticket that it names by number; the last one where there are not so many."""
        if "to_ticket" not in action:
            return action
        other = self._opened[min(action["to_ticket"], len(self._opened) - 1)]
        return {**action, "to_ticket": other["ticket_id"], "to_routing_key": other["routing_key"]}

    def _partition_of(self, opened: dict[str, Any]) -> int:
        key = opened["routing_key"].encode()
        (partition,) = {r.partition for r in self.broker.log.arrived if r.topic == "ticket-event" and r.key == key}
        return partition

    def _inject(self, fault: Fault) -> None:
        what, where = fault.what, fault.where
        if what in HITS:
            # What comes later hits those who have long taken up their work again.
            if fault.step:
                self.aims[where].add(Aim(fault.step.split(" > "), fault.number, partial(self._strike, fault)))
            elif fault.at_s < SAFETY_S or self.loop.now > self._able_from_s:
                self._hit(fault)
        elif what == "away":
            self.ways[where].depart(fault.for_s)
        elif what == "flush":
            self.redis.flush()
        elif what == "poison":
            headers, value = POISON[fault.number]
            partition = self._faults_chance.randrange(self.scenario.partitions)
            record = self.broker.log.append(where, partition, b"poison", value, list(headers))
            self.poison.add((record.topic, record.partition, record.offset))
        elif what in list(Mishap):
            if fault.step:
                self.aims[where].expect(Expected(fault.step, fault.number, Mishap(what)))
            else:
                self.ways[where].expect(Mishap(what), after=fault.number)
        else:
            self.providers[where].whims.append(Whim(what))

    def _hit(self, fault: Fault) -> None:
        place = next(p for p in self.places if p.name == fault.where)
        if place.process is None:
            return
        if fault.what != "stop":
            self._strike(fault, place.process)
        elif place.stop is not None:
            place.process.call(place.stop.set)

    def _strike(self, fault: Fault, process: Process) -> None:
        """Kill or freeze it; when it was aimed at, at once or soon."""
        if fault.what == "kill":
            next(p for p in self.places if p.process is process).away_s = fault.for_s
        else:
            process.on_freeze.append(partial(self.loop.later, fault.for_s, process.thaw))
        at = process.steps + (1 if fault.step else fault.number)
        if fault.after_s:
            self.loop.later(fault.after_s, process.kill if fault.what == "kill" else process.freeze)
        elif fault.what == "kill":
            process.dies_at = at
        else:
            process.freezes_at = at

    def _heal(self) -> None:
        """Nothing goes wrong any more. Who is frozen or away comes back in his own time."""
        for way in self.ways.values():
            way.heal()
        for provider in self.providers.values():
            provider.whims.clear()
        for place in self.places:
            if place.process is not None:
                place.process.dies_at = place.process.freezes_at = None
        for aims in self.aims.values():
            aims.clear()


class Lives:
    """When processes ran: from start or thaw to death or freeze."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self._ended: list[tuple[float, float]] = []
        self._running: dict[Process, float] = {}

    def begin(self, process: Process) -> None:
        """It runs."""
        self._running[process] = self._loop.now
        process.on_death.append(partial(self._end, process))
        process.on_freeze.append(partial(self._end, process))
        process.on_thaw.append(lambda: self._running.setdefault(process, self._loop.now))

    def _end(self, process: Process) -> None:
        begun = self._running.pop(process, None)
        if begun is not None:
            self._ended.append((begun, self._loop.now))

    def told(self, began_at: datetime, *, without: Iterable[tuple[float, float]]) -> list[tuple[datetime, datetime]]:
        """All of them, less some stretches of time."""
        lives = [*self._ended, *((begun, self._loop.now) for begun in self._running.values())]
        for begin, end in without:
            lives = [
                piece
                for begun, ended in lives
                for piece in ((begun, min(ended, begin)), (max(begun, end), ended))
                if piece[0] < piece[1]
            ]
        return [(began_at + timedelta(seconds=begin), began_at + timedelta(seconds=end)) for begin, end in lives]


async def _submit(intake: Intake | None, sent: Sent, answered: "asyncio.Future[Any]") -> None:
    assert intake is not None
    outcome: Any = None
    with contextlib.suppress(Unavailable):
        outcome = await intake.submit(sent.body, key=sent.key)
    if not answered.done():
        answered.set_result(outcome)


class Clock:
    """The wall clock of everything, moved by the loop."""

    def __init__(self, began_at: datetime) -> None:
        self._began = began_at.timestamp()
        self._travel = time_machine.travel(began_at, tick=False)
        self._moved: Any = None

    def __enter__(self) -> Self:
        self._moved = self._travel.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._travel.stop()

    def at(self, seconds: float) -> None:
        """It is so long after the beginning."""
        # What `move_to` does, without its checks: it is called thousands of times.
        self._moved._destination_timestamp_ns = int((self._began + seconds) * 1e9)


@contextlib.contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Every source of chance gives what the seed says."""
    state = random.getstate()
    random.seed(seed)
    with mock.patch("os.urandom", random.Random(f"entropy {seed}").randbytes), mock.patch("os.getpid", return_value=1):
        try:
            yield
        finally:
            random.setstate(state)


def live(scenario: Scenario) -> tuple[History, World]:
    """Run a scenario from beginning to end."""
    chance = random.Random(f"calendar {scenario.seed}")
    began_at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=chance.randrange(365 * 24 * 60))
    with Clock(began_at) as clock, _seeded(scenario.seed), made_once():
        loop = VirtualLoop(clock.at)
        asyncio.set_event_loop(loop)
        world = World(loop, scenario)
        loop.set_exception_handler(world.note_error)
        structlog.configure(processors=[_collector(world)], cache_logger_on_first_use=False)
        # When the collector runs depends on what ran before, and it may end tasks of processes that are dead.
        gc.disable()
        try:
            return loop.run_until_complete(world.run()), world
        finally:
            loop.end()
            gc.enable()
            asyncio.set_event_loop(None)


def _collector(world: World) -> Any:
    def collect(_logger: Any, _method: str, event: dict[str, Any]) -> Any:
        world.logs.append((event.pop("event"), str(event)))
        raise structlog.DropEvent

    return collect
