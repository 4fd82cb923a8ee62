"""The form of every command: asked for, previewed as the complainant would read it, and issued, with its files."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final, Protocol
from uuid import UUID, uuid4

from starlette.datastructures import FormData, UploadFile
from starlette.responses import Response

from schemas.commands import Approve
from schemas.events import TicketEvent
from schemas.notes import Note
from schemas.ticket import Ticket
from services.desk import previewing, showing
from services.desk.accounts import Wrong
from services.desk.command_handlers import Commands, Wanted
from services.desk.commanding import (
    Answer,
    Asked,
    Done,
    Forbidden,
    Pending,
    Refused,
    Unsure,
    after,
    place_of,
    possible_for,
)
from services.desk.doors import audited
from services.desk.forms import CURRENCIES, FORMS, Kind, first_values, sent_id, typed_values, written
from services.desk.previewing import Told
from services.desk.reasons import in_words
from services.desk.refusal import RETRY_AFTER_S, Refusal, problem_words
from services.desk.rights import may
from services.desk.seeing import Seeing, Seen
from services.desk.signing_in import Auditing
from services.desk.uploading import File, Taker, upload
from services.desk.web_visit import Endpoint, Visit
from services.desk.wording import WORDS, Speaker
from services.wording.templates import Templates

FILES: Final = "files"
"""Name of the field in which files are chosen."""


class Notes(Protocol):
    """Words, opened."""

    async def of_ticket(self, ticket: UUID, refs: Collection[UUID]) -> Mapping[UUID, Note]:
        """Those of one ticket."""


@dataclass(frozen=True, kw_only=True)
class CommandPages:
    """Forms of commands."""

    seeing: Seeing
    notes: Notes
    commands: Commands
    auditing: Auditing
    files: Taker
    templates: Callable[[datetime], Awaitable[Templates]]
    """In force at a time."""
    portal: str
    """Where complainants' own pages are; empty: messages have no links."""
    now: Callable[[], datetime]

    def routes(self) -> list[tuple[str, str, str, Endpoint]]:
        """Method, path, right, endpoint."""
        return [
            ("GET", "/tickets/{ticket}/do/{command}", "read_ticket", self.ask),
            ("POST", "/tickets/{ticket}/do/{command}", "read_ticket", self.do),
        ]

    async def ask(self, visit: Visit) -> Response:
        """The form of a command."""
        seen, name = await self._seen(visit), _command(visit)
        return _form(visit, seen.ticket, name, values=first_values(name, seen.ticket))

    async def do(self, visit: Visit) -> Response:
        """Issue it, or show first what would be sent. Whoever was second is shown what changed, and all they typed."""
        seen, name, form = await self._seen(visit), _command(visit), await visit.form()
        version, command_id = _based_on(form, seen.ticket.version), _id_of(form)
        form, trouble = await self._with_files(visit, name, form, seen.ticket)
        other = await self._named(visit, str(form.get("to_ticket") or ""))
        values = typed_values(name, form)
        sent = sent_id(command_id, name, values)
        read = written(name, form, ticket=seen.ticket, other=other, command_id=sent)
        problems = [*trouble, *(one for one in read.problems if not (trouble and one.field == "evidence"))]
        if form.get("preview") and not problems:
            return await self._previewed(visit, seen, name, read.asked, values, version=version, command_id=command_id)
        if read.asked is None or problems:
            if visit.request.headers.get("HX-Request"):
                return visit.html("preview", preview=None)
            changes = after(seen.events, version)
            show = partial(_form, visit, seen.ticket, name, values=values, status=422, problems=problems)
            return show(since=changes, version=version, command_id=command_id)
        (answer,) = await self.commands.issue(visit.person, [Wanted(seen.ticket.id, read.asked, version)])
        return _answered(visit, name, answer, values, number=seen.ticket.number)

    async def _previewed(
        self,
        visit: Visit,
        seen: Seen,
        name: str,
        asked: Asked | None,
        values: Mapping[str, list[str]],
        *,
        version: int,
        command_id: UUID,
    ) -> Response:
        """Nothing is issued; a script gets the messages alone."""
        if not may(visit.person, name, place_of(seen.ticket)):
            raise _not_allowed(visit, name)
        assert asked is not None
        now, language = self.now(), seen.ticket.language
        preview = previewing.seen(
            await self.templates(now),
            asked.action,
            ticket=seen.ticket,
            events=seen.events,
            clocks=seen.row.clocks,
            words=await self._words(visit, seen, asked),
            portal=self.portal,
            link=Speaker(language).page("preview_link"),
            now=now,
        )
        if visit.request.headers.get("HX-Request"):
            return visit.html("preview", preview=preview)
        return _form(visit, seen.ticket, name, values=values, preview=preview, version=version, command_id=command_id)

    async def _words(self, visit: Visit, seen: Seen, asked: Asked) -> str:
        """For the complainant: this person's own, or those of whoever proposed what is approved."""
        proposal = seen.ticket.approval
        if not isinstance(asked.action, Approve) or proposal is None or proposal.note_ref is None:
            return asked.note.for_customer if asked.note else ""
        if not may(visit.person, "read_notes", place_of(seen.ticket)):
            return visit.say.page("preview_words")
        await self.auditing.add(audited(visit.request, visit.person, "read_notes", ticket=str(seen.ticket.id)))
        note = (await self.notes.of_ticket(seen.ticket.id, {proposal.note_ref})).get(proposal.note_ref)
        return note.for_customer if note else ""

    async def _with_files(
        self, visit: Visit, name: str, form: FormData, ticket: Ticket
    ) -> tuple[FormData, Sequence[Wrong]]:
        """The form with the ids of the files that came with it, and what is wrong with them."""
        chosen = [one for one in form.getlist(FILES) if isinstance(one, UploadFile) and one.filename]
        if not chosen or not any(field.kind is Kind.IDS for field in FORMS[name].fields):
            return form, ()
        if not may(visit.person, name, place_of(ticket)):
            raise _not_allowed(visit, name)
        before = [file for value in form.getlist("evidence") if (file := File.read(str(value)))]
        done = await upload(self.files, chosen, before=before, language=visit.person.language)
        fields = [(key, value) for key, value in form.multi_items() if key not in (FILES, "evidence")]
        return FormData([*fields, *(("evidence", str(file)) for file in done.files)]), done.problems

    async def _seen(self, visit: Visit) -> Seen:
        return await self.seeing.get(visit.person, visit.path("ticket"))

    async def _named(self, visit: Visit, number: str) -> Ticket | None:
        try:
            return (await self.seeing.get(visit.person, number.strip())).ticket if number.strip() else None
        except Refusal:
            return None


