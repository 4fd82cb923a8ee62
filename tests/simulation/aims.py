"""Steps of their work at which processes are hit: when the database or a provider has just answered."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pymongo.errors import AutoReconnect

from tests.simulation.loop import Process, current
from tests.simulation.network import Mishap, Way

STEPS: Final = {
    "intake": ("idempotency.insert_many",),
    "router": (
        "claims.insert_many",
        "complaints.insert_many",
        "contacts.insert_many",
        "numbers.find_one_and_update",
        "reservations.insert_many",
        "ticket_events.find",
        *("ticket_events.insert_many",) * 2,
        "tickets.bulk_write",
        *("tickets.bulk_write > ticket_events.insert_many",) * 2,
        "tickets.insert_many",
    ),
    "sla_monitor": (
        "clocks.find",
        *("clocks.insert_many",) * 3,
        "deadlines.delete_many",
        "deadlines.insert_many",
        "deadlines.update_many",
        *("deadlines.update_many > clocks.insert_many",) * 2,
    ),
    "notifier": (
        "addressees.find",
        "addressees.insert_many",
        "deadlines.insert_many",
        "deadlines.update_many",
        *("notifications.bulk_write",) * 2,
        "notifications.find",
        "notifications.insert_many",
        *("sms.send",) * 2,
        "submissions.insert_many",
    ),
}
"""Of each service, where it is worth being interrupted; what is worth it several times is there so often.

With ` > `, a later one is looked for when the one before it was reached.
"""
WRITES: Final = {
    "intake": ("idempotency.insert_many",),
    "router": ("claims.insert_many", "complaints.insert_many", "ticket_events.insert_many", "tickets.bulk_write"),
    "sla_monitor": ("clocks.insert_many", "deadlines.delete_many", "deadlines.insert_many", "deadlines.update_many"),
    "notifier": ("addressees.insert_many", "deadlines.update_many", "notifications.bulk_write"),
}
"""Of each service, what is worth being done late or in part."""


@dataclass(slots=True)
class Aim:
    """At what the first process of a service that comes there is to be hit."""

    steps: list[str]
    """What is to be reached one after the other, e.g. `clocks.insert_many`."""
    number: int
    """How often the first is answered before."""
    hit: Callable[[Process], None]


@dataclass(slots=True)
class Expected:
    """What is to become of an operation of a service."""

    step: str
    number: int
    """How many like it come before."""
    mishap: Mishap


class Aims:
    """At what the processes of a service are to be hit, and what is to become of their operations: each once."""

    def __init__(self) -> None:
        self.hits: list[Aim] = []
        self.mishaps: list[Expected] = []

    def add(self, aim: Aim) -> None:
        """One more."""
        self.hits.append(aim)

    def expect(self, expected: Expected) -> None:
        """One more."""
        self.mishaps.append(expected)

    def clear(self) -> None:
        """No more."""
        self.hits.clear()
        self.mishaps.clear()

    def mishap(self, step: str) -> Mishap | None:
        """What becomes of the operation that begins now."""
        met: Mishap | None = None
        for expected in [expected for expected in self.mishaps if expected.step == step]:
            if expected.number > 0:
                expected.number -= 1
            elif met is None:
                self.mishaps.remove(expected)
                met = expected.mishap
        return met

    async def reached(self, step: str) -> None:
        """Told by a process when something is answered: it is hit before it learns of that, or goes on."""
        process = current()
        assert process is not None
        struck = False
        for aim in [aim for aim in self.hits if aim.steps[0] == step]:
            if aim.number > 0:
                aim.number -= 1
            elif len(aim.steps) > 1:
                del aim.steps[0]
            else:
                self.hits.remove(aim)
                aim.hit(process)
                struck = True
        if struck:
            await asyncio.sleep(0)


class Carrier:
    """Takes a process's operations to the database. See `tests.simulation.database.Carrier`."""

    def __init__(self, way: Way, aims: Aims) -> None:
        self._way = way
        self._aims = aims

    def call(self, operation: str, steps: Sequence[Callable[[], None]]) -> Coroutine[Any, Any, None]:
        """See there."""
        if self._aims.hits or self._aims.mishaps:
            return self._aimed_at(operation, steps)
        return self._way.request(steps, _reconnect)

    async def _aimed_at(self, operation: str, steps: Sequence[Callable[[], None]]) -> None:
        await self._way.request(steps, _reconnect, mishap=self._aims.mishap(operation))
        await self._aims.reached(operation)


def _reconnect() -> Exception:
    return AutoReconnect("connection closed")
