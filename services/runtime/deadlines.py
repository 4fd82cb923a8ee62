"""Deadlines: every armed one is handed out once it is due, not before, and within a second while any worker lives.

The database is the truth (`deadline_store`). The owner of a shard holds the next minutes in memory (`deadline_window`),
so that a deadline is claimed within milliseconds of its time; claiming is a compare-and-set, so that two processes may
try. What nobody claimed in time (its owner died, or another process armed it) is swept up by any worker.

A shard fires only while it is open. Its owner opens it when it has handled every event up to the end that it saw when
it became the owner: a deadline that an unread event has made void must not fire. Once open, it stays open through
changes of ownership for as long as any worker follows it.
"""

import asyncio
import contextlib
import itertools
import os
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol, TypeVar
from uuid import uuid4

from aiokafka.errors import KafkaError

from services.runtime.deadline_store import (
    Deadline,
    DeadlineStore,
    Due,
    Seconds,
    ShardState,
    kept_seconds,
    worker_of,
)
from services.runtime.deadline_window import Window
from services.runtime.logging import get_logger
from services.runtime.metrics import DeadlineMetrics
from services.runtime.producing import PublishFailed
from services.runtime.retries import FAILED, is_unavailable
from services.runtime.time_source import Clock

__all__ = ["Deadline", "Deadlines", "Due", "Firing", "OnDue", "Owner", "StoodStill", "Timing"]

log = get_logger(__name__)
R = TypeVar("R")

OnDue = Callable[[Sequence[Due]], Awaitable[None]]
"""Handles a batch; when it returns, they are done. May be called again with the same ones, after a crash or error.

Raises:
    StoodStill: some are undecided, and are to be handed out again.
"""


class StoodStill(Exception):  # noqa: N818 - what happened, and no fault
    """Nobody followed the shards for a while since the claim: what came meanwhile has to be read first."""


_ANY_REVISION = 2**63 - 1


class Owner(Protocol):
    """What deadlines ask of the ownership of partitions."""

    @property
    def generation(self) -> int:
        """Grows with every change."""

    @property
    def partitions(self) -> frozenset[int]:
        """Owned now."""

    def caught_up(self, partition: int) -> bool:
        """Whether everything up to the end seen at assignment, or when it was looked again, is handled."""

    async def look_again(self) -> None:
        """Let it be about what there is to be handled now."""

    async def hear(self) -> None:
        """Return when Kafka has answered."""


@dataclass(frozen=True, slots=True)
class Timing:
    """How far ahead, how often, how many. The sum of `swept_after_s`, `tick_s` and a batch stays under a second."""

    window_s: float = 120.0
    """How far ahead a shard is held in memory; read anew when half of it has passed."""
    window_size_max: int = 200_000
    """Entries in memory; with more, the window is shorter."""
    tick_s: float = 0.2
    """How often shards are followed and swept."""
    swept_after_s: float = 0.4
    """Overdue by so much, anybody may take it."""
    sweep_max: int = 2_000
    lease_s: float = 0.5
    """A worker that has not said for so long that it lives is taken for dead, and what it has in hand is taken over."""
    followed_s: float = 3.0
    """An open shard that nobody followed for so long is closed until its owner has caught up."""
    batch_max: int = 500
    batches_max: int = 4
    """Handed out at the same time."""
    gather_s: float = 0.04
    """Waited between batches that are not full, so that single deadlines make batches."""
    retry_s_max: float = 1.0
    postponed_s_max: float = 300.0
    """Longest wait before a deadline whose handling fails is tried again."""


