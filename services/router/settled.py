"""What deciding a part of a batch gives."""

from dataclasses import dataclass, field
from uuid import UUID

from schemas.commands import TicketCommand
from schemas.events import TicketEvent
from schemas.ticket import Ticket
from services.runtime.handling import Refusal
from services.runtime.producing import Outgoing


@dataclass(slots=True)
class Settled:
    """Appended; to be published, shown and tidied up after."""

    outgoing: list[Outgoing] = field(default_factory=list)
    tickets: dict[UUID, Ticket] = field(default_factory=dict)
    """To be shown, as they are now."""
    fresh: set[UUID] = field(default_factory=set)
    """Those of them that were opened for the first time."""
    appended: list[TicketEvent] = field(default_factory=list)
    """New events, for the metrics: those of a redelivery are not among them."""
    decided: list[tuple[str, str]] = field(default_factory=list)
    """Names of the commands that were decided, each with `done` or why not, for the metrics."""
    parked: list[TicketCommand] = field(default_factory=list)
    """Parked commands that go out with this batch."""
    refusals: list[Refusal] = field(default_factory=list)
