"""What the stores rely on, of the driver and the database themselves: the same on the real and the simulated one."""

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

import pytest
from pymongo import DeleteOne, InsertOne, ReplaceOne, ReturnDocument, UpdateMany, UpdateOne
from pymongo.errors import BulkWriteError, DuplicateKeyError, InvalidOperation, WriteError

from services.runtime.mongo import Collection, Database

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture
def things(database: Database) -> Collection:
    """An empty collection."""
    return database["things"]


async def ids(things: Collection, query: dict[str, Any]) -> list[Any]:
    """Of what matches."""
    return sorted([d["_id"] async for d in things.find(query, {"_id": 1})], key=str)


class Colour(StrEnum):
    """A text with a name."""

    RED = "red"


async def test_values_come_back_as_the_database_keeps_them(things: Collection) -> None:
    """Times cut to milliseconds and aware, tuples as lists, enums as texts, UUIDs and bytes as they were."""
    at = NOON + timedelta(microseconds=1_999)
    kept: dict[str, Any] = {"at": at, "pair": (1, at), "colour": Colour.RED, "of": {Colour.RED: (Colour.RED,)}}
    await things.insert_one({"_id": 1, "id": UUID(int=7), "raw": b"\0\1", "big": 2**40, "none": None, **kept})
    found = await things.find_one({"_id": 1})
    cut = NOON + timedelta(milliseconds=1)
    assert found == {
        "_id": 1,
        "id": UUID(int=7),
        "raw": b"\0\1",
        "big": 2**40,
        "none": None,
        "at": cut,
        "pair": [1, cut],
        "colour": "red",
        "of": {"red": ["red"]},
    }
    assert found["at"].utcoffset() == timedelta(0)
    assert (type(found["colour"]), type(found["raw"]), next(iter(found))) == (str, bytes, "_id")
    assert await ids(things, {"at": at, "id": UUID(int=7)}) == [1]


async def test_nothing_is_shared_with_what_is_kept(things: Collection) -> None:
    """Neither what was put in nor what was read."""
    document: dict[str, Any] = {"_id": 1, "list": [{"n": 1}]}
    await things.insert_one(document)
    document["list"][0]["n"] = 2
    found = await things.find_one({"_id": 1})
    assert found is not None
    found["list"].append(3)
    assert await things.find_one({"_id": 1}) == {"_id": 1, "list": [{"n": 1}]}


async def test_an_unordered_insert_skips_what_is_there(things: Collection) -> None:
    """The refusal names each by its place; all others are inserted."""
    await things.insert_many([{"_id": n, "old": True} for n in (1, 3)])
    with pytest.raises(BulkWriteError) as refusal:
        await things.insert_many([{"_id": n} for n in (0, 1, 2, 3, 4, 4)], ordered=False)
    errors = refusal.value.details["writeErrors"]
    assert [(e["index"], e["code"], e["keyValue"]) for e in errors] == [
        (1, 11000, {"_id": 1}),
        (3, 11000, {"_id": 3}),
        (5, 11000, {"_id": 4}),
    ]
    assert refusal.value.details["nInserted"] == 3
    assert await ids(things, {}) == [0, 1, 2, 3, 4]
    assert await ids(things, {"old": True}) == [1, 3]


async def test_an_ordered_insert_ends_at_the_first_refusal(things: Collection) -> None:
    """What comes after is not tried."""
    with pytest.raises(BulkWriteError) as refusal:
        await things.insert_many([{"_id": n} for n in (1, 1, 2, 2)])
    assert [e["index"] for e in refusal.value.details["writeErrors"]] == [1]
    assert await ids(things, {}) == [1]


async def test_one_insert_of_what_is_there_is_refused(things: Collection) -> None:
    """By an error of its own."""
    await things.insert_one({"_id": 1})
    with pytest.raises(DuplicateKeyError):
        await things.insert_one({"_id": 1})


async def test_nothing_to_write_is_an_error(things: Collection) -> None:
    """So whoever writes in bulk must look first."""
    with pytest.raises(TypeError):
        await things.insert_many([])
    with pytest.raises(InvalidOperation):
        await things.bulk_write([])


