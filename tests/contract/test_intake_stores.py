"""The intake's stores: the one in memory and the one on the database keep the same promises."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast
from uuid import UUID, uuid4

import pytest

from deploy.local.part import PartUnavailableError
from deploy.local.stack import Stack
from services.intake.evidence_store import Evidence, EvidenceStore, GridFsEvidenceStore, MemoryEvidenceStore
from services.intake.handlers import Claim, IdempotencyStore, PublishedStore
from services.intake.idempotency_store import MemoryIdempotencyStore, MongoIdempotencyStore
from services.intake.progress_store import MongoProgressStore
from services.intake.published_store import MemoryPublishedStore, RedisPublishedStore
from services.intake.rejected_store import MemoryRejectedStore, MongoRejectedStore, RejectedStore
from services.runtime import mongo
from services.runtime.rejected import Rejected
from services.runtime.sealing import Keyring
from tests.contract.virtual_time import in_virtual_time
from tests.simulation.database import Store
from tests.simulation.loop import VirtualLoop
from tests.simulation.network import Way
from tests.simulation.redis import Redis as SimulatedRedis

NOW = datetime(2026, 11, 22, 2, 0, 0, 123_000, tzinfo=UTC)
REAL = pytest.param("real", marks=pytest.mark.integration)
KINDS = ("memory", REAL)
DATABASES = ("memory", "simulated", REAL)


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A database and a Redis of this module."""
    stack = Stack(tmp_path_factory.mktemp("stores"), parts=("database", "redis"))
    try:
        stack.start()
    except PartUnavailableError as error:
        pytest.skip(str(error))
    yield stack
    stack.stop()


@pytest.fixture
def simulated() -> mongo.Database:
    """An empty database of the simulation."""
    return cast("mongo.Database", Store().database())


@pytest.fixture
async def real(parts: Stack) -> AsyncIterator[mongo.Database]:
    """An empty real one."""
    name = f"test_{uuid4().hex[:12]}"
    connected = mongo.connect(parts.addresses.mongo, database=name)
    yield connected
    await connected.client.drop_database(name)
    connected.client.close()


@pytest.fixture(params=["simulated", REAL])
def database(request: pytest.FixtureRequest) -> mongo.Database:
    """Each of them."""
    empty: mongo.Database = request.getfixturevalue(request.param)
    return empty


@pytest.fixture
def keyring(tmp_path: Path) -> Keyring:
    """Keys of this test."""
    return Keyring.create(tmp_path / "keyring.json")


def claim(number: int, fingerprint: str = "f", *, later_s: int = 0) -> Claim:
    """A claim."""
    return Claim(UUID(int=number), fingerprint, NOW + timedelta(seconds=later_s))


@pytest.fixture(params=DATABASES)
def idempotency(request: pytest.FixtureRequest) -> IdempotencyStore:
    """Both."""
    if request.param == "memory":
        return MemoryIdempotencyStore()
    return MongoIdempotencyStore(request.getfixturevalue(request.param), timeout_s=5)


async def test_the_first_claim_of_an_id_holds(idempotency: IdempotencyStore) -> None:
    """Whoever comes later gets it as it was written, time included."""
    assert list(await idempotency.claim([claim(1), claim(2)])) == [claim(1), claim(2)]
    held = await idempotency.claim([claim(3), claim(1, "other", later_s=9), claim(2, later_s=9)])
    assert list(held) == [claim(3), claim(1), claim(2)]


async def test_an_id_may_occur_twice_in_one_call(idempotency: IdempotencyStore) -> None:
    """Two requests that race in one process are one call."""
    held = await idempotency.claim([claim(1, "one"), claim(1, "two"), claim(1, "one", later_s=1)])
    assert len(held) == 3
    assert set(held) == {claim(1, "one")}


Forget = Callable[[], Awaitable[object]]
OnPublished = Callable[[Callable[[PublishedStore, Forget], Awaitable[None]]], None]


