"""What the desk relies on, of its rows and views in the database."""

import dataclasses
import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4, uuid5

import pytest

from schemas.codes import Category, Clock, Language, Moment, RiskFlag, Severity, TicketState
from services.desk import cases, text_store
from services.desk.cluster_store import ClusterStore
from services.desk.clusters import Window
from services.desk.lines import Sort
from services.desk.queue import EVERYTHING, Filters, Scope, reading
from services.desk.row import SETTLED, Row
from services.desk.row_store import RowStore
from services.desk.view import View
from services.desk.view_store import ViewStore
from services.notifier.text_store import TextStore as NotifierTextStore
from services.runtime.mongo import Database
from services.wording.texts import Shape, Text, TextKey
from tests.unit.desk.stories import TICKET, Story

NOW = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)
TOMORROW = NOW + timedelta(days=1)
HUBS = frozenset({"hubs"})
STATES = [TicketState.INVESTIGATING, TicketState.ANSWERED, TicketState.RESOLVED, TicketState.CLOSED]
FLAGS: list[tuple[RiskFlag, ...]] = [(), (), (), (RiskFlag.SAFETY,), (RiskFlag.LEGAL, RiskFlag.SAFETY)]


def rows(count: int = 60) -> list[Row]:
    """Tickets that differ in all that can be asked for, received an odd number of minutes apart."""
    story = Story()
    story.pass_until(60)
    plain = story.row()
    made = []
    for i in range(count):
        received_at = NOW - timedelta(minutes=i * 37 % 1000, days=i % 3)
        clocks = plain.clocks if i % 4 else ()
        if clocks and i % 9 == 2:
            clocks += (dataclasses.replace(clocks[0], clock=Clock.APPROVAL),)
        later = timedelta(minutes=i * 13 % 500)
        made.append(
            dataclasses.replace(
                plain,
                id=uuid5(TICKET, str(i)),
                number=f"2611-{i:06d}",
                state=STATES[i % len(STATES)],
                received_at=received_at,
                updated_at=received_at + timedelta(minutes=i * 7 % 50),
                clocks=tuple(dataclasses.replace(c, due_at=c.due_at + later if c.due_at else None) for c in clocks),
                severity=Severity(1 + i % 4),
                category=list(Category)[i % 5],
                sub=None,
                department=["hubs", "finance", "claims"][i % 3],
                unit=f"HUB-{i % 7:02d}",
                shared_units=(f"NET-{i % 5}",) if i % 2 else (),
                person=[None, "p1", "p2"][i % 3],
                flags=FLAGS[i % 5],
                major=i % 11 == 0,
                needs_review=i % 13 == 0,
                waybills=(f"YT{i:013d}",),
                contacts=(f"{i % 6:064x}",),
            )
        )
    return made


