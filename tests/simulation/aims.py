"""Steps of their work at which processes are hit: when the database or a provider has just answered."""

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
        "sms.send",
        "sms.send",
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


class Aims:
    """At what the processes of a service are to be hit; each is used up by one of them."""

    def __init__(self) -> None:
        self._aims: list[Aim] = []

    def add(self, aim: Aim) -> None:
        """One more."""
        self._aims.append(aim)

    def clear(self) -> None:
        """No more."""
        self._aims.clear()

    async def reached(self, step: str) -> None:
        """Told by a process when something is answered: it is hit before it learns of that, or goes on."""
        if not self._aims:
            return
        process = current()
        assert process is not None
        for aim in [aim for aim in self._aims if aim.step == step]:
            if aim.number == 0:
                self._aims.remove(aim)
                aim.hit(process)
                await asyncio.sleep(0)
            aim.number -= 1


class Carrier:
    """Takes a process's operations to the database. See `tests.simulation.database.Carrier`."""

    def __init__(self, way: Way, aims: Aims) -> None:
        self._way = way
        self._aims = aims

    async def call(self, operation: str, steps: Sequence[Callable[[], None]]) -> None:
        """See there."""
        await self._way.request(steps, _reconnect)
        await self._aims.reached(operation)


def _reconnect() -> Exception:
    return AutoReconnect("connection closed")
