"""The intake on fakes: every store in memory, and a broker that can be away."""

import itertools
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from schemas.complaint import ComplaintSubmitted
from services.intake.app import World, surface
from services.intake.evidence_store import MemoryEvidenceStore
from services.intake.gate import Traffic
from services.intake.handlers import Unavailable
from services.intake.idempotency_store import MemoryIdempotencyStore
from services.intake.progress_store import MemoryProgressStore
from services.intake.published_store import MemoryPublishedStore
from services.intake.rejected_store import MemoryRejectedStore
from services.intake.settings import IntakeSettings
from services.runtime.metrics import IntakeMetrics
from services.runtime.producing import Outgoing
from services.runtime.rate_limit import ClientLimit
from services.runtime.sealing import Keyring

NOW = datetime(2026, 11, 22, 2, 0, tzinfo=UTC)
NO_REDIS = "redis://127.0.0.1:1/0"


@dataclass
class Broker:
    """Keeps what is published; `is_away` makes it refuse."""

    is_away: bool = False
    published: list[ComplaintSubmitted] = field(default_factory=list)
    calls: int = 0

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        """Take all, or none."""
        self.calls += 1
        if self.is_away:
            raise Unavailable("away")
        for outgoing in messages:
            assert isinstance(outgoing.message, ComplaintSubmitted)
            self.published.append(outgoing.message)


class Running:
    """An intake and everything behind it."""

    def __init__(self, keyring: Keyring, **settings: object) -> None:
        self.settings = IntakeSettings(**settings)
        self.keyring = keyring
        self.broker = Broker()
        self.idempotency = MemoryIdempotencyStore()
        self.published = MemoryPublishedStore()
        self.progress = MemoryProgressStore()
        self.rejected = MemoryRejectedStore()
        self.evidence = MemoryEvidenceStore()
        self.traffic = Traffic()
        self.registry = CollectorRegistry()
        self.times = itertools.repeat(NOW)
        self.app: FastAPI = surface(
            self.settings,
            World(
                keyring=keyring,
                idempotency=self.idempotency,
                published=self.published,
                progress=self.progress,
                rejected=self.rejected,
                evidence=self.evidence,
                publisher=self.broker,
                limit=ClientLimit(self.settings.rate_limit, redis=NO_REDIS),
                traffic=self.traffic,
                now=lambda: next(self.times),
            ),
            IntakeMetrics(self.registry),
        )

    def client(self) -> httpx.AsyncClient:
        """A client that needs no network."""
        return httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://intake")


@pytest.fixture(scope="session")
def keyring(tmp_path_factory: pytest.TempPathFactory) -> Keyring:
    """Keys of this run."""
    path: Path = tmp_path_factory.mktemp("keys") / "keyring.json"
    return Keyring.create(path)


@pytest.fixture
def make_running(keyring: Keyring) -> Callable[..., Running]:
    """Makes an intake with settings of its own."""
    return lambda **settings: Running(keyring, **settings)


@pytest.fixture
def running(make_running: Callable[..., Running]) -> Running:
    """An intake with the default limits."""
    return make_running()


@pytest.fixture
async def client(running: Running) -> AsyncIterator[httpx.AsyncClient]:
    """Talks to it."""
    async with running.client() as client:
        yield client
