"""A process's way to the database, on which it can be hit at a step of its work: right behind a read or a write."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from pymongo.errors import AutoReconnect

from tests.simulation.loop import Process, current
from tests.simulation.network import Way

STEPS: Final = {
    "intake": ("idempotency.insert_many",),
    "router": (
        "claims.insert_many",
        "complaints.insert_many",
        "contacts.insert_many",
        "numbers.find_one_and_update",
        "reservations.insert_many",
        "ticket_events.find",
        "ticket_events.insert_many",
        "ticket_events.insert_many",
        "tickets.bulk_write",
        "tickets.insert_many",
    ),
    "sla_monitor": (
        "clocks.find",
        "clocks.insert_many",
        "clocks.insert_many",
        "deadlines.delete_many",
        "deadlines.insert_many",
        "deadlines.update_many",
        "deadlines.update_many",
    ),
    "notifier": (
        "addressees.find",
        "addressees.insert_many",
        "deadlines.insert_many",
        "deadlines.update_many",
        "notifications.bulk_write",
        "notifications.find",
        "notifications.insert_many",
        "notifications.insert_many",
        "submissions.insert_many",
    ),
}
"""Of each service, what is worth being interrupted at; what is worth it twice is there twice."""


@dataclass(slots=True)
class Aim:
    """At what the first process of a service that comes there is to be hit."""

    step: str
    """E.g. `clocks.insert_many`."""
    number: int
    """How often that is answered before."""
    hit: Callable[[Process], None]


class Carrier:
    """Takes a process's operations to the database. See `tests.simulation.database.Carrier`."""

    def __init__(self, way: Way, aims: list[Aim]) -> None:
        """For one process.

        Args:
            way: to the database.
            aims: of all processes of its service; each is used up by one of them.
        """
        self._way = way
        self._aims = aims

    async def call(self, operation: str, steps: Sequence[Callable[[], None]]) -> None:
        """See there."""
        await self._way.request(steps, _reconnect)
        if self._aims:
            await self._hit_at(operation)

    async def _hit_at(self, operation: str) -> None:
        process = current()
        assert process is not None
        for aim in [aim for aim in self._aims if aim.step == operation]:
            if aim.number == 0:
                self._aims.remove(aim)
                aim.hit(process)
                # What was answered is not learnt before the blow.
                await asyncio.sleep(0)
            aim.number -= 1


def _reconnect() -> Exception:
    return AutoReconnect("connection closed")
