"""Whatever is killed when: nothing accepted is lost, nothing is doubled, no deadline is missed."""

import asyncio
import random
from functools import partial

import pytest
import redis.asyncio

from tests.chaos.whole_system import complaints, faults, feed, settle, whole_system

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1500)]


async def test_nothing_is_lost_or_doubled_while_every_part_is_killed(tmp_path, kills_each, complaints_count):
    """Each process gets `kill -9` at random moments of a steady feed; the check from outside finds nothing."""
    seed = 7
    rng = random.Random(seed)
    with whole_system(tmp_path / "run", workers={"router": 2, "sla_monitor": 2, "notifier": 2}) as system:
        victims = [name for name in system.names() if name not in ("sandbox", "redis")] * kills_each
        rng.shuffle(victims)
        feeding = asyncio.create_task(feed(system, complaints(complaints_count, seed=seed), per_s=10))
        await faults(system, [partial(system.kill, name) for name in victims], pause_s=1.0)
        async with asyncio.timeout(120):
            accepted = await feeding
        snapshot, found = await settle(system, seconds=180)
    assert len(accepted) == complaints_count
    assert set(accepted.values()) == set(snapshot.submitted)
    assert found == []
    if kills_each > 1:
        # The long form wants a machine of its own; beside other tests a second is a matter of who gets the processor.
        assert system.late(snapshot, than_s=1.0) == [], system.kills


async def test_redis_flushed_and_stopped_changes_nothing(tmp_path, complaints_count):
    """Redis holds nothing that cannot be lost: same tickets, same messages, the same key is the same complaint."""
    made = complaints(complaints_count // 3, seed=8)
    with whole_system(tmp_path / "run", workers={}) as system:

        async def flush() -> None:
            client = redis.asyncio.from_url(system.run["redis"])
            await client.flushall()
            await client.aclose()

        feeding = asyncio.create_task(feed(system, made, per_s=20))
        await faults(system, [flush, partial(system.kill, "redis"), flush], pause_s=1.0)
        accepted = await feeding
        assert await feed(system, made[:20], per_s=100) == {c["key"]: accepted[c["key"]] for c in made[:20]}
        _, found = await settle(system, seconds=180)
    assert found == []
