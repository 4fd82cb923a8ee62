"""Wires the intake together: the only place that knows which part is which."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

import anyio
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from services.intake import openapi
from services.intake.answers import language_wanted, problem_answer
from services.intake.batch import BatchRoutes
from services.intake.body import BytesInFlight
from services.intake.evidence_http import EvidenceRoutes
from services.intake.evidence_store import EvidenceStore, GridFsEvidenceStore
from services.intake.gate import Gate, Traffic
from services.intake.handlers import IdempotencyStore, Intake, PublishedStore, Publisher, Unavailable
from services.intake.http import ComplaintRoutes, Endpoint, Rejections
from services.intake.idempotency_store import MongoIdempotencyStore
from services.intake.progress_store import MongoProgressStore
from services.intake.published_store import RedisPublishedStore
from services.intake.rejected_store import MongoRejectedStore, RejectedStore
from services.intake.settings import IntakeSettings
from services.intake.waiting import ProgressStore, Tracking
from services.intake.watch import Watch, connects
from services.runtime import mongo
from services.runtime.metrics import IntakeMetrics, ProducingMetrics
from services.runtime.producing import Outgoing, Producer, PublishFailed
from services.runtime.rate_limit import ClientLimit
from services.runtime.readiness import Readiness
from services.runtime.retries import until_available
from services.runtime.sealing import Keyring
from services.runtime.settings import load
from services.runtime.worker import Part, run

STOP_SLACK_S = 3.0
"""What of `stop_s_max` is left for the parts after the last request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What the surface needs beside itself; tests put fakes in."""

    keyring: Keyring
    idempotency: IdempotencyStore
    published: PublishedStore
    progress: ProgressStore
    rejected: RejectedStore
    evidence: EvidenceStore
    publisher: Publisher
    limit: ClientLimit
    traffic: Traffic
    now: Callable[[], datetime]


def main() -> None:
    """Run the intake. Never returns."""
    settings = load(IntakeSettings)
    registry = CollectorRegistry()
    readiness = Readiness()
    database = mongo.connect(settings.mongo, database=settings.mongo_database)
    redis = Redis.from_url(settings.redis, socket_timeout=0.2, socket_connect_timeout=0.2, decode_responses=True)
    producer = Producer(settings, ProducingMetrics(registry), publish_s_max=settings.publish_s_max)
    rejected = MongoRejectedStore(database, timeout_s=settings.store_s_max, kept_s=settings.rejected_days * 24 * 3600)
    keyring = Keyring.of_service(settings.keyring)
    world = World(
        keyring=keyring,
        idempotency=MongoIdempotencyStore(database, timeout_s=settings.store_s_max),
        published=RedisPublishedStore(redis),
        progress=MongoProgressStore(database, timeout_s=settings.store_s_max),
        rejected=rejected,
        evidence=GridFsEvidenceStore(database, keyring, timeout_s=settings.store_s_max),
        publisher=KafkaPublisher(producer, seconds_max=settings.publish_s_max),
        limit=ClientLimit(settings.rate_limit, redis=settings.redis),
        traffic=Traffic(),
        now=to_the_millisecond,
    )
    checks: dict[str, Any] = {
        "kafka": lambda: connects(settings.kafka),
        "database": lambda: database.command("ping"),
    }
    parts: Sequence[Part] = (
        producer,
        Watch(readiness, checks),
        Indexes(rejected),
        LastRequests(world.traffic, seconds_max=settings.stop_s_max - STOP_SLACK_S),
    )
    app = surface(settings, world, IntakeMetrics(registry))
    run(settings, parts, readiness=readiness, registry=registry, app=app)


def surface(settings: IntakeSettings, world: World, metrics: IntakeMetrics) -> FastAPI:
    """The HTTP surface, without health routes."""
    intake = Intake(
        keyring=world.keyring,
        idempotency=world.idempotency,
        published=world.published,
        evidence=world.evidence,
        publisher=world.publisher,
        zones=settings.zones(),
        now=world.now,
    )
    rejections = Rejections.into(
        world.rejected,
        keyring=world.keyring,
        bytes_max=settings.rejected_bytes_max,
        now=world.now,
        metrics=metrics,
    )
    bytes_in_flight = BytesInFlight(settings.bytes_in_flight_max)
    app = Surface(
        title="Amends intake",
        version="1",
        summary="Complaints come in here, through whichever channel.",
        redirect_slashes=False,
    )
    complaints = ComplaintRoutes(
        intake=intake,
        tracking=Tracking(world.progress, world.keyring),
        rejections=rejections,
        bytes_in_flight=bytes_in_flight,
        metrics=metrics,
        settings=settings,
    )
    app.gate = Gate(
        app.serve,
        metrics=metrics,
        limit=world.limit,
        traffic=world.traffic,
        requests_in_flight_max=settings.requests_in_flight_max,
        accept_s_max=settings.accept_s_max,
        retry_after_s=settings.retry_after_s,
    )
    app.add_exception_handler(HTTPException, _told)
    BatchRoutes(intake=intake, rejections=rejections, metrics=metrics, settings=settings).add_to(app)
    EvidenceRoutes(
        store=world.evidence, bytes_in_flight=bytes_in_flight, now=world.now, metrics=metrics, settings=settings
    ).add_to(app)
    complaints.add_to(app)
    app.straight = {("POST", "/v1/complaints"): complaints.post}
    app.openapi = lambda: _described(app)  # type: ignore[method-assign]  # FastAPI's own way to extend it
    return app


class Surface(FastAPI):
    """FastAPI behind the gate, and past its middleware for the paths that must be fast: that is half of their cost."""

    gate: ASGIApp
    straight: Mapping[tuple[str, str], Endpoint] = MappingProxyType({})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Whatever comes."""
        await self.gate(scope, receive, send)

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """What the gate lets through."""
        endpoint = self.straight.get((scope["method"], scope["path"])) if scope["type"] == "http" else None
        if endpoint is None:
            await super().__call__(scope, receive, send)
            return
        answer = await endpoint(Request(scope, receive))
        await answer(scope, receive, send)


