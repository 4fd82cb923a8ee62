"""Deadlines in the database: `deadlines`, one document each, and `deadline_shards`, which says which of them may fire.

A deadline is `{_id, shard, state, due_at, revision, payload, attempts, fired_at, fired_by}`; a done one is deleted.
Times are whole milliseconds, as the database keeps them, rounded up when they are armed, so that nothing fires early.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final, Protocol

from pymongo import DeleteOne, ReplaceOne, UpdateOne
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


class DeadlineStore(Protocol):
    """What `Deadlines` needs of a store. Everything is in bulk; everything may be done again after an error."""

    async def put(self, deadlines: Sequence[Deadline]) -> None:
        """Arm or move, unless the stored revision is higher."""

    async def remove(self, revisions: Mapping[str, int]) -> None:
        """Take back by id, unless the stored revision is higher."""

    async def armed(self, shard: str, *, until: Seconds, limit: int) -> list[tuple[Seconds, str]]:
        """(due, id) of a shard's armed deadlines due at or before `until`, earliest first."""

    async def overdue(
        self, shards: Sequence[str], *, due_before: Seconds, fired_before: Seconds, limit: int
    ) -> list[tuple[Seconds, str]]:
        """(due, id) of what should have fired before `due_before`, or fired before `fired_before` and is not done."""

    async def claim(self, ids: Sequence[str], *, now: Seconds, fired_before: Seconds, token: str) -> list[Due]:
        """Those of `ids` that are due and that `token` has won. Asking again with the same token gives them again."""

    async def extend(self, ids: Sequence[str], *, now: Seconds, token: str) -> None:
        """Still being handled: begin the lease anew."""

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


_INDEX: Final = [("shard", 1), ("state", 1), ("due_at", 1)]
_ARMED: Final = "armed"
_FIRED: Final = "fired"


class MongoDeadlineStore:
    """The store in the database."""

    def __init__(self, database: Database) -> None:
        self._deadlines = database["deadlines"]
        self._shards = database["deadline_shards"]

    async def prepare(self) -> None:
        """Make the index. May be called by every process at every start."""
        await self._deadlines.create_index(_INDEX)

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
        # the id taken where the stored revision is higher: then this one is late.
        moves = [ReplaceOne({"_id": d["_id"], "revision": {"$lte": d["revision"]}}, d, upsert=True) for d in documents]
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

    async def armed(self, shard: str, *, until: Seconds, limit: int) -> list[tuple[Seconds, str]]:
        """See `DeadlineStore`."""
        wanted = {"shard": shard, "state": _ARMED, "due_at": {"$lte": _date(until)}}
        found = self._deadlines.find(wanted, {"due_at": 1}).sort("due_at", 1).limit(limit)
        return [(d["due_at"].timestamp(), d["_id"]) for d in await found.to_list(None)]

    async def overdue(
        self, shards: Sequence[str], *, due_before: Seconds, fired_before: Seconds, limit: int
    ) -> list[tuple[Seconds, str]]:
        """See `DeadlineStore`."""
        if not shards:
            return []
        late = {"$lte": _date(due_before)}
        # One branch per shard and state: each is a range of the index, which not every server makes of `$in`.
        branches: list[dict[str, Any]] = [{"shard": s, "state": _ARMED, "due_at": late} for s in shards]
        abandoned = {"$lte": _date(fired_before)}
        branches += [{"shard": s, "state": _FIRED, "due_at": late, "fired_at": abandoned} for s in shards]
        found = self._deadlines.find({"$or": branches}, {"due_at": 1}).limit(limit)
        return [(d["due_at"].timestamp(), d["_id"]) for d in await found.to_list(None)]

    async def claim(self, ids: Sequence[str], *, now: Seconds, fired_before: Seconds, token: str) -> list[Due]:
        """See `DeadlineStore`."""
        at = _date(now)
        free = [{"state": _ARMED, "due_at": {"$lte": at}}, {"state": _FIRED, "fired_at": {"$lte": _date(fired_before)}}]
        named = {"$in": list(ids)}
        won = {"$set": {"state": _FIRED, "fired_at": at, "fired_by": token}, "$inc": {"attempts": 1}}
        await self._deadlines.update_many({"_id": named, "$or": free}, won)
        found = await self._deadlines.find({"_id": named, "fired_by": token}).to_list(None)
        return [_due(d) for d in found]

    async def extend(self, ids: Sequence[str], *, now: Seconds, token: str) -> None:
        """See `DeadlineStore`."""
        ours = {"_id": {"$in": list(ids)}, "fired_by": token}
        await self._deadlines.update_many(ours, {"$set": {"fired_at": _date(now)}})

    async def postpone(self, due: Due, *, until: Seconds, token: str) -> None:
        """See `DeadlineStore`."""
        again = {"$set": {"state": _ARMED, "due_at": _date(until)}, "$unset": {"fired_at": "", "fired_by": ""}}
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


def _due(document: Mapping[str, Any]) -> Due:
    return Due(
        id=document["_id"],
        shard=document["shard"],
        due_at=document["due_at"],
        payload=document["payload"],
        revision=document["revision"],
        attempts=document["attempts"] - 1,
    )
