"""Complaints: each becomes one ticket, or one follow-up of a ticket, whoever else works on the same matter now.

1. It lays its claims one by one in an order that is the same for everybody, and stops at the first that is held.
2. Its fate, ticket or follow-up, is one insert into `complaints`. If the holder it met has none yet, it is made a
   follow-up of this one: so nobody ever waits for somebody who may be dead.
   A resolved ticket holds its claims, and the follow-up reopens it; of a ticket that is closed or withdrawn they are
   taken over, unless it was linked to another: then that one is followed up. Where that happens too late to be seen
   here, the follow-up reopens the ticket all the same.
3. A ticket's opening events are appended in one go; a follow-up goes out as a command with the ticket's key.

There are no circles: a complaint that stopped at a claim holds smaller ones only, so along any chain of follow-ups
that are not decided yet the claims they stopped at grow.
"""

import asyncio
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final, Protocol
from uuid import UUID
from zoneinfo import ZoneInfo

from schemas.classification import Classification, ClassifierPolicy, Extracted, Facts
from schemas.commands import TicketCommand
from schemas.complaint import ComplaintSubmitted, Wording
from schemas.events import TicketEvent
from schemas.sealed import Sealed
from schemas.ticket import fold
from schemas.topics import TICKET_COMMAND, TICKET_EVENT
from services.router.claims import Claim, Held, claims_of
from services.router.classifier.extraction import Shipment
from services.router.fate import Fate, Shown, heir
from services.router.number import Number, month_of
from services.router.opening import facts_of, follow_up, opening, subject_of, text_of
from services.router.placement import Need, Placement
from services.router.settled import Settled
from services.runtime.handling import Received, Refusal
from services.runtime.producing import Outgoing
from services.runtime.sealing import CannotOpen
from services.runtime.together import together

_DIGIT: Final = re.compile(r"\d")
_NOTHING: Final = Shipment()
"""What a text without digits names."""
_BREATH: Final = 32
"""Texts that are read before others get a turn: heartbeats must not wait for a whole batch."""


class Classify(Protocol):
    """The classifier."""

    def __call__(
        self, text: str, *, subject: str, remedy: str, facts: Facts | None, policy: ClassifierPolicy
    ) -> Classification:
        """What a complaint is about."""


class Opener(Protocol):
    """Opens what was sealed."""

    def open(self, sealed: Sealed, *, about: UUID) -> bytes:
        """The plaintext."""


class Fates(Protocol):
    """Fates of complaints."""

    async def fates(self, complaints: Iterable[UUID]) -> dict[UUID, Fate]:
        """Those that are decided."""

    async def decide(self, fates: Sequence[Fate]) -> dict[UUID, Fate]:
        """Insert what nobody has decided yet; the fates that hold."""


class Claims(Protocol):
    """Who holds which claim."""

    async def lay(self, claims: Sequence[Held]) -> dict[str, Held]:
        """Lay claims; who holds each."""

    async def take_over(self, claims: Sequence[tuple[Held, UUID]]) -> dict[str, Held]:
        """Take claims over from their holders; who holds each."""


class Contacts(Protocol):
    """Sealed contacts and wording."""

    async def keep(self, complaints: Sequence[tuple[ComplaintSubmitted, UUID]]) -> None:
        """Keep them with the ticket that they belong to."""


class Events(Protocol):
    """The event store."""

    async def append(self, groups: Sequence[Sequence[TicketEvent]]) -> set[UUID]:
        """Append; the tickets where somebody was first."""

    async def load(self, tickets: Iterable[UUID]) -> dict[UUID, list[TicketEvent]]:
        """All events of tickets."""


class Numbers(Protocol):
    """Serials."""

    async def take(self, month: str, count: int) -> range:
        """The next serials of a month."""


class Tickets(Protocol):
    """The projection."""

    async def shown(self, tickets: Iterable[UUID]) -> dict[UUID, Shown]:
        """Tickets, and those that they were linked to, one after the other."""


