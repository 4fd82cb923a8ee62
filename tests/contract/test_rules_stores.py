"""What the desk relies on, of policies, the directory and the clocks of tickets in the database."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from services.desk.open_clock_store import OpenClockStore
from services.organisation.directory import SupersededError
from services.organisation.directory_store import DirectoryStore
from services.runtime.mongo import Database
from services.service_levels.policy import PolicyError, read_policy
from services.service_levels.policy_store import PolicyStore
from services.service_levels.versions import Head, soonest
from services.sla_monitor.clock_store import Change, ClockStore, Stored
from tests.unit.desk.stories import stories

NOON = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)


async def test_versions_of_a_policy_are_listed_in_short(connections: Callable[[], Database]) -> None:
    """The highest first; each is there as it was added."""
    store = PolicyStore(connections())
    assert (await store.heads(), await store.get(1)) == ([], None)
    first = read_policy()
    second = first.model_copy(update={"version": 2, "name": "later", "effective_from": soonest(NOON)})
    for policy in (first, second):
        await store.add(policy, now=NOON)
    assert await store.heads() == [Head(2, "later", soonest(NOON)), Head(1, "default", first.effective_from)]
    assert await store.get(2) == second
    assert await store.get(3) is None


async def test_of_two_who_add_a_version_one_is_refused(connections: Callable[[], Database]) -> None:
    """Nothing is overwritten, whoever is faster."""
    stores = [PolicyStore(connections()) for _ in range(2)]
    await stores[0].begin_with(read_policy())
    wanted = [read_policy().model_copy(update={"version": 2, "name": n, "effective_from": soonest(NOON)}) for n in "ab"]
    made = await asyncio.gather(
        *(store.add(policy, now=NOON) for store, policy in zip(stores, wanted, strict=True)), return_exceptions=True
    )
    assert sorted(isinstance(one, PolicyError) for one in made) == [False, True]
    kept = await stores[0].get(2)
    assert kept == wanted[made.index(True)]


async def test_a_directory_is_changed_on_top_of_what_was_seen(connections: Callable[[], Database]) -> None:
    """Of two who saw the same version the second is refused; earlier versions stay."""
    one, other = DirectoryStore(connections()), DirectoryStore(connections())
    await one.current_or_packaged()
    await one.load({"people": []}, on_top_of=1)
    with pytest.raises(SupersededError):
        await other.load({"risk": {}}, on_top_of=1)
    first, second = await other.get(1), await other.get(2)
    assert first
    assert second
    assert (bool(first.people), bool(second.people)) == (True, False)
    assert await other.get(3) is None


async def test_clocks_are_read_as_they_were_saved_last(connections: Callable[[], Database]) -> None:
    """Of the tickets that are asked for; of one that has none, nothing."""
    database = connections()
    clocks = ClockStore(database)
    await clocks.prepare()
    told = stories(["1", "2", "3"])
    changes = [Change(story.sla, None, None, "s", (), is_to_arm=False) for story in told if story.sla]
    await clocks.save(changes)
    told[0].step("wait", 30)
    assert told[0].sla
    await clocks.save([Change(told[0].sla, Stored(changes[0].sla, 1, None), None, "s", (), is_to_arm=False)])
    found = await OpenClockStore(database).of([told[0].ticket, told[1].ticket, uuid4()])
    assert {one.ticket_id: one for one in found} == {story.ticket: story.sla for story in told[:2]}
    await clocks.settled()