@pytest.fixture(params=DATABASES)
def on_published(request: pytest.FixtureRequest) -> OnPublished:
    """Runs a scenario with each of the stores, and the way to wipe it."""

    def run(scenario: Callable[[PublishedStore, Forget], Awaitable[None]]) -> None:
        async def on_memory() -> None:
            store = MemoryPublishedStore()
            await scenario(store, lambda: asyncio.sleep(0, store.forget()))

        async def on_simulated(loop: VirtualLoop) -> None:
            redis = simulated_redis(loop)
            store = RedisPublishedStore(redis, now=loop.time)  # type: ignore[arg-type]
            await scenario(store, lambda: asyncio.sleep(0, redis.flush()))

        async def on_real(url: str) -> None:
            from redis.asyncio import Redis  # noqa: PLC0415

            async with Redis.from_url(url, decode_responses=True) as redis:
                await scenario(RedisPublishedStore(redis, prefix=f"{uuid4().hex}:"), redis.flushall)

        if request.param == "memory":
            asyncio.run(on_memory())
        elif request.param == "simulated":
            in_virtual_time(on_simulated)
        else:
            asyncio.run(on_real(request.getfixturevalue("parts").addresses.redis))

    return run


def simulated_redis(loop: VirtualLoop) -> SimulatedRedis:
    """An empty one."""
    return SimulatedRedis(Way(loop, random.Random(1), (0.0002, 0.01), patience_s=0.2))


def test_what_was_published_is_known_by_its_content(on_published: OnPublished) -> None:
    """What was not is not, and what comes later replaces."""

    async def scenario(store: PublishedStore, _forget: Forget) -> None:
        await store.add([claim(1, "one"), claim(2, "two")])
        await store.add([claim(2, "other")])
        found = await store.get([UUID(int=3), UUID(int=2), UUID(int=1)])
        assert dict(found) == {UUID(int=1): "one", UUID(int=2): "other"}

    on_published(scenario)


def test_what_was_wiped_is_not_known(on_published: OnPublished) -> None:
    """And what is published afterwards is."""

    async def scenario(store: PublishedStore, forget: Forget) -> None:
        await store.add([claim(1, "one")])
        await forget()
        assert dict(await store.get([UUID(int=1)])) == {}
        await store.add([claim(1, "again")])
        assert dict(await store.get([UUID(int=1)])) == {UUID(int=1): "again"}

    on_published(scenario)


def test_a_simulated_redis_that_is_away_knows_nothing_until_it_is_back() -> None:
    """It refuses as the real one does, keeps what it had, and gets nothing meanwhile."""

    async def scenario(loop: VirtualLoop) -> None:
        redis = simulated_redis(loop)
        store = RedisPublishedStore(redis, now=loop.time)  # type: ignore[arg-type]
        await store.add([claim(1, "one")])
        redis.way.depart(5.0)
        assert dict(await store.get([UUID(int=1)])) == {}
        asked = redis.way.requests
        await store.add([claim(2, "two")])
        assert redis.way.requests == asked
        await asyncio.sleep(7.5)
        assert dict(await store.get([UUID(int=1), UUID(int=2)])) == {UUID(int=1): "one"}

    in_virtual_time(scenario)


async def test_a_redis_that_is_away_is_as_good_as_one_that_knows_nothing() -> None:
    """And is left alone for a while."""
    from redis.asyncio import Redis  # noqa: PLC0415

    times = iter([0.0, 0.0, 0.0, 1.0, 1.0, 1.0])
    store = RedisPublishedStore(Redis.from_url("redis://127.0.0.1:1"), now=lambda: next(times))
    assert dict(await store.get([UUID(int=1)])) == {}
    assert dict(await store.get([UUID(int=1)])) == {}
    await store.add([claim(1)])


@pytest.fixture(params=DATABASES)
def rejected_store(request: pytest.FixtureRequest) -> RejectedStore:
    """Both."""
    if request.param == "memory":
        return MemoryRejectedStore()
    return MongoRejectedStore(request.getfixturevalue(request.param), timeout_s=5, kept_s=3600)


