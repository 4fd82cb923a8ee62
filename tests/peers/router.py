"""The router's job on the same topic by turns: Amends, Faust, a plain aiokafka loop, quixstreams."""

import asyncio
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import psutil
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from pymongo import MongoClient

from deploy.local.ports import free_ports
from deploy.local.stack import Addresses, Stack
from schemas.topics import COMPLAINT_SUBMITTED, PARTITIONS_DEFAULT, TICKET_COMMAND, TICKET_EVENT
from services.cli.bench.router import complaints, preload
from services.router.number import month_of
from services.runtime.sealing import Keyring
from services.runtime.settings import RuntimeSettings
from services.runtime.topics import create_topics_async
from tests.peers.contestants import CONTESTANTS, OURS, Contestant
from tests.peers.environment import ROOT, environment, version_of
from tests.peers.report import Comparison, Row

ZONE = ZoneInfo("Asia/Shanghai")
COMPLAINTS = 20_000
REPEAT_EVERY = 20
"""Each so-manieth complaint repeats one of the ten before it: same person, words and parcel."""
ROUNDS = 3
WARM_UP_S = 2.0
MEASURE_S = 6.0
START_S_MAX = 60.0
IDLE_S_MAX = 4.0
COMPARED = 300
_OWN = ("number", "person", "then")
"""Fields of an event that depend on who else is there: a serial, a free person, how the store keeps it."""


class PeerFailedError(Exception):
    """A contestant that does not do its job."""

    def __init__(self, why: str, log: Path) -> None:
        super().__init__(f"A contestant failed: {why}. It said:\n{log.read_text()[-3000:]}")


@dataclass(frozen=True, slots=True)
class Turn:
    """What one contestant did."""

    database: str
    complaints_per_s: float
    cpu_us: float
    events_per_complaint: float


@dataclass(frozen=True, slots=True)
class Sample:
    """Where a contestant stood."""

    at: float
    events: int
    cpu_s: float


def compare(say: Callable[[str], None]) -> Comparison:
    """All contestants, by turns, on one Kafka and one database."""
    with tempfile.TemporaryDirectory(prefix="amends-peers-") as name, Stack(Path(name)) as stack:
        return asyncio.run(_compare(stack.addresses, Path(name), say))


async def _compare(addresses: Addresses, folder: Path, say: Callable[[str], None]) -> Comparison:
    keyring = folder / "keyring.json"
    settings = RuntimeSettings(kafka=addresses.kafka)
    await create_topics_async(settings)
    await preload(settings, complaints(Keyring.create(keyring), _numbers()))
    turns: dict[str, list[Turn]] = {c.name: [] for c in CONTESTANTS}
    for round_ in range(ROUNDS):
        for number, contestant in enumerate(CONTESTANTS):
            turn = await _turn(contestant, addresses, folder, f"turn_{round_}_{number}")
            turns[contestant.name].append(turn)
            say(f"{contestant.name}: {turn.complaints_per_s:,.0f} complaints/s, {turn.cpu_us:,.0f} us of its processor")
    return _comparison(turns, _checked(addresses, turns))


def _numbers() -> Iterator[int]:
    for number in range(COMPLAINTS):
        yield number - 10 if number % REPEAT_EVERY == REPEAT_EVERY - 1 else number


async def _turn(contestant: Contestant, addresses: Addresses, folder: Path, name: str) -> Turn:
    """Start it on an empty database at the topic's beginning, let it warm up, measure, stop it."""
    base, _, _ = addresses.mongo.partition("?")
    own = folder / name
    log = own / "log"
    own.mkdir()
    (port,) = free_ports(1)
    told = environment(
        **addresses.environment(),
        **contestant.more,
        AMENDS_KEYRING=str(folder / "keyring.json"),
        AMENDS_MONGO_DATABASE=name,
        AMENDS_HTTP_PORT=str(port),
        AMENDS_LOG_LEVEL="warning",
        PEER_KAFKA=addresses.kafka,
        # As Amends writes: acknowledged when journaled.
        PEER_MONGO=f"{base}?w=majority&journal=true&retryWrites=false",
        PEER_DATABASE=name,
        PEER_KEYRING=str(folder / "keyring.json"),
        PEER_GROUP=name.replace("_", "-"),
        PEER_FOLDER=str(own),
    )
    _begin_month(addresses.mongo, name)
    if contestant is OURS:
        await _from_beginning(addresses.kafka)
    reader = AIOKafkaConsumer(bootstrap_servers=addresses.kafka)
    await reader.start()
    with log.open("wb") as said:
        process = await asyncio.create_subprocess_exec(
            *contestant.command, cwd=ROOT, env=told, stdout=said, stderr=said
        )
        try:
            first, last = await _samples(reader, process.pid, log)
        finally:
            await _stop(process)
            await reader.stop()
    with MongoClient(addresses.mongo) as client:
        database = client[name]
        events = database["ticket_events"].estimated_document_count()
        each = events / database["complaints"].estimated_document_count()
    handled = (last.events - first.events) / each
    return Turn(name, handled / (last.at - first.at), (last.cpu_s - first.cpu_s) / handled * 1e6, each)


def _begin_month(mongo: str, name: str) -> None:
    """The counter of ticket numbers is there, as in any month that has begun: nobody meets the month's first ticket."""
    with MongoClient(mongo) as client:
        client[name]["numbers"].insert_one({"_id": month_of(datetime.now(UTC), ZONE), "last": 0})


