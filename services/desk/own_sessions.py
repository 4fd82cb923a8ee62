"""Where somebody is signed in, and how he or she ends that."""

from dataclasses import dataclass
from typing import Final, Protocol

from starlette.requests import Request

from services.desk.doors import Doors, audited
from services.desk.person import Person
from services.desk.refusal import Refusal
from services.desk.session import Session, digest
from services.desk.signing_in import Auditing

_SHOWN: Final = 16


class Sessions(Protocol):
    """See `session_store.py`."""

    async def of(self, account: str) -> list[Session]:
        """Those of an account, the latest first."""

    async def end(self, digest: str) -> None:
        """End one."""

    async def end_all(self, account: str, *, but: str = "") -> int:
        """End all but one."""


@dataclass(frozen=True, kw_only=True)
class OwnSessions:
    """Sessions of whoever asks."""

    doors: Doors
    sessions: Sessions
    auditing: Auditing

    async def of(self, request: Request, person: Person) -> list[tuple[Session, bool]]:
        """Each, and whether it is the one of the request; the latest first."""
        this = digest(self.doors.session_id(request) or "")
        return [(one, one.digest == this) for one in await self.sessions.of(person.id)]

    async def end(self, request: Request, person: Person, shown: str) -> None:
        """End one.

        Raises:
            Refusal: `no-such-session`.
        """
        found = [one for one in await self.sessions.of(person.id) if shown_id(one) == shown]
        if not found:
            raise Refusal("no-such-session")
        await self.auditing.add(audited(request, person, "sign_out", about="elsewhere"))
        await self.sessions.end(found[0].digest)

    async def end_others(self, request: Request, person: Person) -> None:
        """End all but the one of the request."""
        await self.auditing.add(audited(request, person, "sign_out", about="everywhere else"))
        await self.sessions.end_all(person.id, but=digest(self.doors.session_id(request) or ""))


def shown_id(session: Session) -> str:
    """What one is called before its owner: a piece of the digest, with which nobody can sign in."""
    return session.digest[:_SHOWN]
