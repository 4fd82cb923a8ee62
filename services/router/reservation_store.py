"""Who has how many tickets: collection `reservations`, one document per taken slot, `_id` = `<person>:<slot>`.

Two routers cannot give away the same slot, so nobody ever has more tickets than slots. A second unique index, on ticket
and person, keeps one ticket from taking two slots of one person.
"""

from collections.abc import Mapping, Sequence
from uuid import UUID

from pymongo.errors import BulkWriteError

from services.router.assignment import Slot
from services.runtime.mongo import Database, duplicate_indexes


class ReservationStore:
    """Slots."""

    def __init__(self, database: Database) -> None:
        self._reservations = database["reservations"]

    async def create_indexes(self) -> None:
        """One slot per ticket and person."""
        await self._reservations.create_index([("ticket_id", 1), ("person", 1)], unique=True)

    async def taken(self) -> list[Slot]:
        """Every slot that is taken."""
        return [_slot(d["_id"]) async for d in self._reservations.find({}, {"_id": 1})]

    async def reserve(self, wanted: Sequence[tuple[Slot, UUID]]) -> set[UUID]:
        """Take slots for tickets.

        Returns:
            Tickets whose slot somebody else has. A ticket that has a slot of that person already is not among them.
        """
        if not wanted:
            return set()
        documents = [
            {"_id": str(slot), "ticket_id": str(ticket), "person": slot.person, "slot": slot.number}
            for slot, ticket in wanted
        ]
        try:
            await self._reservations.insert_many(documents, ordered=False)
        except BulkWriteError as refusal:
            refused = [wanted[i] for i in duplicate_indexes(refusal)]
            cursor = self._reservations.find({"ticket_id": {"$in": [str(ticket) for _, ticket in refused]}})
            has = {(d["person"], d["ticket_id"]) async for d in cursor}
            return {ticket for slot, ticket in refused if (slot.person, str(ticket)) not in has}
        return set()

    async def settle(self, holders: Mapping[UUID, str | None]) -> list[Slot]:
        """Leave each ticket the slot of the person who has it, and free its other ones.

        Returns:
            The slots that are free now.
        """
        if not holders:
            return []
        cursor = self._reservations.find({"ticket_id": {"$in": [str(ticket) for ticket in holders]}})
        surplus = [d["_id"] async for d in cursor if d["person"] != holders[UUID(d["ticket_id"])]]
        if surplus:
            await self._reservations.delete_many({"_id": {"$in": surplus}})
        return [_slot(id_) for id_ in surplus]


def _slot(id_: str) -> Slot:
    person, _, number = id_.rpartition(":")
    return Slot(person, int(number))
