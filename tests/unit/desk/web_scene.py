"""The web desk on a database of a test: real stores, a router that knows three commands, and a person of each role."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import httpx
from argon2 import PasswordHasher
from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from schemas import events as e
from schemas import ids
from schemas.codes import Language, StaffRole, TicketState
from schemas.commands import TicketCommand
from schemas.complaint import Contact, Money, Wording
from schemas.topics import TICKET_EVENT, TICKET_EVENTS
from services.desk.account_store import AccountStore
from services.desk.accounts import Account, Membership
from services.desk.app import Operation
from services.desk.asking import Asking
from services.desk.attempt_store import AttemptLimits, AttemptStore
from services.desk.audit_store import AuditStore
from services.desk.board_store import BoardStore
from services.desk.cluster_store import ClusterStore
from services.desk.command_handlers import Commands
from services.desk.contact_reading import ContactReading
from services.desk.contact_store import ContactStore
from services.desk.directory_editing import DirectoryEditing
from services.desk.doors import Doors
from services.desk.evidence_store import About
from services.desk.failing import Failing
from services.desk.intake_gateway import IntakeGateway
from services.desk.issued_store import IssuedStore
from services.desk.note_store import NoteStore
from services.desk.open_clock_store import OpenClockStore
from services.desk.passwords import Passwords
from services.desk.people_http import PeopleRoutes
from services.desk.person import Person
from services.desk.place_store import PlaceStore
from services.desk.policy_editing import PolicyEditing
from services.desk.queue import EVERYTHING, Scope
from services.desk.refusal_http import handle_refusals
from services.desk.row import fold
from services.desk.row_store import RowStore
from services.desk.security_headers import SecurityHeaders
from services.desk.session import Limits, Session, csrf_token, digest
from services.desk.session_store import SessionStore
from services.desk.sign_in_settings import SignInSettings
from services.desk.sign_in_store import SignInStore
from services.desk.signing_in import SigningIn
from services.desk.text_handlers import TextHandlers
from services.desk.text_store import TextStore
from services.desk.trail_store import TrailStore
from services.desk.view_store import ViewStore
from services.desk.web_evidence import Files
from services.desk.web_http import WebRoutes
from services.desk.web_visit import failed_html, nowhere_html
from services.organisation.directory_store import DirectoryStore
from services.runtime.dead_letters import Original
from services.runtime.letters import AWAY, Letter
from services.runtime.metrics import DeskMetrics
from services.runtime.mongo import Database
from services.runtime.producing import Outgoing, PublishFailed
from services.runtime.sealing import Keyring
from services.service_levels.policy import read_policy
from services.service_levels.policy_store import PolicyStore
from services.wording.signature import read_signature
from services.wording.templates import Templates
from tests.unit.desk.stories import RECEIVED, Story

NOW = RECEIVED + timedelta(hours=2)
PASSWORD = "a sentence that only tests know"
WORDS = "The parcel was thrown over the fence."
PHONE = "+8613800138000"
TEMPLATES = Templates.load(read_signature(None))
_LIMITS = Limits(idle=timedelta(hours=1), absolute=timedelta(hours=12))
_BECOMES: Mapping[str, tuple[type[e.TicketEvent], TicketState | None]] = {
    "add_note": (e.TicketNoted, None),
    "answer": (e.TicketAnswered, TicketState.ANSWERED),
    "assign": (e.TicketAssigned, None),
}


def scope_of(person: Person) -> Scope:
    """Staff of an outlet see what is their unit's."""
    is_outlet = person.role is StaffRole.OUTLET_STAFF
    return Scope(units=frozenset(person.units), sees_complainant=False) if is_outlet else EVERYTHING


class KnownMemberships:
    """What the directory would say of people, by name; of most nothing."""

    def __init__(self) -> None:
        self.by_person: dict[str, Membership] = {}

    async def of(self, person: str) -> Membership:
        return self.by_person.get(person, Membership())


