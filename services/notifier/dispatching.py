"""From a claimed record to a provider, and what follows: kept in the store, told to the world, looked at again.

    insert (claimed) -> send -> save -> publish -> deadlines
    due, or met again -> claim -> ask the provider where that is needed -> send -> save -> publish -> deadlines

Whatever is cut off leaves a claimed record with a lease; whoever meets it after that asks the provider first.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Final, TypeVar
from uuid import UUID

from services.notifier import notification
from services.notifier.knowledge import Known, read_up
from services.notifier.means import Means
from services.notifier.notice import Notice
from services.notifier.notification import FINAL, Notification, State, Wait
from services.notifier.receipts import Receipts
from services.notifier.sending import Sender
from services.notifier.telling import Teller
from services.notifier.told import Mark, marks
from services.runtime.logging import get_logger

log = get_logger(__name__)

CHUNK: Final = 100
"""Messages that are claimed, sent, marked and told together."""

T_ = TypeVar("T_")


class Dispatcher:
    """Sends what it is given, once."""

    def __init__(self, means: Means) -> None:
        self._means = means
        self._sender = Sender(means)
        self._teller = Teller(means)
        self.receipts = Receipts(means, self._teller)
        self._sending = 0
        self._in_hand: set[UUID] = set()
        self._unsaved: dict[UUID, Notification] = {}

    @property
    def is_sending(self) -> bool:
        """Whether a provider may have something of us that we do not know of yet."""
        return self._sending > 0

    async def take_in(self, notices: Sequence[tuple[Notice, str | None]]) -> None:
        """Write to people, each notice with its trace. One that was met before is not sent again, but seen to its end.

        Messages of one ticket go in order.
        """
        waves: list[list[tuple[Notice, str | None]]] = []
        position: Counter[UUID] = Counter()
        for notice, trace in {n.id: (n, t) for n, t in notices}.values():
            number = position[notice.ticket_id]
            position[notice.ticket_id] += 1
            if number == len(waves):
                waves.append([])
            waves[number].append((notice, trace))
        for wave in waves:
            await _in_chunks(self._take_in, wave)

    async def take_up(self, ids: Sequence[UUID], *, due_by: datetime, again: bool = False) -> None:
        """See to messages whose time has come.

        Args:
            ids: any; those that have ended or moved on are left out.
            due_by: what their deadlines were handed out at. Not asked of the clock again: one that was set back
                meanwhile would leave out what nobody then wakes up for any more.
            again: whether this was begun before: then all of them are told again.
        """
        known = await self._means.store.load(ids, due_by=None if again else due_by)
        # A deadline is armed when all was told, so the first time it comes that need not be done again.
        await _in_chunks(lambda some: self._see_to(some, were_told=not again), list(known.values()))

    async def _take_in(self, notices: list[tuple[Notice, str | None]]) -> None:
        means, now = self._means, self._means.now()
        notes = [notification.fresh(n, trace=t, owner=means.owner, now=now, policy=means.policy) for n, t in notices]
        knowledge = await read_up(means, notes)
        existing = await means.store.insert(notes)
        fresh = [n for n in notes if n.id not in existing]
        if fresh:
            await self._send(fresh, knowledge, told={})
        if existing:
            given = {n.id: n for n, _ in notices}
            stored = list((await means.store.load(existing)).values())
            anew = [note for note in stored if note.holds_after_all(given[note.id])]
            if anew:
                await self._take_in_anew(anew, given)
            await self._see_to([note for note in stored if note not in anew], were_told=False)

    async def _take_in_anew(self, notes: list[Notification], given: Mapping[UUID, Notice]) -> None:
        """Send what was suppressed because its occasion had been taken back, and is told anew."""
        means, now = self._means, self._means.now()
        for note in notes:
            notification.begin_anew(note, given[note.id], owner=means.owner, now=now, policy=means.policy)
        knowledge = await read_up(means, notes)
        lost = await means.store.save(notes)
        await self._send([note for note in notes if note.id not in lost], knowledge, told={})

    async def _see_to(self, notes: list[Notification], *, were_told: bool) -> None:
        """Go on with records as they are stored; `were_told` says whether everything in them is known to be told."""
        now = self._means.now()
        leave: list[Notification] = []
        take: list[Notification] = []
        unwritten: list[Notification] = []
        for stored in notes:
            if stored.id in self._in_hand:
                leave.append(stored)  # It is being written just now.
                continue
            known = self._unsaved.pop(stored.id, None)
            if known is not None and known.version == stored.version:
                unwritten.append(known)  # What we did and could not write then is written now.
            elif stored.state in FINAL or stored.wake_at is None:
                leave.append(stored)
            elif self._was_cut_off(stored) or stored.wake_at <= now:
                take.append(stored)
            else:
                leave.append(stored)
        if unwritten:
            with self._holding(unwritten):
                await self._save(unwritten)
            await self.receipts.match_parked(unwritten)
        # Who marked a message may have died, or was not answered, before it took in the receipts that had come already.
        silent = {n.id: n for n in (*leave, *take) if n.state is State.SENT and n.id not in self._in_hand}
        if silent and await self.receipts.match_parked(list(silent.values())):
            leave, take = ([n for n in some if n.id not in silent] for some in (leave, take))
            for note in (await self._means.store.load(silent)).values():
                (take if note.wake_at is not None and note.wake_at <= now else leave).append(note)
        await self._teller.follow([*leave, *unwritten], told={})
        if take:
            await self._claim_and_send(take, were_told=were_told)

    def _was_cut_off(self, note: Notification) -> bool:
        """Whether an error came between our claim and the sending. What was sent is in hand, or known as unwritten."""
        return note.state is State.CLAIMED and note.owner == self._means.owner

    async def _claim_and_send(self, notes: list[Notification], *, were_told: bool) -> None:
        means, now = self._means, self._means.now()
        # Of one that was cut off nothing may have been told.
        told = {n.id: marks(n) for n in notes if were_told and n.state is not State.CLAIMED}
        ask: set[UUID] = set()
        waited: set[UUID] = set()
        for note in notes:
            if note.wait is Wait.LOOKUP or (note.state is State.CLAIMED and not self._was_cut_off(note)):
                ask.add(note.id)
            if note.wait in {Wait.MORNING, Wait.RETRY}:
                waited.add(note.id)
            if note.state is State.SENT:
                notification.no_receipt(note, now=now)
            notification.claim(note, owner=means.owner, now=now, policy=means.policy)
        knowledge = await read_up(means, notes, again=True, ask=ask, waited=waited)
        lost = await means.store.save(notes)
        if lost and not were_told:
            # Whoever was quicker takes for told what was there, and its writer may have died before it told that.
            await self._teller.follow(list((await means.store.load(lost)).values()), told={})
        await self._send([n for n in notes if n.id not in lost], knowledge, told=told)

    async def _send(
        self, notes: list[Notification], knowledge: Mapping[UUID, Known], *, told: Mapping[UUID, Sequence[Mark]]
    ) -> None:
        """Send claimed records, mark them, and follow.

        Raises:
            Exception: of the first that failed by a fault of ours; it stays claimed, its neighbours are seen to.
        """
        with self._holding(notes):
            self._sending += 1
            try:
                faults = await self._sender.send(notes, knowledge)
            finally:
                self._sending -= 1
            acted = [n for n in notes if n.id not in faults]
            with self.receipts.marking(acted):
                await self._save(acted)
                await self._teller.follow(acted, told=told)
        await self.receipts.match_parked(acted)
        for fault in faults.values():
            raise fault

    @contextmanager
    def _holding(self, notes: Sequence[Notification]) -> Iterator[None]:
        """While nobody else here may send or write these."""
        ids = [n.id for n in notes]
        self._in_hand.update(ids)
        self._means.metrics.pending.inc(len(ids))
        try:
            yield
        finally:
            self._in_hand.difference_update(ids)
            self._means.metrics.pending.dec(len(ids))

    async def _save(self, notes: list[Notification]) -> None:
        """Write what became of them. Records that somebody took over are replaced by what is stored, in place."""
        self._unsaved.update((n.id, n) for n in notes)
        lost = await self._means.store.save(notes)
        for note in notes:
            del self._unsaved[note.id]
        if lost:
            log.warning("notifications.taken_over", count=len(lost))
            stored = await self._means.store.load(lost)
            notes[:] = [stored.get(n.id, n) for n in notes]


async def _in_chunks(work: Callable[[list[T_]], Awaitable[None]], items: list[T_]) -> None:
    parts = [items[i : i + CHUNK] for i in range(0, len(items), CHUNK)]
    if len(parts) <= 1:
        for part in parts:
            await work(part)
        return
    # All of them end before an error is raised: what is in hand must not be met again meanwhile.
    results = await asyncio.gather(*(work(part) for part in parts), return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
