"""The outside of the notifier, in memory. The store's contract is tested together with the real one."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from datetime import datetime
from uuid import UUID

from schemas.codes import DeliveryChannel, Language, Moment, TicketState
from schemas.complaint import Contact
from schemas.notifications import NotificationEvent
from services.notifier.gateway import Envelope, LookupFailed, NotTaken, Outcome, Receipt, Taken, Unanswerable
from services.notifier.notification import Notification
from services.notifier.standing import Standing
from services.runtime.deadlines import Deadline
from services.runtime.producing import Outgoing


class FakeNotificationStore:
    """Records by id; what is read is a copy."""

    def __init__(self) -> None:
        self.notes: dict[UUID, Notification] = {}
        self.receipts: dict[str, Receipt] = {}
        self.broken = False
        """Whether writes fail as with a database that is away."""

    async def insert(self, notes: Sequence[Notification]) -> set[UUID]:
        self._check()
        existing = {n.id for n in notes if n.id in self.notes}
        self.notes |= {n.id: deepcopy(n) for n in notes if n.id not in existing}
        return existing

    async def load(self, ids: Iterable[UUID], *, due_by: datetime | None = None) -> dict[UUID, Notification]:
        found = {id_: self.notes[id_] for id_ in ids if id_ in self.notes}
        if due_by:
            found = {id_: note for id_, note in found.items() if note.wake_at and note.wake_at <= due_by}
        return deepcopy(found)

    async def save(self, notes: Sequence[Notification]) -> set[UUID]:
        self._check()
        lost = {n.id for n in notes if n.id not in self.notes or self.notes[n.id].version != n.version}
        for note in notes:
            note.version += 1
            if note.id not in lost:
                self.notes[note.id] = deepcopy(note)
        return lost

    async def by_provider_ids(self, ids: Sequence[str]) -> dict[str, Notification]:
        named: dict[str, Notification] = {}
        for stored in self.notes.values():
            theirs = [id_ for a in stored.attempts for id_ in a.provider_ids]
            if set(theirs) & set(ids):
                named |= dict.fromkeys(theirs, deepcopy(stored))
        return named

    async def capped_since(self, recipients: Iterable[str], since: datetime) -> Mapping[str, int]:
        wanted = set(recipients)
        return Counter(n.recipient for n in self.notes.values() if n.recipient in wanted and n.requested_at > since)

    async def park(self, receipts: Sequence[Receipt], at: datetime) -> None:
        self.receipts |= {r.provider_id: r for r in receipts}

    async def parked(self, provider_ids: Sequence[str]) -> list[Receipt]:
        return [self.receipts[id_] for id_ in provider_ids if id_ in self.receipts]

    async def unpark(self, provider_ids: Sequence[str]) -> None:
        for id_ in provider_ids:
            self.receipts.pop(id_, None)

    def _check(self) -> None:
        if self.broken:
            raise ConnectionError("the database is away")


class FakeContacts:
    """Everybody has the same contact, until told otherwise."""

    def __init__(self, contact: Contact | None) -> None:
        self.contact = contact

    async def load(self, refs: Iterable[UUID]) -> dict[UUID, Contact]:
        return dict.fromkeys(refs, self.contact) if self.contact else {}


class FakeTickets:
    """Where tickets stand."""

    def __init__(self) -> None:
        self.state: TicketState | None = None
        self.withdrawn: set[UUID] = set()
        self.latest: dict[Moment, UUID] = {}
        self.language: Language | None = None

    async def standing(self, tickets: Iterable[UUID]) -> dict[UUID, Standing]:
        return dict.fromkeys(tickets, Standing(self.state, frozenset(self.withdrawn), self.latest, self.language))


class FakeNotes:
    """Words by note."""

    def __init__(self) -> None:
        self.words_by_note: dict[UUID, str] = {}

    async def words(self, wanted: Iterable[tuple[UUID, UUID]]) -> dict[UUID, str]:
        return {note: self.words_by_note[note] for note, _ in wanted if note in self.words_by_note}


class FakeOptOuts:
    """Contacts of people who do not want to be asked."""

    def __init__(self) -> None:
        self.refs: set[UUID] = set()

    async def opt_out(self, refs: Iterable[UUID], at: datetime) -> None:
        self.refs |= set(refs)

    async def opted_out(self, refs: Iterable[UUID]) -> set[UUID]:
        return self.refs & set(refs)


class FakeLinks:
    """Generations by ticket."""

    def __init__(self) -> None:
        self.generation: dict[UUID, int] = {}

    async def generations(self, tickets: Iterable[UUID]) -> dict[UUID, int]:
        return {ticket: self.generation[ticket] for ticket in tickets if ticket in self.generation}


class FakeGateway:
    """Answers as it is told, and keeps what it took."""

    def __init__(self, channel: DeliveryChannel, *outcomes: Outcome) -> None:
        self.channel = channel
        self.outcomes = list(outcomes)
        """Of the next messages; after them everything is taken."""
        self.sent: list[Envelope] = []
        self.known: dict[UUID, Taken] = {}
        self.can_be_asked = True
        self.answers = True

    async def send(self, envelopes: Sequence[Envelope]) -> list[Outcome]:
        return [self._send(envelope) for envelope in envelopes]

    def _send(self, envelope: Envelope) -> Outcome:
        outcome = self.outcomes.pop(0) if self.outcomes else Taken((f"{self.channel}-{len(self.sent)}",))
        if isinstance(outcome, Taken):
            self.sent.append(envelope)
            self.known[envelope.notification_id] = outcome
        return outcome

    async def lookup(self, notification_id: UUID) -> Taken | NotTaken | Unanswerable:
        if not self.can_be_asked:
            return Unanswerable()
        if not self.answers:
            raise LookupFailed
        return self.known.get(notification_id, NotTaken())


class FakeAlarm:
    """Deadlines by id."""

    def __init__(self) -> None:
        self.armed: dict[str, Deadline] = {}

    async def arm(self, deadlines: Sequence[Deadline]) -> None:
        self.armed |= {d.id: d for d in deadlines}


class FakePublisher:
    """Everything that was told, in order, doubles included."""

    def __init__(self) -> None:
        self.told: list[NotificationEvent] = []
        self.broken = False

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        if self.broken:
            raise ConnectionError("Kafka is away")
        for outgoing in messages:
            assert isinstance(outgoing.message, NotificationEvent)
            self.told.append(outgoing.message)

    @property
    def story(self) -> list[str]:
        """What was told, each thing once."""
        return list({e.event_id: type(e).__name__.removeprefix("Notification").lower() for e in self.told}.values())
