"""Tells the world what became of saved records, and sees that they are looked at again."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID, uuid5

from schemas.codes import Moment
from schemas.topics import NOTIFICATION_EVENT
from services.notifier.means import SERVICE, Means, shard_of
from services.notifier.notification import FINAL, Notification
from services.notifier.told import Mark, attempt_of, event, marks
from services.runtime.deadlines import Deadline
from services.runtime.producing import Outgoing


class Teller:
    """What follows when records are stored."""

    def __init__(self, means: Means) -> None:
        self._means = means

    async def follow(self, notes: Sequence[Notification], *, told: Mapping[UUID, Sequence[Mark]]) -> None:
        """Tell what is new of saved records, and see that they are looked at again.

        Args:
            notes: as they are stored.
            told: marks of each that were told before; without any, all are told (again), which is harmless.
        """
        news = [(n, mark) for n in notes for mark in marks(n) if mark not in told.get(n.id, ())]
        if news:
            self._count(news)
            await self._means.publisher.publish(
                [Outgoing(NOTIFICATION_EVENT, event(note, mark), note.trace) for note, mark in news]
            )
        await self._wake_up_for([n for n in notes if n.state not in FINAL])

    async def _wake_up_for(self, notes: Sequence[Notification]) -> None:
        """Arm one deadline for all of a shard that are to be looked at at one time, as all have that were sent at once.

        It is never taken back: when it comes, what has ended or moved on since then is left out.
        """
        together: dict[tuple[str, datetime], list[Notification]] = defaultdict(list)
        for note in notes:
            if note.wake_at:
                together[shard_of(note.notice.routing_key, self._means.partitions), note.wake_at].append(note)
        if together:
            await self._means.alarm.arm([_deadline(shard, at, some) for (shard, at), some in together.items()])

    def _count(self, news: Sequence[tuple[Notification, Mark]]) -> None:
        metrics, results = self._means.metrics, Counter[tuple[str, str, str]]()
        for note, mark in news:
            moment, attempt = note.notice.moment, attempt_of(note, mark)
            channel = attempt.channel.value if attempt else "none"
            results[moment.value, channel, mark.kind] += 1
            if moment is Moment.RECEIVED and attempt and mark.kind != "failed":
                at = attempt.sent_at if mark.kind == "sent" else attempt.delivered_at
                histogram = metrics.handed_over_seconds if mark.kind == "sent" else metrics.delivered_seconds
                if at:
                    histogram.labels(channel=channel).observe((at - note.notice.person.received_at).total_seconds())
        for (of_moment, by_channel, result), count in results.items():
            metrics.outcomes.labels(moment=of_moment, channel=by_channel, result=result).inc(count)


def _deadline(shard: str, due_at: datetime, notes: Sequence[Notification]) -> Deadline:
    ids = [str(note.id) for note in notes]
    named = uuid5(notes[0].id, f"{due_at.timestamp()}/{'/'.join(ids)}")
    return Deadline(id=f"{SERVICE}:{named}", shard=shard, due_at=due_at, payload={"notes": ids})
