"""Wiring of the desk: the only place that knows every part."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from http import HTTPStatus
from typing import Protocol
from uuid import UUID

import httpx
from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from schemas.sealed import Sealed
from schemas.topics import NOTIFICATION_EVENT, SLA_EVENT, TICKET_EVENT
from services.desk import rights
from services.desk.account_store import AccountStore
from services.desk.asking import Asking
from services.desk.attempt_store import AttemptStore
from services.desk.audit_store import AuditStore
from services.desk.board_store import BoardStore
from services.desk.bounded import Bounded
from services.desk.cluster_store import ClusterStore
from services.desk.command_handlers import Commands
from services.desk.commands_http import CommandRoutes
from services.desk.contact_reading import ContactReading
from services.desk.contact_store import ContactStore
from services.desk.dead_letters import DeadLetters, Letters
from services.desk.delivery_store import DeliveryStore
from services.desk.directory_editing import DirectoryEditing
from services.desk.doors import Doors, allowed
from services.desk.erasing import Eraser
from services.desk.erasure_store import ErasureStore
from services.desk.evidence_store import EvidenceStore
from services.desk.failing import Failing
from services.desk.intake_gateway import IntakeGateway
from services.desk.issued_store import IssuedStore
from services.desk.links import LinkRevoking
from services.desk.live import Live
from services.desk.measuring import Measuring
from services.desk.membership_store import MembershipStore
from services.desk.note_store import NoteStore
from services.desk.notice_gateway import NoticePublisher, NoticeSubscription, redis_client
from services.desk.oidc_gateway import Client, OidcGateway
from services.desk.open_clock_store import OpenClockStore
from services.desk.operation_http import OperationRoutes
from services.desk.own_sessions import OwnSessions
from services.desk.passwords import Passwords
from services.desk.people_http import PeopleRoutes
from services.desk.person import Person
from services.desk.place_store import PlaceStore
from services.desk.policy_editing import PolicyEditing
from services.desk.privacy_http import PrivacyRoutes
from services.desk.projecting import Projector
from services.desk.queue import EVERYTHING, Scope
from services.desk.refusal_http import PROBLEMS, handle_refusals
from services.desk.refused_store import RefusedStore
from services.desk.rejected import RejectedComplaints
from services.desk.row_store import RowStore
from services.desk.rules_http import RuleRoutes
from services.desk.security_headers import SecurityHeaders
from services.desk.session_store import SessionStore
from services.desk.settings import DeskSettings
from services.desk.sign_in_store import SignInStore
from services.desk.signing_in import SigningIn
from services.desk.telling import event_told
from services.desk.text_handlers import TextHandlers
from services.desk.text_store import TextStore
from services.desk.texts_http import TextRoutes
from services.desk.tickets_http import Allows, TicketRoutes
from services.desk.trail_store import TrailStore
from services.desk.view_store import ViewStore
from services.desk.views_http import ViewRoutes
from services.desk.web_accounts import AccountPages
from services.desk.web_dead_letters import DeadLetterPages
from services.desk.web_deliveries import DeliveryPages
from services.desk.web_http import WebRoutes
from services.desk.web_links import LinkPages
from services.desk.web_me import MePages
from services.desk.web_rejected import RejectedPages
from services.desk.web_visit import failed_html, nowhere_html
from services.organisation.directory_store import DirectoryStore
from services.runtime import worker
from services.runtime.consuming import Consumption
from services.runtime.letters import KEEP_S, KafkaLetters
from services.runtime.link_store import MongoLinkStore
from services.runtime.metrics import ConsumingMetrics, DeskMetrics, ProducingMetrics
from services.runtime.mongo import Database
from services.runtime.producing import Producer
from services.runtime.readiness import Readiness
from services.runtime.retries import every, until_available
from services.runtime.sealing import CannotOpen, Keyring
from services.runtime.settings import load
from services.runtime.surroundings import Surroundings
from services.runtime.time_source import Clock, utc_of
from services.service_levels.policy_store import PolicyStore
from services.wording.signature import read_signature
from services.wording.templates import Templates

SERVICE = DeskSettings.SERVICE
_HOW_TO_CALL = """
Sign in with `POST /v1/sign-in` (`GET /v1/sign-in` tells the ways). The answer sets a session's cookie and has a
`csrf_token`; every request that changes something carries the cookie and the token as `X-CSRF-Token`.

