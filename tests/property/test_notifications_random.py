"""Messages to people under random faults: workers that die at any write, providers that fail, receipts out of order."""

import asyncio
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.codes import DeliveryChannel, Language, Moment
from services.notifier.gateway import Envelope, Later, Outcome, Receipt, Refused, Taken, Unsure
from services.notifier.notification import FINAL, State
from services.notifier.policy import NotificationPolicy
from services.runtime import private_link
from services.runtime.private_link import PrivateLink
from services.wording.in_force import Wordings
from services.wording.templates import Saying, Templates, as_line
from tests.unit.notifier.fakes import FakeGateway, FakeNotificationStore, FakePublisher
from tests.unit.notifier.test_dispatching import LINKS, World, notice
from tests.unit.notifier.tickets import COMPLAINT, NOON

POLICY = NotificationPolicy.model_validate(yaml.safe_load(Path("deploy/policies/notifications.yaml").read_text()))
TEMPLATES = Templates.load(POLICY)
MOMENTS = (Moment.RECEIVED, Moment.APPEAL_DECIDED, Moment.SURVEY, Moment.APOLOGY)
NOTICES = [notice(moment, number=n) for n, moment in enumerate(MOMENTS, start=1)]


class Death(Exception):  # noqa: N818 - told of the worker
    """The worker is no more."""


class Mortality:
    """Kills at a random one of the calls that are yet to come."""

    def __init__(self) -> None:
        self.calls_left: int | None = None
        self.after = False

    def strikes(self) -> bool:
        if self.calls_left is None:
            return False
        self.calls_left -= 1
        return self.calls_left < 0

    async def around(self, call: Any) -> Any:
        """Make a call, and die before or after it when it is time."""
        dies = self.strikes()
        if dies and not self.after:
            call.close()
            raise Death
        result = await call
        if dies:
            raise Death
        return result


class MortalStore(FakeNotificationStore):
    """Dies with its worker; what it has written stays."""

    def __init__(self, mortality: Mortality) -> None:
        super().__init__()
        self.mortality = mortality

    async def insert(self, notes: Any) -> Any:
        return await self.mortality.around(super().insert(notes))

    async def save(self, notes: Any) -> Any:
        return await self.mortality.around(super().save(notes))

    async def park(self, receipts: Any, at: Any) -> None:
        await self.mortality.around(super().park(receipts, at))


class MortalPublisher(FakePublisher):
    """As the store."""

    def __init__(self, mortality: Mortality) -> None:
        super().__init__()
        self.mortality = mortality

    async def publish(self, messages: Any) -> None:
        await self.mortality.around(super().publish(messages))


class MoodyGateway(FakeGateway):
    """Answers from a list; `None` is taken and not said."""

    def __init__(self, channel: DeliveryChannel, moods: Sequence[Outcome | None]) -> None:
        super().__init__(channel)
        self.moods = list(moods)

    def _send(self, envelope: Envelope) -> Outcome:
        mood = self.moods.pop(0) if self.moods else Taken()
        if mood is None or isinstance(mood, Taken):
            taken = Taken((f"{self.channel}-{len(self.sent)}a", f"{self.channel}-{len(self.sent)}b"))
            self.sent.append(envelope)
            self.known[envelope.notification_id] = taken
            return Unsure() if mood is None else taken
        return mood


moods = st.lists(
    st.sampled_from([Taken(), Taken(), None, Unsure(), Later("throttled"), Refused("no_such_number")]), max_size=8
)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("batch"), st.sets(st.integers(0, 3), min_size=1)),
        st.tuples(st.just("time"), st.sampled_from([1, 3, 16, 301])),
        st.tuples(st.just("receipt"), st.integers(0, 7)),
        st.tuples(st.just("doom"), st.integers(0, 3), st.booleans()),
    ),
    max_size=14,
)


