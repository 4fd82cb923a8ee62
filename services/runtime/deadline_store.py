"""Deadlines in the database: `deadlines`, one document each, and `deadline_shards`, which says which of them may fire.

A deadline is `{_id, shard, state, due_at, revision, payload, attempts, fired_by}`; a done one is deleted. `fired_by` is
`<worker>:<batch>`. `deadline_workers` says which workers live: one write keeps everything that a worker has in hand.
Times are whole milliseconds, as the database keeps them, rounded up when they are armed, so that nothing fires early.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final, Protocol

from pymongo import DeleteOne, UpdateOne
from pymongo.errors import BulkWriteError

from services.runtime.mongo import Database, duplicate_indexes

Seconds = float
"""Since 1970, UTC: what heaps and comparisons run on."""


@dataclass(frozen=True, slots=True)
class Deadline:
    """Something that is to happen at `due_at` and not before."""

    id: str
    """Arming an id again moves it."""
    shard: str
    """`<service>:<partition>`: who owns the partition fires it."""
    due_at: datetime
    payload: Mapping[str, Any] = field(default_factory=dict)
    revision: int = 0
    """Of what the deadline was computed from. An arm with a lower one than the stored is late, and ignored."""


@dataclass(frozen=True, slots=True)
class Due:
    """A deadline that has come, claimed by this process."""

    id: str
    shard: str
    due_at: datetime
    payload: Mapping[str, Any]
    revision: int
    attempts: int
    """How often it was handed out before: 0 unless a worker died with it, or its handler failed or had to wait."""
    claimed_at: datetime
    """What has passed is what had passed then: a worker that stood still since may have missed what happened."""


class ShardState(StrEnum):
    """Whether the deadlines of a shard may fire: only when its owner knows what happened meanwhile."""

    CLOSED = "closed"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class Shard:
    """A shard as its owner left it."""

    name: str
    state: ShardState
    followed_at: Seconds
    """When a living worker last looked after it."""


Held = Callable[[str], bool]
"""Whether what a token has claimed is being handled by it."""


class DeadlineStore(Protocol):
    """What `Deadlines` needs of a store. Everything is in bulk; everything may be done again after an error."""

    async def put(self, deadlines: Sequence[Deadline]) -> None:
        """Arm or move, unless the stored revision is higher."""

    async def remove(self, revisions: Mapping[str, int]) -> None:
        """Take back by id, unless the stored revision is higher."""

    async def ahead(self, shard: str, *, until: Seconds, limit: int) -> list[tuple[Seconds, str]]:
        """(due, id) of a shard's deadlines due at or before `until`, earliest first. Some may be in hand already."""

    async def overdue(
        self, shards: Sequence[str], *, due_before: Seconds, is_held: Held, limit: int
    ) -> list[tuple[Seconds, str]]:
        """(due, id) of what was due before `due_before` and is not held by the token that claimed it last.

        `limit` is for all shards together, and each has its part of it.
        """

    async def claim(self, ids: Sequence[str], *, now: Seconds, is_held: Held, token: str) -> list[Due]:
        """Those of `ids` that are due and that `token` has won. Asking again with the same token gives them again.

        Won is what is armed, and what the token that claimed it does not hold any more.
        """

    async def postpone(self, due: Due, *, until: Seconds, token: str) -> None:
        """Arm it again for another attempt."""

    async def done(self, ids: Sequence[str], *, token: str) -> None:
        """Delete what was handled, except what has been armed again meanwhile."""

    async def shards(self, service: str) -> list[Shard]:
        """All shards of a service that ever had an owner."""

    async def set_shards(self, names: Sequence[str], *, state: ShardState, now: Seconds) -> None:
        """Open or close."""

    async def follow(self, names: Sequence[str], *, now: Seconds) -> None:
        """A living worker looks after these."""

    async def live(self, worker: str, *, now: Seconds) -> None:
        """Say that this worker lives."""

    async def living(self, *, since: Seconds, until: Seconds) -> set[str]:
        """The workers of all services that last said so between these."""


def worker_of(token: str) -> str:
    """The worker that claims with this token."""
    return token.rpartition(":")[0]