class KeptFiles:
    """Files of evidence in memory."""

    def __init__(self) -> None:
        self.kept: dict[UUID, bytes] = {}
        self.others: set[UUID] = set()
        self.owners: dict[UUID, UUID] = {}

    async def about(self, ids: Collection[UUID], *, of: Collection[UUID]) -> dict[UUID, About]:
        open_ones = {one for one in ids if one in self.kept and self.owners.get(one) in {None, *of}}
        return {one: About("image/png", len(self.kept[one])) for one in ids if one in open_ones}

    async def read(self, id_: UUID) -> tuple[str, bytes] | None:
        return ("image/png", self.kept[id_]) if id_ in self.kept else None

    async def claim(self, ids: Collection[UUID], *, ticket: UUID, complaints: Collection[UUID]) -> set[UUID]:
        return self.others & set(ids)


class KeptLetters:
    """Dead letters in memory, as `runtime/letters.py` has them in Kafka, which may be away."""

    def __init__(self) -> None:
        self.kept: list[Letter] = []
        self.sent: list[str] = []
        self.is_away = False

    def add(self, *, topic: str = TICKET_EVENT.name, value: bytes = b"{}") -> str:
        """One more; its id."""
        headers = [("ce_type", b"t"), ("dl_why", b"failed"), ("dl_reason", b"it fell"), ("dl_topic", topic.encode())]
        original = Original(f"{topic}-dlq", 0, len(self.kept), b"k", value, headers)
        self.kept.append(Letter(original=original, at=NOW, was_replayed=False))
        return self.kept[-1].id

    async def read(self, topics: Sequence[str], *, latest: int | None = None) -> list[Letter]:
        """See `Letters`."""
        if self.is_away:
            raise AWAY[0]
        return [letter for letter in self.kept if letter.original.topic in topics]

    async def replay(self, letters: Sequence[Letter]) -> None:
        """See `Letters`."""
        self.sent += [letter.id for letter in letters]
        await self.discard(letters)

    async def discard(self, letters: Sequence[Letter]) -> None:
        """See `Letters`."""
        done = {letter.id for letter in letters}
        self.kept = [replace(one, was_replayed=one.was_replayed or one.id in done) for one in self.kept]


