"""Giving tickets to people: chooses by the policy in force, and takes slots in the database, batch by batch."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from services.router.assignment import NOTHING_ASKED, Asked, Capacity, Route, Slot, Subject, route
from services.router.directory import Organisation
from services.router.ticket import Assignment, Unassignable


class Reservations(Protocol):
    """Slots in the database."""

    async def taken(self) -> list[Slot]:
        """Every slot that is taken."""

    async def reserve(self, wanted: Sequence[tuple[Slot, UUID]]) -> set[UUID]:
        """Take slots; the tickets whose slot somebody else has."""


@dataclass(frozen=True, slots=True)
class Need:
    """A ticket that is to be given to somebody."""

    ticket_id: UUID
    subject: Subject
    at: datetime
    asked: Asked = NOTHING_ASKED
    holder: str | None = None
    """Who has it now."""


class Placement:
    """Assigns. Knows the organisation in force and who has how much."""

    def __init__(self, reservations: Reservations, organisation: Organisation) -> None:
        self.organisation = organisation
        self.capacity = Capacity()
        self._reservations = reservations

    async def refresh(self) -> None:
        """Learn what other routers have taken and freed."""
        self.capacity.replace(await self._reservations.taken())

    async def place(self, needs: Sequence[Need]) -> dict[UUID, Assignment | Unassignable]:
        """Assign tickets: to a person with a free slot, which is reserved, else to the department's queue."""
        placed: dict[UUID, Assignment | Unassignable] = {}
        version = self.organisation.version
        open_: list[tuple[Need, Route]] = []
        for need in needs:
            way = route(self.organisation, need.subject, at=need.at, asked=need.asked)
            if isinstance(way, Unassignable):
                placed[need.ticket_id] = way
            elif need.holder is not None and need.asked.person == need.holder:
                placed[need.ticket_id] = way.given_to(need.holder, directory_version=version)
            else:
                open_.append((need, way))
        while open_:
            tried: list[tuple[Need, Route, Slot]] = []
            for need, way in open_:
                slot = self.capacity.take(way.people)
                if slot is not None:
                    tried.append((need, way, slot))
                elif need.asked.person is not None:
                    placed[need.ticket_id] = Unassignable("no_capacity")
                else:
                    placed[need.ticket_id] = way.given_to(None, directory_version=version)
            lost = await self._reservations.reserve([(slot, need.ticket_id) for need, _, slot in tried])
            for need, way, slot in tried:
                if need.ticket_id not in lost:
                    placed[need.ticket_id] = way.given_to(slot.person, directory_version=version)
            # A slot that another router took stays marked as taken, so every turn of the loop has fewer to try.
            open_ = [(need, way) for need, way, _ in tried if need.ticket_id in lost]
        return placed
