"""Wiring of the desk: the only place that knows every part."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from prometheus_client import CollectorRegistry

from schemas.codes import StaffRole
from schemas.topics import NOTIFICATION_EVENT, SLA_EVENT, TICKET_EVENT
from services.desk import problems
from services.desk.asking import Asking
from services.desk.live import Live
from services.desk.notice_gateway import NoticePublisher, NoticeSubscription, redis_client
from services.desk.person import Person
from services.desk.problems import Refused
from services.desk.projecting import Projector
from services.desk.queue import EVERYTHING, Scope
from services.desk.row_store import RowStore
from services.desk.settings import DeskSettings
from services.desk.tickets_http import TicketRoutes, Who
from services.desk.trail_store import TrailStore
from services.desk.view_store import ViewStore
from services.desk.views_http import ViewRoutes
from services.runtime import worker
from services.runtime.consuming import Consumption
from services.runtime.metrics import ConsumingMetrics, DeskMetrics, ProducingMetrics
from services.runtime.mongo import UNAVAILABLE
from services.runtime.producing import Producer
from services.runtime.readiness import Readiness
from services.runtime.retries import until_available
from services.runtime.sealing import Keyring
from services.runtime.settings import load
from services.runtime.surroundings import Surroundings
from services.runtime.time_source import Clock, utc_of

SERVICE = DeskSettings.SERVICE


@dataclass(frozen=True, kw_only=True)
class Desk:
    """Everything that runs, in the order in which it starts, and the HTTP surface."""

    parts: Sequence[worker.Part]
    surface: FastAPI


class Foundation:
    """The indexes and the time, there before anything is read."""

    def __init__(self, clock: Clock, rows: RowStore, views: ViewStore) -> None:
        self._clock = clock
        self._rows = rows
        self._views = views

    async def start(self) -> None:
        """Make them, for as long as the database is away."""
        async for attempt in until_available():
            with attempt:
                await self._clock.sync()
                await self._rows.prepare()
                await self._views.prepare()

    async def stop(self) -> None:
        """Nothing was taken that must be given back."""


async def nobody() -> Person:
    """Nobody is signed in, as long as nothing is wired that says who is."""
    raise Refused("not-signed-in")


def scope_of(person: Person) -> Scope:
    """What a person may see: staff of an outlet what is their unit's, everybody else everything."""
    if person.role is StaffRole.OUTLET_STAFF:
        return Scope(units=frozenset(person.units), sees_complainant=False)
    return EVERYTHING


def desk(
    settings: DeskSettings,
    around: Surroundings,
    *,
    keyring: Keyring,
    readiness: Readiness,
    registry: CollectorRegistry,
    who: Who = nobody,
    scope: Callable[[Person], Scope] = scope_of,
) -> Desk:
    """The desk on what surrounds it; `who` gives the signed-in person of a request."""
    database, metrics = around.database, DeskMetrics(registry)
    rows, trail, views = RowStore(database), TrailStore(database), ViewStore(database)
    redis, channel = redis_client(settings.redis), f"amends:desk:{settings.mongo_database}"

    def now() -> datetime:
        return utc_of(around.clock)

    publisher = NoticePublisher(redis, channel=channel, metrics=metrics)
    live = Live(
        NoticeSubscription(redis, channel=channel), rows, now=now, metrics=metrics, poll_s=settings.desk_live_poll_s
    )
    producer = Producer(settings, ProducingMetrics(registry), client=around.producer)
    projector = Projector(rows=rows, trail=trail, notify=publisher.offer, now=now, metrics=metrics)
    consumption = Consumption(
        SERVICE,
        [TICKET_EVENT, SLA_EVENT, NOTIFICATION_EVENT],
        projector.handle,
        settings,
        producer,
        ConsumingMetrics(registry),
        readiness=readiness,
        batch_max=settings.desk_batch_max,
        linger_s=settings.desk_linger_s,
        application=around.application,
    )
    asking = Asking(rows=rows, sign=keyring.blind, now=now, metrics=metrics, seconds_max=settings.desk_store_s_max)
    tickets = TicketRoutes(
        asking=asking,
        rows=rows,
        trail=trail,
        live=live,
        blind=keyring.blind,
        who=who,
        scope_of=scope,
        export_rows_max=settings.desk_export_rows_max,
    )
    surface = FastAPI(title="Amends desk", version="1", summary="Where people work on tickets.", redirect_slashes=False)
    surface.include_router(tickets.router())
    surface.include_router(ViewRoutes(views=views, asking=asking, who=who, scope_of=scope).router())
    surface.add_exception_handler(Refused, problems.refused)
    surface.add_exception_handler(RequestValidationError, problems.unreadable)
    for error in (*UNAVAILABLE, TimeoutError):
        surface.add_exception_handler(error, problems.unavailable)
    return Desk(parts=[producer, Foundation(around.clock, rows, views), publisher, consumption, live], surface=surface)


def main(*, who: Who = nobody) -> None:
    """Run the desk until it is told to stop. Never returns."""
    settings = load(DeskSettings)
    registry, readiness = CollectorRegistry(), Readiness()
    made = desk(
        settings,
        Surroundings.of(settings),
        keyring=Keyring.of_service(settings.keyring),
        readiness=readiness,
        registry=registry,
        who=who,
    )
    worker.run(settings, made.parts, readiness=readiness, registry=registry, app=made.surface)