_INDEXES: Final = ([("shard", 1), ("due_at", 1)], [("due_at", 1)])
_ARMED: Final = "armed"
_FIRED: Final = "fired"
_WORKERS_MAX: Final = 100
"""More than ever live: then those that are long dead are forgotten."""
_FORGOTTEN_S: Final = 3600.0


class MongoDeadlineStore:
    """The store in the database."""

    def __init__(self, database: Database) -> None:
        self._deadlines = database["deadlines"]
        self._shards = database["deadline_shards"]
        self._workers = database["deadline_workers"]

    async def prepare(self) -> None:
        """Make the indexes. May be called by every process at every start."""
        for index in _INDEXES:
            await self._deadlines.create_index(index)

    async def put(self, deadlines: Sequence[Deadline]) -> None:
        """See `DeadlineStore`."""
        if not deadlines:
            return
        # Most are new, and inserting is several times cheaper than an upsert; the rest exist and are moved.
        documents = [_document(d) for d in {d.id: d for d in deadlines}.values()]
        try:
            await self._deadlines.insert_many(documents, ordered=False)
        except BulkWriteError as refusal:
            moved = [documents[i] for i in sorted(duplicate_indexes(refusal))]
            await self._move(moved)

    async def _move(self, documents: list[dict[str, Any]]) -> None:
        # An upsert, because the document may be deleted at this moment by the handler of what it was before. It finds
        # the id taken where the stored revision is higher: then this one is late. Attempts go on being counted: what
        # was handled in part and is armed again, because the answer to its arming was lost, is no first attempt.
        moves = [
            UpdateOne(
                {"_id": d["_id"], "revision": {"$lte": d["revision"]}},
                {
                    "$set": {name: d[name] for name in ("shard", "state", "due_at", "revision", "payload")},
                    "$setOnInsert": {"attempts": 0},
                    "$unset": {"fired_by": ""},
                },
                upsert=True,
            )
            for d in documents
        ]
        try:
            await self._deadlines.bulk_write(moves, ordered=False)
        except BulkWriteError as refusal:
            duplicate_indexes(refusal)

    async def remove(self, revisions: Mapping[str, int]) -> None:
        """See `DeadlineStore`."""
        if len(set(revisions.values())) == 1:
            (revision,) = set(revisions.values())
            await self._deadlines.delete_many({"_id": {"$in": list(revisions)}, "revision": {"$lte": revision}})
        elif revisions:
            removals = [DeleteOne({"_id": id_, "revision": {"$lte": r}}) for id_, r in revisions.items()]
            await self._deadlines.bulk_write(removals, ordered=False)

    async def ahead(self, shard: str, *, until: Seconds, limit: int) -> list[tuple[Seconds, str]]:
        """See `DeadlineStore`."""
        found = self._until(shard, until, {"due_at": 1}).sort("due_at", 1).limit(limit)
        return [(d["due_at"].timestamp(), d["_id"]) for d in await found.to_list(None)]

    async def overdue(
        self, shards: Sequence[str], *, due_before: Seconds, is_held: Held, limit: int
    ) -> list[tuple[Seconds, str]]:
        """See `DeadlineStore`."""
        late: list[tuple[Seconds, str]] = []
        if not await self._deadlines.find_one({"due_at": {"$lte": _date(due_before)}}, {"_id": 1}):
            return late  # Mostly so, and one question instead of one for each shard.
        for shard in shards:
            found = self._until(shard, due_before, {"due_at": 1, "state": 1, "fired_by": 1})
            late += [
                (d["due_at"].timestamp(), d["_id"])
                for d in await found.limit(max(limit // len(shards), 1)).to_list(None)
                if d["state"] == _ARMED or not is_held(d["fired_by"])
            ]
        return late

    def _until(self, shard: str, until: Seconds, fields: dict[str, int]) -> Any:
        # Exactly the fields of an index. With any other condition, or one branch for each shard, the server reads
        # every deadline of the shard: 24 branches took 0.3 s where 20,000 were armed and none was due.
        return self._deadlines.find({"shard": shard, "due_at": {"$lte": _date(until)}}, fields)

    async def claim(self, ids: Sequence[str], *, now: Seconds, is_held: Held, token: str) -> list[Due]:
        """See `DeadlineStore`."""
        named = {"$in": list(ids)}
        won = {"$set": {"state": _FIRED, "fired_by": token}, "$inc": {"attempts": 1}}
        # Never with `$or`, for which the server looks at every deadline there is.
        await self._deadlines.update_many({"_id": named, "state": _ARMED, "due_at": {"$lte": _date(now)}}, won)
        found = await self._deadlines.find({"_id": named}).to_list(None)
        idle = {d["fired_by"] for d in found if d["state"] == _FIRED and not is_held(d["fired_by"])}
        if idle := idle - {token}:
            for holder in idle:
                await self._deadlines.update_many({"_id": named, "state": _FIRED, "fired_by": holder}, won)
            found = await self._deadlines.find({"_id": named}).to_list(None)
        return [_due(d, claimed_at=_date(now)) for d in found if d.get("fired_by") == token]

    async def postpone(self, due: Due, *, until: Seconds, token: str) -> None:
        """See `DeadlineStore`."""
        again = {"$set": {"state": _ARMED, "due_at": _date(until)}, "$unset": {"fired_by": ""}}
        await self._deadlines.update_one({"_id": due.id, "fired_by": token}, again)

    async def done(self, ids: Sequence[str], *, token: str) -> None:
        """See `DeadlineStore`."""
        await self._deadlines.delete_many({"_id": {"$in": list(ids)}, "fired_by": token})

    async def shards(self, service: str) -> list[Shard]:
        """See `DeadlineStore`."""
        found = await self._shards.find({"service": service}).to_list(None)
        return [Shard(d["_id"], ShardState(d["state"]), d["followed_at"].timestamp()) for d in found]

    async def set_shards(self, names: Sequence[str], *, state: ShardState, now: Seconds) -> None:
        """See `DeadlineStore`."""
        if names:
            at = _date(now)
            writes = [
                UpdateOne(
                    {"_id": name},
                    {"$set": {"service": name.rpartition(":")[0], "state": state.value, "followed_at": at}},
                    upsert=True,
                )
                for name in names
            ]
            await self._shards.bulk_write(writes, ordered=False)

    async def follow(self, names: Sequence[str], *, now: Seconds) -> None:
        """See `DeadlineStore`."""
        if names:
            await self._shards.update_many({"_id": {"$in": list(names)}}, {"$set": {"followed_at": _date(now)}})

    async def live(self, worker: str, *, now: Seconds) -> None:
        """See `DeadlineStore`."""
        await self._workers.update_one({"_id": worker}, {"$set": {"seen_at": _date(now)}}, upsert=True)

    async def living(self, *, since: Seconds, until: Seconds) -> set[str]:
        """See `DeadlineStore`."""
        found = await self._workers.find({}).to_list(None)
        if len(found) > _WORKERS_MAX:
            await self._workers.delete_many({"seen_at": {"$lt": _date(since - _FORGOTTEN_S)}})
        return {d["_id"] for d in found if _date(since) <= d["seen_at"] <= _date(until)}


def kept_seconds(at: datetime) -> Seconds:
    """The time that a store keeps for `at`: the next whole millisecond."""
    return math.ceil((at - _EPOCH) / _MILLISECOND) / 1000


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)


def _date(at: Seconds) -> datetime:
    # Floats hold a millisecond of this century exactly enough to be rounded, not to be cut.
    return _EPOCH + timedelta(milliseconds=round(at * 1000, 3) // 1)


def _document(deadline: Deadline) -> dict[str, Any]:
    return {
        "_id": deadline.id,
        "shard": deadline.shard,
        "state": _ARMED,
        "due_at": _date(kept_seconds(deadline.due_at)),
        "revision": deadline.revision,
        "payload": dict(deadline.payload),
        "attempts": 0,
    }


def _due(document: Mapping[str, Any], *, claimed_at: datetime) -> Due:
    return Due(
        id=document["_id"],
        shard=document["shard"],
        due_at=document["due_at"],
        payload=document["payload"],
        revision=document["revision"],
        attempts=document["attempts"] - 1,
        claimed_at=claimed_at,
    )
