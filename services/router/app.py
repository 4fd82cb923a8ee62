"""Wiring of the router: the only place that knows every part."""

import sys
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from functools import partial
from typing import Final
from zoneinfo import ZoneInfo

from prometheus_client import CollectorRegistry

from schemas.topics import COMPLAINT_SUBMITTED, TICKET_COMMAND
from services.organisation.directory import organisation
from services.organisation.directory_store import DirectoryStore, packaged
from services.router.claim_store import ClaimStore
from services.router.classification import classify, extract, shipment_of, vocabulary
from services.router.command_handler import CommandHandler
from services.router.complaint_handler import ComplaintHandler
from services.router.complaint_store import ComplaintStore
from services.router.contact_store import ContactStore
from services.router.counting import count
from services.router.event_store import EventStore
from services.router.handlers import Router
from services.router.number_store import NumberStore
from services.router.parked_store import ParkedStore
from services.router.placement import Placement
from services.router.reservation_store import ReservationStore
from services.router.settings import RouterSettings
from services.router.ticket_store import TicketStore
from services.router.upkeep import Upkeep
from services.runtime import worker
from services.runtime.consuming import Consumption
from services.runtime.metrics import ConsumingMetrics, ProducingMetrics, RouterMetrics
from services.runtime.mongo import Database
from services.runtime.producing import Outgoing, Producer
from services.runtime.readiness import Readiness
from services.runtime.retries import until_available
from services.runtime.sealing import Keyring
from services.runtime.settings import load
from services.runtime.surroundings import Surroundings

SWITCH_S: Final = 0.0005


class Foundation:
    """What must be there before the first batch: indexes, and an organisation to assign by."""

    def __init__(self, database: Database, placement: Placement) -> None:
        self._database = database
        self._placement = placement

    async def start(self) -> None:
        """Make it, for as long as the database is away."""
        async for attempt in until_available():
            with attempt:
                for store in (EventStore, ParkedStore, ReservationStore, TicketStore):
                    await store(self._database).create_indexes()
                self._placement.organisation = await DirectoryStore(self._database).current_or_packaged()
                await self._placement.refresh()

    async def stop(self) -> None:
        """Nothing was taken that must be given back."""


def router(
    settings: RouterSettings,
    database: Database,
    *,
    keyring: Keyring,
    placement: Placement,
    publish: Callable[[Sequence[Outgoing]], Awaitable[None]],
    metrics: RouterMetrics,
) -> Router:
    """The handlers on the database's stores."""
    complaints, contacts = ComplaintStore(database), ContactStore(database)
    events, tickets, parked = EventStore(database), TicketStore(database), ParkedStore(database)
    return Router(
        complaints=ComplaintHandler(
            fates=complaints,
            claims=ClaimStore(database),
            contacts=contacts,
            events=events,
            numbers=NumberStore(database),
            tickets=tickets,
            parked=parked,
            placement=placement,
            opener=keyring,
            classify=classify,
            shipment_of=shipment_of,
            extract=extract,
            zone=ZoneInfo(settings.number_time_zone),
            text_window=timedelta(days=settings.text_window_days),
        ),
        commands=CommandHandler(
            fates=complaints, contacts=contacts, events=events, shown=tickets, parked=parked, placement=placement
        ),
        publish=publish,
        tickets=tickets,
        reservations=ReservationStore(database),
        parked=parked,
        placement=placement,
        count=partial(count, metrics=metrics),
    )


def parts(
    settings: RouterSettings,
    around: Surroundings,
    *,
    keyring: Keyring,
    readiness: Readiness,
    registry: CollectorRegistry,
) -> Sequence[worker.Part]:
    """Everything that runs, in the order in which it starts."""
    metrics = RouterMetrics(registry)
    database = around.database
    producer = Producer(settings, ProducingMetrics(registry), client=around.producer)
    placement = Placement(ReservationStore(database), organisation(packaged()))
    handlers = router(
        settings,
        database,
        keyring=keyring,
        placement=placement,
        publish=producer.publish,
        metrics=metrics,
    )
    consumption = Consumption(
        "router",
        [COMPLAINT_SUBMITTED, TICKET_COMMAND],
        handlers.handle,
        settings,
        producer,
        ConsumingMetrics(registry),
        readiness=readiness,
        batch_max=settings.router_batch_max,
        linger_s=settings.router_linger_s,
        application=around.application,
    )
    upkeep = Upkeep(
        placement=placement,
        directory=DirectoryStore(database),
        tickets=TicketStore(database),
        parked=ParkedStore(database),
        publish=producer.publish,
        clock=around.clock,
        offers=lambda: 0 in consumption.ownership.partitions,
        metrics=metrics,
        poll_s=settings.directory_poll_s,
        offer_s=settings.offer_s,
        step_s=settings.step_s,
    )
    return [producer, Foundation(database, placement), upkeep, consumption]


def main() -> None:
    """Run the router until it is told to stop. Never returns."""
    settings = load(RouterSettings)
    registry, readiness = CollectorRegistry(), Readiness()
    keyring = Keyring.of_service(settings.keyring)
    running = parts(settings, Surroundings.of(settings), keyring=keyring, readiness=readiness, registry=registry)
    vocabulary()
    # The database driver works in threads: with Python's usual 5 ms every answer would wait that long while texts are
    # read.
    sys.setswitchinterval(SWITCH_S)
    worker.run(settings, running, readiness=readiness, registry=registry)
