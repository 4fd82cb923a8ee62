"""What the router does beside its messages.

It follows the directory, offers waiting tickets to people who are free, and asks for what time alone brings about.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Protocol
from uuid import UUID

from schemas import ids
from schemas.codes import Category
from schemas.commands import Assign, TicketCommand
from schemas.topics import TICKET_COMMAND
from services.organisation.directory import Organisation, WrongOrganisation
from services.router.agenda import ACTIONS
from services.router.opening import ROUTER
from services.router.placement import Placement
from services.runtime.logging import get_logger
from services.runtime.metrics import RouterMetrics
from services.runtime.producing import Outgoing
from services.runtime.retries import every
from services.runtime.time_source import Clock, utc_of

log = get_logger(__name__)

WAITING_MAX: Final = 500
"""Waiting tickets of a department that are looked at in one turn."""
TOLD_AGAIN_S: Final = 60.0
"""How old the number of waiting tickets of a department may be while nobody there is free."""
STEPS_MAX: Final = 500
"""Due steps that are asked for in one turn."""
OFFERED_AGAIN_S: Final = 10.0
OFFERS_REMEMBERED_MAX: Final = 50_000


class Directory(Protocol):
    """Versions of the organisation."""

    async def version(self) -> int:
        """The version in force."""

    async def current(self) -> Organisation | None:
        """The organisation in force."""


class Waiting(Protocol):
    """The projection."""

    async def waiting(self, department: str, *, count_max: int) -> list[dict[str, Any]]:
        """Open tickets that no person has, the oldest first."""

    async def due(self, now: datetime, *, count_max: int) -> list[dict[str, Any]]:
        """Tickets whose next step is due."""


class Parked(Protocol):
    """Follow-ups that wait for a ticket."""

    async def count(self) -> int:
        """How many wait."""


class Upkeep:
    """Runs beside the consumption."""

    def __init__(
        self,
        *,
        placement: Placement,
        directory: Directory,
        tickets: Waiting,
        parked: Parked,
        publish: Callable[[Sequence[Outgoing]], Awaitable[None]],
        clock: Clock,
        offers: Callable[[], bool],
        metrics: RouterMetrics,
        poll_s: float,
        offer_s: float,
        step_s: float,
    ) -> None:
        """Wire it.

        Args:
            placement: knows the organisation and the capacity in force; kept up to date.
            directory: where newer versions come from.
            tickets: where waiting tickets are found.
            parked: counted, for one that waits long needs a person.
            publish: sends offers, which are commands like any other.
            clock: the same for all workers.
            offers: whether it is this process that offers; one of all routers does.
            metrics: what is counted.
            poll_s: seconds between looks at directory and capacity.
            offer_s: seconds between offers.
            step_s: seconds between looks at what is due.
        """
        self._placement = placement
        self._directory = directory
        self._tickets = tickets
        self._parked = parked
        self._publish = publish
        self._clock = clock
        self._offers = offers
        self._metrics = metrics
        self._poll_s = poll_s
        self._offer_s = offer_s
        self._step_s = step_s
        self._offered: dict[UUID, float] = {}
        self._told_at: dict[str, float] = {}
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Begin."""
        self._tasks = [
            asyncio.create_task(every(self._poll_s, self.refresh), name="directory"),
            asyncio.create_task(every(self._offer_s, self.offer), name="offers"),
            asyncio.create_task(every(self._step_s, self.take_steps), name="steps"),
        ]

    async def stop(self) -> None:
        """End."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def refresh(self) -> None:
        """Take over a newer organisation, and what other routers did to the capacity."""
        if await self._directory.version() > self._placement.organisation.version:
            try:
                newer = await self._directory.current()
            except WrongOrganisation as error:
                log.error("directory.wrong", problems=error.problems)  # noqa: TRY400  # the problems say it all
            else:
                if newer is not None:
                    self._placement.organisation = newer
                    log.info("directory.changed", version=newer.version)
        await self._placement.refresh()

    async def offer(self) -> None:
        """Offer the oldest waiting tickets to departments in which somebody is free."""
        if not self._offers():
            self._metrics.parked.set(0)
            return
        self._metrics.parked.set(await self._parked.count())
        now = datetime.now(UTC)
        self._forget(now.timestamp())
        commands: list[TicketCommand] = []
        for department in self._placement.organisation.departments:
            if not self._is_due(department.code, now):
                continue
            waiting = await self._tickets.waiting(department.code, count_max=WAITING_MAX)
            self._metrics.waiting.labels(department=department.code).set(len(waiting))
            commands += self._wanted(department.code, waiting, now)
        if commands:
            await self._publish([Outgoing(TICKET_COMMAND, command) for command in commands])

    async def take_steps(self) -> None:
        """Ask for what is due: that a matter nobody objects to is settled, that the complainant is asked, the end."""
        if not self._offers():
            return
        # By the time that deadlines go by, too: what a router whose own clock is ahead takes for passed has not.
        await self._clock.sync()
        due = await self._tickets.due(utc_of(self._clock), count_max=STEPS_MAX)
        if due:
            await self._publish([Outgoing(TICKET_COMMAND, _step(ticket)) for ticket in due])

    def _is_due(self, department: str, now: datetime) -> bool:
        """Whether somebody is free, or the number of those that wait was told long ago.

        Asking costs the more the more tickets wait, and most wait where nobody is free: then it is asked rarely.
        """
        spare = self._placement.capacity.spare
        staff = self._placement.organisation.people_by_department[department]
        is_old = now.timestamp() >= self._told_at.get(department, 0.0) + TOLD_AGAIN_S
        if is_old or any(spare(person) > 0 and person.on_duty(now) for person in staff):
            self._told_at[department] = now.timestamp()
            return True
        return False

    def _wanted(self, department: str, waiting: list[dict[str, Any]], now: datetime) -> list[TicketCommand]:
        """Offers for as many tickets as there are free slots of people who can handle them."""
        organisation, capacity = self._placement.organisation, self._placement.capacity
        spare = {p.id: capacity.spare(p) for p in organisation.people_by_department[department]}
        commands = []
        for ticket in waiting:
            people = self._placement.able(department, ticket["unit"], category=Category(ticket["category"]), at=now)
            free = next((p.id for p in people if spare[p.id] > 0), None)
            if free is None:
                continue
            spare[free] -= 1
            ticket_id = UUID(ticket["_id"])
            # The same offer of the same version has the same id, so that offering twice changes nothing.
            command_id = ids.command_id(ticket_id, f"offer/{ticket['version']}")
            if command_id in self._offered:
                continue
            self._offered[command_id] = now.timestamp()
            commands.append(
                TicketCommand(
                    routing_key=ticket["routing_key"],
                    command_id=command_id,
                    ticket_id=ticket_id,
                    issued_at=now,
                    actor=ROUTER,
                    reason="capacity_free",
                    action=Assign(),
                )
            )
        return commands

    def _forget(self, now_s: float) -> None:
        self._offered = {
            id_: at for id_, at in list(self._offered.items())[-OFFERS_REMEMBERED_MAX:] if now_s - at < OFFERED_AGAIN_S
        }


def _step(ticket: dict[str, Any]) -> TicketCommand:
    ticket_id, version, step = UUID(ticket["_id"]), ticket["version"], ticket["next_step"]
    return TicketCommand(
        routing_key=ticket["routing_key"],
        # Asked for again it is the same command, and one that the ticket has gone on from does nothing.
        command_id=ids.command_id(ticket_id, f"step/{version}/{step['command']}"),
        ticket_id=ticket_id,
        issued_at=step["at"],
        actor=ROUTER,
        reason="time_passed",
        expected_version=version,
        action=ACTIONS[step["command"]],
    )
