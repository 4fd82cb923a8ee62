"""Reading personal data of a ticket: right, then audit, then data. What cannot be audited is not shown."""

from collections.abc import Callable, Iterable
from typing import Protocol
from uuid import UUID

from schemas.complaint import Contact, Wording
from services.desk.audit import Entry
from services.desk.customer_request import reason_problems
from services.desk.person import Person
from services.desk.place_store import Placed
from services.desk.refusal import Refusal
from services.desk.rights import require
from services.desk.signing_in import Auditing


class Places(Protocol):
    """Tickets, see `place_store.py`."""

    async def get(self, ticket: UUID) -> Placed | None:
        """One."""


class Contacts(Protocol):
    """Contacts and wordings, see `contact_store.py`."""

    async def contacts(self, complaints: Iterable[UUID]) -> dict[UUID, Contact]:
        """Contacts by complaint."""

    async def wordings(self, complaints: Iterable[UUID]) -> dict[UUID, Wording]:
        """Wordings by complaint."""


NewEntry = Callable[..., Entry]
"""`doors.audited` for the request at hand."""


class ContactReading:
    """Opens contacts and wordings for those who may see them."""

    def __init__(self, *, places: Places, contacts: Contacts, auditing: Auditing) -> None:
        self._places = places
        self._contacts = contacts
        self._auditing = auditing

    async def contacts(self, person: Person, ticket: UUID, *, reason: str, entry: NewEntry) -> dict[UUID, Contact]:
        """Who complained, by complaint, the one that opened the ticket first.

        Raises:
            Refusal: `no-such-ticket`, `not-allowed`, or `wrong-fields` without a reason.
            PyMongoError: the audit could not be written.
        """
        placed = await self.placed(person, "unmask_contact", ticket)
        if problems := reason_problems(reason):
            raise Refusal("wrong-fields", problems=problems)
        fields = tuple(Contact.model_fields)
        await self._auditing.add(entry("unmask_contact", ticket=str(ticket), fields=fields, reason=reason.strip()))
        found = await self._contacts.contacts(placed.complaints)
        return {complaint: found[complaint] for complaint in placed.complaints if complaint in found}

    async def wordings(self, person: Person, ticket: UUID, *, entry: NewEntry) -> dict[UUID, Wording]:
        """What the complainant wrote or said, by complaint; see `contacts`."""
        placed = await self.placed(person, "read_wording", ticket)
        await self._auditing.add(entry("read_wording", ticket=str(ticket), fields=tuple(Wording.model_fields)))
        found = await self._contacts.wordings(placed.complaints)
        return {complaint: found[complaint] for complaint in placed.complaints if complaint in found}

    async def placed(self, person: Person, action: str, ticket: UUID) -> Placed:
        """A ticket on which the person may do it.

        Raises:
            Refusal: `no-such-ticket`, `not-allowed`.
        """
        placed = await self._places.get(ticket)
        if placed is None:
            raise Refusal("no-such-ticket")
        require(person, action, placed.place)
        return placed