class Parked(Protocol):
    """Follow-ups that wait for a ticket."""

    async def waiting_for(self, tickets: Iterable[UUID]) -> list[TicketCommand]:
        """Those that wait for one of these."""


@dataclass(slots=True, eq=False)
class _Case:
    """A complaint in hand."""

    received: Received[ComplaintSubmitted]
    said: Classification
    waybills: tuple[str, ...]
    places: tuple[str, ...]
    claims: list[Claim]
    fate: Fate
    """Until it is decided: that it opens a ticket."""
    decided: bool = False
    laid: int = 0
    """How many of its claims are done with."""
    follows: "tuple[_Case, str] | None" = None
    """An earlier one of the same batch, and by which kind of claim."""

    @property
    def complaint(self) -> ComplaintSubmitted:
        return self.received.message

    def held(self, claim: Claim) -> Held:
        return Held(claim, self.complaint.complaint_id, self.complaint.routing_key)

    def repeats(self, other: Fate, kind: str) -> Fate:
        return Fate(self.complaint.complaint_id, other.opened_by, other.routing_key, matched_by=kind)


@dataclass(slots=True)
class Reading:
    """Complaints that were opened and understood, and those that could not be."""

    cases: list[_Case] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class ComplaintHandler:
    """Decides complaints."""

    fates: Fates
    claims: Claims
    contacts: Contacts
    events: Events
    numbers: Numbers
    tickets: Tickets
    parked: Parked
    placement: Placement
    opener: Opener
    classify: Classify
    shipment_of: Callable[[str], Shipment]
    extract: Callable[[str], Extracted]
    zone: ZoneInfo
    """In which a ticket number's month begins."""
    text_window: timedelta = timedelta(days=7)

    async def read(self, batch: Sequence[Received[ComplaintSubmitted]]) -> Reading:
        """Open and understand complaints. It asks nobody, so the next ones can be read while others are decided."""
        reading = Reading()
        for number, received in enumerate(batch):
            try:
                reading.cases.append(self._read(received))
            except CannotOpen as refusal:
                reading.refusals.append(Refusal(received, str(refusal)))
            if number % _BREATH == _BREATH - 1:
                await asyncio.sleep(0)
        return reading

    async def settle(self, reading: Reading) -> Settled:
        """Decide complaints, in their order. What it gives is appended, and neither published nor shown yet."""
        settled = Settled(refusals=reading.refusals)
        cases = await self._not_opened_before(settled, reading.cases)
        # Who decided those may have died before all that they name was laid, or it was somebody else who met them.
        await self._lay_rest([case for case in cases if case.decided])
        await self._decide([case for case in cases if not case.decided])
        await together(
            self.contacts.keep(_contacts(case for case in cases if case.fate.role == "followed_up")),
            self._open(settled, [case for case in cases if case.fate.role == "opened"]),
        )
        # Also of those that were opened before: who did may have died before it looked.
        settled.parked = await self.parked.waiting_for(settled.tickets)
        settled.outgoing += [Outgoing(TICKET_COMMAND, command) for command in settled.parked]
        settled.outgoing += [_follow_up(case) for case in cases if case.fate.role == "followed_up"]
        return settled

    async def _not_opened_before(self, settled: Settled, cases: list[_Case]) -> list[_Case]:
        """Give stored events once more for what was delivered before; the other cases, with the fate that some have."""
        fates = await self.fates.fates(case.complaint.complaint_id for case in cases)
        stored = await self.events.load(fate.ticket_id for fate in fates.values() if fate.role == "opened")
        others = []
        for case in cases:
            fate = fates.get(case.complaint.complaint_id)
            if fate is not None and fate.role == "opened" and fate.ticket_id in stored:
                self._opened_before(settled, case.received, stored[fate.ticket_id])
                continue
            if fate is not None:
                case.fate, case.decided = fate, True
            others.append(case)
        return others

    def _opened_before(
        self, settled: Settled, received: Received[ComplaintSubmitted], events: list[TicketEvent]
    ) -> None:
        ticket = fold(events)
        settled.tickets[ticket.id] = ticket
        own = (e for e in events if e.causation_id == ticket.complaint_id)
        settled.outgoing += [Outgoing(TICKET_EVENT, event, received.traceparent) for event in own]

    def _read(self, received: Received[ComplaintSubmitted]) -> _Case:
        complaint = received.message
        wording = Wording.from_seal_bytes(self.opener.open(complaint.wording, about=complaint.complaint_id))
        text = text_of(wording)
        named = self.shipment_of(text) if _DIGIT.search(text) else _NOTHING
        claimed = self.extract(wording.remedy) if wording.remedy and complaint.declared_value else None
        said = self.classify(
            wording.description,
            subject=wording.subject,
            remedy=wording.remedy,
            facts=facts_of(complaint, claimed),
            policy=self.placement.organisation.risk.classifier,
        )
        waybills = complaint.waybills or named.waybills
        return _Case(
            received=received,
            said=said,
            waybills=waybills,
            places=complaint.places or named.codes,
            claims=claims_of(complaint, said.primary, waybills),
            fate=Fate(complaint.complaint_id, complaint.complaint_id, complaint.routing_key),
        )

    async def _decide(self, cases: list[_Case]) -> None:
        """Give every case its fate."""
        leaders = _leaders(cases, self.text_window)
        await self._lay_claims(leaders)
        holds = await self.fates.decide([case.fate for case in leaders])
        for case in leaders:
            case.fate = holds[case.complaint.complaint_id]
        followers = [case for case in cases if case.follows is not None]
        for case in followers:
            assert case.follows is not None
            leader, kind = case.follows
            case.fate = case.repeats(leader.fate, kind)
        holds = await self.fates.decide([case.fate for case in followers])
        for case in followers:
            case.fate = holds[case.complaint.complaint_id]
        await self._lay_rest(cases)

    async def _lay_rest(self, cases: Iterable[_Case]) -> None:
        """Let whatever else the decided name, e.g. another parcel, lead to their tickets from now on."""
        rest = {claim.id: case.held(claim) for case in cases for claim in case.claims[case.laid :]}
        if rest:
            await self.claims.lay(list(rest.values()))

    async def _lay_claims(self, cases: list[_Case]) -> None:
        """Lay each case's claims in order, until all are laid or one is found held by a ticket that is open."""
        pending = [case for case in cases if case.claims]
        while pending:
            wanted: dict[str, Held] = {}
            for case in pending:
                claim = case.claims[case.laid]
                wanted.setdefault(claim.id, case.held(claim))
            holds = await self.claims.lay(list(wanted.values()))
            met: list[tuple[_Case, Held]] = []
            for case in pending:
                claim = case.claims[case.laid]
                held = holds[claim.id]
                if held.complaint_id != case.complaint.complaint_id and claim.same_matter(waybills=held.claim.waybills):
                    met.append((case, held))
                else:
                    case.laid += 1
            stopped = await self._meet(met)
            pending = [case for case in pending if case not in stopped and case.laid < len(case.claims)]

    async def _meet(self, met: list[tuple[_Case, Held]]) -> set[_Case]:
        """Deal with claims that others hold.

        Returns:
            The cases that have found their fate. The others took the claim over, or try the same one again.
        """
        stopped: set[_Case] = set()
        lapsed = [
            (case, held)
            for case, held in met
            if case.claims[case.laid].lapsed(laid_at=held.claim.received_at, window=self.text_window)
        ]
        met = [pair for pair in met if pair not in lapsed]
        fates = await self.fates.fates({held.complaint_id for _, held in met})
        forced: dict[UUID, Fate] = {}
        for case, held in met:
            if held.complaint_id not in fates:
                kind = case.claims[case.laid].kind
                forced.setdefault(
                    held.complaint_id,
                    Fate(held.complaint_id, case.complaint.complaint_id, case.complaint.routing_key, matched_by=kind),
                )
        fates |= await self.fates.decide(list(forced.values()))
        shown = await self.tickets.shown({fates[held.complaint_id].ticket_id for _, held in met})
        over = list(lapsed)
        for case, held in met:
            fate = heir(fates[held.complaint_id], shown)
            if fate is None:
                over.append((case, held))
                continue
            stopped.add(case)
            if fate.opened_by != case.complaint.complaint_id:
                case.fate = case.repeats(fate, case.claims[case.laid].kind)
        await self._take_over(over)
        return stopped

    async def _take_over(self, over: list[tuple[_Case, Held]]) -> None:
        first = {held.claim.id: (case.held(case.claims[case.laid]), held.complaint_id) for case, held in reversed(over)}
        holds = await self.claims.take_over(list(first.values()))
        for case, held in over:
            if holds[held.claim.id].complaint_id == case.complaint.complaint_id:
                case.laid += 1

    async def _open(self, settled: Settled, cases: list[_Case]) -> None:
        if not cases:
            return
        needs = [
            Need(case.fate.ticket_id, subject_of(case.complaint, case.said, case.places), case.complaint.submitted_at)
            for case in cases
            if not case.said.needs_review
        ]
        # A ticket is not opened before its contact is kept: what is opened is not looked at again by a redelivery.
        numbers, placed, _ = await together(
            self._numbers(cases), self.placement.place(needs), self.contacts.keep(_contacts(cases))
        )
        groups: dict[UUID, list[TicketEvent]] = {}
        for case, number in zip(cases, numbers, strict=True):
            assignment = placed.get(case.fate.ticket_id)
            groups[case.fate.ticket_id] = opening(
                case.complaint,
                number=number,
                said=case.said,
                major=self.placement.organisation.risk.is_major(case.said.flags),
                waybills=case.waybills,
                places=case.places,
                assignment=assignment,
            )
        lost = await self.events.append(list(groups.values()))
        others = await self.events.load(lost)
        for case in cases:
            ticket_id = case.fate.ticket_id
            if ticket_id in lost:
                self._opened_before(settled, case.received, others[ticket_id])
                continue
            events = groups[ticket_id]
            settled.appended += events
            settled.tickets[ticket_id] = fold(events)
            if not case.decided:
                settled.fresh.add(ticket_id)
            settled.outgoing += [Outgoing(TICKET_EVENT, event, case.received.traceparent) for event in events]

    async def _numbers(self, cases: list[_Case]) -> list[str]:
        months = [month_of(case.complaint.submitted_at, self.zone) for case in cases]
        serials = {month: iter(await self.numbers.take(month, count)) for month, count in Counter(months).items()}
        return [str(Number(month, next(serials[month]))) for month in months]


