"""Sessions: collection `desk_sessions`, `_id` the digest of the id that the browser holds."""

from datetime import datetime
from typing import Any

from services.desk.session import Session
from services.runtime.mongo import Database


class SessionStore:
    """`{_id, account, made_at, seen_at, ends_at, address}`."""

    def __init__(self, database: Database) -> None:
        self._sessions = database["desk_sessions"]

    async def create_indexes(self) -> None:
        """May be called by every process at every start. Sessions that are over go by themselves."""
        await self._sessions.create_index("account")
        await self._sessions.create_index("ends_at", expireAfterSeconds=0)

    async def begin(self, session: Session) -> None:
        """Keep a new one."""
        await self._sessions.insert_one(
            {
                "_id": session.digest,
                "account": session.account,
                "made_at": session.made_at,
                "seen_at": session.seen_at,
                "ends_at": session.ends_at,
                "address": session.address,
            }
        )

    async def get(self, digest: str) -> Session | None:
        """One, whether it still holds or not."""
        document = await self._sessions.find_one({"_id": digest})
        return _session(document) if document else None

    async def of(self, account: str) -> list[Session]:
        """Those of an account, the latest first."""
        found = self._sessions.find({"account": account}).sort("made_at", -1)
        return [_session(document) async for document in found]

    async def seen(self, digest: str, at: datetime) -> None:
        """It was used. One that was ended meanwhile stays ended."""
        await self._sessions.update_one({"_id": digest}, {"$set": {"seen_at": at}})

    async def end(self, digest: str) -> None:
        """Sign out."""
        await self._sessions.delete_one({"_id": digest})

    async def end_all(self, account: str, *, but: str = "") -> int:
        """Sign out everywhere, except in the session with the digest `but`; gives how many were ended."""
        query: dict[str, Any] = {"account": account}
        if but:
            query["_id"] = {"$ne": but}
        return int((await self._sessions.delete_many(query)).deleted_count)


def _session(document: dict[str, Any]) -> Session:
    return Session(
        digest=document["_id"],
        account=document["account"],
        made_at=document["made_at"],
        seen_at=document["seen_at"],
        ends_at=document["ends_at"],
        address=document["address"],
    )
