"""The page of one ticket: what is known of it, and who complained. Forms of commands: `web_command.py`."""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Protocol, TypeVar
from uuid import UUID, uuid4

from starlette.responses import Response

from schemas.events import TicketFollowedUp, TicketOpened
from schemas.notes import Note
from services.desk import cases, showing
from services.desk.asking import Asking
from services.desk.commanding import place_of, possible_for
from services.desk.contact_reading import ContactReading
from services.desk.doors import audited
from services.desk.forms import STEPS, offered
from services.desk.person import Person
from services.desk.queue import PageAsked, Scope, Standing
from services.desk.rights import may
from services.desk.row import Kept, Row
from services.desk.seeing import Seeing, Seen
from services.desk.signing_in import Auditing
from services.desk.telling import all_messages_told
from services.desk.web_command import known_command
from services.desk.web_evidence import EvidencePages
from services.desk.web_knowledge import case_shown
from services.desk.web_visit import Endpoint, Visit
from services.desk.wording import Speaker

T = TypeVar("T")

_RELATED_MAX: Final = 10


class Rows(Protocol):
    """Single rows."""

    async def get(self, ticket: UUID) -> Kept | None:
        """By id."""


class Trail(Protocol):
    """What is told of a ticket elsewhere."""

    async def messages(self, ids: Sequence[UUID]) -> list[Mapping[str, Any]]:
        """Records of messages."""


class Notes(Protocol):
    """Words, opened."""

    async def of_ticket(self, ticket: UUID, refs: Collection[UUID]) -> Mapping[UUID, Note]:
        """Those of one ticket."""


@dataclass(frozen=True, kw_only=True)
class TicketPages:
    """One ticket."""

    asking: Asking
    seeing: Seeing
    rows: Rows
    trail: Trail
    notes: Notes
    reading: ContactReading
    evidence: EvidencePages
    auditing: Auditing
    scope_of: Callable[[Person], Scope]

    def routes(self) -> list[tuple[str, str, str, Endpoint]]:
        """Method, path, right, endpoint."""
        return [
            ("GET", "/tickets/{ticket}", "read_ticket", self.ticket),
            ("POST", "/tickets/{ticket}/contact", "unmask_contact", self.contact),
            ("POST", "/tickets/{ticket}/wording", "read_wording", self.wording),
        ]

    async def ticket(self, visit: Visit) -> Response:
        """The ticket."""
        return await self._page(visit, await self._seen(visit))

    async def contact(self, visit: Visit) -> Response:
        """The ticket with who complained, for a reason."""
        seen = await self._seen(visit)
        entry = partial(audited, visit.request, visit.person)
        reason = str((await visit.form()).get("reason") or "")[:1000]
        found = await self.reading.contacts(visit.person, seen.ticket.id, reason=reason, entry=entry)
        return await self._page(visit, seen, contacts=_with_origins(found, seen, visit.say))

    async def wording(self, visit: Visit) -> Response:
        """The ticket with the complainant's words."""
        seen = await self._seen(visit)
        entry = partial(audited, visit.request, visit.person)
        found = await self.reading.wordings(visit.person, seen.ticket.id, entry=entry)
        return await self._page(visit, seen, wordings=_with_origins(found, seen, visit.say))

    async def _seen(self, visit: Visit) -> Seen:
        return await self.seeing.get(visit.person, visit.path("ticket"))

    async def _page(self, visit: Visit, seen: Seen, **opened: Any) -> Response:
        person, place, say = visit.person, place_of(seen.ticket), visit.say
        can = possible_for(person, seen.ticket)
        scope, now = self.scope_of(person), self.asking.now()
        notes, files, records, related, similar, linked = await asyncio.gather(
            self._notes(visit, seen),
            self.evidence.listed(visit, seen),
            self.trail.messages([message.id for message in seen.row.messages]),
            self._related(visit, seen.row, scope),
            self.asking.cases(cases.similar(seen.row, scope=scope, now=now), size=cases.READ_MAX),
            self.rows.get(seen.ticket.linked_to) if seen.ticket.linked_to else _nothing(),
        )
        sees_complainant = scope.sees_complainant or may(person, "unmask_contact", place)
        return visit.html(
            "ticket",
            row=seen.row,
            ticket=seen.ticket,
            matter=showing.matter(seen.row.category, seen.row.sub, say),
            clocks=[showing.clock_shown(clock, seen.row.id, now=now, say=say) for clock in seen.row.clocks],
            trail=showing.trail_shown(seen.events, notes, say, visit.names),
            understood=showing.understood(seen.ticket, say),
            sees_complainant=sees_complainant,
            contact=showing.contact(seen.row) if sees_complainant else "",
            may_unmask=may(person, "unmask_contact", place),
            may_revoke_link=may(person, "revoke_link", place),
            may_read_notes=may(person, "read_notes", place),
            may_read_wording=may(person, "read_wording", place),
            possible=offered(can, seen.ticket.channel, {clock.clock for clock in seen.row.clocks}),
            steps=STEPS,
            mine=uuid4() if "assign" in can and seen.ticket.person != person.id else None,
            files=files,
            messages=all_messages_told(seen.row, records),
            related=related,
            similar=[case_shown(one, say) for one in cases.most_similar(seen.row, similar)],
            linked=linked.row.number if linked else "",
            decider=showing.decider(seen.ticket, say),
            done=known_command(visit.query("done")),
            pending=known_command(visit.query("pending")),
            **{"contacts": None, "wordings": None, **opened},
        )

    async def _notes(self, visit: Visit, seen: Seen) -> Mapping[UUID, Note]:
        refs = {event.note_ref for event in seen.events if event.note_ref}
        if not refs or not may(visit.person, "read_notes", place_of(seen.ticket)):
            return {}
        # Notes name people: reading them is audited before they are opened.
        await self.auditing.add(audited(visit.request, visit.person, "read_notes", ticket=str(seen.ticket.id)))
        return await self.notes.of_ticket(seen.ticket.id, refs)

    async def _related(self, visit: Visit, row: Row, scope: Scope) -> list[dict[str, str]]:
        questions = [PageAsked(waybill=[w], standing=Standing.OPEN, size=_RELATED_MAX) for w in row.waybills[:5]]
        if row.contacts and scope.sees_complainant:
            customer = list(row.contacts)[:_RELATED_MAX]
            questions.append(PageAsked(customer=customer, standing=Standing.OPEN, size=_RELATED_MAX))
        answers = await asyncio.gather(*(self.asking.page(q, person=visit.person, scope=scope) for q in questions))
        found = {other.id: other for answer in answers for other in answer.rows if other.id != row.id}
        return [
            {
                "number": other.number,
                "matter": showing.matter(other.category, other.sub, visit.say),
                "state": visit.say.word("state", other.state),
            }
            for other in list(found.values())[:_RELATED_MAX]
        ]


async def _nothing() -> None:
    return None


def _with_origins(found: Mapping[UUID, T], seen: Seen, say: Speaker) -> list[tuple[str, T]]:
    """What was opened of each complaint, with when and by what channel it came; of a single one that is known."""
    came = {e.complaint_id: e for e in seen.events if isinstance(e, TicketOpened | TicketFollowedUp)}
    told = {id_: f"{say.at(one.received_at)} · {say.word('channel', one.channel)}" for id_, one in came.items()}
    return [(told.get(id_, "") if len(found) > 1 else "", one) for id_, one in found.items()]