async def _from_beginning(kafka: str) -> None:
    """Let Amends' group read the complaints anew, and no command of an earlier turn."""
    deadline = time.monotonic() + START_S_MAX
    while True:
        consumer = AIOKafkaConsumer(bootstrap_servers=kafka, group_id="amends-router", enable_auto_commit=False)
        await consumer.start()
        try:
            complaints = [TopicPartition(COMPLAINT_SUBMITTED.name, p) for p in range(PARTITIONS_DEFAULT)]
            commands = [TopicPartition(TICKET_COMMAND.name, p) for p in range(PARTITIONS_DEFAULT)]
            consumer.assign([*complaints, *commands])
            await consumer.commit(dict.fromkeys(complaints, 0) | await consumer.end_offsets(commands))
        except KafkaError:  # The group's last member is not gone yet.
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.5)
        else:
            return
        finally:
            await consumer.stop()


async def _samples(reader: AIOKafkaConsumer, pid: int, log: Path) -> tuple[Sample, Sample]:
    """Where it stood when it was warm, and when it was last seen to have moved."""
    process, partitions = psutil.Process(pid), [TopicPartition(TICKET_EVENT.name, p) for p in range(PARTITIONS_DEFAULT)]

    async def sample() -> Sample:
        events = sum((await reader.end_offsets(partitions)).values())
        used = process.cpu_times()
        return Sample(time.perf_counter(), events, used.user + used.system)

    before = await sample()
    deadline = before.at + START_S_MAX
    moved, begun, warm = before, None, None
    while True:
        await asyncio.sleep(0.02)
        try:
            now = await sample()
        except psutil.Error:
            raise PeerFailedError("it ended", log) from None
        if now.events > moved.events:
            moved = now
            begun = begun or now
            if warm is None and now.at - begun.at >= WARM_UP_S:
                warm = now
        if warm is not None and (now.at - warm.at >= MEASURE_S or now.at - moved.at > IDLE_S_MAX):
            return warm, moved
        if warm is None and now.at > deadline:
            raise PeerFailedError(f"it published nothing for {START_S_MAX:.0f} s", log)


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), 15)
    except TimeoutError:
        process.kill()
        await process.wait()


def _checked(addresses: Addresses, turns: dict[str, list[Turn]]) -> str:
    """That the peers wrote what Amends wrote: the events of tickets that both opened, but for what is each one's own.

    Raises:
        AssertionError: they did not, so nothing was compared.
    """
    client: MongoClient[dict[str, Any]] = MongoClient(addresses.mongo)
    same = 0
    for name, of in turns.items():
        if name == OURS.name:
            continue
        theirs, ours = client[of[-1].database]["ticket_events"], client[turns[OURS.name][-1].database]["ticket_events"]
        found = {d["_id"]: _shared(d) for d in theirs.find({"sequence": {"$lte": 3}}).limit(COMPARED)}
        for document in ours.find({"_id": {"$in": list(found)}}):
            if document["type"] == found[document["_id"]]["type"]:
                assert _shared(document) == found[document["_id"]], f"{name} wrote another {document['_id']}"
                same += 1
    client.close()
    assert same >= COMPARED, f"only {same} events were written by both"
    return f"{same:,} events that both Amends and a peer wrote were compared and are the same."


def _shared(document: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key not in _OWN}


def _comparison(turns: dict[str, list[Turn]], checked: str) -> Comparison:
    rows = []
    for contestant in CONTESTANTS:
        of = turns[contestant.name]
        cpu_us = sorted(turn.cpu_us for turn in of)[len(of) // 2]
        rows.append(
            Row(
                contestant.name,
                tuple(turn.complaints_per_s for turn in of),
                beside=(f"{cpu_us:,.0f}", contestant.guarantees),
                ours=contestant is OURS,
                aim=contestant.aim,
            )
        )
    versions = ", ".join(
        version_of(peer, package)
        for peer, package in (("faust", "faust-streaming"), ("faust", "aiokafka"), ("faust", "motor"),
                              ("quixstreams", "quixstreams"), ("quixstreams", "pymongo"))
    )  # fmt: skip
    each = turns[OURS.name][-1].events_per_complaint
    return Comparison(
        title="The router's job",
        unit="complaints/s",
        rows=tuple(rows),
        columns=("Its processor, us a complaint", "When it is killed"),
        fairness=f"""
            {versions}. One process each, on the same Kafka and database, by turns in {ROUNDS} rounds, from the
            beginning of the same topic of {COMPLAINTS:,} complaints into an empty database; measured for
            {MEASURE_S:.0f} s after {WARM_UP_S:.0f} s of warming up, by what arrives on `ticket-event`.

            The job: read a complaint, open the sealed text, classify it, lay its claims to find whether it repeats
            another (one in {REPEAT_EVERY} does), store its fate, contact, events and ticket, publish its events with
            acks=all ({each:.2f} a complaint), commit. Everything that is not reading, storing, sending or committing is
            Amends' own code in all of them. {checked}

            The peers are written as their documentation shows, with the database's driver that goes with them, each at
            its best: uvloop where they can have it, raw bytes instead of a model of the framework's own, no web server,
            sends that overlap. They do less: no search for complaints that were delivered before, no capacity of
            people, no second copy of the events for a crash in between, no claims that lapse or are taken over, no
            metrics, no dead letters; a repeat is written into its ticket directly, which holds with one process alone.
        """,
    )