ASKED: list[tuple[dict[str, Any], Callable[[Row], bool]]] = [
    ({}, lambda r: r.is_open),
    ({"standing": "any"}, lambda _: True),
    ({"standing": "settled"}, lambda r: not r.is_open),
    ({"state": ["answered", "closed"]}, lambda r: r.state in {TicketState.ANSWERED, TicketState.CLOSED}),
    ({"department": ["hubs"]}, lambda r: r.is_open and r.department == "hubs"),
    ({"department": ["hubs", "claims"], "standing": "any"}, lambda r: r.department in {"hubs", "claims"}),
    ({"unit": ["NET-1"], "standing": "any"}, lambda r: "NET-1" in r.units),
    ({"unit": ["HUB-01", "HUB-02"]}, lambda r: r.is_open and r.unit in {"HUB-01", "HUB-02"}),
    ({"person": ["nobody"]}, lambda r: r.is_open and r.person is None),
    ({"person": ["me", "p2"]}, lambda r: r.is_open and r.person is not None),
    ({"severity": [3, 4]}, lambda r: r.is_open and r.severity >= Severity.HIGH),
    ({"flag": ["safety"], "standing": "any"}, lambda r: RiskFlag.SAFETY in r.flags),
    ({"major": True, "standing": "any"}, lambda r: r.major),
    ({"needs_review": True}, lambda r: r.is_open and r.needs_review),
    ({"breached": True}, lambda r: r.is_open and bool(r.breached)),
    ({"breached": False}, lambda r: r.is_open and not r.breached),
    ({"clock": "acknowledge", "breached": True}, lambda r: r.is_open and "acknowledge" in r.breached),
    ({"clock": "approval"}, lambda r: r.is_open and Clock.APPROVAL in {clock.clock for clock, _ in r.open_clocks}),
    ({"category": ["damage", "loss"]}, lambda r: r.is_open and r.category in {Category.DAMAGE, Category.LOSS}),
    ({"channel": ["web"], "source": ["external"]}, lambda r: r.is_open),
    ({"due_before": TOMORROW}, lambda r: bool(r.is_open and r.next_due and r.next_due[0] < TOMORROW)),
    (
        {"received_from": NOW - timedelta(days=1), "received_to": NOW - timedelta(hours=2)},
        lambda r: r.is_open and NOW - timedelta(days=1) <= r.received_at < NOW - timedelta(hours=2),
    ),
    ({"q": "YT0000000000007"}, lambda r: r.waybills == ("YT0000000000007",)),
    ({"q": "YT000000000001"}, lambda r: r.waybills[0].startswith("YT000000000001")),
    ({"q": "2611000042"}, lambda r: r.number == "2611-000042"),
    ({"waybill": ["YT0000000000003"]}, lambda r: r.waybills == ("YT0000000000003",)),
    ({"customer": [f"{2:064x}"]}, lambda r: r.contacts == (f"{2:064x}",)),
]  # fmt: skip
ORDERS: dict[Sort, Callable[[Row], Any]] = {
    Sort.RECEIVED: lambda r: (-r.received_at.timestamp(), r.id.hex),
    Sort.UPDATED: lambda r: (-r.updated_at.timestamp(), r.id.hex),
    Sort.DUE: lambda r: (r.state in SETTLED, *_due(r), r.id.hex),
    Sort.SEVERITY: lambda r: (r.state in SETTLED, -r.severity, *_due(r), r.id.hex),
}


def _due(row: Row) -> tuple[bool, float]:
    due = row.next_due if row.is_open else None
    return (False, due[0].timestamp()) if due else (True, -row.received_at.timestamp())


@pytest.fixture
async def store(database: Database) -> RowStore:
    """With its indexes."""
    made = RowStore(database)
    await made.create_indexes()
    return made


async def test_every_question_in_every_order(store: RowStore) -> None:
    """Pages hold exactly what was asked for, in its order, each row once, however small they are; counts agree."""
    kept = rows()
    assert await store.save([(row, 0) for row in kept], at=NOW)
    for (asked, holds), (sort, order) in itertools.product(ASKED, ORDERS.items()):
        filters = Filters.model_validate({**asked, "sort": sort})
        found = reading(filters, scope=EVERYTHING, me="p1", now=NOW)
        wanted = [row.number for row in sorted(filter(holds, kept), key=order)]
        numbers, after = list[str](), None
        while True:
            page = await store.page(found, size=7, after=after)
            numbers += [row.number for row in page.rows]
            after = page.end
            if after is None:
                break
        assert numbers == wanted, (asked, sort)
        if sort is Sort.DUE:
            assert await store.count(found) == len(wanted)


async def test_what_may_not_be_seen_is_not_found(store: RowStore) -> None:
    """A scope holds for every question, also for one that names what is outside of it."""
    await store.save([(row, 0) for row in rows()], at=NOW)
    scope = Scope(units=frozenset({"NET-1", "HUB-03"}))
    for asked, _ in ASKED:
        found = reading(Filters.model_validate(asked), scope=scope, me="p1", now=NOW)
        page = await store.page(found, size=100)
        assert all(scope.units and scope.units & set(row.units) for row in page.rows), asked
    nothing = reading(Filters(unit=["HUB-05"]), scope=scope, me="p1", now=NOW)
    assert (await store.page(nothing, size=10)).rows == []
    assert await store.count(nothing) == 0


