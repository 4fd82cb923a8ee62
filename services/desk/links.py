"""The links to a complainant's own page, taken back: those that were sent until now open nothing any more."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from services.desk.audit import Entry
from services.desk.customer_request import reason_problems
from services.desk.finding import Rows, row_named
from services.desk.refusal import Refusal
from services.desk.row import Row
from services.desk.signing_in import Auditing


class Links(Protocol):
    """See `runtime/link_store.py`."""

    async def revoke(self, ticket: UUID, at: datetime) -> None:
        """Raise the generation of a ticket's links."""


@dataclass(frozen=True, kw_only=True)
class LinkRevoking:
    """Takes links back. Only for those who have the right `revoke_link`, which is one over all tickets."""

    links: Links
    rows: Rows
    auditing: Auditing
    now: Callable[[], datetime]

    async def ticket(self, named: str) -> Row:
        """By id or number.

        Raises:
            Refusal: `no-such-ticket`.
        """
        kept = await row_named(self.rows, named)
        if kept is None:
            raise Refusal("no-such-ticket")
        return kept.row

    async def revoke(self, named: str, *, reason: str, entry: Callable[..., Entry]) -> Row:
        """Take them back; the next message to the complainant carries a new one.

        Raises:
            Refusal: `no-such-ticket`; `wrong-fields` without a reason.
        """
        row = await self.ticket(named)
        if problems := reason_problems(reason):
            raise Refusal("wrong-fields", problems=problems)
        await self.auditing.add(entry("revoke_link", ticket=str(row.id), reason=reason.strip()))
        await self.links.revoke(row.id, self.now())
        return row
