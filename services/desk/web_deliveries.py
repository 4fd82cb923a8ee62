"""The page of what became of messages, over all tickets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, TypeVar
from urllib.parse import urlencode
from uuid import UUID

from starlette.responses import Response

from schemas.codes import DeliveryChannel, Moment
from services.desk.accounts import Wrong
from services.desk.delivery import PAGE, Asked, Delivery, Result
from services.desk.refusal import Refusal
from services.desk.rights import may_somewhere
from services.desk.row import Kept
from services.desk.web_visit import Endpoint, Visit

T = TypeVar("T", bound=StrEnum)


class Deliveries(Protocol):
    """See `delivery_store.py`."""

    async def page(self, asked: Asked, *, count_max: int) -> list[Delivery]:
        """The newest first."""


class Rows(Protocol):
    """Rows of tickets."""

    async def load(self, tickets: Sequence[UUID]) -> Mapping[UUID, Kept]:
        """Those that are there."""

    async def by_number(self, number: str) -> Kept | None:
        """By ticket number."""


@dataclass(frozen=True, kw_only=True)
class DeliveryPages:
    """One list."""

    deliveries: Deliveries
    rows: Rows

    def routes(self) -> list[tuple[str, str, str, Endpoint]]:
        """Method, path, right, endpoint."""
        return [("GET", "/deliveries", "read_deliveries", self.all)]

    async def all(self, visit: Visit) -> Response:
        """The newest first; of failed ones, what to do."""
        wanted = {name: visit.query(name).strip()[:64] for name in ("result", "moment", "channel", "ticket", "before")}
        asked = Asked(
            result=_one_of(Result, "result", wanted["result"]),
            moment=_one_of(Moment, "moment", wanted["moment"]),
            channel=_one_of(DeliveryChannel, "channel", wanted["channel"]),
            ticket=await self._ticket(wanted["ticket"]),
            before=wanted["before"] or None,
        )
        found = await self.deliveries.page(asked, count_max=PAGE)
        rows = await self.rows.load([one.ticket for one in found])
        kept = {name: value for name, value in wanted.items() if value and name != "before"}
        older = urlencode(kept | {"before": found[-1].place}) if len(found) == PAGE else ""
        return visit.html(
            "deliveries",
            lines=[(one, rows[one.ticket].row.number if one.ticket in rows else "") for one in found],
            wanted=wanted,
            selects={"result": list(Result), "moment": list(Moment), "channel": list(DeliveryChannel)},
            may_open=may_somewhere(visit.person, "read_ticket"),
            older=older,
        )

    async def _ticket(self, named: str) -> UUID | None:
        if not named:
            return None
        try:
            return UUID(named)
        except ValueError:
            kept = await self.rows.by_number(named)
        if kept is None:
            raise Refusal("no-such-ticket")
        return kept.row.id


def _one_of(kind: type[T], name: str, code: str) -> T | None:
    if not code:
        return None
    if code not in set(kind):
        raise Refusal("wrong-fields", problems=[Wrong(name, "invalid", code)])
    return kind(code)
