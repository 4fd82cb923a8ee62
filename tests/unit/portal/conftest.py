"""The portal on fakes: an intake that can be away, tickets in lists, a broker that keeps what is asked for."""

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from prometheus_client import CollectorRegistry

from schemas import commands as c
from schemas import events as e
from schemas.codes import Clock, Language
from schemas.notes import Note
from services.portal.app import World, surface
from services.portal.case import AppealWindow
from services.portal.handlers import Progress, Told
from services.portal.settings import PortalSettings
from services.portal.uploads import Unavailable
from services.runtime.metrics import PortalMetrics
from services.runtime.private_link import PURPOSE, PrivateLinks
from services.runtime.producing import Outgoing
from services.runtime.rate_limit import ClientLimit
from services.runtime.sealing import Keyring
from tests.unit.portal.tickets import COMPLAINT, TICKET, opened

NOW = datetime(2026, 11, 22, 2, 0, tzinfo=UTC)
NO_REDIS = "redis://127.0.0.1:1/0"


@dataclass
class Intake:
    """Takes what has a description and a phone number, and files that begin as PNG does."""

    away: Unavailable | None = None
    taken: dict[str, dict[str, Any]] = field(default_factory=dict)
    evidence: dict[UUID, bytes] = field(default_factory=dict)
    number: str | None = "2611-004217"

    async def submit(self, body: Mapping[str, Any], *, key: str, language: Language) -> UUID | list[dict[str, Any]]:
        if self.away:
            raise self.away
        errors = []
        if not body["description"]:
            errors.append({"field": "description", "problem": "This is missing.", "todo": "Write it."})
        if not body["complainant"].get("phone"):
            errors.append({"field": "complainant", "problem": "No way to reach you.", "todo": "Give one."})
        for place, one in enumerate(body["evidence"]):
            if UUID(one) not in self.evidence:
                errors.append({"field": f"evidence.{place}", "value": one, "problem": "No such evidence.", "todo": ""})
        if errors:
            return errors
        self.taken.setdefault(key, dict(body))
        assert self.taken[key] == dict(body), "one key, two contents"
        return UUID(int=list(self.taken).index(key) + 1)

    async def upload(self, content: bytes, *, language: Language) -> UUID | str:
        if self.away:
            raise self.away
        if not content.startswith(b"\x89PNG"):
            return "Files of this kind are not taken."
        one = uuid4()
        self.evidence[one] = content
        return one

    async def progress(self, complaint_id: UUID, *, wait_s: float, language: Language) -> Progress | None:
        ticket = TICKET if self.number else None
        return Progress(self.number, "We look into it.", ticket) if complaint_id.int <= len(self.taken) else None


@dataclass
class Uploads:
    known: dict[tuple[str, str], UUID] = field(default_factory=dict)
    owners: dict[UUID, UUID] = field(default_factory=dict)

    async def add(self, form: str, sha256: str, evidence: UUID) -> None:
        self.known.setdefault((form, sha256), evidence)

    async def find(self, form: str, checksums: Sequence[str]) -> Mapping[str, UUID]:
        return {one: self.known[form, one] for one in checksums if (form, one) in self.known}

    async def claim(self, evidence: Collection[UUID], *, of: UUID) -> None:
        self.owners |= dict.fromkeys(evidence, of)


@dataclass
class Tickets:
    by_id: dict[UUID, list[e.TicketEvent]] = field(default_factory=dict)
    clocks: dict[Clock, datetime] = field(default_factory=dict)
    told: list[Told] = field(default_factory=list)
    window: AppealWindow | None = None
    away: Unavailable | None = None

    async def events(self, ticket_id: UUID) -> Sequence[e.TicketEvent]:
        if self.away:
            raise self.away
        return list(self.by_id.get(ticket_id, ()))

    async def due(self, ticket_id: UUID) -> Mapping[Clock, datetime]:
        return self.clocks

    async def appeal_window(self, ticket_id: UUID, *, version: int) -> AppealWindow | None:
        return self.window

    async def messages(self, ticket_id: UUID, complaint_id: UUID) -> Sequence[Told]:
        return self.told


@dataclass
class Notes:
    by_ref: dict[UUID, Note] = field(default_factory=dict)

    async def for_customer(self, refs: Collection[UUID], *, ticket: UUID) -> Mapping[UUID, str]:
        return {r: self.by_ref[r].for_customer for r in refs if r in self.by_ref and self.by_ref[r].for_customer}

    async def put(self, ref: UUID, note: Note, *, ticket: UUID, at: datetime) -> None:
        self.by_ref[ref] = note


@dataclass
class Broker:
    asked: list[c.TicketCommand] = field(default_factory=list)
    away: Unavailable | None = None
    then: Callable[[c.TicketCommand], None] = lambda _command: None

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        if self.away:
            raise self.away
        for one in messages:
            assert isinstance(one.message, c.TicketCommand)
            self.asked.append(one.message)
            self.then(one.message)


@dataclass
class Revocations:
    by_ticket: dict[UUID, int] = field(default_factory=dict)

    async def generation(self, ticket_id: UUID) -> int:
        return self.by_ticket.get(ticket_id, 0)


def links_of(keyring: Keyring) -> PrivateLinks:
    """What makes and reads links."""
    return PrivateLinks(keyring.key_for(PURPOSE))


class Running:
    """A portal and everything behind it."""

    def __init__(self, keyring: Keyring, **settings: Any) -> None:
        self.settings = PortalSettings(**({"outcome_s_max": 0} | settings))
        self.keyring = keyring
        self.intake, self.uploads, self.tickets, self.notes = Intake(), Uploads(), Tickets(), Notes()
        self.broker, self.revocations = Broker(), Revocations()
        self.now = NOW
        self.tickets.by_id[TICKET] = [opened()]
        self.app = surface(
            self.settings,
            World(
                intake=self.intake,
                evidence=self.intake,
                uploads=self.uploads,
                links=links_of(keyring),
                revocations=self.revocations,
                tickets=self.tickets,
                notes=self.notes,
                publisher=self.broker,
                form_secret=keyring.key_for("portal form"),
                address_limit=ClientLimit(self.settings.portal_rate_limit, redis=NO_REDIS),
                ticket_limit=ClientLimit(self.settings.portal_ticket_rate_limit, redis=NO_REDIS),
                now=lambda: self.now,
            ),
            PortalMetrics(CollectorRegistry()),
        )

    def token(
        self,
        *,
        ticket: UUID = TICKET,
        complaint: UUID = COMPLAINT,
        age: timedelta = timedelta(days=1),
        generation: int = 0,
    ) -> str:
        """A link's token."""
        return links_of(self.keyring).make(ticket, complaint, NOW - age, generation=generation)

    def client(self, **more: Any) -> httpx.AsyncClient:
        """A browser that needs no network."""
        headers = {"Accept-Language": "en"}
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app, **more), base_url="http://portal", headers=headers
        )


@pytest.fixture(scope="session")
def keyring(tmp_path_factory: pytest.TempPathFactory) -> Keyring:
    """Keys of this run."""
    path: Path = tmp_path_factory.mktemp("keys") / "keyring.json"
    return Keyring.create(path)


@pytest.fixture
def make_running(keyring: Keyring) -> Callable[..., Running]:
    """Makes a portal with settings of its own."""
    return lambda **settings: Running(keyring, **settings)


@pytest.fixture
def running(make_running: Callable[..., Running]) -> Running:
    """A portal with one ticket."""
    return make_running()


@pytest.fixture
async def client(running: Running) -> AsyncIterator[httpx.AsyncClient]:
    """Talks to it."""
    async with running.client() as client:
        yield client