async def test_refused_complaints_are_listed_latest_first(rejected_store: RejectedStore, keyring: Keyring) -> None:
    """And found by their id, as they were put in."""
    kept = [
        Rejected(
            rejected_id=UUID(int=n),
            at=NOW + timedelta(seconds=n),
            route="/v1/complaints",
            channel="web" if n else None,
            kind="invalid-complaint",
            reasons=(("description", "missing"), ("", "not_json")),
            body=keyring.seal(b"{}", about=UUID(int=n)),
            body_bytes=2,
        )
        for n in range(3)
    ]
    await rejected_store.add(kept)
    assert [one async for one in rejected_store.latest(2)] == [kept[2], kept[1]]
    assert await rejected_store.find(UUID(int=0)) == kept[0]
    assert await rejected_store.find(uuid4()) is None


@pytest.fixture(params=KINDS)
def evidence_store(request: pytest.FixtureRequest, keyring: Keyring) -> EvidenceStore:
    """Both."""
    if request.param == "memory":
        return MemoryEvidenceStore()
    return GridFsEvidenceStore(request.getfixturevalue("real"), keyring, timeout_s=10)


async def test_evidence_comes_back_as_it_went_in(evidence_store: EvidenceStore) -> None:
    """Also when it is longer than a piece of the store; what was never there is missing."""
    there = Evidence(uuid4(), "image/png", b"\x89PNG" + bytes(range(256)) * 3_000, NOW)
    absent = uuid4()
    await evidence_store.put(there)
    assert await evidence_store.get(there.evidence_id) == there
    assert await evidence_store.get(absent) is None
    assert await evidence_store.missing([there.evidence_id, absent]) == {absent}


async def test_old_refused_complaints_are_set_to_go(database: mongo.Database) -> None:
    """By an index that may be made again at every start."""
    store = MongoRejectedStore(database, timeout_s=5, kept_s=3600)
    await store.prepare()
    await store.prepare()
    indexes = await database["rejected"].index_information()
    assert any(index.get("expireAfterSeconds") == 3600 for index in indexes.values())


@pytest.mark.integration
async def test_evidence_rests_sealed(real: mongo.Database, keyring: Keyring) -> None:
    """Nothing of it can be read in the database."""
    store = GridFsEvidenceStore(real, keyring, timeout_s=10)
    await store.put(Evidence(uuid4(), "image/png", b"a face at a door" * 100, NOW))
    pieces = [piece async for piece in real["evidence.chunks"].find()]
    assert pieces
    assert not any(b"face" in piece["data"] for piece in pieces)


async def test_progress_is_read_from_what_the_router_keeps(database: mongo.Database) -> None:
    """A fate without its ticket is not yet a ticket; a key without a fate is accepted; anything else is unknown."""
    opened, followed, early, claimed, unknown, ticket = (uuid4() for _ in range(6))
    await database["complaints"].insert_many(
        [
            {"_id": str(opened), "ticket_id": str(ticket), "role": "opened"},
            {"_id": str(followed), "ticket_id": str(ticket), "role": "followed_up"},
            {"_id": str(early), "ticket_id": str(uuid4()), "role": "opened"},
        ]
    )
    await database["tickets"].insert_one({"_id": str(ticket), "number": "2611-000001-3", "state": "in_review"})
    await MongoIdempotencyStore(database, timeout_s=5).claim([Claim(claimed, "f", NOW)])
    found = await MongoProgressStore(database, timeout_s=5).read([opened, followed, early, claimed, unknown])
    assert [one.status if one else None for one in found] == [
        "in_review",
        "followed_up",
        "accepted",
        "accepted",
        None,
    ]
    assert found[0] is not None
    assert (found[0].ticket_number, found[0].ticket_id) == ("2611-000001-3", ticket)