class Life:
    """One run: a worker at a time, replaced when it dies."""

    def __init__(self, moods: Sequence[Outcome | None]) -> None:
        self.mortality = Mortality()
        self.world = World(POLICY, Wordings(TEMPLATES), portal="https://care.example")
        self.world.store = MortalStore(self.mortality)
        self.world.publisher = MortalPublisher(self.mortality)
        self.world.sms = MoodyGateway(DeliveryChannel.SMS, moods)
        self.worker = self.world.worker()
        self.owed: list[list[int]] = []
        """Batches that were not finished, which come again."""
        self.begun: frozenset[str] = frozenset()
        """Deadlines that were handed out."""

    async def take(self, step: tuple[Any, ...]) -> None:
        try:
            await self._take(step)
        except Death:
            self.mortality.calls_left = None
            self.worker = self.world.worker()

    async def _take(self, step: tuple[Any, ...]) -> None:
        match step:
            case "batch", numbers:
                self.owed.append(sorted(numbers))
                for batch in list(self.owed):
                    await self.worker.take_in([(NOTICES[n], None) for n in batch])
                    self.owed.remove(batch)
            case "time", seconds:
                self.world.now += timedelta(seconds=seconds)
                armed = self.world.alarm.armed
                for id_, due in [(id_, d) for id_, d in armed.items() if d.due_at <= self.world.now]:
                    again, self.begun = id_ in self.begun, self.begun | {id_}
                    notes = [UUID(note) for note in due.payload["notes"]]
                    await self.worker.take_up(notes, due_by=self.world.now, again=again)
                    del armed[id_]
            case "receipt", number:
                provider_id = f"sms-{number // 2}{'ab'[number % 2]}"
                if number // 2 < len(self.world.sms.sent):
                    unmatched = await self.worker.receipts.apply([Receipt(provider_id, arrived=True)])
                    await self.world.store.park(unmatched, self.world.now)
            case "doom", calls, after:
                self.mortality.calls_left, self.mortality.after = calls, after


@settings(max_examples=150, deadline=None)
@given(moods=moods, steps=steps)
def test_nobody_is_written_to_twice_or_not_at_all(
    moods: Sequence[Outcome | None], steps: Sequence[tuple[Any, ...]]
) -> None:
    """By one channel at most once; in the end every message is with somebody, and no event was told in two ways."""
    asyncio.run(_live(moods, steps))


async def _live(moods: Sequence[Outcome | None], steps: Sequence[tuple[Any, ...]]) -> None:
    life = Life(moods)
    world = life.world
    for step in steps:
        await life.take(step)
    life.mortality.calls_left = None
    for _ in range(3):  # All is well again: what was not finished comes again, and time goes on.
        await life.take(("batch", {0, 1, 2, 3}))
        for _ in range(12):
            await life.take(("time", 301))
    for gateway in (world.sms, world.email):
        assert set(Counter(e.notification_id for e in gateway.sent).values()) <= {1}
        for envelope in gateway.sent:
            about = next(n for n in NOTICES if n.id == envelope.notification_id)
            token = LINKS.make(about.ticket_id, about.person.complaint_id, about.at)
            assert private_link.url(world.portal, token) in envelope.rendered.text
    for about in NOTICES:
        note = world.note(about)
        assert note.state in FINAL
        assert note.state is State.DELIVERED
    told: dict[Any, Any] = {}
    for event in world.publisher.told:
        assert told.setdefault(event.event_id, event) == event
    for about in NOTICES:
        kinds = [type(e).__name__ for e in told.values() if e.notification_id == about.id]
        assert kinds[0] == "NotificationRequested"
        assert kinds.count("NotificationDelivered") >= 1


@given(st.text(st.characters(exclude_categories=[]), max_size=300), st.sampled_from(Language))
def test_whatever_somebody_writes_is_text(words: str, language: Language) -> None:
    """One line in an SMS, nothing that cannot be seen, and no mark of its own in a letter."""
    said = Saying(
        Moment.APOLOGY, language, "Asia/Shanghai", {"number": "2611-0042175", "spoken_by": "agent"}, words=words
    )
    sms = TEMPLATES.render(said, DeliveryChannel.SMS).text
    assert sms.isprintable()
    assert as_line(words, length_max=60) in sms or language is Language.EN
    letter = TEMPLATES.render(said, DeliveryChannel.EMAIL)
    without = TEMPLATES.render(replace(said, words="x"), DeliveryChannel.EMAIL)
    tags = [
        len(re.findall(rf"<{tag}[ >]", html)) for tag in ("b", "a", "script") for html in (letter.html, without.html)
    ]
    assert tags[::2] == tags[1::2]


@given(
    st.uuids(),
    st.uuids(),
    st.integers(0, private_link.GENERATIONS_MAX),
    st.datetimes(datetime(2020, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - naive bounds
)
def test_every_link_comes_back_as_it_was_made(ticket: UUID, complaint: UUID, generation: int, at: datetime) -> None:
    """To the second, and as long as every other."""
    token = LINKS.make(ticket, complaint, at, generation=generation)
    assert len(token) == private_link.TOKEN_CHARS
    link = LINKS.read(token, at)
    assert isinstance(link, PrivateLink)
    assert (link.ticket, link.generation, link.made_at) == (ticket, generation, at.replace(microsecond=0))
    assert link.is_of(complaint)


@given(st.text(max_size=60) | st.text("abcxyzABC019-_.", min_size=50, max_size=56))
def test_no_made_up_link_opens_anything(token: str) -> None:
    """But for the one that was made."""
    made = LINKS.make(NOTICES[0].ticket_id, COMPLAINT, NOON)
    assert token == made or not isinstance(LINKS.read(token, NOON), PrivateLink)
