import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime

from prometheus_client import CollectorRegistry

from services.desk.live import QUEUE_MAX, Live, Told
from services.desk.notice import Notice, pieces
from services.desk.queue import EVERYTHING, Scope
from services.desk.row import Kept
from services.desk.tickets_http import tellings
from services.runtime.metrics import DeskMetrics
from tests.unit.desk.stories import RECEIVED, Story

ROW = Story().row()


class Ear:
    """A subscription that a test speaks to; `gone` when Redis is."""

    def __init__(self, *, is_there: bool = True) -> None:
        self.is_there = is_there
        self.heard: asyncio.Queue[bytes | None] = asyncio.Queue()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[AsyncIterator[bytes]]:
        if not self.is_there:
            raise ConnectionError
        yield self._said()

    async def _said(self) -> AsyncIterator[bytes]:
        while (piece := await self.heard.get()) is not None:
            yield piece
        raise ConnectionError

    def goes(self) -> None:
        self.is_there = False
        self.heard.put_nowait(None)


class Shown:
    """Rows that were written."""

    def __init__(self) -> None:
        self.kept: list[tuple[datetime, Kept]] = []

    async def shown_since(self, since: datetime, *, count_max: int) -> Sequence[tuple[datetime, Kept]]:
        return [one for one in self.kept if one[0] >= since][:count_max]


def live(ear: Ear, rows: Shown) -> Live:
    return Live(ear, rows, now=lambda: RECEIVED, metrics=DeskMetrics(CollectorRegistry()), poll_s=0.01)


def notice(revision: int, *, was: str = "HUB-01") -> Notice:
    made = Notice.of(ROW, revision=revision, before=None)
    return Notice(**{**{f: getattr(made, f) for f in Notice.__dataclass_fields__}, "was": ("hubs", (was,))})


async def test_changes_by_redis_then_by_asking() -> None:
    """A listener hears of a change at once, is told when Redis goes, and hears of changes all the same; once each."""
    ear, rows = Ear(), Shown()
    told = live(ear, rows)
    await told.start()
    with told.listen(EVERYTHING) as listener:
        assert await listener.next() == (Told.MODE, {"mode": "polling"})
        assert await listener.next() == (Told.MODE, {"mode": "live"})
        for piece in pieces([notice(1)]):
            ear.heard.put_nowait(piece)
        kind, content = await listener.next()
        assert (kind, content["revision"]) == (Told.CHANGED, 1)
        ear.goes()
        assert await listener.next() == (Told.MODE, {"mode": "polling"})
        rows.kept = [(RECEIVED, Kept(ROW, 1)), (RECEIVED, Kept(ROW, 2))]
        kind, content = await listener.next()
        assert (kind, content["revision"], content["ticket_id"]) == (Told.CHANGED, 2, str(ROW.id))
        await told.stop()
        assert await listener.next() == (Told.CLOSED, {})


async def test_a_slow_browser_is_told_to_load_anew() -> None:
    """It loses what it did not take, never the memory of the desk."""
    told = live(Ear(), Shown())
    with told.listen(EVERYTHING) as listener:
        told._tell([notice(number) for number in range(1, QUEUE_MAX + 10)])
        waiting = [await listener.next() for _ in range(listener._waiting.qsize())]
    assert waiting[0] == (Told.REFRESH, {})
    assert len(waiting) < QUEUE_MAX
    assert waiting[-1][1]["revision"] == QUEUE_MAX + 9


async def test_what_may_not_be_seen_is_not_told() -> None:
    """Who saw a ticket that goes to another unit hears that it is gone, and nothing of where."""
    told = live(Ear(), Shown())
    with (
        told.listen(Scope(units=frozenset({"NET-9"}))) as outsider,
        told.listen(Scope(units=frozenset({"NET-1"}))) as former,
    ):
        told._tell([notice(1, was="NET-1")])
        await outsider.next()
        await former.next()
        assert outsider._waiting.empty()
        assert await former.next() == (Told.CHANGED, {"ticket_id": str(ROW.id), "gone": True})


async def test_what_cannot_be_read_is_passed_over() -> None:
    """A foreign message on the channel ends nothing."""
    ear, rows = Ear(), Shown()
    told = live(ear, rows)
    await told.start()
    with told.listen(EVERYTHING) as listener:
        for piece in (b"{", b"[1]", b'{"a": 1}', *pieces([notice(3)])):
            ear.heard.put_nowait(piece)
        while (told_now := await listener.next())[0] is not Told.CHANGED:
            pass
        assert told_now[1]["revision"] == 3
    await told.stop()


async def test_who_was_signed_out_hears_no_more() -> None:
    """It is asked again and again whether somebody is still there; while nobody can say, nothing ends."""
    answers: list[bool | Exception] = [True, ConnectionError(), False]

    async def is_still() -> bool:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    one = live(Ear(), Shown())
    told = tellings(one, EVERYTHING, is_still=is_still, asked_every_s=0.01)
    assert [event.event async for event in told] == [Told.MODE]
    assert answers == []


async def test_busy_streams_end_as_well() -> None:
    """However much there is to tell."""
    one, many = live(Ear(), Shown()), 0

    async def is_still() -> bool:
        return False

    async with asyncio.timeout(5):
        async for _ in tellings(one, EVERYTHING, is_still=is_still, asked_every_s=0.05):
            many += 1
            one._tell([notice(many)])
            await asyncio.sleep(0)
    assert many > 1
