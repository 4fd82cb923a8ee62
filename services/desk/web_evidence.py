"""Files of a ticket: which there are, and each for download by those who may read notes. Every reading is audited."""

import mimetypes
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol
from uuid import UUID

from starlette.responses import Response

from schemas.codes import ActorKind
from schemas.events import TicketEvidenceAdded, TicketFindingsRecorded
from schemas.message import Actor
from services.desk.commanding import place_of
from services.desk.doors import audited
from services.desk.evidence_store import About
from services.desk.refusal import Refusal
from services.desk.rights import may, require
from services.desk.seeing import Seeing, Seen
from services.desk.signing_in import Auditing
from services.desk.web_visit import Endpoint, Visit

_ENDINGS: Final = {"audio/mp4": ".m4a", "audio/x-wav": ".wav", "audio/amr": ".amr", "image/heic": ".heic"}
"""Where the library knows another one or none."""
_COMPLAINANT: Final = Actor(kind=ActorKind.COMPLAINANT)


class Contacts(Protocol):
    """What came with complaints, see `contact_store.py`."""

    async def evidence(self, complaints: Iterable[UUID]) -> list[tuple[UUID, UUID]]:
        """As (complaint, file)."""


class Files(Protocol):
    """See `evidence_store.py`."""

    async def about(self, ids: Collection[UUID], *, of: Collection[UUID]) -> Mapping[UUID, About]:
        """Those that are there and not another's than these tickets' and complaints'."""

    async def read(self, id_: UUID) -> tuple[str, bytes] | None:
        """Media type and content."""


@dataclass(frozen=True, kw_only=True)
class EvidencePages:
    """Files of tickets."""

    seeing: Seeing
    contacts: Contacts
    files: Files
    auditing: Auditing

    def routes(self) -> list[tuple[str, str, str, Endpoint]]:
        """Method, path, right, endpoint."""
        return [("GET", "/tickets/{ticket}/evidence/{evidence}", "read_notes", self.download)]

    async def listed(self, visit: Visit, seen: Seen) -> list[dict[str, Any]] | None:
        """What the page of the ticket says of its files; None: this person may not read them."""
        if not may(visit.person, "read_notes", place_of(seen.ticket)):
            return None
        known = await self._known(seen)
        about = await self.files.about(known, of=_owners(seen))
        return [
            {
                "id": id_,
                "what": about[id_].media_type.partition("/")[2].removeprefix("x-").upper(),
                "size": visit.say.number(max(1, round(about[id_].size / 1024))),
                "who": who.id or visit.say.word("actor", who.kind),
            }
            for id_, who in known.items()
            if id_ in about
        ]

    async def download(self, visit: Visit) -> Response:
        """One file, to be kept and not shown: whatever is in it runs in no page of ours."""
        seen = await self.seeing.get(visit.person, visit.path("ticket"))
        require(visit.person, "read_notes", place_of(seen.ticket))
        try:
            wanted = UUID(visit.path("evidence"))
        except ValueError:
            raise Refusal("no-such-file") from None
        if wanted not in await self._known(seen) or not await self.files.about([wanted], of=_owners(seen)):
            raise Refusal("no-such-file")
        ticket, about = str(seen.ticket.id), str(wanted)
        what = ("evidence",)
        entry = audited(visit.request, visit.person, "read_notes", ticket=ticket, about=about, fields=what)
        await self.auditing.add(entry)
        found = await self.files.read(wanted)
        if found is None:
            raise Refusal("no-such-file")
        media_type, content = found
        ending = _ENDINGS.get(media_type) or mimetypes.guess_extension(media_type) or ""
        headers = {
            "Content-Disposition": f'attachment; filename="{seen.ticket.number}-{str(wanted)[:8]}{ending}"',
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "no-store",
        }
        return Response(content, media_type=media_type, headers=headers)

    async def _known(self, seen: Seen) -> dict[UUID, Actor]:
        """Ids of a ticket's files, each with who added it."""
        known = {file: _COMPLAINANT for _, file in await self.contacts.evidence(seen.ticket.complaints)}
        for event in seen.events:
            if isinstance(event, TicketEvidenceAdded | TicketFindingsRecorded):
                known |= dict.fromkeys(event.evidence, event.actor)
        return known


def _owners(seen: Seen) -> tuple[UUID, ...]:
    """Whose files are the ticket's."""
    return seen.ticket.id, *seen.ticket.complaints