async def test_a_row_is_read_as_it_was_written(store: RowStore) -> None:
    """By id and by number, with and without its check digit; what is not opened is not found."""
    (row,) = rows(1)
    unopened = Row(id=uuid4())
    assert await store.save([(row, 0), (unopened, 0)], at=NOW)
    found = await store.get(row.id)
    assert found
    assert (found.row, found.revision) == (row, 1)
    assert await store.by_number("2611-000000") == found
    assert await store.by_number("２６１１ 000000") == found
    assert await store.by_number("2611-999999") is None
    assert await store.get(unopened.id) is None
    assert (await store.load([unopened.id]))[unopened.id].row == unopened


async def test_of_two_writers_one_is_told(store: RowStore) -> None:
    """Who computed from what another has changed since writes nothing and is told so."""
    (row,) = rows(1)
    assert await store.save([(row, 0)], at=NOW)
    assert not await store.save([(row, 0)], at=NOW)
    later = dataclasses.replace(row, person="p9")
    assert await store.save([(later, 1)], at=NOW)
    assert not await store.save([(row, 1)], at=NOW)
    found = await store.get(row.id)
    assert found
    assert (found.row.person, found.revision) == ("p9", 2)


async def test_changes_are_found_by_when_they_were_written(store: RowStore) -> None:
    """The earliest first, from an instant on."""
    first, second, third = rows(3)
    for minutes, row in enumerate((first, second, third)):
        await store.save([(row, 0)], at=NOW + timedelta(minutes=minutes))
    found = await store.shown_since(NOW + timedelta(minutes=1), count_max=10)
    assert [kept.row.id for _, kept in found] == [second.id, third.id]
    assert len(await store.shown_since(NOW, count_max=2)) == 2


async def test_views(database: Database) -> None:
    """A person sees own and shared views; a change names the version that it is of."""
    views = ViewStore(database)
    await views.create_indexes()
    mine = View(
        id=uuid4(), owner="p1", name="b", filters=Filters(person=["me"], flag=[RiskFlag.SAFETY]), is_shared=False,
        updated_at=NOW,
    )  # fmt: skip
    shared = dataclasses.replace(mine, id=uuid4(), owner="p2", name="a", is_shared=True)
    other = dataclasses.replace(mine, id=uuid4(), owner="p2")
    for view in (mine, shared, other):
        await views.add(view)
    assert await views.seen_by("p1") == [shared, mine]
    assert await views.count_of("p2") == 2
    renamed = dataclasses.replace(mine, name="c", version=2)
    assert await views.replace(renamed)
    assert not await views.replace(renamed)
    assert await views.get(mine.id) == renamed
    assert not await views.remove(mine.id, version=1)
    assert await views.remove(mine.id, version=2)
    assert await views.get(mine.id) is None


def settled(count: int = 60) -> list[Row]:
    """The same tickets, half of them solved hours apart, and some of those archived."""
    made = []
    for i, row in enumerate(rows(count)):
        is_solved = row.state in {TicketState.RESOLVED, TicketState.CLOSED}
        at = NOW - timedelta(hours=i * 7 % 100) if is_solved else None
        causes, archived_at = (["backlog", "missorted"][i % 2],), at if i % 3 == 0 else None
        made.append(dataclasses.replace(row, settled_at=at, causes=causes, archived_at=archived_at))
    return made