async def test_a_unique_index_refuses_inserts_and_updates(things: Collection) -> None:
    """By all of its fields together, where a missing one is null; what was refused has changed nothing."""
    await things.create_index([("a", 1), ("b", 1)], unique=True)
    await things.create_index([("a", 1), ("b", 1)], unique=True)
    with pytest.raises(BulkWriteError) as refusal:
        await things.insert_many(
            [{"_id": 1, "a": 1, "b": 1}, {"_id": 2, "a": 1, "b": 1}, {"_id": 3, "a": 1}, {"_id": 4, "a": 1, "b": None}],
            ordered=False,
        )
    assert [e["index"] for e in refusal.value.details["writeErrors"]] == [1, 3]
    with pytest.raises(DuplicateKeyError):
        await things.update_one({"_id": 3}, {"$set": {"b": 1}})
    assert await things.find({}).to_list(None) == [{"_id": 1, "a": 1, "b": 1}, {"_id": 3, "a": 1}]
    await things.update_one({"_id": 1}, {"$set": {"b": 2}})
    await things.update_one({"_id": 3}, {"$set": {"b": 1}})
    assert await ids(things, {"a": 1, "b": 1}) == [3]


async def test_an_upsert_whose_filter_misses_meets_the_id(things: Collection) -> None:
    """So a guarded upsert of something stale is refused, and the others of its bulk are not."""
    await things.insert_many([{"_id": 1, "revision": 5}, {"_id": 2, "revision": 1}])
    writes = [
        ReplaceOne({"_id": n, "revision": {"$lte": 3}}, {"_id": n, "revision": 3}, upsert=True) for n in (1, 2, 3)
    ]
    with pytest.raises(BulkWriteError) as refusal:
        await things.bulk_write(writes, ordered=False)
    details = refusal.value.details
    assert [(e["index"], e["code"]) for e in details["writeErrors"]] == [(0, 11000)]
    assert (details["nMatched"], details["nUpserted"]) == (1, 1)
    found = {d["_id"]: d["revision"] async for d in things.find({})}
    assert found == {1: 5, 2: 3, 3: 3}


async def test_a_bulk_counts_what_it_did(things: Collection) -> None:
    """Matched is not modified: what is as it should be counts as matched."""
    await things.insert_many([{"_id": n, "n": 0} for n in range(5)])
    result = await things.bulk_write(
        [
            InsertOne({"_id": 9}),
            UpdateMany({"_id": {"$in": [0, 1, 7]}, "n": 0}, {"$set": {"n": 1}}),
            UpdateOne({"_id": 2}, {"$set": {"n": 0}}),
            UpdateOne({"_id": 10}, {"$set": {"n": 1}, "$inc": {"m": 2}}, upsert=True),
            DeleteOne({"_id": 4, "n": 0}),
            DeleteOne({"_id": 4, "n": 0}),
        ],
        ordered=False,
    )
    assert (result.inserted_count, result.matched_count, result.modified_count) == (1, 3, 2)
    assert (result.upserted_count, result.deleted_count) == (1, 1)
    assert await things.find_one({"_id": 10}) == {"_id": 10, "n": 1, "m": 2}


async def test_update_many_changes_what_matches(things: Collection) -> None:
    """And tells how much that was."""
    await things.insert_many([{"_id": n, "state": "armed" if n % 2 else "fired", "x": 1} for n in range(6)])
    result = await things.update_many(
        {"_id": {"$in": [1, 2, 3]}, "state": "armed"},
        {"$set": {"state": "fired"}, "$inc": {"tries": 1}, "$unset": {"x": ""}},
    )
    assert (result.matched_count, result.modified_count) == (2, 2)
    assert await ids(things, {"tries": 1, "x": {"$exists": False}}) == [1, 3]
    assert await ids(things, {"state": "armed"}) == [5]


async def test_updates_reach_into_documents_and_arrays(things: Collection) -> None:
    """By dots; the place after the last of an array makes it longer."""
    await things.insert_one({"_id": 1, "a": {"b": 1}, "tries": [{"n": 1}]})
    await things.update_one({"_id": 1}, {"$set": {"a.c": 2, "tries.0.n": 3, "tries.1.n": 4}, "$unset": {"a.b": ""}})
    assert await things.find_one({"_id": 1}) == {"_id": 1, "a": {"c": 2}, "tries": [{"n": 3}, {"n": 4}]}


async def test_an_id_stays(things: Collection) -> None:
    """Setting it to what it is changes nothing; to anything else is refused."""
    await things.insert_one({"_id": 1})
    await things.update_one({"_id": 1}, {"$set": {"_id": 1, "n": 1}})
    with pytest.raises(WriteError) as refusal:
        await things.update_one({"_id": 1}, {"$set": {"_id": 2, "n": 2}})
    assert refusal.value.code == 66
    assert await things.find({}).to_list(None) == [{"_id": 1, "n": 1}]


