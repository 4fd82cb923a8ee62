"""A ticket by what people call it: its id or its number."""

from typing import Protocol
from uuid import UUID

from services.desk.row import Kept


class Rows(Protocol):
    """Single rows."""

    async def get(self, ticket: UUID) -> Kept | None:
        """By id."""

    async def by_number(self, number: str) -> Kept | None:
        """By ticket number."""


async def row_named(rows: Rows, named: str) -> Kept | None:
    """The row of an opened ticket, by id, or by number however it is written."""
    try:
        return await rows.get(UUID(named))
    except ValueError:
        return await rows.by_number(named)
