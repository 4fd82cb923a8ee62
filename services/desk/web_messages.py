"""The text of a message that a complainant got, in the words that it had then. Every reading is audited."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol
from uuid import UUID

from starlette.responses import Response

from schemas.codes import DeliveryChannel, Language, Moment
from schemas.notes import Note
from services.desk.commanding import place_of
from services.desk.doors import audited
from services.desk.refusal import Refusal
from services.desk.rights import require
from services.desk.seeing import Seeing
from services.desk.signing_in import Auditing
from services.desk.text_handlers import TextHandlers
from services.desk.web_visit import Endpoint, Visit
from services.desk.wording import Speaker
from services.runtime import private_link
from services.wording.templates import Saying

_SHOWN: Final = (DeliveryChannel.SMS, DeliveryChannel.EMAIL)


@dataclass(frozen=True, slots=True)
class Tried:
    """One attempt to send a message."""

    channel: DeliveryChannel
    template: str
    """As `answered.sms.zh@3`, see `services/wording/texts.py`."""
    at: datetime | None
    """When it was taken by the provider; None: it was not."""

    @property
    def language(self) -> Language:
        """In which it was written."""
        return Language(self.template.split(".")[2].partition("@")[0])


@dataclass(frozen=True, slots=True)
class Sent:
    """The record of a message, without whom it went to."""

    moment: Moment
    facts: Mapping[str, Any]
    time_zone: str
    to: str
    """Masked."""
    note_ref: UUID | None
    tried: Sequence[Tried]


class Messages(Protocol):
    """See `trail_store.py`."""

    async def sent(self, ticket: UUID, message: UUID) -> Sent | None:
        """One message of a ticket."""


class Notes(Protocol):
    """Words, opened."""

    async def of_ticket(self, ticket: UUID, refs: Collection[UUID]) -> Mapping[UUID, Note]:
        """Those of one ticket."""


@dataclass(frozen=True, kw_only=True)
class MessagePages:
    """Messages of tickets."""

    seeing: Seeing
    messages: Messages
    notes: Notes
    texts: TextHandlers
    auditing: Auditing
    portal: str
    """Where complainants' own pages are; empty: messages have no links."""

    def routes(self) -> list[tuple[str, str, str, Endpoint]]:
        """Method, path, right, endpoint."""
        return [("GET", "/tickets/{ticket}/messages/{message}", "read_notes", self.show)]

    async def show(self, visit: Visit) -> Response:
        """One message, as it was sent by each way; the private link is its owner's alone."""
        seen = await self.seeing.get(visit.person, visit.path("ticket"))
        require(visit.person, "read_notes", place_of(seen.ticket))
        try:
            wanted = UUID(visit.path("message"))
        except ValueError:
            raise Refusal("no-such-page") from None
        sent = await self.messages.sent(seen.ticket.id, wanted)
        if sent is None:
            raise Refusal("no-such-page")
        ticket = str(seen.ticket.id)
        what = ("message",)
        entry = audited(visit.request, visit.person, "read_notes", ticket=ticket, about=str(wanted), fields=what)
        await self.auditing.add(entry)
        refs = {sent.note_ref} if sent.note_ref else set()
        note = (await self.notes.of_ticket(seen.ticket.id, refs)).get(sent.note_ref) if sent.note_ref else None
        wordings = await self.texts.wordings()
        sample = private_link.sample(self.portal)
        shown = []
        for one in sent.tried:
            if one.channel not in _SHOWN:
                continue
            facts, words = {"number": seen.ticket.number, **sent.facts}, note.for_customer if note else ""
            saying = Saying(sent.moment, one.language, sent.time_zone, facts, words=words, link=sample)
            rendered = wordings.render(saying, one.channel, name=None, now=visit.doors.now(), begun=one.template)
            link = Speaker(one.language).page("preview_link")
            text = rendered.text.replace(sample, link) if sample else rendered.text
            shown.append({"tried": one, "subject": rendered.subject, "text": text.strip()})
        return visit.html("message", ticket=seen.ticket, sent=sent, shown=shown)