@pytest.mark.parametrize("scope", [EVERYTHING, Scope(units=frozenset({"HUB-03", "NET-3"})), Scope(departments=HUBS)])
async def test_similar_cases_are_found(database: Database, scope: Scope) -> None:
    """Of each ticket the most similar of all that may be seen, as if all had been looked at."""
    store, known = RowStore(database), settled()
    await store.create_indexes()
    await store.save([(row, 0) for row in known], at=NOW)
    found_some = 0
    for row in known[:12]:
        if not scope.shows(department=row.department, units=row.units):
            continue
        readings = cases.similar(row, scope=scope, now=NOW)
        pages = [await store.page(one, size=cases.READ_MAX) for one in readings]
        alike = [
            other
            for other in known
            if other.settled_at
            and other.category is row.category
            and (scope.units is None or other.unit == row.unit)
            and scope.shows(department=other.department, units=other.units)
        ]
        expected = [one.id for one in cases.most_similar(row, alike)]
        assert [one.id for one in cases.most_similar(row, (r for page in pages for r in page.rows))] == expected
        found_some += bool(expected)
    assert found_some


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        ({}, lambda _: True),
        ({"category": "delay"}, lambda r: r.category is Category.DELAY),
        ({"cause": "backlog", "unit": "net-1"}, lambda r: r.causes == ("backlog",) and "NET-1" in r.units),
        ({"remedy": "refund"}, lambda _: False),
    ],
)
async def test_the_archive_is_read_page_by_page(
    database: Database, asked: dict[str, str], wanted: Callable[[Row], bool]
) -> None:
    """All that match, the newest first, none twice."""
    store, known = RowStore(database), settled()
    await store.create_indexes()
    await store.save([(row, 0) for row in known], at=NOW)
    reading_ = cases.archive(cases.CasesAsked.model_validate(asked), scope=EVERYTHING, now=NOW)
    found: list[Row] = []
    after = None
    while True:
        page = await store.page(reading_, size=4, after=after)
        found += page.rows
        if (after := page.end) is None:
            break
    archived = {row.id: row.archived_at for row in known if row.archived_at and wanted(row)}
    assert {row.id for row in found} == archived.keys()
    assert [row.archived_at for row in found] == sorted(archived.values(), reverse=True)


async def test_clusters_are_found_along_the_lines(database: Database) -> None:
    """Twelve complaints of one hub within the hour, where one a day is usual; others have as many as ever."""
    store, plain = RowStore(database), rows(1)[0]
    await store.create_indexes()
    at = [NOW - timedelta(minutes=n) for n in range(12)] + [NOW - timedelta(days=d) for d in range(1, 16)]
    loud = [(when, "HUB-01") for when in at]
    usual = [(NOW - timedelta(days=d, minutes=n), "HUB-02") for d in range(15) for n in range(12)]
    made = [
        dataclasses.replace(plain, id=uuid5(TICKET, f"{unit} {when}"), unit=unit, received_at=when)
        for when, unit in (*loud, *usual)
    ]
    await store.save([(row, 0) for row in made], at=NOW)
    found = await ClusterStore(database, now=lambda: NOW).found(Window.HOUR)
    assert [(one.unit, one.category, one.count, one.usual) for one in found.clusters] == [
        ("HUB-01", "", 12, 1.0),
        ("HUB-01", str(plain.category), 12, 1.0),
    ]
    assert found.days == 14


async def test_texts_are_kept_by_version(database: Database) -> None:
    """A number is given once; the notifier reads the same; what cannot be read stops nobody."""
    desk, notifier = text_store.TextStore(database), NotifierTextStore(database)
    key = TextKey(Moment.SURVEY, Shape.SMS, Language.EN)
    first, second = (
        Text(
            **key._asdict(),
            version=number,
            body="How was it, {{ number }}?",
            effective_at=NOW + timedelta(days=number),
            written_at=NOW,
            written_by="m1",
        )
        for number in (1, 2)
    )
    assert await desk.add(second)
    assert await desk.add(first)
    assert not await desk.add(first.model_copy(update={"body": "Another"}))
    await database["wording_texts"].insert_one({"_id": "junk", "text": str(key)})
    assert await desk.of(key) == [first, second]
    assert await desk.of(key._replace(language=Language.ZH)) == []
    assert sorted(await notifier.all(), key=lambda one: one.version) == [first, second]
    assert sorted(await desk.all(), key=lambda one: one.version) == [first, second]
