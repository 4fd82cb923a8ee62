"""Cases that were solved, to learn from: which are similar to a ticket, and which are in the archive. Pure.

Each is a reading along a line of `lines.partial_lines`, bounded in time, so that what is asked costs the same however
many tickets there are. A case tells what it was about and how it was settled; nothing of it is about a person.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from hashlib import blake2b
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from schemas.complaint import Money
from services.desk.lines import matter_code, stretch
from services.desk.queue import Reading, Scope, Text
from services.desk.row import NEVER, Row

SIMILAR_MAX: Final = 5
READ_MAX: Final = 10
"""Of each reading, of which the most similar are chosen."""
_WITHIN: Final = timedelta(days=180)
_ARCHIVE: Final = timedelta(days=3 * 366)
"""As long as records are kept."""


@dataclass(frozen=True, slots=True)
class Case:
    """How one ticket was settled."""

    number: str
    matter: str
    unit: str
    severity: int
    remedy: str
    amount: Money | None
    causes: tuple[str, ...]
    took: timedelta
    """From receipt to settlement."""
    at: datetime


class CasesAsked(BaseModel):
    """Which cases of the archive."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    category: Text | None = Field(None, description="`delay` or `delay.transit`.")
    cause: Text | None = Field(None, description="Code of a root cause.")
    remedy: Text | None = Field(None, description="Code of a remedy.")
    unit: Text | None = Field(None, description="Outlet, hub or team that was responsible.")
    cursor: str | None = Field(None, max_length=400, description="`next` of the page before.")

    def fingerprint(self) -> str:
        """By which a cursor knows the question that it belongs to."""
        asked = self.model_dump_json(exclude={"cursor"})
        return blake2b(asked.encode(), digest_size=8, person=b"cases").hexdigest()


def case_of(row: Row) -> Case:
    """What is told of a settled ticket."""
    amount, _, currency = row.amount.partition(" ")
    at = row.settled_at or row.updated_at
    return Case(
        number=row.number,
        matter=matter_code(row),
        unit=row.unit or "",
        severity=int(row.severity),
        remedy=row.remedy,
        amount=Money(amount=Decimal(amount), currency=currency) if amount else None,
        causes=row.causes,
        took=max(at - row.received_at, timedelta()),
        at=at,
    )


def similar(row: Row, *, scope: Scope, now: datetime) -> list[Reading]:
    """Where cases about the same matter are found: those of the same outlet, and those of all."""
    code = matter_code(row)
    if not code:
        return []
    oldest = now - _WITHIN
    readings = []
    if row.unit:
        of_unit = stretch(f"{row.unit}|{code}|", newest=now, oldest=oldest)
        readings.append(Reading(_seen(scope), "by_unit_case", (of_unit,)))
    if scope.units is None:
        # Who sees the tickets of some outlets alone would look through those of all others to find few.
        of_all = stretch(f"{code}|", newest=now, oldest=oldest)
        readings.append(Reading(_seen(scope), "by_case", (of_all,)))
    return readings


def most_similar(row: Row, found: Iterable[Row]) -> list[Row]:
    """The same outlet first, then the same severity, then the newest; the ticket itself is not among them."""
    others = {other.id: other for other in found if other.id != row.id}
    return sorted(
        others.values(),
        key=lambda one: (
            one.unit != row.unit,
            one.severity != row.severity,
            -(one.settled_at or NEVER).timestamp(),
        ),
    )[:SIMILAR_MAX]


def archive(asked: CasesAsked, *, scope: Scope, now: datetime) -> Reading:
    """Cases of the archive, the newest first."""
    unit = asked.unit.upper() if asked.unit else None
    if unit and scope.units is not None and unit not in scope.units:
        return Reading({}, "", is_void=True)
    wanted = {"matters": asked.category, "causes": asked.cause, "remedy": asked.remedy}
    where = {field: value for field, value in wanted.items() if value}
    units = [unit] if unit else sorted(scope.units) if scope.units is not None else []
    if units:
        # Few cases are of one unit: looking for them among all of the archive would take long.
        lead = {"units_standing": {"$in": [f"{one}|s" for one in units]}}
        return Reading({**lead, **where, **(_seen(scope) if scope.units is None else {})}, "by_archived")
    return Reading({**where, **_seen(scope)}, "by_archived", (stretch("", newest=now, oldest=now - _ARCHIVE),))


def _seen(scope: Scope) -> dict[str, Any]:
    if scope.units is not None:
        return {"units": {"$in": sorted(scope.units)}}
    return {} if scope.departments is None else {"department": {"$in": sorted(scope.departments)}}
