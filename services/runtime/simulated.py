"""Time and deadlines without a clock or a database, for simulations: a test is the time, and can break the store.

`MemoryDeadlineStore` passes the contract tests that the real store passes.
"""

import asyncio
import heapq
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from services.runtime.deadline_store import Deadline, Due, Seconds, Shard, ShardState, kept_seconds


class VirtualClock:
    """A `Clock` that stands still until it is advanced."""

    def __init__(self, at: Seconds) -> None:
        self._at = at
        self._waiting: list[tuple[Seconds, int, asyncio.Future[None]]] = []
        self._numbers = itertools.count()

    def time(self) -> float:
        """See `Clock`."""
        return self._at

    async def wait(self, wake: asyncio.Event, seconds: float) -> None:
        """See `Clock`."""
        passed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (self._at + max(seconds, 0.0), next(self._numbers), passed))
        woken = asyncio.ensure_future(wake.wait())
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
        while loop._ready:  # type: ignore[attr-defined]  # noqa: SLF001, ASYNC110
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
    fired_at: Seconds | None = None
    fired_by: str = ""
    attempts: int = 0

    def free(self, now: Seconds, fired_before: Seconds) -> bool:
        return self.due <= now if self.fired_at is None else self.fired_at <= fired_before


class MemoryDeadlineStore:
    """A `DeadlineStore` in a dictionary. `before` and `after` run around every call and may raise, as a network may."""

    def __init__(self) -> None:
        self.kept: dict[str, _Kept] = {}
        self.before: Callable[[str], None] = _nothing
        self.after: Callable[[str], None] = _nothing
        self._shards: dict[str, Shard] = {}

    async def put(self, deadlines: Sequence[Deadline]) -> None:
        """See `DeadlineStore`."""
        await self._enter("put")
        for d in deadlines:
            old = self.kept.get(d.id)
            if old is None or old.deadline.revision <= d.revision:
                self.kept[d.id] = _Kept(d, kept_seconds(d.due_at))
        self.after("put")

    async def remove(self, revisions: Mapping[str, int]) -> None:
        """See `DeadlineStore`."""
        await self._enter("remove")
        for id_, revision in revisions.items():
            if id_ in self.kept and self.kept[id_].deadline.revision <= revision:
                del self.kept[id_]
        self.after("remove")

    async def armed(self, shard: str, *, until: Seconds, limit: int) -> list[tuple[Seconds, str]]:
        """See `DeadlineStore`."""
        await self._enter("armed")
        found = (
            (k.due, id_)
            for id_, k in self.kept.items()
            if k.deadline.shard == shard and k.fired_at is None and k.due <= until
        )
        return sorted(found)[:limit]

    async def overdue(
        self, shards: Sequence[str], *, due_before: Seconds, fired_before: Seconds, limit: int
    ) -> list[tuple[Seconds, str]]:
        """See `DeadlineStore`."""
        await self._enter("overdue")
        wanted = set(shards)
        late = ((i, k) for i, k in self.kept.items() if k.deadline.shard in wanted and k.due <= due_before)
        return [(k.due, id_) for id_, k in late if k.free(due_before, fired_before)][:limit]

    async def claim(self, ids: Sequence[str], *, now: Seconds, fired_before: Seconds, token: str) -> list[Due]:
        """See `DeadlineStore`."""
        await self._enter("claim")
        for id_ in ids:
            kept = self.kept.get(id_)
            if kept is not None and kept.free(now, fired_before):
                kept.fired_at, kept.fired_by = now, token
                kept.attempts += 1
        self.after("claim")
        return [
            Due(id_, k.deadline.shard, k.deadline.due_at, k.deadline.payload, k.deadline.revision, k.attempts - 1)
            for id_, k in self._held(ids, token)
        ]

    async def extend(self, ids: Sequence[str], *, now: Seconds, token: str) -> None:
        """See `DeadlineStore`."""
        await self._enter("extend")
        for _, kept in self._held(ids, token):
            kept.fired_at = now

    async def postpone(self, due: Due, *, until: Seconds, token: str) -> None:
        """See `DeadlineStore`."""
        await self._enter("postpone")
        for _, kept in self._held([due.id], token):
            kept.due, kept.fired_at, kept.fired_by = until, None, ""

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

    def _held(self, ids: Sequence[str], token: str) -> list[tuple[str, _Kept]]:
        return [(i, k) for i in ids if (k := self.kept.get(i)) is not None and k.fired_by == token]

    async def _enter(self, call: str) -> None:
        # Others run before every call, as they do while a network is waited for.
        await asyncio.sleep(0)
        self.before(call)


def _nothing(_call: str) -> None:
    """Nothing breaks."""
