"""Time and deadlines without a clock or a database: a test is the time, and can break the store.

`MemoryDeadlineStore` passes the contract tests that the real store passes.
"""

import asyncio
import heapq
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from services.runtime.deadline_store import Deadline, Due, Held, Seconds, Shard, ShardState, kept_seconds


class VirtualClock:
    """A `Clock` that stands still until it is advanced."""

    def __init__(self, at: Seconds) -> None:
        self._at = at
        self._waiting: list[tuple[Seconds, int, asyncio.Future[None]]] = []
        self._numbers = itertools.count()

    def time(self) -> float:
        """See `Clock`."""
        return self._at

    async def sync(self) -> None:
        """See `Clock`."""

    async def wait(self, wake: asyncio.Event | None, seconds: float) -> None:
        """See `Clock`."""
        passed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (self._at + max(seconds, 0.0), next(self._numbers), passed))
        woken = asyncio.ensure_future((wake or asyncio.Event()).wait())
        try:
            await asyncio.wait((passed, woken), return_when=asyncio.FIRST_COMPLETED)
        finally:
            woken.cancel()
            passed.cancel()

    async def settle(self) -> None:
        """Let everything happen that needs no time."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(0)
        # Who else is to run now is said nowhere else.
        while loop._ready:  # type: ignore[attr-defined]  # noqa: ASYNC110
            await asyncio.sleep(0)

    async def advance(self, seconds: float) -> None:
        """Let time pass, waking everybody at the very instant asked for."""
        until = self._at + seconds
        await self.settle()
        while self._waiting and self._waiting[0][0] <= until:
            at, _, passed = heapq.heappop(self._waiting)
            if not passed.done():
                self._at = max(self._at, at)
                passed.set_result(None)
                await self.settle()
        self._at = until

    def jump(self, seconds: float) -> None:
        """Set the wall clock without any time passing."""
        self._at += seconds


@dataclass(slots=True)
class _Kept:
    deadline: Deadline
    due: Seconds
    fired_by: str = ""
    attempts: int = 0

    def free(self, now: Seconds, is_held: Held) -> bool:
        return not is_held(self.fired_by) if self.fired_by else self.due <= now


class MemoryDeadlineStore:
    """A `DeadlineStore` in a dictionary. `before` and `after` run around every call and may raise, as a network may."""

    def __init__(self) -> None:
        self.kept: dict[str, _Kept] = {}
        self.before: Callable[[str], None] = _nothing
        self.after: Callable[[str], None] = _nothing
        self._shards: dict[str, Shard] = {}
        self._workers: dict[str, Seconds] = {}

    async def put(self, deadlines: Sequence[Deadline]) -> None:
        """See `DeadlineStore`."""
        await self._enter("put")
        for d in deadlines:
            old = self.kept.get(d.id)
            if old is None or old.deadline.revision <= d.revision:
                self.kept[d.id] = _Kept(d, kept_seconds(d.due_at), attempts=old.attempts if old else 0)
        self.after("put")

    async def remove(self, revisions: Mapping[str, int]) -> None:
        """See `DeadlineStore`."""
        await self._enter("remove")
        for id_, revision in revisions.items():
            if id_ in self.kept and self.kept[id_].deadline.revision <= revision:
                del self.kept[id_]
        self.after("remove")

    async def ahead(self, shard: str, *, until: Seconds, limit: int) -> list[tuple[Seconds, str]]:
        """See `DeadlineStore`."""
        await self._enter("ahead")
        found = ((k.due, id_) for id_, k in self.kept.items() if k.deadline.shard == shard and k.due <= until)
        return sorted(found)[:limit]

    async def overdue(
        self, shards: Sequence[str], *, due_before: Seconds, is_held: Held, limit: int
    ) -> list[tuple[Seconds, str]]:
        """See `DeadlineStore`."""
        await self._enter("overdue")
        each = max(limit // max(len(shards), 1), 1)
        late: list[tuple[Seconds, str]] = []
        for shard in shards:
            there = [(i, k) for i, k in self.kept.items() if k.deadline.shard == shard and k.due <= due_before]
            late += [(k.due, id_) for id_, k in there[:each] if k.free(due_before, is_held)]
        return late

    async def claim(self, ids: Sequence[str], *, now: Seconds, is_held: Held, token: str) -> list[Due]:
        """See `DeadlineStore`."""
        await self._enter("claim")
        for id_ in ids:
            kept = self.kept.get(id_)
            if kept is not None and kept.fired_by != token and kept.free(now, is_held):
                kept.fired_by = token
                kept.attempts += 1
        self.after("claim")
        claimed_at = datetime.fromtimestamp(now, UTC)
        return [
            Due(id_, d.shard, d.due_at, d.payload, d.revision, k.attempts - 1, claimed_at)
            for id_, k in self._held(ids, token)
            for d in [k.deadline]
        ]

    async def postpone(self, due: Due, *, until: Seconds, token: str) -> None:
        """See `DeadlineStore`."""
        await self._enter("postpone")
        for _, kept in self._held([due.id], token):
            kept.due, kept.fired_by = until, ""

    async def done(self, ids: Sequence[str], *, token: str) -> None:
        """See `DeadlineStore`."""
        await self._enter("done")
        for id_, _ in self._held(ids, token):
            del self.kept[id_]
        self.after("done")

    async def shards(self, service: str) -> list[Shard]:
        """See `DeadlineStore`."""
        await self._enter("shards")
        return [shard for name, shard in self._shards.items() if name.rpartition(":")[0] == service]

    async def set_shards(self, names: Sequence[str], *, state: ShardState, now: Seconds) -> None:
        """See `DeadlineStore`."""
        await self._enter("set_shards")
        self._shards.update({name: Shard(name, state, now) for name in names})

    async def follow(self, names: Sequence[str], *, now: Seconds) -> None:
        """See `DeadlineStore`."""
        await self._enter("follow")
        for name in names:
            self._shards[name] = replace(self._shards[name], followed_at=now)

    async def live(self, worker: str, *, now: Seconds) -> None:
        """See `DeadlineStore`."""
        await self._enter("live")
        self._workers[worker] = now

    async def living(self, *, since: Seconds, until: Seconds) -> set[str]:
        """See `DeadlineStore`."""
        await self._enter("living")
        return {worker for worker, seen_at in self._workers.items() if since <= seen_at <= until}

    def _held(self, ids: Sequence[str], token: str) -> list[tuple[str, _Kept]]:
        return [(i, k) for i in ids if (k := self.kept.get(i)) is not None and k.fired_by == token]

    async def _enter(self, call: str) -> None:
        # Others run before every call, as they do while a network is waited for.
        await asyncio.sleep(0)
        self.before(call)


def _nothing(_call: str) -> None:
    """Nothing breaks."""
