"""Pages of one ticket: what is known of it, who complained, and the form of every command."""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Protocol
from uuid import UUID, uuid4

from starlette.datastructures import FormData
from starlette.responses import Response

from schemas.events import TicketEvent
from schemas.notes import Note
from schemas.ticket import Ticket, fold
from services.desk import showing
from services.desk.accounts import Wrong
from services.desk.asking import Asking
from services.desk.command_handlers import Commands, Wanted
from services.desk.commanding import Done, Forbidden, Pending, Refused, after, place_of, possible_for
from services.desk.contact_reading import ContactReading
from services.desk.doors import audited
from services.desk.forms import CURRENCIES, FORMS, Kind, first_values, typed_values, written
from services.desk.person import Person
from services.desk.queue import PageAsked, Scope, Standing
from services.desk.reasons import in_words
from services.desk.refusal import Refusal, problem_words
from services.desk.rights import may
from services.desk.row import Kept, Row
from services.desk.signing_in import Auditing
from services.desk.telling import all_messages_told
from services.desk.web_visit import Endpoint, Visit
from services.desk.wording import WORDS

_RELATED_MAX: Final = 10


class Rows(Protocol):
    """Single rows."""

    async def get(self, ticket: UUID) -> Kept | None:
        """By id."""

    async def by_number(self, number: str) -> Kept | None:
        """By ticket number."""


class Trail(Protocol):
    """What is told of a ticket elsewhere."""

    async def events(self, tickets: Iterable[UUID]) -> Mapping[UUID, list[TicketEvent]]:
        """All events, in order."""

    async def messages(self, ids: Sequence[UUID]) -> list[Mapping[str, Any]]:
        """Records of messages."""


class Notes(Protocol):
    """Words, opened."""

    async def of_ticket(self, ticket: UUID, refs: Collection[UUID]) -> Mapping[UUID, Note]:
        """Those of one ticket."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A ticket that the person may see."""

    row: Row
    ticket: Ticket
    events: list[TicketEvent]


