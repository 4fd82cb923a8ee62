"""Routers on the real database, with lists in the place of topics: what is published is delivered when a test likes."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from prometheus_client import CollectorRegistry

from schemas.codes import ActorKind, Channel, Language, Source
from schemas.commands import Action, TicketCommand
from schemas.complaint import ComplaintSubmitted, Contact, Wording
from schemas.events import TicketEvent, TicketFollowedUp, TicketOpened
from schemas.ids import command_id
from schemas.message import Actor, Message
from schemas.sealed import ContactIndex, MaskedContact
from services.organisation.directory import Organisation
from services.organisation.directory_store import DirectoryStore
from services.router.app import Foundation, router
from services.router.handlers import Router
from services.router.placement import Placement
from services.router.reservation_store import ReservationStore
from services.router.settings import RouterSettings
from services.runtime import mongo
from services.runtime.handling import Received, Refusal
from services.runtime.metrics import RouterMetrics
from services.runtime.producing import Outgoing
from services.runtime.sealing import Keyring

AT = datetime(2026, 11, 20, 3, 0, tzinfo=UTC)
PHONE = "+8613800138000"
PLAIN = "The parcel has been stuck for days and nobody answers the phone."


class Crash(BaseException):
    """The process dies here."""


class Scene:
    """One network with any number of routers."""

    def __init__(
        self, mongo_url: str, database_name: str, folder: Path, sections: dict[str, Any] | None = None
    ) -> None:
        self.keyring = Keyring.create(folder / "keyring.json")
        self.published: list[Message] = []
        self.undelivered: list[TicketCommand] = []
        self.organisation: Organisation | None = None
        self._url, self._name = mongo_url, database_name
        self._sections = sections
        self._count = 0

    async def router(self) -> Router:
        """One more router, with connections of its own."""
        database = mongo.connect(self._url, database=self._name)
        placement = Placement(ReservationStore(database), None)  # type: ignore[arg-type]  # Foundation gives it
        if self._sections is not None:
            await DirectoryStore(database).current_or_packaged()
            await DirectoryStore(database).load(self._sections)
            self._sections = None
        await Foundation(database, placement).start()
        return router(
            RouterSettings(),
            database,
            keyring=self.keyring,
            placement=placement,
            publish=self._publish,
            metrics=RouterMetrics(CollectorRegistry()),
        )

    async def _publish(self, outgoing: Sequence[Outgoing]) -> None:
        for one in outgoing:
            assert one.topic.by_type[one.message.ce_type()] is type(one.message)
            self.published.append(one.message)
            if isinstance(one.message, TicketCommand):
                self.undelivered.append(one.message)

    def complaint(
        self, text: str = PLAIN, *, phone: str | None = "+8613800138000", **fields: Any
    ) -> ComplaintSubmitted:
        """An accepted complaint, new each time."""
        self._count += 1
        complaint_id = self.keyring.complaint_id("web", str(self._count))
        contact = Contact(phone=phone)
        given: dict[str, Any] = {
            "routing_key": str(complaint_id),
            "complaint_id": complaint_id,
            "channel": Channel.WEB,
            "source": Source.EXTERNAL,
            "language": Language.EN,
            "received_at": AT,
            "submitted_at": AT + timedelta(seconds=self._count),
            "contact": self.keyring.seal(contact.seal_bytes(), about=complaint_id) if phone else None,
            "masked": MaskedContact(phone="138****8000" if phone else None),
            "contact_index": ContactIndex(phone=self.keyring.blind("phone", phone) if phone else None),
            "wording": self.keyring.seal(Wording(description=text).seal_bytes(), about=complaint_id),
            "text_fingerprint": self.keyring.fingerprint(text),
        }
        return ComplaintSubmitted(**given | fields)

    def command(self, ticket: UUID, action: Action, **fields: Any) -> TicketCommand:
        """A command for a ticket, new each time."""
        self._count += 1
        given: dict[str, Any] = {
            "routing_key": self.events()[ticket][0].routing_key,
            "command_id": command_id(ticket, str(self._count)),
            "ticket_id": ticket,
            "issued_at": AT + timedelta(hours=1, seconds=self._count),
            "actor": Actor(kind=ActorKind.AGENT, id="agent-1"),
            "action": action,
        }
        return TicketCommand(**given | fields)

    async def deliver(self, to: Router) -> list[Refusal]:
        """Deliver commands until no more come."""
        refusals: list[Refusal] = []
        while self.undelivered:
            batch, self.undelivered = self.undelivered, []
            refusals += await to.handle(received(batch))
        return refusals

    def events(self) -> dict[UUID, list[TicketEvent]]:
        """Published events by ticket, each once, checked: one content per number, and no number missing."""
        by_ticket: dict[UUID, dict[int, TicketEvent]] = defaultdict(dict)
        for message in self.published:
            if isinstance(message, TicketEvent):
                assert by_ticket[message.ticket_id].setdefault(message.sequence, message) == message
        for numbered in by_ticket.values():
            assert sorted(numbered) == list(range(1, len(numbered) + 1))
        return {ticket: [numbered[n] for n in sorted(numbered)] for ticket, numbered in by_ticket.items()}

    def fates(self) -> dict[UUID, tuple[str, UUID]]:
        """What each complaint became, checked: exactly one thing."""
        became: dict[UUID, tuple[str, UUID]] = {}
        for ticket, events in self.events().items():
            for event in events:
                # A ticket that is linked brings along the complaint that it was opened by.
                if type(event) in {TicketOpened, TicketFollowedUp}:
                    assert isinstance(event, TicketOpened | TicketFollowedUp)
                    assert event.complaint_id not in became
                    became[event.complaint_id] = (event.ce_type().split(".")[2], ticket)
        return became

    def numbers(self) -> list[str]:
        """Ticket numbers, checked: no number twice."""
        found = [events[0].number for events in self.events().values() if isinstance(events[0], TicketOpened)]
        assert max(Counter(found).values(), default=1) == 1
        return found


def received(messages: Sequence[Message]) -> list[Received[Message]]:
    """As they come from a topic."""
    return [Received(m, "topic", 0, offset, None, None, m.ce_time) for offset, m in enumerate(messages)]  # type: ignore[arg-type]  # handlers do not look at bytes


class Dying:
    """A store whose process dies at the n-th call of any store that shares the fuse, before or after it is done."""

    def __init__(self, store: Any, fuse: "Fuse") -> None:
        self._store = store
        self._fuse = fuse

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)

        async def call(*args: Any, **kwargs: Any) -> Any:
            self._fuse.burn(before=True)
            result = await method(*args, **kwargs)
            self._fuse.burn(before=False)
            return result

        return call


class Fuse:
    """Counts calls down to the crash."""

    def __init__(self, calls: int, *, before: bool) -> None:
        self.left = calls
        self.blown = False
        self._before = before

    def burn(self, *, before: bool) -> None:
        """One call begins or ends."""
        if self.blown:
            raise Crash
        if before == self._before:
            self.left -= 1
            if self.left < 0:
                self.blown = True
                raise Crash
