"""The lines in which rows stand: texts whose order is an order of the queue. Pure.

A row has one text per line, made of what a reader fixes (a department, whether it is open), a number of milliseconds
and its id. Whoever reads a stretch of a line reads one index from one place to another, with nothing to sort, on any
database; a page ends at a text, and the next begins behind it. Numbers that are to be read from the highest to the
lowest are counted down from a far one, so that every line is read forwards.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from schemas.codes import Severity
from services.desk.row import Row

FAR_MS: Final = 2**46
"""The year 4199."""
_DIGITS: Final = 12
_END: Final = "g"
"""After every digit."""
_OPEN, _SETTLED = "o", "s"
_DATED, _UNDATED = "0", "1"
_OPEN_TOO: Final = ("by_received", "by_updated", "by_department_received")
"""Lines of all rows that are there once more for the open ones; the others begin with whether a row is open."""


class Sort(StrEnum):
    """Orders of the queue."""

    DUE = "due"
    """What is overdue longest first, then what is due next, of equals the graver; what owes nothing last."""
    RECEIVED = "received"
    """The newest first."""
    UPDATED = "updated"
    """The latest change first."""
    SEVERITY = "severity"
    """The gravest first, of equals what is due next."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of a line that is read by time: texts `prefix`, number, id."""

    prefix: str
    first: int
    """Number to begin at; unless `is_bound`, the little that is before it belongs to it, too."""
    last: int | None = None
    """Number to end at, itself included; None reads to the end."""
    is_bound: bool = False

    def begins(self) -> str:
        """What no text of it is before."""
        return f"{self.prefix}{_hex(self.first)}" if self.is_bound else self.prefix

    def until(self, number: int | None) -> str:
        """What its texts up to that number are before."""
        end = self.last if number is None or (self.last is not None and self.last < number) else number
        return f"{self.prefix}{_END}" if end is None or end >= FAR_MS * 2 else f"{self.prefix}{_hex(end + 1)}"

    def number(self, text: str) -> int:
        """The number in one of its texts."""
        return int(text[len(self.prefix) : len(self.prefix) + _DIGITS], 16)


def lines(row: Row) -> dict[str, str]:
    """The texts of a row, by field."""
    due, received = _due(row), _newest(row.received_at)
    texts = {
        "by_due": f"{_standing(is_open=row.is_open)}{due}",
        "by_severity": f"{_standing(is_open=row.is_open)}{_gravity(row.severity)}{due}",
        "by_received": received,
        "by_updated": _newest(row.updated_at),
        "by_department": f"{row.department or ''}|{_standing(is_open=row.is_open)}{due}",
        "by_department_received": f"{row.department or ''}|{received}",
    }
    return {field: text + row.id.hex for field, text in texts.items()}


def partial_lines(row: Row) -> dict[str, str]:
    """The texts that not every row has.

    By them open ones are found without walking past all that are settled, and complaints of a unit and solved cases.
    """
    whole, texts = lines(row), dict[str, str]()
    opened = {f"{field}_open": whole[field] for field in _OPEN_TOO} if row.is_open else {}
    if row.unit:
        texts["by_unit_received"] = f"{row.unit}|{_newest(row.received_at)}"
    if row.settled_at is not None and (code := matter_code(row)):
        texts["by_case"] = f"{code}|{_newest(row.settled_at)}"
        texts["by_unit_case"] = f"{row.unit or ''}|{code}|{_newest(row.settled_at)}"
    if row.archived_at is not None:
        texts["by_archived"] = _newest(row.archived_at)
    return opened | {field: text + row.id.hex for field, text in texts.items()}


def matter_code(row: Row) -> str:
    """As `delay.transit`; empty: nobody has said what it is about."""
    if row.category is None:
        return ""
    return f"{row.category}.{row.sub}" if row.sub else row.category.value


def stretch(prefix: str, *, newest: datetime, oldest: datetime) -> Segment:
    """A part of a line that is ordered by time alone, from the newest to the oldest."""
    return Segment(prefix, FAR_MS - _ms(newest), FAR_MS - _ms(oldest), is_bound=True)


def field_of(sort: Sort, *, department: str | None, is_open: bool = False) -> str:
    """The line that is read for an order; `is_open`: by those alone that are."""
    field = f"by_{sort.value}"
    if department is not None and sort in {Sort.DUE, Sort.RECEIVED}:
        field = {Sort.DUE: "by_department", Sort.RECEIVED: "by_department_received"}[sort]
    return f"{field}_open" if is_open and field in _OPEN_TOO else field


def segments(
    sort: Sort,
    *,
    now: datetime,
    department: str | None,
    standings: Sequence[bool],
    severities: Sequence[Severity],
    due_before: datetime | None = None,
    received: tuple[datetime | None, datetime | None] = (None, None),
) -> list[Segment]:
    """The stretches to read, in order.

    Args:
        sort: the order.
        now: around which most of what is due lies.
        department: the one that is read, None for all.
        standings: open (True), settled (False) or both.
        severities: those wanted.
        due_before: what is due at or after it is not read.
        received: from (included) and to (excluded).
    """
    lead = f"{department}|" if department is not None and sort in {Sort.DUE, Sort.RECEIVED} else ""
    if sort in {Sort.RECEIVED, Sort.UPDATED}:
        since, to = received if sort is Sort.RECEIVED else (None, None)
        last = None if since is None else FAR_MS - _ms(since)
        return [Segment(lead, FAR_MS - _ms(to or now), last, is_bound=to is not None)]
    prefixes = [f"{lead}{_standing(is_open=is_open)}" for is_open in (True, False) if is_open in standings]
    if sort is Sort.SEVERITY:
        prefixes = [p + _gravity(s) for p in prefixes for s in sorted(severities, reverse=True)]
    found: list[Segment] = []
    for prefix in prefixes:
        found.append(Segment(prefix + _DATED, _ms(now), None if due_before is None else _ms(due_before) - 1))
        if due_before is None:
            found.append(Segment(prefix + _UNDATED, FAR_MS - _ms(now)))
    return found


def _due(row: Row) -> str:
    due = row.next_due if row.is_open else None
    if due is None:
        return f"{_UNDATED}{_newest(row.received_at)}"
    # Much is due at the same moment, when a day of work begins or ends: then the graver first.
    return f"{_DATED}{_hex(_ms(due[0]))}{_gravity(row.severity)}"


def _newest(at: datetime) -> str:
    return _hex(FAR_MS - _ms(at))


def _gravity(severity: Severity) -> str:
    return str(max(Severity) - severity)


def _standing(*, is_open: bool) -> str:
    return _OPEN if is_open else _SETTLED


def _ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)


def _hex(number: int) -> str:
    return f"{min(max(number, 0), 16**_DIGITS - 1):0{_DIGITS}x}"


def id_in(text: str) -> UUID:
    """The ticket whose text it is."""
    return UUID(hex=text[-32:])