class WebScene:
    """The desk's pages, and what was done with them."""

    def __init__(
        self,
        database: Database,
        folder: Path,
        *,
        intake: httpx.MockTransport | None = None,
        files: Files | None = None,
    ) -> None:
        self.database = database
        self.keyring = Keyring.create(folder / "keyring.json")
        self.rows, self.trail = RowStore(database), TrailStore(database)
        self.accounts, self.sessions = AccountStore(database), SessionStore(database)
        self.audit, self.views = AuditStore(database), ViewStore(database)
        self.notes = NoteStore(database, self.keyring)
        self.passwords = Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
        self.evidence: Files = files or KeptFiles()
        self.texts = TextHandlers(store=TextStore(database), packaged=TEMPLATES, now=lambda: self.now)
        self.letters = KeptLetters()
        self.memberships = KnownMemberships()
        self.is_stalled = False
        """Whether Kafka acknowledges nothing."""
        self.issued: list[TicketCommand] = []
        self.policies, self.directory = PolicyStore(database), DirectoryStore(database)
        self.now = NOW
        self.app = self._app(intake or httpx.MockTransport(lambda _: httpx.Response(503)))

    def client(self, role: str = "", *, language: str = "en") -> httpx.AsyncClient:
        """A browser in which somebody of the role is signed in; empty: nobody."""
        cookies = {"amends": f"session-{role}"} if role else {}
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app),
            base_url="http://desk",
            cookies=cookies,
            headers={"Accept": "text/html", "Accept-Language": language},
        )

    def csrf(self, role: str) -> str:
        """What forms of that browser bring."""
        return csrf_token(f"session-{role}")

    async def people(self, language: Language = Language.EN) -> None:
        """An account and a session for each role; the outlet's is of NET-1."""
        password = await self.passwords.hash(PASSWORD)
        for role in StaffRole:
            account = Account(
                name=role.value,
                shown_as=role.value,
                role=role,
                units=("NET-1",) if role is StaffRole.OUTLET_STAFF else (),
                language=language,
                password=password,
                changed_at=self.now,
            )
            if was := await self.accounts.get(role.value):
                await self.accounts.change(account, was=was)
                continue
            await self.accounts.add(account)
            session = Session(
                digest=digest(f"session-{role.value}"),
                account=role.value,
                made_at=self.now,
                seen_at=self.now,
                ends_at=self.now + timedelta(hours=12),
            )
            await self.sessions.begin(session)

    async def rules(self) -> None:
        """The policy of service levels and the directory that come with the package."""
        await self.policies.begin_with(read_policy())
        await self.directory.current_or_packaged()

    async def tickets(self, told: Sequence[Story]) -> None:
        """Keep what was told, as projector, router and notifier do."""
        await self.rows.save([(story.row(), 0) for story in told], at=self.now)
        for story in told:
            for event in story.events:
                await self._append(event)
            await self._contact(story)

    async def _append(self, event: e.TicketEvent) -> None:
        content = event.model_dump(mode="json")
        await self.database["ticket_events"].insert_one(
            {"_id": f"{event.ticket_id}:{event.sequence}", "type": event.ce_type(), **content}
        )

    async def _contact(self, story: Story) -> None:
        complaint, row = story.ticket, story.row()
        sealed = {
            "contact": self.keyring.seal(Contact(phone=PHONE).seal_bytes(), about=complaint).model_dump(),
            "wording": self.keyring.seal(Wording(description=WORDS).seal_bytes(), about=complaint).model_dump(),
        }
        await self.database["contacts"].insert_one(
            {"_id": str(ids.contact_ref(complaint)), "complaint_id": str(complaint), **sealed}
        )
        await self.database["tickets"].insert_one(
            {
                "_id": str(story.ticket),
                "number": story.number,
                "state": row.state.value,
                "department": row.department,
                "unit": row.unit,
                "person": row.person,
                "source": "external",
                "category": "delay",
                "flags": [],
                "complaints": [str(complaint)],
            }
        )

    async def _publish(self, outgoing: Sequence[Outgoing]) -> None:
        if self.is_stalled:
            raise PublishFailed
        for one in outgoing:
            command = one.message
            assert isinstance(command, TicketCommand)
            self.issued.append(command)
            if command.action.name not in _BECOMES:
                continue
            kept = await self.rows.get(command.ticket_id)
            assert kept
            kind, state = _BECOMES[command.action.name]
            more: dict[str, Any] = command.action.model_dump(exclude={"name"})
            if kind is e.TicketAssigned:
                before = kept.row
                more = {name: value or getattr(before, name) for name, value in more.items()}
                more |= {"unit_calendar": "hub", "rule": "by_hand"}
            event = kind(
                routing_key="k",
                event_id=uuid5(command.command_id, "event"),
                ticket_id=command.ticket_id,
                sequence=kept.row.version + 1,
                causation_id=command.command_id,
                occurred_at=command.issued_at,
                actor=command.actor,
                state=state or kept.row.state,
                reason=command.reason,
                note_ref=command.note_ref,
                **more,
            )
            await self._append(event)
            await self.rows.save([(fold(kept.row, event), kept.revision)], at=self.now)

    def _app(self, intake: httpx.MockTransport) -> FastAPI:
        metrics = DeskMetrics(CollectorRegistry())
        self.doors = doors = Doors(
            accounts=self.accounts,
            sessions=self.sessions,
            memberships=self.memberships,
            limits=_LIMITS,
            url="",
            now=lambda: self.now,
            seconds_max=5.0,
        )
        asking = Asking(rows=self.rows, sign=self.keyring.blind, now=lambda: self.now, metrics=metrics, seconds_max=30)
        self.levels = PolicyEditing(
            versions=self.policies,
            clocks=OpenClockStore(self.database),
            asking=asking,
            auditing=self.audit,
            now=lambda: self.now,
        )
        gateway = IntakeGateway(httpx.AsyncClient(transport=intake, base_url="http://intake"))
        signing_in = SigningIn(
            accounts=self.accounts,
            sessions=self.sessions,
            attempts=AttemptStore(
                self.database, AttemptLimits(of_account=10, of_address=100, window=timedelta(minutes=15))
            ),
            memberships=self.memberships,
            auditing=self.audit,
            hashing=self.passwords,
            limits=_LIMITS,
            blind=self.keyring.blind,
            now=lambda: self.now,
        )
        people = PeopleRoutes(
            doors=doors,
            signing_in=signing_in,
            accounts=self.accounts,
            sessions=self.sessions,
            pending=SignInStore(self.database),
            audit=self.audit,
            passwords=self.passwords,
            oidc=None,
            claim_names=SignInSettings().claim_names(),
            local_accounts=True,
        )
        operation = Operation(
            self.database,
            letters=self.letters,
            people=people,
            rows=self.rows,
            intake=gateway,
            keyring=self.keyring,
            now=lambda: self.now,
        )
        routes = WebRoutes(
            doors=doors,
            signing_in=signing_in,
            accounts=self.accounts,
            sessions=self.sessions,
            audit=self.audit,
            asking=asking,
            rows=self.rows,
            trail=self.trail,
            views=self.views,
            notes=self.notes,
            commands=Commands(
                trail=self.trail,
                notes=self.notes,
                files=self.evidence,
                issued=IssuedStore(self.database),
                digest=str,
                publish=self._publish,
                now=lambda: self.now,
                wait_s=0.3,
            ),
            reading=ContactReading(
                places=PlaceStore(self.database),
                contacts=ContactStore(self.database, self.keyring),
                auditing=self.audit,
            ),
            board=BoardStore(self.database, now=lambda: self.now),
            intake=gateway,
            clusters=ClusterStore(self.database, now=lambda: self.now),
            contacts=ContactStore(self.database, self.keyring),
            evidence=self.evidence,
            texts=self.texts,
            portal="https://care.example",
            levels=self.levels,
            directory=DirectoryEditing(directory=self.directory, auditing=self.audit),
            blind=self.keyring.blind,
            scope_of=scope_of,
            has_oidc=True,
            local_accounts=True,
            others=operation.pages,
        )
        app = FastAPI()
        app.state.doors = doors
        app.include_router(operation.routes.router())
        app.include_router(routes.router())
        handle_refusals(app)
        app.add_exception_handler(404, nowhere_html)
        app.add_middleware(Failing, answer=failed_html)
        app.add_middleware(SecurityHeaders)
        return app


