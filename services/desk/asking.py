"""Questions to the rows, within what a person may see and a time that a person waits."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from services.desk.accounts import Wrong
from services.desk.cases import CasesAsked, archive
from services.desk.cursor import Sign, WrongCursor, cursor, position
from services.desk.person import Person
from services.desk.queue import Filters, PageAsked, Reading, Scope, reading
from services.desk.refusal import Refusal
from services.desk.row import Kept, Row
from services.desk.row_store import Page
from services.runtime.metrics import DeskMetrics

EXPORT_PIECE = 500


class Rows(Protocol):
    """Where rows are kept."""

    async def page(self, reading: Reading, *, size: int, after: str | None = None) -> Page:
        """The next rows."""

    async def count(self, reading: Reading) -> int:
        """How many there are, up to a bound."""

    async def by_number(self, number: str) -> Kept | None:
        """By ticket number."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A page, and the cursor of the next one."""

    rows: list[Row]
    next: str | None
    count: int | None


@dataclass(frozen=True, kw_only=True)
class Asking:
    """Asks the rows."""

    rows: Rows
    sign: Sign
    now: Callable[[], datetime]
    metrics: DeskMetrics
    seconds_max: float

    @contextlib.asynccontextmanager
    async def measured(self, kind: str) -> AsyncIterator[None]:
        """Within the time, and counted.

        Raises:
            TimeoutError: the database did not answer in time.
        """
        with self._counted(kind):
            async with asyncio.timeout(self.seconds_max):
                yield

    async def page(self, asked: PageAsked, *, person: Person, scope: Scope) -> Answer:
        """A page of the queue.

        Raises:
            Refusal: the cursor is wrong.
        """
        after = self._after(asked)
        found = reading(asked, scope=scope, me=person.id, now=self.now())
        async with self.measured("search" if asked.q or asked.waybill or asked.customer else "page"):
            page = await self.rows.page(found, size=asked.size, after=after)
        # What is on one page is counted without asking.
        count = len(page.rows) if after is None and page.end is None else None
        if count is None and asked.count:
            count = await self.count(asked, person=person, scope=scope)
        following = cursor(page.end, fingerprint=asked.fingerprint(), sign=self.sign) if page.end else None
        return Answer(page.rows, following, count)

    async def count(self, asked: Filters, *, person: Person, scope: Scope) -> int:
        """How many tickets match, up to a bound."""
        found = reading(asked, scope=scope, me=person.id, now=self.now())
        async with self.measured("count"):
            return await self.rows.count(found)

    async def pieces(self, asked: Filters, *, person: Person, scope: Scope, rows_max: int) -> AsyncIterator[list[Row]]:
        """All that matches, some at a time."""
        found, after, left = reading(asked, scope=scope, me=person.id, now=self.now()), None, rows_max
        while left > 0:
            async with self.measured("export"):
                page = await self.rows.page(found, size=min(EXPORT_PIECE, left), after=after)
            yield page.rows
            left -= len(page.rows)
            after = page.end
            if after is None:
                return

    async def cases(self, readings: Sequence[Reading], *, size: int) -> list[Row]:
        """Rows of several readings, some of each."""
        async with self.measured("cases"):
            pages = await asyncio.gather(*(self.rows.page(reading, size=size) for reading in readings))
        return [row for page in pages for row in page.rows]

    async def archive(self, asked: CasesAsked, *, scope: Scope, size: int) -> Answer:
        """A page of the archive.

        Raises:
            Refusal: the cursor is wrong.
        """
        after = self._after(asked)
        async with self.measured("cases"):
            page = await self.rows.page(archive(asked, scope=scope, now=self.now()), size=size, after=after)
        following = cursor(page.end, fingerprint=asked.fingerprint(), sign=self.sign) if page.end else None
        return Answer(page.rows, following, None)

    def _after(self, asked: PageAsked | CasesAsked) -> str | None:
        if asked.cursor is None:
            return None
        try:
            return position(asked.cursor, fingerprint=asked.fingerprint(), sign=self.sign)
        except WrongCursor:
            wrong = Wrong("cursor", "wrong_cursor", asked.cursor)
            raise Refusal("wrong-fields", problems=[wrong]) from None

    @contextlib.contextmanager
    def _counted(self, kind: str) -> Iterator[None]:
        started_at = time.perf_counter()
        try:
            yield
        finally:
            self.metrics.query_seconds.labels(kind=kind).observe(time.perf_counter() - started_at)
