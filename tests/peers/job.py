"""The router's job for one complaint without input or output: what each peer calls between its reads and writes.

It is Amends' own code, so that what differs between two programs is how they read, store, send and commit.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from schemas.classification import Classification, Extracted
from schemas.codec import Encoded, decode, encode
from schemas.complaint import ComplaintSubmitted, Wording
from schemas.events import TicketEvent
from schemas.ticket import Ticket, fold
from schemas.topics import COMPLAINT_SUBMITTED
from services.organisation.directory import organisation
from services.organisation.directory_store import packaged
from services.organisation.handling import HandlingPolicy
from services.router import claim_store, complaint_store, contact_store, event_store, ticket_store
from services.router.assignment import Subject, route
from services.router.claims import Claim, Held, claims_of
from services.router.classification import classify, extract
from services.router.deciding import Assignment, Unassignable, decide
from services.router.fate import Fate
from services.router.number import Number, month_of
from services.router.opening import facts_of, follow_up, opening, subject_of, text_of
from services.runtime.sealing import Keyring

_TYPES = COMPLAINT_SUBMITTED.by_type
_ORGANISATION = organisation({**packaged(), "version": 1})
_ZONE = ZoneInfo("Asia/Shanghai")
_DIGIT = re.compile(r"\d")
_NOTHING = Extracted()


@dataclass(slots=True)
class Case:
    """A complaint that was read."""

    complaint: ComplaintSubmitted
    said: Classification
    waybills: tuple[str, ...]
    places: tuple[str, ...]
    claims: list[Claim]

    @property
    def id(self) -> str:
        return str(self.complaint.complaint_id)

    @property
    def month(self) -> str:
        return month_of(self.complaint.submitted_at, _ZONE)

    def claim(self, claim: Claim) -> dict[str, Any]:
        """The document of `claims`."""
        return claim_store._document(Held(claim, self.complaint.complaint_id, self.complaint.routing_key))

    def fate(self, held: dict[str, Any] | None) -> dict[str, Any]:
        """The document of `complaints`: opens a ticket, or follows the complaint that holds a claim of it."""
        own = self.complaint
        opened_by = UUID(held["complaint_id"]) if held else own.complaint_id
        key = held["routing_key"] if held else own.routing_key
        fate = Fate(own.complaint_id, opened_by, key, matched_by="waybill" if held else None)
        return complaint_store._document(fate)

    def contact(self, fate: dict[str, Any]) -> dict[str, Any]:
        """The document of `contacts`."""
        return contact_store._document(self.complaint, UUID(fate["ticket_id"]))

    def opened(self, serial: int) -> list[TicketEvent]:
        """The first events of its ticket."""
        subject = subject_of(self.complaint, self.said, self.places)
        return opening(
            self.complaint,
            number=str(Number(self.month, serial)),
            said=self.said,
            major=_ORGANISATION.risk.is_major(self.said.flags),
            waybills=self.waybills,
            places=self.places,
            assignment=None if self.said.needs_review else _queue(subject),
        )

    def followed_up(self, fate: dict[str, Any], stored: Iterable[dict[str, Any]]) -> list[TicketEvent]:
        """The events that it adds to the ticket it repeats, whose stored events are given in order."""
        command = follow_up(
            self.complaint,
            ticket_id=UUID(fate["ticket_id"]),
            routing_key=fate["routing_key"],
            opened_by=UUID(fate["opened_by"]),
            matched_by=fate["matched_by"],
            said=self.said,
        )
        at = self.complaint.submitted_at
        return decide(ticket_of(stored), command, taken_at=at, organisation=_ORGANISATION)


@lru_cache(maxsize=20_000)
def _queue(subject: Subject) -> Assignment | Unassignable:
    way = route(_ORGANISATION, subject)
    return way if isinstance(way, Unassignable) else way.given_to(None, directory_version=_ORGANISATION.version)


class Reader:
    """Opens and understands complaints."""

    def __init__(self, keyring: Path) -> None:
        self._keyring = Keyring.load(keyring)

    def read(self, value: bytes, headers: Iterable[tuple[str, bytes]]) -> Case:
        """A record of `complaint-submitted`."""
        complaint = decode(value, headers, types=_TYPES).message
        assert isinstance(complaint, ComplaintSubmitted)
        wording = Wording.from_seal_bytes(self._keyring.open(complaint.wording, about=complaint.complaint_id))
        text = text_of(wording)
        named = extract(text) if _DIGIT.search(text) else _NOTHING
        said = classify(
            wording.description,
            subject=wording.subject,
            remedy=wording.remedy,
            facts=facts_of(complaint, None),
            policy=_ORGANISATION.risk.classifier,
        )
        waybills = complaint.waybills or named.waybills
        claims = claims_of(complaint, said.primary, waybills)
        return Case(complaint, said, waybills, complaint.places or named.codes, claims)


def ticket_of(stored: Iterable[dict[str, Any]]) -> Ticket:
    """The ticket that stored events make."""
    return fold(event_store._gapless({document["sequence"]: document for document in stored}))


def event_documents(events: Sequence[TicketEvent]) -> list[dict[str, Any]]:
    """The documents of `ticket_events`."""
    return [event_store._document(event.ce_type(), event.payload) for event in events]


def ticket_document(stored: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """The document of `tickets` that all events of a ticket give."""
    return ticket_store.document(ticket_of(stored), HandlingPolicy())


def opened_document(events: Sequence[TicketEvent]) -> dict[str, Any]:
    """The same for a ticket that was opened just now."""
    return ticket_store.document(fold(events), HandlingPolicy())


def encoded(events: Sequence[TicketEvent]) -> list[Encoded]:
    """What goes to `ticket-event`."""
    return [encode(event) for event in events]