def money(amount: str) -> Money:
    """Of that much."""
    return Money.model_validate({"amount": amount})


def every_event() -> list[e.TicketEvent]:
    """One of each type, with everything that it can say."""
    story = Story()
    told: dict[type[e.TicketEvent], e.TicketEvent] = {type(event): event for event in story.events}
    common = story.events[0].model_dump()
    given: dict[str, Any] = {
        **common,
        "before": 2,
        "severity": 4,
        "before_department": "hubs",
        "repeats": 2,
        "matched_by": "waybill",
        "from_ticket": UUID(int=1),
        "to_ticket": UUID(int=1),
        "to_routing_key": "k",
        "cause": "missorted",
        "evidence": [UUID(int=2)],
        "shares": [
            {"unit": "HUB-01", "percent": 40, "unit_calendar": "hub"},
            {"unit": "NET-1", "percent": 60, "unit_calendar": "outlet"},
        ],
        "unit": "HUB-01",
        "department": "hubs",
        "loss": {"amount": "12.50"},
        "goodwill": {"amount": "18.75"},
        "command": "answer",
        "remedy": "refund",
        "amount": {"amount": "30.00"},
        "chain": ["supervisor"],
        "role": "supervisor",
        "to": "p2",
        "changed": True,
        "outcome": "refunded",
        "what": "photos",
        "whom": "customs",
        "tier": "agent",
        "attempt": 1,
        "score": 4,
        "satisfied": True,
        "attempts": 3,
        "corrective_action": UUID(int=3),
        "owner": "p2",
        "due_on": datetime(2026, 12, 1, tzinfo=UTC).date(),
        "effective": True,
        "why": "illegal_in_state",
    }
    for kind in TICKET_EVENTS:
        if kind not in told:
            fields = {name: value for name, value in given.items() if name in kind.model_fields}
            if kind in (e.TicketReopened, e.TicketAppealed):
                fields["before"] = "resolved"
            told[kind] = kind.model_validate(fields)
    return [told[kind] for kind in TICKET_EVENTS]