A change of a ticket is a command, `POST /v1/tickets/{ticket}/commands`, with an `If-Match` of the version that it
is based on, and a `command_id` of your own: asked again with the same id it happens once. 202 means that it is not
decided yet, 503 `unsure` that nobody can say whether it arrived; then ask again with the same id.

Refusals are `application/problem+json` (RFC 9457), in the language of `Accept-Language`, with everything that is wrong
at once. `type` and `code` are stable.
"""
INTAKE_S_MAX = 10.0


@dataclass(frozen=True, kw_only=True)
class Desk:
    """Everything that runs, in the order in which it starts, and the HTTP surface."""

    parts: Sequence[worker.Part]
    surface: FastAPI


class Indexed(Protocol):
    """A store that wants indexes."""

    async def create_indexes(self) -> None:
        """Make them, if they are not there."""


class Recurring:
    """Work that is done now and then beside everything else."""

    def __init__(self, work: Callable[[], Awaitable[object]], *, every_s: float) -> None:
        self._work = work
        self._every_s = every_s
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin."""
        self._task = asyncio.create_task(every(self._every_s, self._step), name=self._work.__qualname__)

    async def stop(self) -> None:
        """End; what is half done goes on at the next start."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _step(self) -> None:
        await self._work()


class Foundation:
    """The indexes and the time, there before anything is read."""

    def __init__(self, clock: Clock, stores: Sequence[Indexed]) -> None:
        self._clock = clock
        self._stores = stores

    async def start(self) -> None:
        """Make them, for as long as the database is away."""
        async for attempt in until_available():
            with attempt:
                await self._clock.sync()
                for store in self._stores:
                    await store.create_indexes()

    async def stop(self) -> None:
        """Nothing was taken that must be given back."""


def scope_of(person: Person) -> Scope:
    """What a person may see: staff of an outlet or of a department what is theirs, others everything."""
    if rights.scope(person.role, "list_tickets") is rights.Scope.ALL:
        return EVERYTHING
    if person.units:
        return Scope(units=frozenset(person.units), sees_complainant=False)
    return Scope(departments=frozenset(person.departments), sees_complainant=False)


def desk(
    settings: DeskSettings,
    around: Surroundings,
    *,
    keyring: Keyring,
    readiness: Readiness,
    registry: CollectorRegistry,
    allows: Allows = allowed,
) -> Desk:
    """The desk on what surrounds it; `allows` gives the signed-in person of a request, whose role has a right."""
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
    people = People(settings, database, keyring=keyring, now=now)
    notes, issued, files = NoteStore(database, keyring), IssuedStore(database), EvidenceStore(database, keyring)
    commands = Commands(
        trail=trail,
        notes=notes,
        files=files,
        issued=issued,
        digest=partial(keyring.blind, "command"),
        publish=producer.publish,
        now=now,
        wait_s=settings.desk_command_s_max,
    )
    tickets = TicketRoutes(
        asking=asking,
        rows=rows,
        trail=trail,
        live=live,
        blind=keyring.blind,
        allows=allows,
        scope_of=scope_of,
        auditing=people.audit,
        export_rows_max=settings.desk_export_rows_max,
        is_still=people.doors.is_still,
    )
    levels = PolicyEditing(
        versions=PolicyStore(database), clocks=OpenClockStore(database), asking=asking, auditing=people.audit, now=now
    )
    directory = DirectoryEditing(directory=DirectoryStore(database), auditing=people.audit)
    # A page about the API would load scripts of strangers, which browsers are told not to do here.
    surface = FastAPI(
        title="Amends desk",
        version="1",
        summary="Where people work on tickets.",
        description=_HOW_TO_CALL,
        redirect_slashes=False,
        docs_url=None,
        redoc_url=None,
    )
    surface.state.doors = people.doors
    packaged = Templates.load(read_signature(settings.notification_policy))
    texts = TextHandlers(store=TextStore(database), packaged=packaged, now=now)
    for routes in (
        *people.routes,
        tickets,
        TextRoutes(texts=texts, auditing=people.audit, allows=allows),
        RuleRoutes(levels=levels, directory=directory, allows=allows),
        ViewRoutes(views=views, asking=asking, allows=allows, scope_of=scope_of),
        CommandRoutes(
            commands=commands,
            told=lambda event, person: event_told(event, scope_of(person)),
            allows=allows,
            rows=rows,
        ),
    ):
        surface.include_router(routes.router(), responses=PROBLEMS)
    intake = IntakeGateway(httpx.AsyncClient(base_url=settings.intake, timeout=INTAKE_S_MAX, trust_env=False))
    letters = KafkaLetters(settings)
    operation = Operation(
        database,
        letters=letters,
        people=people.http,
        rows=rows,
        intake=intake,
        keyring=keyring,
        now=now,
    )
    surface.include_router(operation.routes.router(), responses=PROBLEMS)
    pages = WebRoutes(
        doors=people.doors,
        signing_in=people.signing_in,
        accounts=people.accounts,
        sessions=people.sessions,
        audit=people.audit,
        asking=asking,
        rows=rows,
        trail=trail,
        views=views,
        notes=notes,
        commands=commands,
        reading=people.reading,
        board=BoardStore(database, now=now),
        intake=intake,
        clusters=ClusterStore(database, now=now),
        contacts=ContactStore(database, keyring),
        evidence=files,
        texts=texts,
        portal=settings.portal_url,
        levels=levels,
        directory=directory,
        blind=keyring.blind,
        scope_of=scope_of,
        has_oidc=bool(settings.oidc_issuer),
        local_accounts=settings.local_accounts,
        others=operation.pages,
    )
    surface.include_router(pages.router())
    handle_refusals(surface)
    surface.add_exception_handler(HTTPStatus.NOT_FOUND, nowhere_html)
    surface.add_middleware(
        Bounded, bytes_max=settings.desk_body_bytes_max, files_bytes_max=settings.desk_upload_bytes_max
    )
    surface.add_middleware(Failing, answer=failed_html)
    surface.add_middleware(SecurityHeaders, url=settings.desk_url)
    surface.add_middleware(Measuring, metrics=metrics)
    foundation = Foundation(around.clock, [rows, views, issued, operation.deliveries, *people.stores])
    recurring = [
        Recurring(people.eraser.step, every_s=settings.desk_erase_s),
        Recurring(letters.keep, every_s=KEEP_S),
    ]
    return Desk(parts=[producer, foundation, publisher, consumption, live, *recurring], surface=surface)


class People:
    """Who may use the desk, and what is known of customers: stores, doors and routes."""

    def __init__(
        self, settings: DeskSettings, database: Database, *, keyring: Keyring, now: Callable[[], datetime]
    ) -> None:
        accounts, sessions, audit = AccountStore(database), SessionStore(database), AuditStore(database)
        pending, attempts = SignInStore(database), AttemptStore(database, settings.attempt_limits())
        memberships, passwords, limits = MembershipStore(database), Passwords(), settings.session_limits()
        contacts, places, erasures = ContactStore(database, keyring), PlaceStore(database), ErasureStore(database)
        self.doors = Doors(
            accounts=accounts,
            sessions=sessions,
            memberships=memberships,
            limits=limits,
            url=settings.desk_url,
            now=now,
            seconds_max=settings.desk_store_s_max,
        )
        signing_in = SigningIn(
            accounts=accounts,
            sessions=sessions,
            attempts=attempts,
            memberships=memberships,
            auditing=audit,
            hashing=passwords,
            limits=limits,
            blind=keyring.blind,
            now=now,
        )
        people = PeopleRoutes(
            doors=self.doors,
            signing_in=signing_in,
            accounts=accounts,
            sessions=sessions,
            pending=pending,
            audit=audit,
            passwords=passwords,
            oidc=_oidc(settings, now),
            claim_names=settings.claim_names(),
            local_accounts=settings.local_accounts,
        )
        privacy = PrivacyRoutes(
            doors=self.doors,
            reading=ContactReading(places=places, contacts=contacts, auditing=audit),
            contacts=contacts,
            places=places,
            erasures=erasures,
            audit=audit,
            keyring=keyring,
        )
        self.http = people
        self.signing_in, self.accounts, self.sessions, self.audit = signing_in, accounts, sessions, audit
        self.reading = privacy.reading
        self.routes = (people, privacy)
        self.stores = (sessions, attempts, pending, audit, erasures)
        self.eraser = Eraser(erasures=erasures, customers=contacts, now=now)


class Operation:
    """What is done about what went wrong, about links, and about one's own sessions: routes and pages."""

    def __init__(
        self,
        database: Database,
        *,
        letters: Letters,
        people: PeopleRoutes,
        rows: RowStore,
        intake: IntakeGateway,
        keyring: Keyring,
        now: Callable[[], datetime],
    ) -> None:
        self.deliveries = DeliveryStore(database)
        dead_letters = DeadLetters(letters=letters, auditing=people.audit)
        rejected = RejectedComplaints(
            store=RefusedStore(database),
            auditing=people.audit,
            open_sealed=partial(opened, keyring),
            submit=intake.resubmit,
            now=now,
        )
        links = LinkRevoking(links=MongoLinkStore(database), rows=rows, auditing=people.audit, now=now)
        sessions = OwnSessions(doors=people.doors, sessions=people.sessions, auditing=people.audit)
        self.routes = OperationRoutes(
            dead_letters=dead_letters,
            rejected=rejected,
            deliveries=self.deliveries,
            rows=rows,
            links=links,
            sessions=sessions,
        )
        self.pages = (
            DeadLetterPages(dead_letters=dead_letters),
            RejectedPages(rejected=rejected),
            DeliveryPages(deliveries=self.deliveries, rows=rows),
            LinkPages(links=links),
            AccountPages(people=people, accounts=people.accounts),
            MePages(people=people, sessions=sessions),
        )


def opened(keyring: Keyring, sealed: Sealed, about: UUID) -> bytes | None:
    """What was sealed; None when it cannot be opened any more."""
    try:
        return keyring.open(sealed, about=about)
    except CannotOpen:
        return None


def _oidc(settings: DeskSettings, now: Callable[[], datetime]) -> OidcGateway | None:
    if not settings.oidc_issuer:
        return None
    client = Client(
        issuer=settings.oidc_issuer,
        client_id=settings.oidc_client_id,
        client_secret=settings.oidc_client_secret.get_secret_value(),
        scopes=settings.oidc_scopes,
        algorithms=settings.oidc_algorithms,
        skew_s=settings.oidc_skew_s,
    )
    return OidcGateway(client, now=lambda: now().timestamp())


def main(*, allows: Allows = allowed) -> None:
    """Run the desk until it is told to stop. Never returns."""
    settings = load(DeskSettings)
    registry, readiness = CollectorRegistry(), Readiness()
    made = desk(
        settings,
        Surroundings.of(settings),
        keyring=Keyring.of_service(settings.keyring),
        readiness=readiness,
        registry=registry,
        allows=allows,
    )
    worker.run(settings, made.parts, readiness=readiness, registry=registry, app=made.surface)
