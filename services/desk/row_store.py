"""The rows of the desk: collection `desk_tickets`, one document per ticket, kept by the projector alone.

A document is the row, and beside it what the queries of `queue.py` name: the texts of its lines, search keys, marks.
What is not opened yet has none of these, so that no query finds it.

`revision` counts the writes; who writes names the one that was read. `shown_at` is when it was written, by which those
look who cannot hear of changes otherwise.

Pages are read along a line in stretches of time. Some databases gather all that an index stretch holds before they
stop at a limit, so a stretch is no wider than what was needed lately.
"""

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from pydantic import TypeAdapter
from pymongo import ReplaceOne
from pymongo.errors import BulkWriteError

from services.desk.lines import FAR_MS, Segment, lines, partial_lines
from services.desk.queue import Reading
from services.desk.row import RARE_CLOCKS, Kept, Row
from services.desk.searching import keys, search
from services.runtime.mongo import Database, duplicate_indexes

COUNT_MAX: Final = 1_000
"""More than these are not counted."""
_ROWS: Final = TypeAdapter(Row)
_FIELDS: Final = frozenset(Row.__dataclass_fields__)
_INDEXES: Final = (
    "by_due", "by_severity", "by_received", "by_updated", "by_department", "by_department_received",
    "keys", "contacts", "person_standing", "units_standing", "marks", "shown_at",
)  # fmt: skip
_PARTIAL: Final = (
    "by_received_open", "by_updated_open", "by_department_received_open",
    "by_unit_received", "by_case", "by_unit_case", "by_archived",
)  # fmt: skip
"""Lines in which not every row stands: the others are not in their indexes either."""
_WIDTH_FIRST_MS: Final = 3_600_000
_WIDTH_MAX_MS: Final = 400 * 24 * 3_600_000
_WIDER: Final = 4
_WIDTHS_MAX: Final = 1_000


@dataclass(frozen=True, slots=True)
class Page:
    """Rows in the order asked for, and where they end; None: there are no more."""

    rows: list[Row]
    end: str | None


