"""What is told to browsers at once when a row changes. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Self

import orjson

from services.desk.queue import Scope
from services.desk.row import Row

PIECE: Final = 200
"""Notices of one message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """A row has changed: where it is now, and nothing else of it. Who wants to know more asks for it."""

    ticket_id: str
    version: int
    revision: int
    department: str | None
    unit: str | None
    units: tuple[str, ...]
    person: str | None
    next_due_at: str | None
    was: tuple[str | None, tuple[str, ...]]
    """Department and units before: who saw it there must hear that it went."""

    @classmethod
    def of(cls, row: Row, *, revision: int, before: Row | None) -> Self:
        """The notice of a written row."""
        due = row.next_due
        return cls(
            ticket_id=str(row.id),
            version=row.version,
            revision=revision,
            department=row.department,
            unit=row.unit,
            units=row.units,
            person=row.person,
            next_due_at=_text(due[0]) if due else None,
            was=(before.department, before.units) if before else (row.department, row.units),
        )

    def told(self, scope: Scope) -> dict[str, Any] | None:
        """What somebody with this scope is told; None: nothing."""
        if scope.shows(department=self.department, units=self.units):
            return {
                "ticket_id": self.ticket_id,
                "version": self.version,
                "revision": self.revision,
                "department": self.department,
                "unit": self.unit,
                "person": self.person,
                "next_due_at": self.next_due_at,
            }
        department, units = self.was
        return {"ticket_id": self.ticket_id, "gone": True} if scope.shows(department=department, units=units) else None


def pieces(notices: Sequence[Notice]) -> Iterable[bytes]:
    """As they travel."""
    return (orjson.dumps(notices[i : i + PIECE]) for i in range(0, len(notices), PIECE))


def read(piece: bytes) -> list[Notice]:
    """What travelled.

    Raises:
        ValueError, TypeError, KeyError: it is no piece of ours.
    """
    return [
        Notice(**{**one, "units": tuple(one["units"]), "was": (one["was"][0], tuple(one["was"][1]))})
        for one in orjson.loads(piece)
    ]


def _text(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds")
