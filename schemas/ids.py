"""Identities that follow from what they identify, so that doing a thing again gives the same id.

A name-based UUID (RFC 9562 version 5) of the cause and the step takes the place of a random one everywhere on the path
from an accepted complaint to the message in the customer's hand.
"""

from functools import lru_cache
from hashlib import sha1
from uuid import UUID


def _named(cause: UUID, name: str) -> UUID:
    # As `uuid.uuid5`, which takes half as long again: it imports `sha1` at every call.
    digest = sha1(cause.bytes + name.encode(), usedforsecurity=False).digest()
    return UUID(bytes=digest[:16], version=5)


@lru_cache(maxsize=8192)
def text(id_: UUID) -> str:
    """As `str`. The id of a complaint or ticket stands in a dozen documents and headers that are written at once."""
    return str(id_)


@lru_cache(maxsize=8192)
def ticket_id(complaint_id: UUID) -> UUID:
    """The ticket that a complaint opens, if it opens one."""
    return _named(complaint_id, "ticket")


@lru_cache(maxsize=8192)
def contact_ref(complaint_id: UUID) -> UUID:
    """Where the sealed contact and text of a complaint are kept."""
    return _named(complaint_id, "contact")


def event_id(causation_id: UUID, step: str) -> UUID:
    """The event that handling the complaint `causation_id` gives at `step`, e.g. `opened`."""
    return _named(causation_id, f"event/{step}")


def commanded_event_id(command: UUID, ticket: UUID, step: str) -> UUID:
    """The event that a command gives on a ticket; the same command id sent to two tickets gives two."""
    return _named(command, f"event/{ticket}/{step}")


def command_id(causation_id: UUID, action: str) -> UUID:
    """The command that follows from an earlier message, e.g. the follow-up that a repeated complaint becomes."""
    return _named(causation_id, f"command/{action}")


def note_ref(command: UUID) -> UUID:
    """Where the words that belong to a command are kept, sealed."""
    return _named(command, "note")


def fact_id(ticket: UUID, clock: str, cycle: int, kind: str, detail: str = "") -> UUID:
    """One fact about one cycle of one clock; `detail` tells two of the same kind apart, e.g. `0.5` of two warnings."""
    return _named(ticket, f"sla/{clock}/{cycle}/{kind}/{detail}")


def notification_id(ticket: UUID, moment: str, occasion: str) -> UUID:
    """The message about one moment of a ticket; `occasion` is the id of what gave rise to it."""
    return _named(ticket, f"notification/{moment}/{occasion}")


def notification_event_id(notification: UUID, kind: str, attempt: int = 0) -> UUID:
    """What happened to a notification: `kind` as in its type's past verb, `attempt` counts channels tried from 0."""
    return _named(notification, f"{kind}/{attempt}")
