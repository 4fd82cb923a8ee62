"""What becomes of a complaint: it opens a ticket, or follows one up. Pure."""

from typing import Literal, NamedTuple
from uuid import UUID

from schemas import ids


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
