"""Batches of events and facts, and deadlines, as the notifier handles them."""

from collections.abc import Iterable, Sequence
from copy import deepcopy
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from schemas import ids
from schemas.codes import Channel, Clock, ClockState, Moment, TicketState
from schemas.events import SURVEYS_STOPPED, TicketResolved, TicketSurveyExhausted, TicketSurveyRequested
from schemas.message import Message
from schemas.sla import SlaCorrected, SlaStarted
from services.notifier.handlers import Notifier
from services.notifier.means import SERVICE
from services.notifier.moments import Addressee
from services.notifier.policy import NotificationPolicy
from services.runtime.consuming import Received
from services.runtime.dead_letters import Original
from services.runtime.deadlines import Due
from services.wording.in_force import Wordings
from services.wording.templates import Templates
from tests.unit.notifier.test_dispatching import World
from tests.unit.notifier.tickets import (
    COMPLAINT,
    NOON,
    breached,
    classified,
    event,
    fact,
    followed_up,
    opened,
    reopened,
)

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class FakeAddressees:
    """Addressees by ticket; what is read is a copy."""

    def __init__(self) -> None:
        self.known: dict[UUID, Addressee] = {}

    async def load(self, tickets: Iterable[UUID]) -> dict[UUID, Addressee]:
        return {t: deepcopy(self.known[t]) for t in tickets if t in self.known}

    async def promised(self, tickets: Iterable[UUID], clock: Clock) -> set[UUID]:
        return {t for t in tickets if t in self.known and clock in self.known[t].due}

    async def save(self, addressees: Sequence[Addressee]) -> None:
        self.known |= {a.ticket_id: deepcopy(a) for a in addressees}


class Scene(World):
    """A world with a notifier in it."""

    def open(self) -> Notifier:
        return Notifier(
            addressees=FakeAddressees(),
            opt_outs=self.opt_outs,
            dispatcher=self.worker(),
            alarm=self.alarm,
            policy=self.policy,
            now=lambda: self.now,
            partitions=3,
        )

    async def pass_by(self, notifier: Notifier, seconds: float) -> None:
        """Let time pass, and let what is due be handled."""
        self.now += timedelta(seconds=seconds)
        due = [d for d in self.alarm.armed.values() if d.due_at <= self.now]
        for deadline in due:
            del self.alarm.armed[deadline.id]
        await notifier.on_due([Due(d.id, d.shard, d.due_at, d.payload, d.revision, 0, self.now) for d in due])

    @property
    def texts(self) -> list[str]:
        return [envelope.rendered.text for envelope in self.sms.sent]


def batch(*messages: Message) -> list[Received[Message]]:
    """Messages as they come from a topic."""
    original = Original(topic="t", partition=0, offset=0, key=None, value=None, headers=[])
    return [Received(m, "t", 0, n, TRACE, original, m.ce_time) for n, m in enumerate(messages)]


def scene(policy: NotificationPolicy) -> Scene:
    """An empty one at noon."""
    return Scene(policy, Wordings(Templates.load(policy)))


async def test_the_confirmation_waits_for_the_time_that_is_watched(policy: NotificationPolicy) -> None:
    """However late the clock's start comes within the wait: with limits of seconds it is these that are told."""
    world = scene(policy)
    notifier = world.open()
    await notifier.handle(batch(opened(), classified()))
    await world.pass_by(notifier, policy.promise.wait_s - 1)
    assert world.texts == []
    await notifier.handle(batch(fact(SlaStarted, due_at=NOON + timedelta(seconds=90))))
    (text,) = world.texts
    assert "最晚11月23日12:01前" in text
    await world.pass_by(notifier, 10)
    assert len(world.texts) == 1


async def test_without_a_clock_it_goes_without_a_time_and_with_its_trace(policy: NotificationPolicy) -> None:
    """A stopped SLA monitor silences nobody; when it goes on, nobody is written to again."""
    world = scene(policy)
    notifier = world.open()
    await notifier.handle(batch(opened(), classified()))
    (armed,) = world.alarm.armed.values()
    assert armed.shard.startswith(f"{SERVICE}:")
    await world.pass_by(notifier, policy.promise.wait_s)
    (text,) = world.texts
    assert "最晚" not in text
    assert {note.trace for note in world.store.notes.values()} == {TRACE}
    await notifier.handle(batch(fact(SlaStarted)))
    assert len(world.texts) == 1


