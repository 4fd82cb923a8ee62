"""Serials of ticket numbers: collection `numbers`, one counter per month, `{_id: "2611", last: 4217}`."""

import contextlib

from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError

from services.runtime.mongo import Database


class NumberStore:
    """Hands out serials. A crash may leave some unused; none is handed out twice."""

    def __init__(self, database: Database) -> None:
        self._numbers = database["numbers"]

    async def take(self, month: str, count: int) -> range:
        """The next `count` serials of a month (`YYMM`), the first of which is 1."""
        while True:
            # Not an upsert: of several at once on a month's first ticket only one gets an answer from every server.
            counter = await self._numbers.find_one_and_update(
                {"_id": month}, {"$inc": {"last": count}}, return_document=ReturnDocument.AFTER
            )
            if counter is not None:
                last = int(counter["last"])
                return range(last - count + 1, last + 1)
            with contextlib.suppress(DuplicateKeyError):
                await self._numbers.insert_one({"_id": month, "last": 0})
