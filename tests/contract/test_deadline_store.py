"""What deadlines rely on, of the store in memory and of the one in the database."""

import math
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import cast

import pytest

from services.runtime import mongo
from services.runtime.deadline_store import (
    Deadline,
    DeadlineStore,
    Held,
    MongoDeadlineStore,
    ShardState,
    kept_seconds,
    worker_of,
)
from tests.simulation.database import Store
from tests.unit.runtime.fakes import MemoryDeadlineStore

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
T = NOON.timestamp()


def held_by(*workers: str) -> Held:
    """What tokens of these claimed is being handled."""
    return lambda token: worker_of(token) in workers


W2 = held_by("w2")
BOTH = held_by("w1", "w2")


@pytest.fixture(params=["memory", "simulated", pytest.param("mongo", marks=pytest.mark.integration)])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[DeadlineStore]:
    """Each kind of store, empty."""
    if request.param == "memory":
        yield MemoryDeadlineStore()
        return
    if request.param == "simulated":
        simulated = MongoDeadlineStore(cast("mongo.Database", Store().database()))
        await simulated.prepare()
        yield simulated
        return
    url, name = request.getfixturevalue("mongo_url"), request.getfixturevalue("database_name")
    database = mongo.connect(url, database=name)
    real = MongoDeadlineStore(database)
    await real.prepare()
    yield real
    await database.client.drop_database(name)
    database.client.close()


def deadline(id_: str = "a", *, after_s: float = 0.0, revision: int = 0, shard: str = "sla:1") -> Deadline:
    """One that is due some seconds after noon."""
    return Deadline(id_, shard, NOON + timedelta(seconds=after_s), {"n": revision}, revision)


async def claimed(
    store: DeadlineStore, *ids: str, now: float = T, token: str = "w1:1", is_held: Held = BOTH
) -> list[str]:
    """What a claim gives, by id."""
    return sorted(d.id for d in await store.claim(ids, now=now, is_held=is_held, token=token))


async def test_claim_gives_what_was_armed(store: DeadlineStore) -> None:
    """A claimed deadline comes with everything that it was armed with."""
    await store.put([deadline(revision=3)])
    (due,) = await store.claim(["a"], now=T, is_held=BOTH, token="w1:1")
    assert (due.id, due.shard, due.due_at, due.payload, due.revision, due.attempts) == (
        "a",
        "sla:1",
        NOON,
        {"n": 3},
        3,
        0,
    )


async def test_nothing_is_claimed_before_it_is_due(store: DeadlineStore) -> None:
    """A deadline inside a millisecond is kept as due at the next one, so that it never comes early."""
    at = NOON + timedelta(microseconds=1)
    await store.put([Deadline("a", "sla:1", at)])
    assert kept_seconds(at) == pytest.approx(T + 0.001, abs=1e-6)
    assert await claimed(store, "a", now=T + 0.0005) == []
    assert await claimed(store, "a", now=T + 0.001) == ["a"]


async def test_one_of_two_claims_wins(store: DeadlineStore) -> None:
    """The second of two workers gets nothing; the first may ask again and gets the same."""
    await store.put([deadline("a"), deadline("b")])
    assert await claimed(store, "a", token="w1:1") == ["a"]
    assert await claimed(store, "a", "b", token="w2:1") == ["b"]
    assert await claimed(store, "a", "b", token="w1:1") == ["a"]


async def test_a_fired_one_is_handed_out_again_when_its_worker_is_dead(store: DeadlineStore) -> None:
    """What a dead worker left behind is claimed by another, and counted as an attempt."""
    await store.put([deadline()])
    assert await claimed(store, "a", token="w1:1") == ["a"]
    assert await claimed(store, "a", token="w2:1", now=T + 1) == []
    (due,) = await store.claim(["a"], now=T + 1, is_held=W2, token="w2:1")
    assert due.attempts == 1


async def test_who_lives(store: DeadlineStore) -> None:
    """A worker lives while it has said so of late."""
    await store.live("w1", now=T)
    await store.live("w2", now=T)
    await store.live("w2", now=T + 5)
    assert await store.living(since=T, until=T + 9) == {"w1", "w2"}
    assert await store.living(since=T + 1, until=T + 9) == {"w2"}
    assert await store.living(since=T - 9, until=T) == {"w1"}


async def test_done_deletes_only_the_claimers_own(store: DeadlineStore) -> None:
    """A worker whose lease was taken over does not delete what the other has in hand."""
    await store.put([deadline()])
    await claimed(store, "a", token="w1:1")
    await claimed(store, "a", token="w2:1", now=T + 1, is_held=W2)
    await store.done(["a"], token="w1:1")
    assert await claimed(store, "a", token="w2:1") == ["a"]
    await store.done(["a"], token="w2:1")
    assert await claimed(store, "a", token="w2:1") == []


