"""How often somebody tried to sign in: collection `sign_in_attempts`.

In the database, so that neither a restart nor a Redis that is away gives anybody further guesses. Each try is counted
before the password is looked at: a thousand at once are as many guesses as one after the other.
"""

import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError

from services.runtime.mongo import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptLimits:
    """How many tries there are in a window of time."""

    of_account: int
    of_address: int
    window: timedelta


class AttemptStore:
    """`{_id: "<account|address>:<key>:<number of the window>", count, ends_at}`."""

    def __init__(self, database: Database, limits: AttemptLimits) -> None:
        self._attempts = database["sign_in_attempts"]
        self._limits = limits

    async def create_indexes(self) -> None:
        """May be called by every process at every start. Windows that are over go by themselves."""
        await self._attempts.create_index("ends_at", expireAfterSeconds=0)

    async def count(self, *, account: str, address: str, now: datetime) -> int:
        """Count one try; 0 when it may be made, else the whole seconds after which there may be another.

        Args:
            account: a digest of what was typed as the name: people type passwords there.
            address: of the caller, coarse.
            now: when.
        """
        window_s = self._limits.window.total_seconds()
        number = math.floor(now.timestamp() / window_s)
        ends_at = datetime.fromtimestamp((number + 1) * window_s, UTC)
        allowed: Mapping[str, int] = {
            _key("account", account, number): self._limits.of_account,
            _key("address", address, number): self._limits.of_address,
        }
        counts = [await self._raise(key, ends_at) for key in allowed]
        if all(count <= most for count, most in zip(counts, allowed.values(), strict=True)):
            return 0
        return max(1, math.ceil((ends_at - now).total_seconds()))

    async def forgive(self, *, account: str, now: datetime) -> None:
        """The owner of the account came in: forget its failures.

        Those of the address stay, or a thief with an account of his own could guess at others without end.
        """
        number = math.floor(now.timestamp() / self._limits.window.total_seconds())
        await self._attempts.delete_one({"_id": _key("account", account, number)})

    async def _raise(self, key: str, ends_at: datetime) -> int:
        while True:
            found = await self._attempts.find_one_and_update(
                {"_id": key}, {"$inc": {"count": 1}}, return_document=ReturnDocument.AFTER
            )
            if found:
                return int(found["count"])
            with suppress(DuplicateKeyError):  # Two were the first: the other counts on.
                await self._attempts.insert_one({"_id": key, "count": 1, "ends_at": ends_at})
                return 1


def _key(kind: str, key: str, number: int) -> str:
    return f"{kind}:{key}:{number}"