def _answered(visit: Visit, name: str, answer: Answer, values: Mapping[str, list[str]], *, number: str) -> Response:
    """What became of it: back at the ticket, or the form again with all that was typed."""
    match answer:
        case Done():
            return visit.go(f"/tickets/{number}?done={name}")
        case Pending():
            return visit.go(f"/tickets/{number}?pending={name}")
        case Refused(ticket=now, why="version_moved_on", since=since):
            return _form(visit, now, name, values=values, status=409, since=since)
        case Refused(ticket=now, why=why):
            return _form(visit, now, name, values=values, status=409, refused=in_words(why, visit.person.language))
        case Unsure():
            raise Refusal("unsure", retry_after_s=RETRY_AFTER_S)
        case Forbidden():
            raise _not_allowed(visit, name)
        case _:
            raise Refusal("no-such-ticket")


def _form(
    visit: Visit,
    ticket: Ticket,
    name: str,
    *,
    values: Mapping[str, list[str]],
    status: int = 200,
    problems: Sequence[Wrong] = (),
    since: Sequence[TicketEvent] = (),
    refused: str = "",
    preview: previewing.Seen | None = None,
    version: int | None = None,
    command_id: UUID | None = None,
) -> Response:
    possible = possible_for(visit.person, ticket)
    if status == 200 and name not in possible:  # OK
        if not may(visit.person, name, place_of(ticket)):
            raise _not_allowed(visit, name)
        status, refused = 409, in_words("illegal_in_state", visit.person.language)
    told = [(one.field, problem_text(one, visit)) for one in problems]
    return visit.html(
        "command",
        status,
        ticket=ticket,
        name=name,
        form=FORMS[name],
        kind=Kind,
        values=values,
        files=[file for value in values.get("evidence", ()) if (file := File.read(value))],
        currencies=CURRENCIES,
        tasks=ticket.corrective_actions,
        understood=showing.understood(ticket, visit.say),
        problems=told,
        wrong={field: " ".join(text for other, text in told if other == field) for field, _ in told},
        since=showing.trail_shown(since, {}, visit.say, visit.names),
        refused=refused,
        possible=[other for other in possible if other in FORMS and other != name],
        may_read_wording=may(visit.person, "read_wording", place_of(ticket)),
        is_told=previewing.told(name),
        Told=Told,
        preview=preview,
        version=ticket.version if version is None else version,
        command_id=command_id or uuid4(),
    )


def problem_text(one: Wrong, visit: Visit) -> str:
    """What is wrong with a field."""
    if one.code in WORDS["wrong"]:
        return visit.say.word("wrong", one.code)
    return " ".join(problem_words(one.code, one.details, visit.person.language))


def known_command(name: str) -> str:
    """The name of a command that has a form; empty: there is none."""
    return name if name in FORMS else ""


def _command(visit: Visit) -> str:
    name = known_command(visit.path("command"))
    if not name:
        raise Refusal("no-such-page")
    return name


def _not_allowed(visit: Visit, name: str) -> Refusal:
    return Refusal("not-allowed", more={"action": name}, role=visit.say.word("staff_role", visit.person.role))


def _based_on(form: FormData, now: int) -> int:
    """The version of the ticket that the form was made for."""
    version = version_in(str(form.get("version") or ""))
    return now if version is None else version


def version_in(written_version: str) -> int | None:
    """A version as a form brings it; None: it is none."""
    return int(written_version) if written_version.isdecimal() and len(written_version) < 10 else None


def _id_of(form: FormData) -> UUID:
    try:
        return UUID(str(form.get("command_id") or ""))
    except ValueError:
        return uuid4()
