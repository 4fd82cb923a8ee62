"""The page on which the links to a complainant's own page are taken back."""

from dataclasses import dataclass
from functools import partial

from starlette.responses import Response

from services.desk.doors import audited
from services.desk.links import LinkRevoking
from services.desk.web_visit import Endpoint, Visit


@dataclass(frozen=True, kw_only=True)
class LinkPages:
    """Asks for a reason, then does it."""

    links: LinkRevoking

    def routes(self) -> list[tuple[str, str, str, Endpoint]]:
        """Method, path, right, endpoint."""
        return [
            ("GET", "/tickets/{ticket}/link", "revoke_link", self.ask),
            ("POST", "/tickets/{ticket}/link", "revoke_link", self.revoke),
        ]

    async def ask(self, visit: Visit) -> Response:
        """What it means, and why it is to be done."""
        row = await self.links.ticket(visit.path("ticket"))
        return visit.html("link", number=row.number, done=False)

    async def revoke(self, visit: Visit) -> Response:
        """Do it."""
        reason = str((await visit.form()).get("reason") or "")
        entry = partial(audited, visit.request, visit.person)
        row = await self.links.revoke(visit.path("ticket"), reason=reason, entry=entry)
        return visit.html("link", number=row.number, done=True)
