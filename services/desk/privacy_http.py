"""Personal data over HTTP: contact and wording of a ticket, and what a customer asks to see or to have erased."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Final
from uuid import UUID, uuid4

from fastapi import APIRouter, Depends, Request
from pydantic import Field

from schemas.codes import TicketState
from services.desk.audit_store import AuditStore
from services.desk.contact_reading import ContactReading
from services.desk.contact_store import ContactStore, Kept
from services.desk.customer_request import Asked
from services.desk.doors import Doors, allowed, audited
from services.desk.erasing import Erasure
from services.desk.erasure_store import ErasureStore
from services.desk.people_http import Given
from services.desk.person import Person
from services.desk.place_store import Placed, PlaceStore
from services.desk.refusal import Refusal
from services.runtime.sealing import Keyring

_TEXT_MAX: Final = 1000
_OVER: Final = frozenset({TicketState.CLOSED, TicketState.WITHDRAWN})


class Why(Given):
    """`POST /v1/tickets/{ticket_id}/contact`."""

    reason: str = Field("", max_length=_TEXT_MAX)


class Customer(Why):
    """`POST /v1/customers/stored`: one or several ways in which the customer is known."""

    phone: str | None = Field(None, max_length=_TEXT_MAX)
    email: str | None = Field(None, max_length=_TEXT_MAX)
    wechat: str | None = Field(None, max_length=_TEXT_MAX)

    def asked(self) -> Asked:
        """As the rules take it."""
        return Asked(phone=self.phone, email=self.email, wechat=self.wechat, reason=self.reason)


class ToErase(Customer):
    """`POST /v1/customers/erase`."""

    although_open: bool = Field(False, description="Erase although tickets are open, whose result nobody can be told.")


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivacyRoutes:
    """The routes, and what they work with."""

    doors: Doors
    reading: ContactReading
    contacts: ContactStore
    places: PlaceStore
    erasures: ErasureStore
    audit: AuditStore
    keyring: Keyring

    def router(self) -> APIRouter:
        """All of them."""
        router = APIRouter(tags=["personal data"])
        routes: tuple[tuple[str, str, Callable[..., Any], int, str], ...] = (
            ("POST", "/v1/tickets/{ticket_id}/contact", self.contact, 200, "Who complained, with a reason"),
            ("GET", "/v1/tickets/{ticket_id}/wording", self.wording, 200, "The complaint in its own words"),
            ("POST", "/v1/customers/stored", self.stored, 200, "What is stored about a customer"),
            ("POST", "/v1/customers/erase", self.erase, 202, "Erase what is stored about a customer"),
            ("GET", "/v1/customers/erasures/{erasure_id}", self.erasure, 200, "How far an erasure has come"),
        )
        for method, path, endpoint, status, summary in routes:
            router.add_api_route(
                path, endpoint, methods=[method], status_code=status, summary=summary, response_model=None
            )
        return router

    async def contact(
        self,
        request: Request,
        ticket_id: UUID,
        given: Why,
        person: Annotated[Person, Depends(allowed("unmask_contact"))],
    ) -> dict[str, Any]:
        """`{"contacts": [{complaint_id, name, phone, email, wechat, account}]}`, who opened the ticket first."""
        entry = partial(audited, request, person)
        found = await self.reading.contacts(person, ticket_id, reason=given.reason, entry=entry)
        return {"contacts": [{"complaint_id": str(one), **contact.model_dump()} for one, contact in found.items()]}

    async def wording(
        self, request: Request, ticket_id: UUID, person: Annotated[Person, Depends(allowed("read_wording"))]
    ) -> dict[str, Any]:
        """`{"wordings": [{complaint_id, subject, description, remedy, occurred_place}]}`, what opened it first."""
        found = await self.reading.wordings(person, ticket_id, entry=partial(audited, request, person))
        return {"wordings": [{"complaint_id": str(one), **wording.model_dump()} for one, wording in found.items()]}

    async def stored(
        self, request: Request, given: Customer, person: Annotated[Person, Depends(allowed("show_customer"))]
    ) -> dict[str, Any]:
        """`{"complaints": [{complaint_id, contact, wording, evidence, ...}], "tickets": [...], "messages": [...]}`."""
        kept = await self.contacts.of_customer(given.asked().digests(self.keyring.blind))
        complaints = [one.complaint_id for one in kept]
        fields = ("contact", "wording", "messages", "evidence")
        entry = audited(
            request, person, "show_customer", about=f"{len(kept)} complaints", fields=fields, reason=given.reason
        )
        await self.audit.add(entry)
        contacts, wordings = await self.contacts.contacts(complaints), await self.contacts.wordings(complaints)
        tickets = await self._tickets(kept)
        return {
            "complaints": [
                {
                    "complaint_id": str(one.complaint_id),
                    "ticket_id": str(one.ticket_id),
                    "channel": one.channel.value,
                    "contact": contacts[one.complaint_id].model_dump() if one.complaint_id in contacts else None,
                    "wording": wordings[one.complaint_id].model_dump() if one.complaint_id in wordings else None,
                    "evidence": [str(file) for file in await self._evidence(one)],
                }
                for one in kept
            ],
            "tickets": [
                {"id": str(one.ticket_id), "number": one.number, "state": one.place.state.value} for one in tickets
            ],
            "messages": await self.erasures.messages_of([one.ticket_id for one in kept], complaints),
        }

    async def erase(
        self, request: Request, given: ToErase, person: Annotated[Person, Depends(allowed("erase_customer"))]
    ) -> dict[str, Any]:
        """The erasure, which is done within seconds; asking again for the same gives the same while it waits."""
        digests = given.asked().digests(self.keyring.blind)
        tickets = await self._tickets(await self.contacts.of_customer(digests))
        still_open = [one.number for one in tickets if one.place.state not in _OVER]
        if still_open and not given.although_open:
            raise Refusal("tickets-open", tickets=", ".join(still_open))
        erasure = Erasure(
            id=uuid4(), asked_at=self.doors.now(), asked_by=person.id, reason=given.reason.strip(), digests=digests
        )
        entry = audited(request, person, "erase_customer", about=str(erasure.id), reason=given.reason.strip())
        await self.audit.add(entry)
        return _shown(await self.erasures.ask(erasure))

    async def erasure(
        self, erasure_id: UUID, _person: Annotated[Person, Depends(allowed("show_customer"))]
    ) -> dict[str, Any]:
        """`{id, state: asked | done, asked_at, asked_by, complaints, files, done_at}`."""
        erasure = await self.erasures.get(erasure_id)
        if erasure is None:
            raise Refusal("no-such-erasure")
        return _shown(erasure)

    async def _tickets(self, kept: list[Kept]) -> list[Placed]:
        return await self.places.of(dict.fromkeys(one.ticket_id for one in kept))

    async def _evidence(self, kept: Kept) -> list[UUID]:
        named = await self.erasures.evidence_of(kept.ticket_id, kept.complaint_id)
        return list(dict.fromkeys((*kept.evidence, *named)))


def _shown(erasure: Erasure) -> dict[str, Any]:
    return {
        "id": str(erasure.id),
        "state": erasure.state.value,
        "asked_at": erasure.asked_at.isoformat(),
        "asked_by": erasure.asked_by,
        "complaints": erasure.complaints,
        "files": erasure.files,
        "done_at": erasure.done_at.isoformat() if erasure.done_at else None,
    }