async def test_facts_of_a_ticket_without_that_clock_wake_nobody_up_again(policy: NotificationPolicy) -> None:
    """Its confirmation has gone without a time: looking again would tell it again, and what that shows come again."""
    world = scene(policy)
    notifier = world.open()
    await notifier.handle(batch(opened(), classified()))
    await world.pass_by(notifier, policy.promise.wait_s)
    told = len(world.publisher.told)
    await notifier.handle(batch(breached(Clock.RESOLUTION)))
    assert len(world.texts) == 2
    await notifier.handle(batch(breached(Clock.RESOLUTION)))
    assert [deadline for deadline in world.alarm.armed.values() if "tickets" in deadline.payload] == []
    assert len(world.publisher.told) == told + 2


async def test_a_reopening_is_acknowledged_once_with_its_clock_or_without(policy: NotificationPolicy) -> None:
    """It waits for the clock that starts again as a confirmation does, and for no longer."""
    resolved = TicketState.RESOLVED
    by_phone = followed_up(4, complaint=COMPLAINT, state=resolved).model_copy(update={"channel": Channel.PHONE})
    again = [by_phone, reopened(5, before=resolved)]
    restarted = fact(SlaStarted, cycle=2, ticket_sequence=5, due_at=NOON + timedelta(days=3))
    for clock_in_time in (True, False):
        world = scene(policy)
        notifier = world.open()
        await notifier.handle(batch(opened(), classified(), fact(SlaStarted), event(TicketResolved, 3, resolved)))
        told = len(world.texts)
        await notifier.handle(batch(*again))
        assert len(world.texts) == told
        if clock_in_time:
            await notifier.handle(batch(restarted))
        await world.pass_by(notifier, policy.promise.wait_s)
        (text,) = world.texts[told:]
        assert "重新开始核查" in text
        assert ("最晚" in text) is clock_in_time
        await notifier.handle(batch(restarted))
        assert len(world.texts) == told + 1


async def test_a_reopening_that_nobody_wrote_about_is_told_once_with_its_clock_or_without(
    policy: NotificationPolicy,
) -> None:
    """As a follow-up that reopens is, in words of its own."""
    resolved = TicketState.RESOLVED
    restarted = fact(SlaStarted, cycle=2, ticket_sequence=4, due_at=NOON + timedelta(days=3))
    for clock_in_time in (True, False):
        world = scene(policy)
        notifier = world.open()
        await notifier.handle(batch(opened(), classified(), fact(SlaStarted), event(TicketResolved, 3, resolved)))
        told = len(world.texts)
        await notifier.handle(batch(reopened(4, before=resolved)))
        assert len(world.texts) == told
        if clock_in_time:
            await notifier.handle(batch(restarted))
        await world.pass_by(notifier, policy.promise.wait_s)
        (text,) = world.texts[told:]
        assert "已重新办理" in text
        assert ("最晚" in text) is clock_in_time
        await notifier.handle(batch(restarted))
        assert len(world.texts) == told + 1


async def test_a_ticket_that_was_reopened_before_it_was_read_is_still_confirmed(policy: NotificationPolicy) -> None:
    """After an outage all of it comes at once, perhaps without a clock: nothing that is owed is forgotten."""
    world = scene(policy)
    notifier = world.open()
    told = [opened(), classified(), event(TicketResolved, 3, TicketState.RESOLVED)]
    again = followed_up(4, complaint=UUID(int=7), state=TicketState.RESOLVED)
    await notifier.handle(batch(*told, again, reopened(5, before=TicketState.RESOLVED)))
    await world.pass_by(notifier, policy.promise.wait_s)
    moments = [note.notice.moment for note in world.store.notes.values()]
    assert sorted(moments) == sorted([Moment.RECEIVED, Moment.RESOLVED, Moment.FOLLOW_UP_RECEIVED])


