"""What becomes of a complaint: it opens a ticket, or follows one up. Pure."""

from collections.abc import Mapping
from typing import Literal, NamedTuple
from uuid import UUID

from schemas import ids
from schemas.codes import TicketState
from schemas.lifecycle import TERMINAL


class Fate(NamedTuple):
    """One complaint's part in a ticket."""

    complaint_id: UUID
    opened_by: UUID
    """The complaint whose ticket it is; itself when it opens one."""
    routing_key: str
    """Of that ticket."""
    matched_by: str | None = None
    """The kind of claim that was held, for a follow-up."""

    @property
    def ticket_id(self) -> UUID:
        """The ticket."""
        return ids.ticket_id(self.opened_by)

    @property
    def role(self) -> Literal["opened", "followed_up"]:
        """What the complaint is to it."""
        return "opened" if self.opened_by == self.complaint_id else "followed_up"


class Shown(NamedTuple):
    """What the projection shows of a ticket that others may follow up."""

    state: TicketState
    opened_by: UUID
    """The complaint whose ticket it is."""
    routing_key: str
    linked_to: UUID | None = None
    """The ticket on the same matter that it was linked to, which closed it."""

    @property
    def is_over(self) -> bool:
        """Whether its matter is nobody's any more, but for the ticket that it was linked to."""
        return self.state in TERMINAL


def heir(fate: Fate, shown: Mapping[UUID, Shown]) -> Fate | None:
    """Where the matter of a complaint that was decided is in hand now; None: nowhere, it may open another ticket.

    Args:
        fate: the complaint's.
        shown: its ticket and those that this one was linked to, one after the other, as far as they are shown. One that
            is not shown yet is being opened.
    """
    ticket, met = shown.get(fate.ticket_id), {fate.ticket_id}
    if ticket is None or not ticket.is_over:
        return fate
    while ticket is not None and ticket.is_over:
        if ticket.linked_to is None:
            return None
        if ticket.linked_to in met:
            # Each was linked to the other: the command that is on its way opens the first of them again.
            return fate
        met.add(ticket.linked_to)
        ticket = shown.get(ticket.linked_to)
    return ticket and fate._replace(opened_by=ticket.opened_by, routing_key=ticket.routing_key)