class RowStore:
    """Reads and writes rows."""

    def __init__(self, database: Database) -> None:
        self._rows = database["desk_tickets"]
        self._widths: dict[str, int] = {}
        self._firsts: dict[str, int] = {}
        """Number of the first row that was found, by what was read."""

    async def create_indexes(self) -> None:
        """Make the indexes. May be called by every process at every start."""
        for field in _INDEXES:
            await self._rows.create_index(field)
        for field in _PARTIAL:
            await self._rows.create_index(field, sparse=True)

    # Writing

    async def load(self, tickets: Iterable[UUID]) -> dict[UUID, Kept]:
        """Those that are there, also of tickets that are not opened yet."""
        wanted = [str(ticket) for ticket in tickets]
        if not wanted:
            return {}
        found = [_kept(d) async for d in self._rows.find({"_id": {"$in": wanted}})]
        return {kept.row.id: kept for kept in found}

    async def save(self, rows: Sequence[tuple[Row, int]], *, at: datetime) -> bool:
        """Write rows, each with the revision that it was computed from, 0 if there was none.

        Returns:
            Whether all were written. If not, somebody else wrote one meanwhile: load, fold and save again.
        """
        new = [document(row, revision=1, at=at) for row, revision in rows if not revision]
        known = [(row, revision) for row, revision in rows if revision]
        written = 0
        if new:
            try:
                await self._rows.insert_many(new, ordered=False)
                written += len(new)
            except BulkWriteError as refusal:
                written += len(new) - len(duplicate_indexes(refusal))
        if known:
            result = await self._rows.bulk_write(
                [
                    ReplaceOne({"_id": str(row.id), "revision": revision}, document(row, revision=revision + 1, at=at))
                    for row, revision in known
                ],
                ordered=False,
            )
            written += result.matched_count
        return written == len(rows)

    # Reading

    async def get(self, ticket: UUID) -> Kept | None:
        """The row of an opened ticket."""
        kept = (await self.load([ticket])).get(ticket)
        return kept if kept and kept.row.version else None

    async def by_number(self, number: str) -> Kept | None:
        """The row with that ticket number, however it is written."""
        for key in search(number).exact:
            async for found in self._rows.find({"keys": key}).limit(10):
                kept = _kept(found)
                if key in search(kept.row.number).exact:
                    return kept
        return None

    async def page(self, reading: Reading, *, size: int, after: str | None = None) -> Page:
        """The next rows.

        Args:
            reading: what is read.
            size: most rows.
            after: `end` of the page before.
        """
        if reading.is_void:
            return Page([], None)
        found = [one async for one in self._found(reading, after=after, size=size + 1)]
        end = found[size - 1][reading.order] if len(found) > size else None
        return Page([_kept(one).row for one in found[:size]], end)

    async def count(self, reading: Reading) -> int:
        """How many rows there are, up to `COUNT_MAX` + 1, which means more."""
        if reading.is_void:
            return 0
        if not reading.segments:
            cursor = self._rows.find(reading.where, {"_id": 1}).limit(COUNT_MAX + 1)
            return len(await cursor.to_list(None))
        count = 0
        async for _ in self._found(reading, after=None, size=COUNT_MAX + 1, fields={"_id": 1, reading.order: 1}):
            count += 1
        return count

    async def shown_since(self, since: datetime, *, count_max: int) -> list[tuple[datetime, Kept]]:
        """What was written at or after an instant, the earliest first."""
        cursor = self._rows.find({"shown_at": {"$gte": since}}).sort("shown_at", 1).limit(count_max)
        return [(d["shown_at"], _kept(d)) async for d in cursor]

    async def _found(
        self, reading: Reading, *, after: str | None, size: int, fields: dict[str, int] | None = None
    ) -> AsyncIterator[dict[str, Any]]:
        """Up to `size` documents behind a place in their order."""
        if not reading.segments:
            behind = {reading.order: {"$gt": after or ""}}
            async for found in self._rows.find({**reading.where, **behind}, fields).sort(reading.order, 1).limit(size):
                yield found
            return
        for segment in reading.segments:
            if after is not None and after >= segment.until(None):
                continue
            async for found in self._along(reading, segment, after=after, size=size, fields=fields):
                yield found
                size -= 1
                after = found[reading.order]
            if size <= 0:
                return

    async def _along(
        self, reading: Reading, segment: Segment, *, after: str | None, size: int, fields: dict[str, int] | None
    ) -> AsyncIterator[dict[str, Any]]:
        """The documents of one stretch, in windows that widen until there are enough."""
        shape = f"{reading.order}/{segment.prefix}/{size.bit_length()}/{sorted(reading.where)}"
        width = self._widths.get(shape, _WIDTH_FIRST_MS)
        begin = segment.begins()
        # Much may be overdue: the first window ends not far behind where the last reader found the first row.
        number = segment.first if segment.is_bound else self._firsts.get(shape, segment.first)
        if after is not None and after.startswith(segment.prefix) and after > begin:
            begin, number = after, segment.number(after)
        is_behind, needed = begin == after, size
        while begin < segment.until(None):
            reach = number + width
            end = segment.until(reach if width < _WIDTH_MAX_MS and reach < 2 * FAR_MS else None)
            bounds = {"$gt" if is_behind else "$gte": begin, "$lt": end}
            cursor = self._rows.find({reading.order: bounds, **reading.where}, fields)
            count = 0
            async for found in cursor.sort(reading.order, 1).limit(needed):
                if after is None and needed == size and not count:
                    self._firsts[shape] = segment.number(found[reading.order])
                yield found
                count += 1
            self._learn(shape, width, count=count, size=size)
            needed -= count
            if needed <= 0:
                return
            begin, number, is_behind = end, reach, False
            width *= _WIDER

    def _learn(self, shape: str, width: int, *, count: int, size: int) -> None:
        """Remember how wide a window gave a page, a little narrower where it gave one at once."""
        if len(self._widths) >= _WIDTHS_MAX:
            self._widths.clear()
            self._firsts.clear()
        if count >= size:
            self._widths[shape] = max(1_000, width * 3 // 4)
        else:
            self._widths[shape] = min(_WIDTH_MAX_MS, max(self._widths.get(shape, 0), width))


def document(row: Row, *, revision: int, at: datetime) -> dict[str, Any]:
    """What is stored of a row."""
    stored = {**_ROWS.dump_python(row), "_id": str(row.id), "revision": revision, "shown_at": at}
    if not row.version:
        return stored
    mark = "o" if row.is_open else "s"
    next_due, breached = row.next_due, row.breached
    rare = [flag.value for flag in row.flags] + ["major"] * row.major + ["needs_review"] * row.needs_review
    rare += ["breached", *(f"breached:{clock}" for clock in breached)] if breached else []
    clocks_open = [clock.clock for clock, _ in row.open_clocks]
    rare += [f"clock:{clock}" for clock in clocks_open if clock in RARE_CLOCKS]
    return {
        **stored,
        **lines(row),
        **partial_lines(row),
        "is_open": row.is_open,
        "keys": list(keys(row)),
        "contacts": list(row.contacts),
        "matters": _matters(row),
        "units": list(row.units),
        "person_standing": f"{row.person or ''}|{mark}",
        "units_standing": [f"{unit}|{mark}" for unit in row.units],
        "marks": [f"{one}|{mark}" for one in rare],
        "next_due_at": next_due[0] if next_due else None,
        "due": {clock.value: due_at for clock, due_at in row.due.items()},
        "clocks_open": [clock.value for clock in clocks_open],
        "breached": [clock.value for clock in breached],
    }


def _matters(row: Row) -> list[str]:
    if row.category is None:
        return []
    return [row.category.value, *([f"{row.category}.{row.sub}"] if row.sub else [])]


def _kept(stored: dict[str, Any]) -> Kept:
    row = _ROWS.validate_python({name: value for name, value in stored.items() if name in _FIELDS})
    return Kept(row, stored["revision"])