@dataclass(frozen=True, kw_only=True)
class TicketPages:
    """One ticket."""

    asking: Asking
    rows: Rows
    trail: Trail
    notes: Notes
    commands: Commands
    reading: ContactReading
    auditing: Auditing
    scope_of: Callable[[Person], Scope]

    def routes(self) -> list[tuple[str, str, str, Endpoint]]:
        """Method, path, right, endpoint."""
        return [
            ("GET", "/tickets/{ticket}", "read_ticket", self.ticket),
            ("POST", "/tickets/{ticket}/contact", "unmask_contact", self.contact),
            ("POST", "/tickets/{ticket}/wording", "read_wording", self.wording),
            ("GET", "/tickets/{ticket}/do/{command}", "read_ticket", self.ask),
            ("POST", "/tickets/{ticket}/do/{command}", "read_ticket", self.do),
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
        return await self._page(visit, seen, contacts=list(found.values()))

    async def wording(self, visit: Visit) -> Response:
        """The ticket with the complainant's words."""
        seen = await self._seen(visit)
        entry = partial(audited, visit.request, visit.person)
        found = await self.reading.wordings(visit.person, seen.ticket.id, entry=entry)
        return await self._page(visit, seen, wordings=list(found.values()))

    async def ask(self, visit: Visit) -> Response:
        """The form of a command."""
        seen, name = await self._seen(visit), self._command(visit)
        return self._form(visit, seen.ticket, name, values=first_values(name, seen.ticket))

    async def do(self, visit: Visit) -> Response:
        """Issue it. Whoever was second is shown what changed, and all that they typed."""
        seen, name, form = await self._seen(visit), self._command(visit), await visit.form()
        version, command_id = _based_on(form, seen.ticket.version), _id_of(form)
        other = await self._named(visit, str(form.get("to_ticket") or ""))
        read = written(name, form, ticket=seen.ticket, other=other, command_id=command_id)
        show = partial(self._form, visit, seen.ticket, name, values=typed_values(name, form))
        if read.asked is None:
            changes = after(seen.events, version)
            return show(status=422, problems=read.problems, since=changes, version=version, command_id=command_id)
        (answer,) = await self.commands.issue(visit.person, [Wanted(seen.ticket.id, read.asked, version)])
        here = f"/tickets/{seen.ticket.number}"
        match answer:
            case Done():
                return visit.go(f"{here}?done={name}")
            case Pending():
                return visit.go(f"{here}?pending={name}")
            case Refused(ticket=now, why="version_moved_on", since=since):
                return self._form(visit, now, name, values=typed_values(name, form), status=409, since=since)
            case Refused(ticket=now, why=why):
                refused = in_words(why, visit.person.language)
                values = typed_values(name, form)
                return self._form(visit, now, name, values=values, status=409, refused=refused)
            case Forbidden():
                raise Refusal("not-allowed", action=name, role=visit.say.word("staff_role", visit.person.role))
            case _:
                raise Refusal("no-such-ticket")

    async def _seen(self, visit: Visit, named: str | None = None) -> Seen:
        named = named or visit.path("ticket")
        try:
            kept = await self.rows.get(UUID(named))
        except ValueError:
            kept = await self.rows.by_number(named)
        # Whoever may not see it is not told that it exists.
        scope = self.scope_of(visit.person)
        if kept is None or not scope.shows(department=kept.row.department, units=kept.row.units):
            raise Refusal("no-such-ticket")
        events = (await self.trail.events([kept.row.id])).get(kept.row.id, [])
        if not events or not may(visit.person, "read_ticket", place_of(ticket := fold(events))):
            raise Refusal("no-such-ticket")
        return Seen(kept.row, ticket, events)

    async def _named(self, visit: Visit, number: str) -> Ticket | None:
        try:
            return (await self._seen(visit, number.strip())).ticket if number.strip() else None
        except Refusal:
            return None

    async def _page(self, visit: Visit, seen: Seen, **opened: Any) -> Response:
        person, place, say = visit.person, place_of(seen.ticket), visit.say
        scope, now = self.scope_of(person), self.asking.now()
        notes, records, related, linked = await asyncio.gather(
            self._notes(visit, seen),
            self.trail.messages([message.id for message in seen.row.messages]),
            self._related(visit, seen.row, scope),
            self.rows.get(seen.ticket.linked_to) if seen.ticket.linked_to else _nothing(),
        )
        sees_complainant = scope.sees_complainant or may(person, "unmask_contact", place)
        return visit.html(
            "ticket",
            row=seen.row,
            ticket=seen.ticket,
            matter=showing.matter(seen.row.category, seen.row.sub, say),
            clocks=[showing.clock_shown(clock, seen.row.id, now=now, say=say) for clock in seen.row.clocks],
            trail=showing.trail_shown(seen.events, notes, say),
            understood=showing.understood(seen.ticket, say),
            sees_complainant=sees_complainant,
            contact=showing.contact(seen.row) if sees_complainant else "",
            may_unmask=may(person, "unmask_contact", place),
            may_read_wording=may(person, "read_wording", place),
            possible=[name for name in possible_for(person, seen.ticket) if name in FORMS],
            messages=all_messages_told(seen.row, records),
            related=related,
            linked=linked.row.number if linked else "",
            done=_known_command(visit.query("done")),
            pending=_known_command(visit.query("pending")),
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

    def _command(self, visit: Visit) -> str:
        name = visit.path("command")
        if name not in FORMS:
            raise Refusal("no-such-page")
        return name

    def _form(
        self,
        visit: Visit,
        ticket: Ticket,
        name: str,
        *,
        values: Mapping[str, list[str]],
        status: int = 200,
        problems: Sequence[Wrong] = (),
        since: Sequence[TicketEvent] = (),
        refused: str = "",
        version: int | None = None,
        command_id: UUID | None = None,
    ) -> Response:
        possible = possible_for(visit.person, ticket)
        if status == 200 and name not in possible:  # OK
            if not may(visit.person, name, place_of(ticket)):
                raise Refusal("not-allowed", action=name, role=visit.say.word("staff_role", visit.person.role))
            status, refused = 409, in_words("illegal_in_state", visit.person.language)
        return visit.html(
            "command",
            status,
            ticket=ticket,
            name=name,
            form=FORMS[name],
            kind=Kind,
            values=values,
            currencies=CURRENCIES,
            tasks=ticket.corrective_actions,
            understood=showing.understood(ticket, visit.say),
            problems=[(one.field, problem_text(one, visit)) for one in problems],
            wrong={one.field: problem_text(one, visit) for one in problems},
            since=showing.trail_shown(since, {}, visit.say),
            refused=refused,
            possible=[other for other in possible if other in FORMS and other != name],
            version=ticket.version if version is None else version,
            command_id=command_id or uuid4(),
        )


def problem_text(one: Wrong, visit: Visit) -> str:
    """What is wrong with a field."""
    if one.code in WORDS["wrong"]:
        return visit.say.word("wrong", one.code)
    return " ".join(problem_words(one.code, one.details, visit.person.language))


def _based_on(form: FormData, now: int) -> int:
    """The version of the ticket that the form was made for."""
    written_version = str(form.get("version") or "")
    return int(written_version) if written_version.isdecimal() and len(written_version) < 10 else now


def _id_of(form: FormData) -> UUID:
    try:
        return UUID(str(form.get("command_id") or ""))
    except ValueError:
        return uuid4()


def _known_command(name: str) -> str:
    return name if name in FORMS else ""


async def _nothing() -> None:
    return None
