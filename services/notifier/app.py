"""Wiring of the notifier: the only place that knows every part."""

import asyncio
import logging
import os
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Protocol
from uuid import uuid4

from prometheus_client import CollectorRegistry
from pydantic import ValidationError

from schemas.codes import DeliveryChannel
from schemas.topics import SLA_EVENT, TICKET_EVENT
from services.notifier.addressee_store import MongoAddresseeStore
from services.notifier.contact_store import SealedContactStore
from services.notifier.dispatching import Dispatcher
from services.notifier.gateway import Gateway
from services.notifier.handlers import Notifier
from services.notifier.lookup import HttpLookup, Lookup, NoLookup
from services.notifier.means import SERVICE, Means, Portal
from services.notifier.note_store import SealedNoteStore
from services.notifier.notification_store import MongoNotificationStore
from services.notifier.opt_out_store import MongoOptOutStore
from services.notifier.policy import NotificationPolicy
from services.notifier.receiving import Receiving
from services.notifier.schedule.now import Now, system_now, whole_milliseconds
from services.notifier.settings import NotifierSettings
from services.notifier.smpp_gateway import SmppAccount, SmppGateway
from services.notifier.smtp_gateway import SmtpAccount, SmtpGateway
from services.notifier.text_store import TextStore
from services.runtime import private_link, worker
from services.runtime.consuming import Consumption
from services.runtime.deadline_store import MongoDeadlineStore
from services.runtime.deadlines import Deadlines, Firing, Timing
from services.runtime.link_store import MongoLinkStore
from services.runtime.metrics import ConsumingMetrics, DeadlineMetrics, NotifierMetrics, ProducingMetrics
from services.runtime.mongo import Database
from services.runtime.private_link import PrivateLinks
from services.runtime.producing import Producer
from services.runtime.readiness import Readiness
from services.runtime.retries import every, until_available
from services.runtime.sealing import Keyring
from services.runtime.settings import EXIT_WRONG_SETTINGS, load
from services.runtime.surroundings import Surroundings
from services.runtime.time_source import Clock, utc_of
from services.runtime.written import WrongYaml, read_yaml_file, told
from services.wording.in_force import Wordings
from services.wording.templates import Templates


class Foundation:
    """The indexes and the time, there before anything is read."""

    def __init__(self, clock: Clock, notes: MongoNotificationStore, deadlines: MongoDeadlineStore) -> None:
        self._clock = clock
        self._notes = notes
        self._deadlines = deadlines

    async def start(self) -> None:
        """Make them, for as long as the database is away."""
        async for attempt in until_available():
            with attempt:
                await self._clock.sync()
                await self._notes.create_indexes()
                await self._deadlines.prepare()

    async def stop(self) -> None:
        """Nothing was taken that must be given back."""


class Learning:
    """Learns which texts there are, at the start and from then on. While the database is away, what is known holds."""

    def __init__(self, wordings: Wordings, store: TextStore, *, every_s: float) -> None:
        self._wordings = wordings
        self._store = store
        self._every_s = every_s
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Before the first message is written."""
        async for attempt in until_available():
            with attempt:
                await self._learn()
        self._task = asyncio.create_task(every(self._every_s, self._learn), name="texts")

    async def stop(self) -> None:
        """Learn no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _learn(self) -> None:
        self._wordings.learn(await self._store.all())


class RunningGateway(Gateway, worker.Part, Protocol):
    """A gateway with a connection to keep."""


@dataclass(slots=True)
class Providers:
    """The gateways that are configured, and what their receipts go through."""

    receiving: Receiving
    sms: RunningGateway | None
    email: RunningGateway | None

    @property
    def gateways(self) -> Mapping[DeliveryChannel, Gateway]:
        """By channel."""
        there: list[Gateway] = [gateway for gateway in (self.sms, self.email) if gateway]
        return {gateway.channel: gateway for gateway in there}

    async def start(self) -> None:
        """Take receipts before anything can bring one."""
        await self.receiving.start()
        for gateway in (self.sms, self.email):
            if gateway:
                await gateway.start()

    async def stop(self) -> None:
        """In the other order."""
        for gateway in (self.sms, self.email):
            if gateway:
                await gateway.stop()
        await self.receiving.stop()


Provide = Callable[[Receiving, Readiness], Providers]
"""Gives the providers whose receipts go where it says."""


def providers(
    settings: NotifierSettings, policy: NotificationPolicy, receiving: Receiving, readiness: Readiness
) -> Providers:
    """Those that the settings name."""
    return Providers(
        receiving,
        sms=_sms(settings, receiving, readiness) if settings.smpp else None,
        email=_email(settings, policy) if settings.smtp else None,
    )


def load_policy(path: Path | None) -> NotificationPolicy:
    """The policy in a file, or the end of the process with every problem on standard error."""
    source = path or files("deploy.policies").joinpath("notifications.yaml")
    try:
        return NotificationPolicy.model_validate(read_yaml_file(source))
    except (WrongYaml, ValidationError) as refusal:
        problems = refusal.problems if isinstance(refusal, WrongYaml) else told(refusal)
        listed = "\n".join(problems)
        sys.stderr.write(f"notifier cannot start, the notification policy {source} is wrong:\n{listed}\n")
        sys.exit(EXIT_WRONG_SETTINGS)


