"""What receipts say, matched to the records of their messages."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from services.notifier import notification
from services.notifier.gateway import Receipt
from services.notifier.means import Means
from services.notifier.notification import Notification, State, Wait, Why
from services.notifier.telling import Teller
from services.notifier.told import Mark, marks

_WRITES_MAX: Final = 5
_KEPT_IN_MIND_MAX: Final = 8_000
"""Provider's ids: the receipts of some seconds at full speed."""


class Contended(ConnectionError):  # noqa: N818 - told of the record
    """Somebody else wrote again and again: an error that passes."""


@dataclass(slots=True)
class _Sorted:
    """What a batch of receipts means."""

    keep: list[Receipt] = field(default_factory=list)
    """Their message is not marked yet, or not known, or other segments of it are not heard of."""
    changed: dict[UUID, Notification] = field(default_factory=dict)
    again: dict[UUID, Notification] = field(default_factory=dict)
    """As they were: the receipt came twice."""


class Receipts:
    """Takes receipts in.

    Most are of messages that this process has sent a moment ago: those records are kept in mind, and written without
    being read again. That somebody else changed one is seen by its version.
    """

    def __init__(self, means: Means, teller: Teller) -> None:
        self._means = means
        self._teller = teller
        self._in_mind: dict[str, Notification] = {}
        self._being_marked: set[str] = set()

    @contextmanager
    def marking(self, notes: Sequence[Notification]) -> Iterator[None]:
        """While what providers said of these is stored and told; after that their records are kept in mind."""
        ids = {id_ for note in notes if note.state is State.SENT for id_ in note.attempts[-1].provider_ids}
        self._being_marked |= ids
        try:
            yield
            for note in notes:
                if note.state is State.SENT:
                    self._in_mind |= dict.fromkeys(note.attempts[-1].provider_ids, note)
            while len(self._in_mind) > _KEPT_IN_MIND_MAX:
                del self._in_mind[next(iter(self._in_mind))]
        finally:
            self._being_marked -= ids

    def is_being_marked(self, receipt: Receipt) -> bool:
        """Whether its message was sent here and is not marked yet."""
        return receipt.provider_id in self._being_marked

    def knows(self, receipt: Receipt) -> bool:
        """Whether it can be taken in without reading."""
        return receipt.provider_id in self._in_mind

    async def match_parked(self, notes: Sequence[Notification]) -> bool:
        """Take in what came to another process before these messages were marked; whether there was any."""
        sent = [id_ for n in notes if n.state is State.SENT for id_ in n.attempts[-1].provider_ids]
        found = await self._means.store.parked(sent)
        left = {r.provider_id for r in await self.apply(found)} if found else set()
        taken = [r.provider_id for r in found if r.provider_id not in left]
        await self._means.store.unpark(taken)
        return bool(taken)

    async def apply(self, receipts: Sequence[Receipt]) -> list[Receipt]:
        """Take in what receipts say, and tell it.

        Gives those to keep: their message is not marked yet, or not known, or other segments of it are not heard of.

        Raises:
            Contended: others kept changing the same records; the receipts are to come again.
        """
        store, waiting, unmatched = self._means.store, list(receipts), []
        for _ in range(_WRITES_MAX):
            named = {r.provider_id: self._in_mind[r.provider_id] for r in waiting if r.provider_id in self._in_mind}
            earlier = await self._read([r.provider_id for r in waiting if r.provider_id not in named], into=named)
            told, now = {n.id: marks(n) for n in named.values()}, self._means.now()
            for receipt in [*earlier, *waiting]:
                note = named.get(receipt.provider_id)
                if note and note.state is not State.CLAIMED:
                    notification.receipt(note, receipt.provider_id, arrived=receipt.arrived, now=now)
            found = self._sort(waiting, named, told)
            self._forget([*found.changed.values(), *found.again.values()])
            lost = await store.save(list(found.changed.values()))
            done = [n for n in found.changed.values() if n.id not in lost]
            # One that changes nothing came twice, perhaps because we died before it was told: so it is told again.
            await self._teller.follow([*done, *found.again.values()], told={n.id: told[n.id] for n in done})
            over = {id_ for n in done for a in n.attempts for id_ in a.provider_ids}
            await store.unpark([r.provider_id for r in earlier if r.provider_id in over])
            unmatched += found.keep
            waiting = [r for r in waiting if r.provider_id in named and named[r.provider_id].id in lost]
            if not waiting:
                return unmatched
        raise Contended(f"{len(waiting)} receipts after {_WRITES_MAX} attempts")

    async def _read(self, provider_ids: Sequence[str], *, into: dict[str, Notification]) -> list[Receipt]:
        """Find records by what providers call them; gives the receipts of their other segments that came earlier."""
        if not provider_ids:
            return []
        found = await self._means.store.by_provider_ids(provider_ids)
        into |= found
        others = found.keys() - set(provider_ids)
        return await self._means.store.parked(sorted(others)) if others else []

    def _forget(self, notes: Sequence[Notification]) -> None:
        for note in notes:
            for attempt in note.attempts:
                for provider_id in attempt.provider_ids:
                    self._in_mind.pop(provider_id, None)

    def _sort(
        self, receipts: Sequence[Receipt], named: Mapping[str, Notification], told: Mapping[UUID, Sequence[Mark]]
    ) -> _Sorted:
        found, count = _Sorted(), self._means.metrics.receipts
        for receipt in receipts:
            note = named.get(receipt.provider_id)
            number = _attempt_called(note, receipt.provider_id) if note else None
            if note is None or number is None or note.state is State.CLAIMED:
                found.keep.append(receipt)
                continue
            attempt = note.attempts[number]
            if attempt.delivered_at:
                is_news = Mark("delivered", number) not in told[note.id]
            elif receipt.arrived:
                found.keep.append(receipt)
                continue
            else:
                is_news = note.wait is Wait.FALLBACK and attempt.why == Why.UNDELIVERABLE
            (found.changed if is_news else found.again)[note.id] = note
            count.labels(what="used" if is_news else "late_or_doubled").inc()
        return found


def _attempt_called(note: Notification, provider_id: str) -> int | None:
    """Number of the attempt that a provider calls so."""
    return next((n for n, attempt in enumerate(note.attempts) if provider_id in attempt.provider_ids), None)