async def test_what_is_armed_again_while_handled_survives_done(store: DeadlineStore) -> None:
    """A handler may arm the same id for later before it ends."""
    await store.put([deadline(revision=1)])
    await claimed(store, "a", token="w1:1")
    await store.put([deadline(after_s=60, revision=2)])
    await store.done(["a"], token="w1:1")
    assert await store.ahead("sla:1", until=T + 60, limit=10) == [(T + 60, "a")]


async def test_moving_changes_the_due_time(store: DeadlineStore) -> None:
    """A moved deadline does not fire at its old time, and does at its new one."""
    await store.put([deadline(revision=1)])
    await store.put([deadline(after_s=30, revision=1), deadline("b")])
    assert await claimed(store, "a", "b", now=T + 29) == ["b"]
    assert await claimed(store, "a", now=T + 30) == ["a"]


async def test_a_late_arm_is_ignored(store: DeadlineStore) -> None:
    """An arm computed from an older state does not undo a newer one."""
    await store.put([deadline(after_s=30, revision=2)])
    await store.put([deadline(after_s=90, revision=1), deadline("b", after_s=1, revision=1)])
    assert await store.ahead("sla:1", until=T + 100, limit=10) == [(T + 1, "b"), (T + 30, "a")]


async def test_a_late_removal_is_ignored(store: DeadlineStore) -> None:
    """Taking back by an older revision does nothing; by the same or a newer one it does."""
    await store.put([deadline(revision=2), deadline("b", revision=2)])
    await store.remove({"a": 1, "b": 2, "unknown": 9})
    assert await claimed(store, "a", "b") == ["a"]


async def test_ahead_gives_one_shards_earliest(store: DeadlineStore) -> None:
    """Reading ahead is by shard, in order of time, up to and with the asked instant."""
    await store.put([deadline(str(n), after_s=n) for n in (3, 1, 2, 4)])
    await store.put([deadline("x", shard="sla:2")])
    assert await store.ahead("sla:1", until=T + 3, limit=2) == [(T + 1, "1"), (T + 2, "2")]
    assert [id_ for _, id_ in await store.ahead("sla:1", until=T + 3, limit=9)] == ["1", "2", "3"]


async def test_overdue_gives_late_and_abandoned(store: DeadlineStore) -> None:
    """The sweep finds what nobody claimed and what nobody finished, in the shards it asks for."""
    await store.put([deadline("late"), deadline("left"), deadline("busy"), deadline("coming", after_s=9)])
    await store.put([deadline("elsewhere", shard="sla:2")])
    await claimed(store, "left", now=T + 1)
    await claimed(store, "busy", now=T + 5, token="w2:7")
    found = await store.overdue(["sla:1", "sla:3"], due_before=T + 5, is_held=W2, limit=10)
    assert sorted(found) == [(T, "late"), (T, "left")]
    await store.put([deadline(f"late-{n}") for n in range(9)])
    assert len(await store.overdue(["sla:1"], due_before=T + 5, is_held=W2, limit=5)) <= 5
    assert await store.overdue([], due_before=T + 5, is_held=W2, limit=10) == []


async def test_postponed_comes_again(store: DeadlineStore) -> None:
    """A failed one is armed for later and remembers its attempts."""
    await store.put([deadline()])
    (due,) = await store.claim(["a"], now=T, is_held=BOTH, token="w1:1")
    await store.postpone(due, until=T + 2, token="w1:1")
    assert await claimed(store, "a", now=T + 1) == []
    (again,) = await store.claim(["a"], now=T + 2, is_held=BOTH, token="w2:1")
    assert again.attempts == 1


async def test_what_is_armed_again_in_hand_remembers_its_attempts(store: DeadlineStore) -> None:
    """Who handled it may have died in the middle while another, whose arming was answered late, armed it again."""
    await store.put([deadline()])
    await claimed(store, "a", token="w1:1")
    await store.put([deadline()])
    (again,) = await store.claim(["a"], now=T, is_held=BOTH, token="w2:1")
    assert again.attempts == 1


async def test_shards_are_opened_closed_and_followed(store: DeadlineStore) -> None:
    """A shard has a state and a time at which a living worker last looked after it."""
    await store.set_shards(["sla:1", "sla:2", "notifier:1"], state=ShardState.CLOSED, now=T)
    await store.set_shards(["sla:2"], state=ShardState.OPEN, now=T + 1)
    await store.follow(["sla:2"], now=T + 2)
    shards = {s.name: s for s in await store.shards("sla")}
    assert {n: s.state for n, s in shards.items()} == {"sla:1": "closed", "sla:2": "open"}
    assert math.isclose(shards["sla:2"].followed_at, T + 2, abs_tol=0.001)
