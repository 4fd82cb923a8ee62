"""Sign-ins under way at the identity provider: collection `desk_sign_ins`, `_id` the digest of their state."""

from dataclasses import dataclass
from datetime import datetime

from services.desk.session import digest
from services.runtime.mongo import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """What was begun."""

    state: str
    nonce: str
    verifier: str
    next: str
    """The path that the browser shall go to afterwards."""
    ends_at: datetime


class SignInStore:
    """`{_id, nonce, verifier, next, ends_at}`."""

    def __init__(self, database: Database) -> None:
        self._pending = database["desk_sign_ins"]

    async def create_indexes(self) -> None:
        """May be called by every process at every start. What nobody came back from goes by itself."""
        await self._pending.create_index("ends_at", expireAfterSeconds=0)

    async def begin(self, pending: Pending) -> None:
        """Remember one."""
        await self._pending.insert_one(
            {
                "_id": digest(pending.state),
                "nonce": pending.nonce,
                "verifier": pending.verifier,
                "next": pending.next,
                "ends_at": pending.ends_at,
            }
        )

    async def take(self, state: str, *, now: datetime) -> Pending | None:
        """The one of a state, for whoever asks first; None when it is unknown, over, or was taken."""
        document = await self._pending.find_one({"_id": digest(state)})
        if document is None or (await self._pending.delete_one({"_id": document["_id"]})).deleted_count == 0:
            return None
        if document["ends_at"] <= now:
            return None
        return Pending(
            state=state,
            nonce=document["nonce"],
            verifier=document["verifier"],
            next=document["next"],
            ends_at=document["ends_at"],
        )