class KafkaPublisher:
    """The producer as the handlers know it."""

    def __init__(self, producer: Producer, *, seconds_max: float) -> None:
        self._producer = producer
        self._seconds_max = seconds_max

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        """See `handlers.Publisher`."""
        try:
            with anyio.fail_after(self._seconds_max):
                await self._producer.publish(messages)
        except (PublishFailed, TimeoutError) as error:
            raise Unavailable("Kafka does not answer") from error


class Indexes:
    """Sees to it that old rejected complaints go; waits in the background for a database that is away."""

    def __init__(self, rejected: MongoRejectedStore) -> None:
        self._rejected = rejected
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
                await self._rejected.prepare()


class LastRequests:
    """Stops first of all parts: what was begun is finished while producer and database are still there."""

    def __init__(self, traffic: Traffic, *, seconds_max: float) -> None:
        self._traffic = traffic
        self._seconds_max = seconds_max

    async def start(self) -> None:
        """Nothing to do."""

    async def stop(self) -> None:
        """Turn new requests away and wait for the others."""
        await self._traffic.close(seconds_max=self._seconds_max)


def to_the_millisecond() -> datetime:
    """Now, as exact as the database keeps it: what is read back is what was written."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


async def _told(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    kind = {404: "no-such-page", 405: "method-not-allowed"}.get(error.status_code, "internal")
    return problem_answer(kind, error.status_code, language_wanted(request), headers=error.headers)


def _described(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        described = get_openapi(title=app.title, version=app.version, summary=app.summary, routes=app.routes)
        components = described.setdefault("components", {}).setdefault("schemas", {})
        components.update(openapi.schemas())
        app.openapi_schema = described
    return app.openapi_schema
