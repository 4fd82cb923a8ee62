"""Whose a file of evidence is: field `metadata.of` in `evidence.files`, set once by whoever names the file first.

Whoever may read a ticket may read its files, so that a file that could be added to a second ticket would be open to
whoever may read that one. A complaint is not refused because it names another's file: it does not open it.
"""

from collections.abc import Collection
from typing import Any, Final
from uuid import UUID

from services.runtime.mongo import Database

BUCKET: Final = "evidence"


async def claim(database: Database, files: Collection[UUID], *, of: UUID) -> None:
    """Make files those of a complaint or of a ticket, unless they are somebody's already."""
    free = {"_id": {"$in": [str(one) for one in files]}, "metadata.of": None}
    await database[f"{BUCKET}.files"].update_many(free, {"$set": {"metadata.of": str(of)}})


def open_to(files: Collection[UUID], *, of: Collection[UUID]) -> dict[str, Any]:
    """Filter of `evidence.files`: those of some files that are of one of these complaints and tickets, or nobody's."""
    return {"_id": {"$in": [str(one) for one in files]}, "metadata.of": {"$in": [None, *(str(one) for one in of)]}}


async def others(database: Database, files: Collection[UUID], *, of: Collection[UUID]) -> set[UUID]:
    """Which of some files there are not, or are of none of these complaints and tickets."""
    theirs = {"_id": {"$in": [str(one) for one in files]}, "metadata.of": {"$in": [str(one) for one in of]}}
    found = database[f"{BUCKET}.files"].find(theirs, {"_id": 1})
    return set(files) - {UUID(document["_id"]) async for document in found}
