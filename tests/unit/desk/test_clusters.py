"""Outlets and hubs about which unusually many complain."""

import math
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import cast

import pytest

from services.desk.cluster_store import KEPT_S, ClusterStore
from services.desk.clusters import Received, Window, candidates, chance, clusters
from services.runtime.mongo import Database
from tests.simulation.database import Store
from tests.unit.desk.stories import Story, stories
from tests.unit.desk.web_scene import NOW, WebScene

HOUR, DAY = Window.HOUR, Window.DAY
MINUTE = timedelta(minutes=1)


def daily(count: int, *, category: str = "delay", days: int = 14) -> list[Received]:
    """So many in the last hour of each of the days before."""
    return [
        Received(NOW - timedelta(days=day) - n * MINUTE, category) for day in range(1, days + 1) for n in range(count)
    ]


def now(count: int, category: str = "delay") -> list[Received]:
    """So many within the last hour."""
    return [Received(NOW - n * MINUTE, category) for n in range(count)]


@pytest.mark.parametrize(("count", "mean"), [(1, 0.5), (3, 2.0), (20, 20.0), (60, 5.0), (2, 300.0)])
def test_the_chance_is_that_of_poisson(count: int, mean: float) -> None:
    """The sum of all terms from the count on."""
    below = math.fsum(math.exp(n * math.log(mean) - mean - math.lgamma(n + 1)) for n in range(count))
    assert chance(count, mean) == pytest.approx(1 - below, abs=1e-9)


def test_very_small_chances_keep_their_order() -> None:
    """Where one minus nearly one would be nothing but rounding."""
    assert 0 < chance(120, 1.0) < chance(100, 1.0) < 1e-100


def test_many_more_than_usual_are_a_cluster() -> None:
    """In all and by category; the usual number is that of the same hours before."""
    found = clusters({"HUB-01": [*daily(2), *now(15), *now(2, "loss")]}, window=HOUR, days=14, now=NOW)
    assert [(one.unit, one.category, one.count, one.usual) for one in found] == [
        ("HUB-01", "", 17, 2.0),
        ("HUB-01", "delay", 15, 2.0),
    ]


def test_what_is_usual_is_none() -> None:
    """Many where there are always many, and few where there are seldom any."""
    assert clusters({"HUB-01": [*daily(15), *now(17)], "NET-1": now(2)}, window=HOUR, days=14, now=NOW) == []


def test_only_the_same_hours_count_as_usual() -> None:
    """A hub that is complained of in the morning is unusual at night."""
    mornings = [Received(one.at - timedelta(hours=6), one.category) for one in daily(15)]
    assert clusters({"HUB-01": [*mornings, *now(8)]}, window=HOUR, days=14, now=NOW)
    assert clusters({"HUB-01": [*mornings, *now(8)]}, window=DAY, days=14, now=NOW) == []


def test_little_history_makes_it_careful() -> None:
    """On the first day three complaints are no cluster yet, ten are."""
    assert clusters({"NET-1": now(3)}, window=HOUR, days=0, now=NOW) == []
    assert clusters({"NET-1": now(10)}, window=HOUR, days=0, now=NOW)


def test_few_units_are_looked_at() -> None:
    """Those with the most complaints, and none with fewer than make a cluster."""
    assert candidates(["a"] * 3 + ["b"] * 9 + ["c"] * 2 + [None] * 5, count_max=5) == ["b", "a"]
    assert candidates(["a"] * 3 + ["b"] * 9, count_max=1) == ["b"]


def flood(received_at: datetime, count: int) -> Iterator[Story]:
    """Complaints of NET-1 within minutes."""
    for number in range(count):
        (story,) = stories([str(100 + number)], received_at=received_at - number * MINUTE, assigned={"unit": "NET-1"})
        yield story


async def test_clusters_are_shown_with_their_tickets(tmp_path: Path) -> None:
    """Of the whole network to the centre, of their own to staff of an outlet; a link leads to the tickets."""
    scene = WebScene(cast("Database", Store().database()), tmp_path)
    await scene.people()
    await scene.tickets([*flood(NOW - MINUTE, 12), Story()])
    async with scene.client("agent") as agent:
        page = (await agent.get("/clusters")).text
        assert page.count('<th scope="row">') == 2
        link = re.search(
            r'href="(/queue\?unit=NET-1[^"]+)" title="NET-1">NET-1</a></th><td>Delay</td><td><b>12</b>', page
        )
        assert link
        queue = (await agent.get(link[1].replace("&amp;", "&"))).text
        assert "Tickets: 12" in queue
    async with scene.client("outlet_staff") as outlet:
        assert "NET-1</a>" in (await outlet.get("/clusters?window=day")).text


async def test_what_was_found_is_kept_for_a_while() -> None:
    """However many look, the database is asked once in some seconds."""
    database = Store().database()
    scene_time = [0.0]
    store = ClusterStore(cast("Database", database), now=lambda: NOW, ticks=lambda: scene_time[0])
    first = await store.found(HOUR)
    assert await store.found(HOUR) is first
    scene_time[0] = KEPT_S
    assert await store.found(HOUR) is not first
