"""A year of tickets as router and desk keep them, made once and kept for the measurements of the next days.

The indexes are there first, and the database's cache holds them all (`CACHE_MB`). Of a million rows that are there, the
local server makes one index in two minutes, and one with several entries a row in more than ten.

Every row is there; of the events, which are read by ticket alone, one ticket in `TRAIL_EACH` has its own. The local
server takes all of a collection into memory when it is first asked of it, and all events do not fit beside the rows.
"""

import asyncio
import dataclasses
import multiprocessing
import os
import random
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import chain, islice
from typing import Any, Final
from uuid import UUID

import bson
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from pymongo import MongoClient
from pymongo.database import Database

from schemas.codes import Category, Channel, Clock, Language, RiskFlag, Severity, Source, TicketState
from schemas.events import TicketEvent
from schemas.sealed import MaskedContact
from services.cli.bench.sla_tickets import waves
from services.desk.clock_row import ClockRow
from services.desk.row import Row
from services.desk.row_store import RowStore, document
from services.router.event_store import EventStore
from services.runtime import mongo

DEPARTMENTS: Final = 12
UNITS: Final = 3_000
PEOPLE: Final = 2_000
YEAR: Final = timedelta(days=365)
OPEN_WITHIN: Final = timedelta(days=20)
OPEN_SHARE: Final = 0.9
"""Of those that came within that time: a twentieth of all."""
ARCHIVED_SHARE: Final = 0.05
KEPT_FOR: Final = timedelta(days=3)
"""Later too many of the open ones would be overdue."""
CACHE_MB: Final = 6144
"""For filling; the server takes more than twice of it."""
TRAIL_EACH: Final = 10
FORM: Final = 4
"""Counted up when what is made here changes: what was kept is then made anew."""
_FILLED: Final = ("desk_tickets", "ticket_events", "bench")
_BATCH: Final = 2_000
_SHARE: Final = 25_000
"""Tickets that one process makes at a time."""
_OPEN_EVENTS: Final = 5
"""Of the seven events of a ticket those before its answer."""
_CODEC: Final = CodecOptions[dict[str, Any]](uuid_representation=bson.binary.UuidRepresentation.STANDARD, tz_aware=True)
_PATTERN: Final = 2**32 - 1
"""Number of the ticket of whose events all others are made."""


def ticket(n: int) -> UUID:
    """The id of a ticket; the order of the ids is that of the numbers."""
    return UUID(int=n << 96 | 0x9D3A_5AC3_8F0E_2C3B_1D4E_5F60)


def number(n: int) -> str:
    """The ticket number of a row, without a right check digit."""
    return f"2611-{n:08d}"


def waybill(n: int) -> str:
    """The parcel of a ticket: no two have the same."""
    return f"YT{n:013d}"


def with_trail(n: int) -> int:
    """That ticket, or one near it that has its events."""
    return n - n % TRAIL_EACH


def fill(uri: str, name: str, *, rows: int) -> float:
    """See that there are so many tickets, fresh enough, and nothing else; seconds that it took."""
    began = datetime.now(UTC)
    with MongoClient[dict[str, Any]](uri, tz_aware=True) as client:
        _clear(client[name])
        kept = client[name]["bench"].find_one({"_id": "filled"})
        if kept and (kept["rows"], kept["form"]) == (rows, FORM) and began - kept["made_at"] < KEPT_FOR:
            return 0.0
        client.drop_database(name)
        asyncio.run(_index(uri, name))
        shares = [range(first, min(first + _SHARE, rows)) for first in range(0, rows, _SHARE)]
        # Not forked: the caller has threads.
        with ProcessPoolExecutor(os.cpu_count(), mp_context=multiprocessing.get_context("spawn")) as processes:
            list(processes.map(partial(_insert, uri, name, rows=rows, now=began), shares))
        client[name]["bench"].insert_one({"_id": "filled", "rows": rows, "form": FORM, "made_at": began})
    return (datetime.now(UTC) - began).total_seconds()


def _clear(database: Database[dict[str, Any]]) -> None:
    """What an earlier measurement left: the tickets that a router opened, and everything about people."""
    opened = [one["_id"] for one in database["tickets"].find({}, {"_id": 1})]
    database["desk_tickets"].delete_many({"_id": {"$in": opened}})
    database["ticket_events"].delete_many({"ticket_id": {"$in": opened}})
    for name in set(database.list_collection_names()) - set(_FILLED):
        database.drop_collection(name)


