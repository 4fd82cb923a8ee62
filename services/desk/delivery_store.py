"""Records of messages as the notifier keeps them, read and never changed: collection `notifications`."""

import asyncio
from typing import Any, Final
from uuid import UUID

from schemas.codes import DeliveryChannel, Moment
from services.desk.delivery import Asked, Delivery, Result, place_in
from services.runtime.mongo import Database

_STATES: Final = {Result.REQUESTED: ["claimed", "waiting"]}
"""States of the notifier's that are one result; the others have the same names."""
_FIELDS: Final = dict.fromkeys(("ticket_id", "moment", "state", "requested_at", "ended_at", "why", "attempts"), 1)
_SECONDS_MAX: Final = 5


class DeliveryStore:
    """The newest first."""

    def __init__(self, database: Database) -> None:
        self._notes = database["notifications"]

    async def create_indexes(self) -> None:
        """May be called by every process at every start. Failed ones are few, and what is looked for."""
        await self._notes.create_index([("requested_at", -1), ("_id", -1)])
        await self._notes.create_index(
            [("state", 1), ("requested_at", -1), ("_id", -1)], partialFilterExpression={"state": "failed"}
        )

    async def page(self, asked: Asked, *, count_max: int) -> list[Delivery]:
        """Those that are wanted, of which neither address nor wording is read.

        Raises:
            TimeoutError: they are too rare to be found in a few seconds; a filter more makes it short.
        """
        query: dict[str, Any] = {}
        if asked.result:
            states = _STATES.get(asked.result)
            query["state"] = {"$in": states} if states else asked.result.value
        if asked.moment:
            query["moment"] = asked.moment.value
        if asked.channel:
            query["attempts.channel"] = asked.channel.value
        if asked.ticket:
            query["ticket_id"] = str(asked.ticket)
        if asked.before:
            at, last = place_in(asked.before)
            query["$or"] = [{"requested_at": {"$lt": at}}, {"requested_at": at, "_id": {"$lt": str(last)}}]
        found = self._notes.find(query, _FIELDS).sort([("requested_at", -1), ("_id", -1)]).limit(count_max)
        async with asyncio.timeout(_SECONDS_MAX):
            return [_delivery(document) async for document in found]


def _delivery(document: dict[str, Any]) -> Delivery:
    attempts = document.get("attempts") or []
    state = document["state"]
    waits = state in _STATES[Result.REQUESTED]
    return Delivery(
        id=UUID(document["_id"]),
        ticket=UUID(document["ticket_id"]),
        moment=Moment(document["moment"]),
        result=Result.REQUESTED if waits else Result(state),
        requested_at=document["requested_at"],
        ended_at=document.get("ended_at"),
        channels=tuple(DeliveryChannel(attempt["channel"]) for attempt in attempts),
        why=document.get("why") or (attempts[-1].get("why") or "" if attempts else ""),
    )
