"""A desk of people's routes alone, on the simulated database, behind a real HTTP server; and what is in it."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, cast
from uuid import UUID, uuid4

import httpx
import uvicorn
from argon2 import PasswordHasher
from fastapi import Depends, FastAPI, Form

from schemas import ids
from schemas.codes import StaffRole
from schemas.complaint import Contact, Wording
from services.desk.account_store import AccountStore
from services.desk.accounts import Account
from services.desk.attempt_store import AttemptStore
from services.desk.audit_store import AuditStore
from services.desk.contact_reading import ContactReading
from services.desk.contact_store import ContactStore
from services.desk.doors import Doors, allowed
from services.desk.erasing import Eraser
from services.desk.erasure_store import ErasureStore
from services.desk.membership_store import MembershipStore
from services.desk.oidc_gateway import Client, OidcGateway
from services.desk.passwords import Passwords
from services.desk.people_http import PeopleRoutes
from services.desk.person import Person
from services.desk.place_store import PlaceStore
from services.desk.privacy_http import PrivacyRoutes
from services.desk.refusal_http import handle_refusals
from services.desk.security_headers import SecurityHeaders
from services.desk.session_store import SessionStore
from services.desk.sign_in_settings import SignInSettings
from services.desk.sign_in_store import SignInStore
from services.desk.signing_in import SigningIn
from services.runtime.mongo import Database
from services.runtime.sealing import Keyring
from tests.simulation.database import Store

PASSWORD = "correct horse battery"
HASHING = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
"""As weak as can be: tests are about who is let in."""
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


@dataclass
class Desk:
    """One process of the desk, and the database that it may share with others."""

    keyring: Keyring
    store: Store = field(default_factory=Store)
    settings: SignInSettings = field(default_factory=SignInSettings)
    now: datetime = NOON
    url: str = ""
    """Where it is served."""

    @property
    def database(self) -> Database:
        """As the stores know it."""
        return cast("Database", self.store.database())

    def documents(self, collection: str) -> list[dict[str, Any]]:
        """What is in a collection."""
        return self.store.snapshot().get(collection, [])

    async def add(self, name: str, role: StaffRole, **about: Any) -> None:
        """An account with the password `PASSWORD`."""
        hashed = await Passwords(HASHING).hash(PASSWORD)
        account = Account(name=name, shown_as=name, role=role, password=hashed, changed_at=NOON, **about)
        assert await AccountStore(self.database).add(account)

    def app(self) -> FastAPI:
        """People's and personal data's routes, and one form that changes something."""
        database, settings = self.database, self.settings
        accounts, sessions, audit = AccountStore(database), SessionStore(database), AuditStore(database)
        memberships, passwords = MembershipStore(database), Passwords(HASHING)
        contacts, places, erasures = ContactStore(database, self.keyring), PlaceStore(database), ErasureStore(database)
        limits = settings.session_limits()

        def now() -> datetime:
            return self.now

        def now_s() -> float:
            return self.now.timestamp()

        doors = Doors(
            accounts=accounts,
            sessions=sessions,
            memberships=memberships,
            limits=limits,
            url=settings.desk_url,
            now=now,
            seconds_max=5.0,
        )
        signing_in = SigningIn(
            accounts=accounts,
            sessions=sessions,
            attempts=AttemptStore(database, settings.attempt_limits()),
            memberships=memberships,
            auditing=audit,
            hashing=passwords,
            limits=limits,
            blind=self.keyring.blind,
            now=now,
        )
        client = Client(
            issuer=settings.oidc_issuer,
            client_id=settings.oidc_client_id,
            client_secret=settings.oidc_client_secret.get_secret_value(),
            scopes=settings.oidc_scopes,
            algorithms=settings.oidc_algorithms,
            skew_s=settings.oidc_skew_s,
        )
        people = PeopleRoutes(
            doors=doors,
            signing_in=signing_in,
            accounts=accounts,
            sessions=sessions,
            pending=SignInStore(database),
            audit=audit,
            passwords=passwords,
            oidc=OidcGateway(client, now=now_s) if settings.oidc_issuer else None,
            claim_names=settings.claim_names(),
            local_accounts=settings.local_accounts,
        )
        privacy = PrivacyRoutes(
            doors=doors,
            reading=ContactReading(places=places, contacts=contacts, auditing=audit),
            contacts=contacts,
            places=places,
            erasures=erasures,
            audit=audit,
            keyring=self.keyring,
        )
        app = FastAPI()
        app.state.doors = doors
        handle_refusals(app)
        app.add_middleware(SecurityHeaders, url=settings.desk_url)
        app.include_router(people.router())
        app.include_router(privacy.router())

        @app.post("/form")
        async def form(person: Annotated[Person, Depends(allowed("add_note"))], note: Annotated[str, Form()]) -> str:
            return f"{person.id}: {note}"

        return app

    def eraser(self) -> Eraser:
        """The worker of erasures."""
        database = self.database
        return Eraser(
            erasures=ErasureStore(database),
            customers=ContactStore(database, self.keyring),
            now=lambda: self.now,
        )

    async def complain(self, contact: Contact | None, **ticket: Any) -> UUID:
        """A ticket with contact, wording, evidence, message and events as the other services keep them; its id."""
        complaint = uuid4()
        id_, evidence = ids.ticket_id(complaint), str(uuid4())
        sealed = self.keyring.seal(contact.seal_bytes(), about=complaint) if contact else None
        wording = self.keyring.seal(Wording(description="我叫李四，箱子湿了").seal_bytes(), about=complaint)
        masked = {"phone": "138****1234", "email": None, "wechat": False}
        index = []
        if contact and contact.phone:
            index.append(self.keyring.blind("phone", contact.phone))
        if contact and contact.email:
            index.append(self.keyring.blind("email", contact.email.casefold()))
        person = {"complaint_id": str(complaint), "contact_ref": str(ids.contact_ref(complaint)), "masked": masked}
        database = self.database
        await database["tickets"].insert_one(
            {
                "_id": str(id_),
                "number": f"2611-{len(self.documents('tickets')):06}",
                "state": "investigating",
                "department": "outlets",
                "unit": "NET-1001",
                "person": None,
                "source": "external",
                "category": "damage",
                "flags": [],
                "complaints": [str(complaint)],
                **ticket,
            }
        )
        await database["contacts"].insert_one(
            {
                "_id": str(ids.contact_ref(complaint)),
                "complaint_id": str(complaint),
                "ticket_id": str(id_),
                "contact": sealed.model_dump() if sealed else None,
                "wording": wording.model_dump(),
                "masked": masked,
                "index": index,
                "evidence": [evidence],
                "language": "zh",
                "channel": "web",
                "time_zone": "Asia/Shanghai",
            }
        )
        await database["ticket_events"].insert_one(
            {"_id": f"{id_}:1", "ticket_id": str(id_), "sequence": 1, "evidence": [evidence], "then": []}
        )
        await database["evidence.files"].insert_one({"_id": evidence})
        await database["evidence.chunks"].insert_one({"_id": uuid4(), "files_id": evidence, "data": b"sealed"})
        await database["notifications"].insert_one(
            {
                "_id": str(uuid4()),
                "ticket_id": str(id_),
                "moment": "received",
                "at": NOON,
                "person": person,
                "recipient": "digest",
                "attempts": [{"channel": "sms"}],
                "state": "delivered",
            }
        )
        await database["addressees"].insert_one({"_id": str(id_), "person": person})
        return id_


@dataclass
class Browser:
    """Somebody's browser: keeps cookies, and knows the token of its pages."""

    http: httpx.AsyncClient
    token: str = ""

    async def sign_in(self, name: str, password: str = PASSWORD) -> httpx.Response:
        """At the sign-in page."""
        answer = await self.http.post("/v1/session", json={"name": name, "password": password})
        if answer.status_code == 200:
            self.token = answer.json()["csrf_token"]
        return answer

    async def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        """A request from a page of ours."""
        return await self.http.request(method, path, headers={"X-CSRF-Token": self.token}, **more)


@contextlib.asynccontextmanager
async def served(app: Any) -> AsyncIterator[str]:
    """Its address, while it is served."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off", timeout_graceful_shutdown=1))
    with contextlib.ExitStack() as stack:
        stack.callback(listener.close)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await serving


@contextlib.asynccontextmanager
async def browsing(url: str) -> AsyncIterator[Browser]:
    """A browser at an address."""
    async with httpx.AsyncClient(base_url=url, timeout=30) as http:
        yield Browser(http)


def later(**by: float) -> timedelta:
    """How much later, as `timedelta` takes it."""
    return timedelta(**by)