async def _index(uri: str, name: str) -> None:
    database = mongo.connect(uri, database=name)
    await RowStore(database).create_indexes()
    await EventStore(database).create_indexes()


def _insert(uri: str, name: str, numbers: range, *, rows: int, now: datetime) -> None:
    listed = list(made(numbers, rows=rows, now=now))
    kept = (bson.encode(document(row, revision=1, at=now), codec_options=_CODEC) for row in listed)
    with MongoClient[dict[str, Any]](uri) as client:
        for collection, documents in (("desk_tickets", kept), ("ticket_events", _events(numbers, listed))):
            while some := [RawBSONDocument(one) for one in islice(documents, _BATCH)]:
                client[name][collection].insert_many(some, ordered=False)


def made(numbers: range, *, rows: int, now: datetime) -> Iterator[Row]:
    """Some of so many rows as they are after a year, the oldest first.

    Most are settled; those that are open are due within days, and a good part of them overdue.
    """
    rng = random.Random(numbers.start)  # noqa: S311  # tickets, not keys
    for n in numbers:
        received_at = now - (1 - (n + rng.random()) / rows) * YEAR
        is_open = now - received_at < OPEN_WITHIN and rng.random() < OPEN_SHARE
        settled_at = None if is_open else received_at + rng.random() * timedelta(days=5)
        unit = int(UNITS * rng.random() ** 3)  # A few hubs have most of it.
        yield Row(
            id=ticket(n),
            version=_OPEN_EVENTS if is_open else 7,
            number=number(n),
            state=TicketState.INVESTIGATING if is_open else TicketState.RESOLVED,
            channel=rng.choice(list(Channel)),
            source=Source.EXTERNAL,
            language=Language.ZH,
            received_at=received_at,
            opened_at=received_at,
            updated_at=settled_at or received_at + timedelta(hours=1),
            contact_ref=ticket(n),
            masked=MaskedContact(phone="138****1234"),
            contacts=(f"{rng.getrandbits(256):064x}",),
            waybills=(waybill(n),),
            places=(f"HUB-{unit:04d}",),
            category=rng.choice(list(Category)),
            confidence=0.9,
            severity=Severity(rng.choices((1, 2, 3, 4), (30, 50, 15, 5))[0]),
            flags=(RiskFlag.SAFETY,) if rng.random() < 0.002 else (),
            department=f"D{int(DEPARTMENTS * rng.random() ** 2):02d}",
            unit=f"HUB-{unit:04d}",
            person=f"p{rng.randrange(PEOPLE)}" if rng.random() < 0.9 else None,
            complaints=(ticket(n),),
            remedy="" if is_open else "redeliver",
            settled_at=settled_at,
            archived_at=settled_at if rng.random() < ARCHIVED_SHARE else None,
            clocks=_clocks(received_at, now, rng) if is_open else (),
        )


def _clocks(received_at: datetime, now: datetime, rng: random.Random) -> tuple[ClockRow, ...]:
    plain = ClockRow(Clock.RESOLUTION, 1, None, 432_000, "resolution", (3, received_at, 0))
    return tuple(
        dataclasses.replace(plain, clock=clock, due_at=now + timedelta(hours=rng.uniform(-late, hours)))
        for clock, late, hours in (
            (Clock.FIRST_ANSWER, 12, 48),
            (Clock.RESOLUTION, 24, 120),
            (Clock.STATUTORY_USER, 0, 168),
        )
    )


def _events(numbers: range, rows: list[Row]) -> Iterator[bytes]:
    """The documents of their events: one ticket's with other ids, numbers and waybills of the same length."""
    pattern = _pattern()
    own = [str(ticket(_PATTERN)), number(0), waybill(0)]
    for n, row in zip(numbers, rows, strict=True):
        if n != with_trail(n):
            continue
        others = [str(ticket(n)), number(n), waybill(n)]
        for encoded in pattern[: row.version]:
            copy = encoded
            for before, after in zip(own, others, strict=True):
                copy = copy.replace(before.encode(), after.encode())
            yield copy


def _pattern() -> list[bytes]:
    messages = chain.from_iterable(waves([ticket(_PATTERN)], datetime(2026, 1, 5, tzinfo=UTC)))
    told = [message for message in messages if isinstance(message, TicketEvent)]
    contents = [(event.ce_type(), event.model_dump(mode="json")) for event in told]
    contents[0][1].update(number=number(0), waybills=[waybill(0)])
    return [
        bson.encode({"_id": f"{content['ticket_id']}:{content['sequence']}", "type": kind, **content})
        for kind, content in contents
    ]