def _leaders(cases: list[_Case], window: timedelta) -> list[_Case]:
    """Decide between the cases of one batch by their order; those that follow nobody in it."""
    holders: dict[str, tuple[_Case, Claim]] = {}
    leaders = []
    for case in cases:
        for claim in case.claims:
            leader, held = holders.get(claim.id, (None, None))
            if leader is None or held is None or not claim.same_matter(waybills=held.waybills):
                continue
            if not claim.lapsed(laid_at=held.received_at, window=window):
                case.follows = (leader, claim.kind)
                break
        else:
            leaders.append(case)
        leader = case.follows[0] if case.follows else case
        for claim in case.claims:
            holders.setdefault(claim.id, (leader, claim))
    return leaders


def _contacts(cases: Iterable[_Case]) -> list[tuple[ComplaintSubmitted, UUID]]:
    return [(case.complaint, case.fate.ticket_id) for case in cases]


def _follow_up(case: _Case) -> Outgoing:
    command = follow_up(
        case.complaint,
        ticket_id=case.fate.ticket_id,
        routing_key=case.fate.routing_key,
        opened_by=case.fate.opened_by,
        matched_by=case.fate.matched_by or "by_hand",
        said=case.said,
    )
    return Outgoing(TICKET_COMMAND, command, case.received.traceparent)