class Deadlines:
    """The deadlines of one service, in one process."""

    def __init__(
        self,
        service: str,
        store: DeadlineStore,
        metrics: DeadlineMetrics,
        *,
        clock: Clock,
        timing: Timing,
    ) -> None:
        self._service = service
        self._store = store
        self._metrics = metrics
        self._clock = clock
        self._timing = timing
        self._worker = f"{socket.gethostname()}:{os.getpid()}:{uuid4().hex[:8]}"
        self._window = Window(size_max=self._timing.window_size_max)
        self._wake = asyncio.Event()
        self._slots = asyncio.Semaphore(self._timing.batches_max)
        self._batches = itertools.count()
        self._tokens: set[str] = set()
        self._swept: set[str] = set()
        self._sweep_at: Seconds = 0.0
        self._handling: set[asyncio.Task[None]] = set()
        self._loops: list[asyncio.Task[None]] = []
        self._generation = 0
        self._started_at: Seconds = 0.0
        self._followed_at: Seconds = 0.0
        self._following_since: Seconds = 0.0
        self._is_cut_off = False
        """Whether Kafka does not take what this worker tells. Perhaps another's it does."""
        self._alive: set[str] = set()
        self._living: set[str] = set()
        self._on_due: OnDue
        self._owner: Owner

    async def arm(self, deadlines: Sequence[Deadline]) -> None:
        """Arm, or move those that are armed already. Returns when the store has them.

        Raises:
            Exception: of `UNAVAILABLE`, when the store could not be asked; arming all of them again is harmless.
        """
        await self._store.put(deadlines)
        for deadline in deadlines:
            if self._window.offer(deadline.shard, (kept_seconds(deadline.due_at), deadline.id)):
                self._wake.set()

    async def cancel(self, ids: Sequence[str] | Mapping[str, int]) -> None:
        """Take back. With revisions, only those that were not armed by a higher one.

        Raises:
            Exception: as `arm`.
        """
        await self._store.remove(ids if isinstance(ids, Mapping) else dict.fromkeys(ids, _ANY_REVISION))

    def start(self, on_due: OnDue, owner: Owner) -> None:
        """Begin to fire, as soon as `owner` owns something."""
        self._on_due, self._owner = on_due, owner
        self._started_at = self._clock.time()
        self._loops = [
            asyncio.create_task(self._live(), name=f"{self._service}.deadlines.live"),
            asyncio.create_task(self._keep_following(), name=f"{self._service}.deadlines.following"),
            asyncio.create_task(self._ticks(), name=f"{self._service}.deadlines.ticks"),
            asyncio.create_task(self._fire(), name=f"{self._service}.deadlines.fire"),
        ]

    async def wait(self) -> None:
        """Wait for the end, which only a fault of ours can bring.

        Raises:
            Exception: that fault; the process must end, for its deadlines no longer fire.
        """
        await asyncio.gather(*self._loops)

    async def stop(self) -> None:
        """Hand out no more, and wait for those that are being handled."""
        living, others = self._loops[:2], self._loops[2:]
        for loop in others:
            loop.cancel()
        await asyncio.gather(*others, *self._handling, return_exceptions=True)
        for loop in living:
            loop.cancel()
        await asyncio.gather(*living, return_exceptions=True)

    async def abandon(self) -> None:
        """Stop at once, in the middle of anything; others take over what is unfinished."""
        for task in (*self._loops, *self._handling):
            task.cancel()
        await asyncio.gather(*self._loops, *self._handling, return_exceptions=True)

    async def _live(self) -> None:
        """Say that this worker lives, for ever: beside the ticks, which take long at times.

        One that is cut off from Kafka does not say so: what it has in hand is taken over by whoever can tell it.
        """
        while True:
            with contextlib.suppress(*FAILED):  # The ticks meet the same, and say so.
                await self._clock.sync()
                now = self._clock.time()
                if not self._is_cut_off:
                    await self._store.live(self._worker, now=now)
            await self._clock.wait(None, self._timing.lease_s / 3)

    async def _keep_following(self) -> None:
        """Follow the shards for ever, and as far only as Kafka is heard: where it is away, nobody reads.

        Without that, who stood still or was cut off tells a breach before it reads what makes the breach void.
        """
        while True:
            with contextlib.suppress(*FAILED, KafkaError, TimeoutError):
                now = self._clock.time()
                if self.is_following(now):
                    await self._owner.hear()
                    if self.is_following(self._clock.time()):
                        await self._follow(now)
            await self._clock.wait(None, self._timing.followed_s / 6)

    async def _follow(self, now: Seconds) -> None:
        await self._store.follow(sorted(self._alive), now=now)
        self._followed_at = now

    async def _ticks(self) -> None:
        """Keep track of shards, read ahead and sweep, for ever."""
        while True:
            try:
                await self._tick(self._clock.time())
            except (*FAILED, KafkaError, TimeoutError) as error:
                log.warning("deadlines.store_away", error=type(error).__name__)
            await self._clock.wait(None, self._timing.tick_s)

    async def _tick(self, now: Seconds) -> None:
        # Whoever says it from a time to come has died before the clock was set back.
        ahead = now + self._timing.followed_s
        self._living = await self._store.living(since=now - self._timing.lease_s, until=ahead)
        generation, partitions = self._owner.generation, self._owner.partitions
        if generation == 0:
            return  # Until it has been given a share once, nobody knows whether others are at work.
        alive_since = max(self._started_at, now - self._timing.followed_s)
        shards = await self._store.shards(self._service)
        alive = {s.name for s in shards if s.state is ShardState.OPEN and alive_since <= s.followed_at <= ahead}
        own = {f"{self._service}:{p}": p for p in partitions}
        if generation != self._generation:
            await self._store.set_shards(sorted(own.keys() - alive), state=ShardState.CLOSED, now=now)
            self._generation = generation
        if not self.is_following(now):
            # Others have gone on writing while a part was away, or while this worker stood still, perhaps right behind
            # its assignment: it has not read that, also where another has kept its shards open meanwhile.
            await self._owner.look_again()
        opening = sorted(name for name, p in own.items() if name not in alive and self._owner.caught_up(p))
        await self._store.set_shards(opening, state=ShardState.OPEN, now=now)
        alive.update(opening)
        self._alive = alive
        if own:  # While the group rebalances, what is in memory is as good as ever.
            await self._read(sorted(own.keys() & alive), now)
        if not self.is_following(now):
            # Not before the window is read: what it held of a shard that is closed now must not be claimed.
            await self._follow(now)
            self._following_since = now
        await self._sweep(alive, now)
        self._metrics.window.set(len(self._window))
        self._metrics.shards_open.set(len(own.keys() & alive))

    def is_following(self, now: Seconds) -> bool:
        """Whether this worker has followed its shards of late, and those that were open still are.

        One that stood still or did not hear from Kafka has not, and looks again how much there is to read before it
        believes that it has read all.
        """
        return now - self._followed_at <= self._timing.followed_s

    def has_followed_since(self, at: datetime) -> bool:
        """Whether this worker has followed its shards all the time from then on."""
        return self.is_following(self._clock.time()) and self._following_since <= at.timestamp()

    async def _read(self, shards: list[str], now: Seconds) -> None:
        """Read the window when it has to be."""
        window, timing = self._window, self._timing
        level = window.level
        if not shards and not window.shards:
            return
        if (
            window.shards == frozenset(shards)
            and level is not None
            and level > now + timing.window_s / 2
            and not window.cut
        ):
            return
        if window.cut and window.shards == frozenset(shards) and len(window) > timing.window_size_max // 4:
            return
        until, limit = now + timing.window_s, max(timing.window_size_max // max(len(shards), 1), 1)
        window.begin_reading()
        read = {shard: await self._store.ahead(shard, until=until, limit=limit) for shard in shards}
        window.replace(read, until=until, limit=limit)
        self._swept.clear()
        self._wake.set()

    async def _sweep(self, alive: set[str], now: Seconds) -> None:
        """Take in what is overdue in any open shard."""
        begun_at = self._clock.time()
        if begun_at < self._sweep_at or self._is_cut_off:
            return
        late = now - self._timing.swept_after_s
        next_due = self._window.next_due
        # Behind with our own, the sweep would only find what we have.
        is_behind = self._slots.locked() or (next_due is not None and next_due < late)
        shards = alive - self._window.shards if is_behind else alive
        found = await self._store.overdue(
            sorted(shards),
            due_before=late,
            is_held=self._is_held,
            limit=self._timing.sweep_max,
        )
        if len(found) >= self._timing.sweep_max // 2:
            # Where very much is overdue, the owner is at work on it, and looking for it costs the database dearly.
            self._sweep_at = self._clock.time() + min(10 * (self._clock.time() - begun_at), 5.0)
        new = [entry for entry in found if entry[1] not in self._swept]
        for entry in new:
            self._window.push(entry)
        self._swept.update(id_ for _, id_ in new)
        if new:
            self._metrics.swept.inc(len(new))
            self._wake.set()

    async def _fire(self) -> None:
        """Hand out what is due, for ever."""
        timing = self._timing
        while True:
            await self._slots.acquire()
            now = self._clock.time()
            self._wake.clear()
            ids = [id_ for _, id_ in self._window.pop_due(now, limit=timing.batch_max)]
            if ids:
                self._swept.difference_update(ids)
                task = asyncio.create_task(self._claim_and_handle(ids))
                self._handling.add(task)
                task.add_done_callback(self._finished)
                if len(ids) < timing.batch_max:
                    await self._clock.wait(None, timing.gather_s)
            else:
                self._slots.release()
                next_due = self._window.next_due
                # Waiting is by another clock than the wall's, so look again now and then.
                await self._clock.wait(self._wake, min(next_due - now, 1.0) if next_due is not None else 1.0)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._handling.discard(task)
        self._slots.release()
        if not task.cancelled() and (error := task.exception()):
            log.error("deadlines.batch_lost", exc_info=error)

    async def _claim_and_handle(self, ids: list[str]) -> None:
        token = f"{self._worker}:{next(self._batches)}"

        async def claim() -> list[Due]:
            now = self._clock.time()
            # After a long outage an unread event may have made them void; they are read anew when their shard is open.
            if self._is_cut_off or not self.is_following(now):
                return []
            return await self._store.claim(ids, now=now, is_held=self._is_held, token=token)

        self._tokens.add(token)
        try:
            due = await self._persist(claim)
            if due:
                # Who stood still behind claiming has read nothing since, either. Nobody holds them then: they are
                # swept up, and claimed anew when what came meanwhile is read.
                with contextlib.suppress(StoodStill):
                    await self._hand_out(due, token)
        finally:
            self._tokens.discard(token)

    def _is_held(self, token: str) -> bool:
        """Whether somebody handles what it has claimed: a living worker; of this one it is known for each claim.

        One that was given up unanswered, in an outage, may be carried out after it.
        """
        worker = worker_of(token)
        return token in self._tokens if worker == self._worker else worker in self._living

    async def _hand_out(self, due: list[Due], token: str) -> None:
        """Have them handled; those that make the handler fail are put off, the others are not held up by them."""
        tries = itertools.count()

        async def handle() -> None:
            tried = next(tries)
            try:
                if not self.has_followed_since(due[0].claimed_at):
                    raise StoodStill  # noqa: TRY301 - as the handler may
                await self._on_due([replace(d, attempts=d.attempts + tried) for d in due] if tried else due)
            except Exception as error:
                self._is_cut_off = isinstance(error, PublishFailed)
                raise
            self._is_cut_off = False

        try:
            await self._persist(handle)
        except StoodStill:
            raise
        except Exception:  # A handler may fail in any way, and time goes on for the others.
            if len(due) > 1:
                tried = next(tries)
                again = [replace(d, attempts=d.attempts + tried) for d in due]
                for half in (again[: len(due) // 2], again[len(due) // 2 :]):
                    await self._hand_out(half, token)
                return
            wait_s = min(2.0 ** min(due[0].attempts, 30), self._timing.postponed_s_max)
            log.exception("deadline.failed", id=due[0].id, attempts=due[0].attempts, again_s=wait_s)
            self._metrics.failed.inc()
            until = self._clock.time() + wait_s
            await self._persist(lambda: self._store.postpone(due[0], until=until, token=token))
            return
        now = self._clock.time()
        for d in due:
            self._metrics.lateness.observe(max(now - d.due_at.timestamp(), 0.0))
        await self._persist(lambda: self._store.done([d.id for d in due], token=token))

    async def _persist(self, act: Callable[[], Awaitable[R]]) -> R:
        """Do it until every part that it needs is there."""
        wait_s = 0.05
        while True:
            try:
                return await act()
            except Exception as error:
                if not is_unavailable(error):
                    raise
                log.warning("deadlines.waiting", error=type(error).__name__, again_s=wait_s)
                self._metrics.retries.inc()
            await self._clock.wait(None, wait_s)
            wait_s = min(wait_s * 2, self._timing.retry_s_max)


class Firing:
    """Deadlines as a part of a process: see `worker.run`. Comes after the consumption that owns the partitions."""

    def __init__(self, deadlines: Deadlines, on_due: OnDue, owner: Owner) -> None:
        self._deadlines = deadlines
        self._on_due = on_due
        self._owner = owner

    async def start(self) -> None:
        """Begin to fire."""
        self._deadlines.start(self._on_due, self._owner)

    async def stop(self) -> None:
        """Hand out no more, and wait for what is being handled."""
        await self._deadlines.stop()

    async def wait_failed(self) -> BaseException:
        """Return when deadlines can fire no longer, with the reason."""
        try:
            await self._deadlines.wait()
        except Exception as error:
            log.exception("deadlines.crashed")
            return error
        return RuntimeError("deadlines ended")
