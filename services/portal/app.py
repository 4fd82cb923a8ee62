"""Wires the portal together: the only place that knows which part is which."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import anyio
from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from services.portal import wording
from services.portal.gate import Gate
from services.portal.handlers import Complaints, Intake, Links, Notes, PrivatePage, Publisher, Revocations, Tickets
from services.portal.http import PortalRoutes
from services.portal.intake_gateway import HttpIntake
from services.portal.note_store import MongoNoteStore
from services.portal.pages import Pages
from services.portal.revocation_store import MongoRevocationStore
from services.portal.settings import PortalSettings
from services.portal.ticket_store import MongoTicketStore
from services.portal.tokens import Tokens
from services.portal.upload_store import MongoUploadStore
from services.portal.uploads import EvidenceTaker, Unavailable, Uploads, UploadStore
from services.runtime import mongo, private_link
from services.runtime.metrics import PortalMetrics, ProducingMetrics
from services.runtime.private_link import PrivateLinks
from services.runtime.producing import Outgoing, Producer, PublishFailed
from services.runtime.rate_limit import ClientLimit
from services.runtime.readiness import Readiness
from services.runtime.retries import until_available
from services.runtime.sealing import Keyring
from services.runtime.settings import load
from services.runtime.worker import run

PUBLISH_S_MAX = 8.0


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What the pages need beside themselves; tests put fakes in."""

    intake: Intake
    evidence: EvidenceTaker
    uploads: UploadStore
    links: Links
    revocations: Revocations
    tickets: Tickets
    notes: Notes
    publisher: Publisher
    form_secret: bytes
    address_limit: ClientLimit
    ticket_limit: ClientLimit
    now: Callable[[], datetime]


def main() -> None:
    """Run the portal. Never returns."""
    settings = load(PortalSettings)
    registry = CollectorRegistry()
    readiness = Readiness()
    keyring = Keyring.of_service(settings.keyring)
    database = mongo.connect(settings.mongo, database=settings.mongo_database)
    producer = Producer(settings, ProducingMetrics(registry), publish_s_max=PUBLISH_S_MAX)
    intake = HttpIntake(settings.intake, seconds_max=settings.intake_s_max)
    timeout_s = settings.portal_store_s_max
    uploads = MongoUploadStore(database, timeout_s=timeout_s, now=to_the_millisecond)
    world = World(
        intake=intake,
        evidence=intake,
        uploads=uploads,
        links=PrivateLinks(keyring.key_for(private_link.PURPOSE)),
        revocations=MongoRevocationStore(database, timeout_s=timeout_s),
        tickets=MongoTicketStore(database, timeout_s=timeout_s),
        notes=MongoNoteStore(database, keyring, timeout_s=timeout_s),
        publisher=KafkaPublisher(producer),
        form_secret=keyring.key_for("portal form"),
        address_limit=ClientLimit(settings.portal_rate_limit, redis=settings.redis),
        ticket_limit=ClientLimit(settings.portal_ticket_rate_limit, redis=settings.redis),
        now=to_the_millisecond,
    )
    app = surface(settings, world, PortalMetrics(registry))
    run(settings, (intake, producer, Indexes(uploads)), readiness=readiness, registry=registry, app=app)


def surface(settings: PortalSettings, world: World, metrics: PortalMetrics) -> FastAPI:
    """The pages, without health routes."""
    uploads = Uploads(
        taker=world.evidence,
        store=world.uploads,
        files_max=settings.upload_files_max,
        bytes_max=settings.upload_bytes_max,
    )
    private = PrivatePage(
        links=world.links,
        revocations=world.revocations,
        tickets=world.tickets,
        notes=world.notes,
        uploads=uploads,
        publisher=world.publisher,
        tokens=Tokens(world.form_secret),
        now=world.now,
        pause=asyncio.sleep,
        outcome_s_max=settings.outcome_s_max,
        refused_links=lambda why: metrics.links_refused.labels(why=why).inc(),
    )
    routes = PortalRoutes(
        complaints=Complaints(intake=world.intake, uploads=uploads, tickets=world.tickets, now=world.now),
        private=private,
        pages=Pages(settings),
        wording=wording.load(),
        ticket_limit=world.ticket_limit,
        metrics=metrics,
        settings=settings,
    )

    async def nothing_there(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return routes.notice(request, "not_found", error.status_code)

    app = FastAPI(title="Amends portal", docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    app.add_exception_handler(HTTPException, nothing_there)
    routes.add_to(app)
    app.add_middleware(Gate, limit=world.address_limit, notice=routes.notice, metrics=metrics)
    return app


class KafkaPublisher:
    """The producer as the handlers know it."""

    def __init__(self, producer: Producer) -> None:
        self._producer = producer

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        """See `handlers.Publisher`."""
        try:
            with anyio.fail_after(PUBLISH_S_MAX):
                await self._producer.publish(messages)
        except (PublishFailed, TimeoutError) as error:
            raise Unavailable from error


class Indexes:
    """Sees to it that what is remembered of uploads goes; waits in the background for a database that is away."""

    def __init__(self, uploads: MongoUploadStore) -> None:
        self._uploads = uploads
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin."""
        self._task = asyncio.create_task(self._prepare(), name="indexes")

    async def stop(self) -> None:
        """Leave it."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _prepare(self) -> None:
        async for attempt in until_available():
            with attempt:
                await self._uploads.prepare()


def to_the_millisecond() -> datetime:
    """Now, as exact as the database keeps it."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)
