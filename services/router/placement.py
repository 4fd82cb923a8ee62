"""Giving tickets to people: chooses by the policy in force, and takes slots in the database, batch by batch."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol
from uuid import UUID

from schemas.codes import Category
from services.organisation.directory import Organisation, Person
from services.router.assignment import NOTHING_ASKED, Asked, Capacity, Route, Slot, Subject, able, route
from services.router.deciding import Assignment, Unassignable

ROUTES_MAX: Final = 20_000
"""Routes that are remembered: tickets that look the same to the table go the same way."""


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
        self._able: dict[tuple[str, str | None, Category], tuple[Person, ...]] = {}
        self._able_at: tuple[int, int] = (0, 0)
        self._routes: dict[tuple[Subject, Asked], Route | Unassignable] = {}
        self._routes_version = 0

    async def refresh(self) -> None:
        """Learn what other routers have taken and freed."""
        self.capacity.replace(await self._reservations.taken())

    async def place(self, needs: Sequence[Need]) -> dict[UUID, Assignment | Unassignable]:
        """Assign tickets: to a person with a free slot, which is reserved, else to the department's queue."""
        placed: dict[UUID, Assignment | Unassignable] = {}
        version = self.organisation.version
        open_: list[tuple[Need, Route]] = []
        for need in needs:
            way = self._route(need.subject, need.asked)
            if isinstance(way, Unassignable):
                placed[need.ticket_id] = way
            elif need.holder is not None and need.asked.person == need.holder:
                placed[need.ticket_id] = way.given_to(need.holder, directory_version=version)
            else:
                open_.append((need, way))
        while open_:
            tried: list[tuple[Need, Route, Slot]] = []
            for need, way in open_:
                slot = self.capacity.take(self._people(need, way))
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

    def able(self, department: str, unit: str | None, *, category: Category, at: datetime) -> tuple[Person, ...]:
        """The people on duty who can handle such a ticket. Shifts begin and end at full minutes."""
        minute = int(at.timestamp()) // 60
        if self._able_at != (self.organisation.version, minute):
            self._able_at = (self.organisation.version, minute)
            self._able.clear()
        key = (department, unit, category)
        if key not in self._able:
            self._able[key] = able(self.organisation, department, unit, category=category, at=at)
        return self._able[key]

    def _route(self, subject: Subject, asked: Asked) -> Route | Unassignable:
        if self._routes_version != self.organisation.version or len(self._routes) > ROUTES_MAX:
            self._routes_version = self.organisation.version
            self._routes.clear()
        key = (subject, asked)
        if key not in self._routes:
            self._routes[key] = route(self.organisation, subject, asked)
        return self._routes[key]

    def _people(self, need: Need, way: Route) -> tuple[Person, ...]:
        if need.asked.person is not None:
            return (self.organisation.person_by_id[need.asked.person],)
        return self.able(way.department, way.unit, category=need.subject.category, at=need.at)