def notifier(
    settings: NotifierSettings,
    database: Database,
    *,
    policy: NotificationPolicy,
    keyring: Keyring,
    receiving: Receiving,
    gateways: Mapping[DeliveryChannel, Gateway],
    producer: Producer,
    deadlines: Deadlines,
    wordings: Wordings,
    metrics: NotifierMetrics,
    now: Now,
) -> Notifier:
    """The handlers on the database's stores."""
    addressees, opt_outs = MongoAddresseeStore(database), MongoOptOutStore(database)
    dispatcher = Dispatcher(
        Means(
            store=MongoNotificationStore(database),
            contacts=SealedContactStore(database, keyring),
            tickets=addressees,
            notes=SealedNoteStore(database, keyring),
            opt_outs=opt_outs,
            portal=_portal(settings.portal_url, database, keyring),
            gateways=gateways,
            wordings=wordings,
            policy=policy,
            publisher=producer,
            alarm=deadlines,
            metrics=metrics,
            blind=keyring.blind,
            now=now,
            owner=f"{socket.gethostname()}:{os.getpid()}:{uuid4().hex[:8]}",
            partitions=settings.partitions,
        )
    )
    receiving.serve(dispatcher)
    return Notifier(
        addressees=addressees,
        opt_outs=opt_outs,
        dispatcher=dispatcher,
        alarm=deadlines,
        policy=policy,
        now=now,
        partitions=settings.partitions,
    )


def parts(
    settings: NotifierSettings,
    around: Surroundings,
    *,
    keyring: Keyring,
    policy: NotificationPolicy,
    provide: Provide,
    timing: Timing,
    readiness: Readiness,
    registry: CollectorRegistry,
) -> Sequence[worker.Part]:
    """Everything that runs, in the order in which it starts."""
    metrics = NotifierMetrics(registry)
    database = around.database
    producer = Producer(settings, ProducingMetrics(registry), client=around.producer)
    notes, timers = MongoNotificationStore(database), MongoDeadlineStore(database)
    deadlines = Deadlines(SERVICE, timers, DeadlineMetrics(registry), clock=around.clock, timing=timing)

    def now() -> datetime:
        return whole_milliseconds(utc_of(around.clock))

    wordings = Wordings(
        Templates.load(policy), on_broken=lambda text: metrics.texts_broken.labels(text=text.partition("@")[0]).inc()
    )
    receiving = Receiving(store=notes, metrics=metrics, now=now)
    provided = provide(receiving, readiness)
    handlers = notifier(
        settings,
        database,
        policy=policy,
        keyring=keyring,
        receiving=receiving,
        gateways=provided.gateways,
        producer=producer,
        deadlines=deadlines,
        wordings=wordings,
        metrics=metrics,
        now=now,
    )
    consumption = Consumption(
        SERVICE,
        [TICKET_EVENT, SLA_EVENT],
        handlers.handle,
        settings,
        producer,
        ConsumingMetrics(registry),
        readiness=readiness,
        batch_max=settings.notifier_batch_max,
        linger_s=settings.notifier_linger_s,
        application=around.application,
    )
    timekeeping = Firing(deadlines, handlers.on_due, consumption.ownership)
    learning = Learning(wordings, TextStore(database), every_s=settings.texts_poll_s)
    return [producer, Foundation(around.clock, notes, timers), learning, provided, timekeeping, consumption]


def main() -> None:
    """Run the notifier until it is told to stop. Never returns."""
    settings = load(NotifierSettings)
    # Its lines at info name every question to a provider.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    registry, readiness = CollectorRegistry(), Readiness()
    policy = load_policy(settings.notification_policy)
    running = parts(
        settings,
        Surroundings.of(settings),
        keyring=Keyring.of_service(settings.keyring),
        policy=policy,
        provide=partial(providers, settings, policy),
        timing=Timing(),
        readiness=readiness,
        registry=registry,
    )
    worker.run(settings, running, readiness=readiness, registry=registry)


def _portal(url: str, database: Database, keyring: Keyring) -> Portal | None:
    links = PrivateLinks(keyring.key_for(private_link.PURPOSE))
    return Portal(url, links, MongoLinkStore(database)) if url else None


def _sms(settings: NotifierSettings, receiving: Receiving, readiness: Readiness) -> SmppGateway:
    host, _, port = settings.smpp.rpartition(":")
    return SmppGateway(
        SmppAccount(
            host=host.strip("[]"),
            port=int(port),
            system_id=settings.smpp_system_id,
            password=settings.smpp_password.get_secret_value(),
            source=settings.smpp_source,
            tls=settings.smpp_tls,
            window=settings.smpp_window,
        ),
        on_receipt=receiving.receive,
        lookup=_lookup(settings.lookup_url(settings.sms_lookup_url)),
        readiness=readiness,
    )


def _email(settings: NotifierSettings, policy: NotificationPolicy) -> SmtpGateway:
    host, _, port = settings.smtp.rpartition(":")
    return SmtpGateway(
        SmtpAccount(
            host=host.strip("[]"),
            port=int(port),
            sender=settings.email_from,
            names=dict(policy.sender),
            user=settings.smtp_user,
            password=settings.smtp_password.get_secret_value(),
            tls=settings.smtp_security == "tls",
            starttls={"auto": None, "starttls": True}.get(settings.smtp_security, False),
            connections=settings.smtp_connections,
            dkim_key=settings.dkim_key.read_bytes() if settings.dkim_key else None,
            dkim_selector=settings.dkim_selector,
        ),
        lookup=_lookup(settings.lookup_url(settings.email_lookup_url)),
        now=system_now,
    )


def _lookup(url: str) -> Lookup:
    return HttpLookup(url) if url else NoLookup()