async def test_find_and_update_gives_what_became_of_it(things: Collection) -> None:
    """And None when nothing matches."""
    after = ReturnDocument.AFTER
    assert await things.find_one_and_update({"_id": 1}, {"$inc": {"n": 2}}, return_document=after) is None
    await things.insert_one({"_id": 1, "n": 1})
    assert await things.find_one_and_update({"_id": 1}, {"$inc": {"n": 2}}, return_document=after) == {"_id": 1, "n": 3}
    assert await things.find_one_and_update({"_id": 1}, {"$inc": {"n": 2}}) == {"_id": 1, "n": 3}


async def test_found_are_sorted_then_limited_then_shown(things: Collection) -> None:
    """Null comes before any value, and by a second field where the first is the same."""
    await things.insert_many([{"_id": n, "at": at, "x": n} for n, at in enumerate([3, 1, None, 2, 1])])
    found = things.find({}, {"at": 1}).sort([("at", 1), ("_id", -1)]).limit(3)
    assert [d async for d in found] == [{"_id": 2, "at": None}, {"_id": 4, "at": 1}, {"_id": 1, "at": 1}]
    assert await things.find({}, {"_id": 0, "x": 1}).sort("at", -1).limit(1).to_list(None) == [{"x": 0}]
    assert await things.find({"_id": 0}, {"x": 0}).to_list(None) == [{"_id": 0, "at": 3}]


@pytest.mark.parametrize("indexed", [False, True])
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"at": None}, ["missing", "null"]),
        ({"at": {"$ne": None}}, ["early", "list", "late", "text"]),
        ({"at": {"$exists": True}}, ["early", "list", "late", "null", "text"]),
        ({"at": {"$lte": NOON}}, ["early", "list"]),
        ({"at": {"$lt": NOON}}, ["list"]),
        ({"at": {"$gt": NOON}}, ["late", "list"]),
        ({"at": {"$gte": NOON, "$lt": NOON + timedelta(hours=1)}}, ["early", "list"]),
        ({"at": {"$gte": "n"}}, ["text"]),
        ({"at": {"$in": [NOON, "noon", None]}}, ["early", "missing", "null", "text"]),
        ({"at": NOON + timedelta(hours=2)}, ["late", "list"]),
        ({"at": {"$nin": ["noon", None]}}, ["early", "late", "list"]),
        ({"$or": [{"at": "noon"}, {"_id": "late", "at": {"$gt": NOON}}]}, ["late", "text"]),
        ({"at": "noon", "_id": {"$in": ["early"]}}, []),
        ({"in.name": "x"}, ["list", "text"]),
        ({"in.other": {"$exists": True}}, ["text"]),
        ({"in.name": {"$in": ["y"]}}, ["list"]),
    ],
)
async def test_a_filter_finds_the_same_with_an_index(
    things: Collection, query: dict[str, Any], expected: list[str], indexed: bool
) -> None:
    """By value and type, also inside of arrays; missing counts as null."""
    if indexed:
        await things.create_index([("at", 1), ("other", 1)])
        await things.create_index("in.name")
    await things.insert_many(
        [
            {"_id": "early", "at": NOON},
            {"_id": "late", "at": NOON + timedelta(hours=2)},
            {"_id": "text", "at": "noon", "in": {"name": "x", "other": None}},
            {"_id": "null", "at": None},
            {"_id": "missing"},
            {
                "_id": "list",
                "at": [NOON - timedelta(hours=1), NOON + timedelta(hours=2)],
                "in": [{"name": "x"}, {"name": "y"}],
            },
        ]
    )
    assert await ids(things, query) == sorted(expected)


async def test_what_changes_is_found_by_what_it_is_now(things: Collection) -> None:
    """An index follows inserts, updates, replacements and deletions."""
    await things.create_index("current")
    await things.insert_many([{"_id": n, "current": "a"} for n in range(4)])
    await things.update_many({"_id": {"$in": [0]}}, {"$unset": {"current": ""}})
    await things.update_one({"_id": 1}, {"$set": {"current": "b"}})
    await things.replace_one({"_id": 2}, {"current": "c"})
    await things.delete_many({"current": {"$in": ["a", "c"]}, "_id": {"$gt": 2}})
    assert await ids(things, {"current": {"$in": ["a", "b", "c"]}}) == [1, 2]
    assert await ids(things, {"current": {"$gte": "b", "$lt": "c"}}) == [1]
    assert await things.count_documents({"current": None}) == 1


async def test_the_database_answers(database: Database) -> None:
    """When it is asked whether it does."""
    assert (await database.command("ping"))["ok"] == 1.0