async def test_one_deadline_serves_a_batch_of_a_shard(policy: NotificationPolicy) -> None:
    """As many tickets as wait for their clocks."""
    world = scene(policy)
    notifier = world.open()
    await notifier.handle(batch(opened(), classified()))
    await notifier.handle(batch(opened(), classified()))
    assert len(world.alarm.armed) == 1


async def test_an_apology_is_withdrawn_with_its_breach(policy: NotificationPolicy) -> None:
    """In the same batch: neither sent at once nor later."""
    world = scene(policy)
    notifier = world.open()
    await notifier.handle(batch(opened(), classified(), fact(SlaStarted)))
    breach = breached(Clock.FIRST_ANSWER)
    world.now = NOON + timedelta(hours=48)
    correction = fact(SlaCorrected, Clock.FIRST_ANSWER, corrects=breach.ce_id, result=ClockState.MET)
    await notifier.handle(batch(breach, correction))
    await world.pass_by(notifier, 86_400)
    assert len(world.texts) == 1


@pytest.mark.parametrize("hour", [48, 48 + 11])
async def test_a_breach_that_comes_anew_is_apologised_for_where_nobody_was(
    policy: NotificationPolicy, hour: int
) -> None:
    """The first was taken back before its apology went, at once or in the night; told a third time, it is one."""
    world = scene(policy)
    notifier = world.open()
    await notifier.handle(batch(opened(), classified(), fact(SlaStarted)))
    first = breached(Clock.FIRST_ANSWER)
    correction = fact(SlaCorrected, Clock.FIRST_ANSWER, corrects=first.ce_id, result=ClockState.PAUSED)
    world.now = NOON + timedelta(hours=hour)
    await notifier.handle(batch(first))
    sent = len(world.texts)
    world.tickets.withdrawn = {first.ce_id}
    await notifier.handle(batch(correction))
    await world.pass_by(notifier, 10 * 3600)
    world.now = later = NOON + timedelta(hours=96)
    for _ in range(2):
        again = first.model_copy(update={"fact_id": uuid4(), "at": later, "due_at": later, "breached_at": later})
        await notifier.handle(batch(again))
        await notifier.handle(batch(again))
    assert (sent, len(world.texts)) == ((2, 2) if hour == 48 else (1, 2))


async def test_a_breach_that_is_told_thrice_in_one_batch_is_one_apology(policy: NotificationPolicy) -> None:
    """Taken back twice, it holds in the end."""
    world = scene(policy)
    notifier = world.open()
    await notifier.handle(batch(opened(), classified(), fact(SlaStarted)))
    world.now = NOON + timedelta(hours=48)
    told = [breached(Clock.FIRST_ANSWER).model_copy(update={"fact_id": uuid4()}) for _ in range(3)]
    back = [fact(SlaCorrected, Clock.FIRST_ANSWER, corrects=f.ce_id, result=ClockState.PAUSED) for f in told]
    await notifier.handle(batch(told[0], back[0], told[1], back[1], told[2]))
    assert len(world.texts) == 2


async def test_who_stops_surveys_is_known_before_the_next_is_sent(policy: NotificationPolicy) -> None:
    """Also when a survey of the same batch comes after it; told again, it is the same."""
    world = scene(policy)
    notifier = world.open()
    resolved = TicketState.RESOLVED
    stopped = event(TicketSurveyExhausted, 3, resolved, attempts=0, reason=SURVEYS_STOPPED)
    survey = event(TicketSurveyRequested, 4, resolved, attempt=1)
    for _ in range(2):
        await notifier.handle(batch(opened(), classified(), stopped, survey))
    assert world.opt_outs.refs == {ids.contact_ref(COMPLAINT)}
    assert world.texts == []


async def test_a_survey_that_was_asked_often_enough_is_no_opt_out(policy: NotificationPolicy) -> None:
    """About the next matter the person is asked again."""
    world = scene(policy)
    resolved = TicketState.RESOLVED
    exhausted = event(TicketSurveyExhausted, 4, resolved, attempts=1)
    survey = event(TicketSurveyRequested, 3, resolved, attempt=1)
    await world.open().handle(batch(opened(), classified(), survey, exhausted))
    assert world.opt_outs.refs == set()
    assert len(world.texts) == 1
