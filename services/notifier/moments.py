"""Which event of a ticket, or fact about its clocks, is an occasion to write to the complainant. Pure.

A follow-up of a settled ticket reopens it, and its clocks start again: it is told when the new time is known, in the
same way. So is a ticket that was reopened otherwise, because of a rating or by a person.

The confirmation (`received`) says what was understood and when the next answer comes. The first is known with
`ticket.classified`, which comes in one breath with `ticket.opened`; the second with `sla.started` of the promised
clock, which the SLA monitor publishes some 50 ms later. So it goes when both are there, whichever comes last, and after
`promise.wait_s` without the clock it goes without a time: a stopped SLA monitor silences nobody, and nobody is told a
time that no clock watches.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import singledispatch
from typing import Any, Final
from uuid import UUID

from schemas import events, sla
from schemas.codes import ActorKind, ApologyTier, Clock, Moment, Severity, TicketState
from schemas.message import Message
from schemas.topics import MESSAGES
from services.notifier.notice import Notice, Person
from services.notifier.policy import NotificationPolicy
from services.wording.occasions import money, occasion

ANSWER: Final = "answer"
RESOLUTION: Final = "resolution"
_UNANSWERED: Final = frozenset({TicketState.OPENED, TicketState.IN_REVIEW, TicketState.INVESTIGATING})
ENDED: Final = frozenset({TicketState.RESOLVED, TicketState.CLOSED, TicketState.WITHDRAWN})
ANSWERED: Final = ENDED | {TicketState.ANSWERED, TicketState.APPEALED, TicketState.APPEAL_DECIDED}
"""States in which the first answer has been given."""
_MOVED: Final = (sla.SlaResumed, sla.SlaRetargeted)
_HELD: Final = (*_MOVED, sla.SlaBreached, sla.SlaCorrected)
"""Facts that may give a message, and are kept when they overtake the ticket's opening."""


class UnknownTicket(Exception):  # noqa: N818 - said of the event
    """An event of a ticket whose opening was never read."""


@dataclass(frozen=True, slots=True)
class Owed:
    """What is to be told of a reopened ticket, with the time of the clock that starts again."""

    occasion: UUID
    sequence: int
    """Of the event; the clock that starts again is started by a later one."""
    at: datetime
    person: Person
    moment: Moment = Moment.FOLLOW_UP_RECEIVED
    """Or `in_progress`, where nothing of the person's is to be acknowledged."""


@dataclass(slots=True)
class Addressee:
    """What the notifier knows of one ticket: the fold of its events, and of the facts about its promises."""

    ticket_id: UUID
    routing_key: str
    sequence: int = 0
    """Number of the latest ticket event that was taken in."""
    facts_seen: int = 0
    """How many facts were taken in."""
    person: Person | None = None
    opened_id: UUID | None = None
    opened_at: datetime | None = None
    number: str = ""
    state: TicketState = TicketState.OPENED
    category: str = ""
    """As in `delay.transit`; empty before it was classified."""
    severity: Severity = Severity.NORMAL
    major: bool = False
    amount: str = ""
    """What was offered or decided last, as `120.50 CNY`; what a resolution is told with."""
    latest: dict[Moment, UUID] = field(default_factory=dict)
    """Occasions of the answer that holds, and of the survey that is still to be answered."""
    owed: list[Owed] = field(default_factory=list)
    due: dict[Clock, datetime] = field(default_factory=dict)
    """Of the clocks whose times complainants are told."""
    promised_by: int = 0
    """Number of the ticket event that last started the promised clock."""
    withdrawn: set[UUID] = field(default_factory=set)
    """Facts that turned out not to hold."""
    apologised: dict[str, list[UUID]] = field(default_factory=dict)
    """Breaches by `clock:cycle`. One that is taken back and told anew has another id, and the same apology."""
    held: list[tuple[str, str]] = field(default_factory=list)
    """(type, JSON) of facts that came before the opening."""
    stored: tuple[int, int] = field(default=(0, 0), compare=False)
    """`sequence` and `facts_seen` as they are stored; 0 where nothing is."""

    @property
    def is_understood(self) -> bool:
        """Whether a confirmation has something to say."""
        return bool(self.person and self.category)

    def awaits_promise(self, policy: NotificationPolicy) -> bool:
        """Whether only the time of the next answer is missing to confirm."""
        return self.is_understood and policy.promise.clock not in self.due

    def is_confirmed(self, policy: NotificationPolicy) -> bool:
        """Whether the confirmation was given on its way, with a time in it."""
        return self.is_understood and policy.promise.clock in self.due


def fold(who: Addressee, message: Message, policy: NotificationPolicy) -> list[Notice]:
    """Take a message in, and say what the complainant is to be told because of it, but for the confirmation.

    Args:
        who: changed in place.
        message: of `ticket-event` or `sla-event`; anything that is no occasion gives nothing.
        policy: which clocks are told and apologised for.

    Raises:
        UnknownTicket: an event that is not the first, of a ticket whose first was never seen.
    """
    # Also when another has taken in the opening meanwhile, without knowing what was held.
    notices = _release(who, policy) if who.person is not None else []
    if isinstance(message, sla.SlaFact):
        return notices + _on_fact(who, message, policy)
    if not isinstance(message, events.TicketEvent) or message.sequence <= who.sequence:
        return notices
    if who.person is None and not isinstance(message, events.TicketOpened):
        raise UnknownTicket(f"event {message.sequence} of ticket {message.ticket_id}, whose opening was never read")
    who.sequence, who.state = message.sequence, message.state
    return notices + _on_event(message, who, policy)


def confirmation(who: Addressee, policy: NotificationPolicy) -> Notice:
    """The confirmation of an addressee that is understood, with the time of the next answer as it is known now.

    It is made when a whole batch is folded: of a clock that started and was moved at once, the latest time is told.
    """
    assert who.opened_id is not None
    assert who.opened_at is not None
    due = who.due.get(policy.promise.clock)
    # Of what comes in long after it was received, as letters do, the time may have passed before anybody could read it.
    facts = {"category": who.category, "answer_by": due if due and due > who.opened_at else None}
    return _notice(who, Moment.RECEIVED, who.opened_id, who.opened_at, facts)


def acknowledgements(who: Addressee, policy: NotificationPolicy) -> list[Notice]:
    """Of what reopened the ticket and is owed one; with the promised time where the clock has started again."""
    notices = []
    for owed in who.owed:
        by = who.due.get(policy.promise.clock) if who.promised_by > owed.sequence else None
        facts: dict[str, Any] = {"category": who.category, "answer_by": by, "reopened": True}
        if owed.moment is Moment.IN_PROGRESS:
            facts = {"about": _about(policy.promise.clock), "due_at": by, "after_wait": False, "reopened": True}
        notices.append(_notice(who, owed.moment, owed.occasion, owed.at, facts, person=owed.person))
    return notices


def _acknowledged(who: Addressee, policy: NotificationPolicy) -> list[Notice]:
    """Those whose clock has started again; they are owed nothing any more."""
    if not who.owed or who.promised_by <= who.owed[-1].sequence:
        return []
    notices = acknowledgements(who, policy)
    who.owed = []
    return notices


def refuses_surveys(message: Message) -> bool:
    """Whether it says that the complainant does not want to be asked, now or about any later ticket."""
    return isinstance(message, events.TicketSurveyExhausted) and message.reason == events.SURVEYS_STOPPED


def _on_fact(who: Addressee, fact: sla.SlaFact, policy: NotificationPolicy) -> list[Notice]:
    who.facts_seen += 1
    if who.person is None and isinstance(fact, _HELD):
        who.held.append((fact.ce_type(), fact.model_dump_json()))
        return []
    notices: list[Notice] = []
    if isinstance(fact, sla.SlaBreached):
        notices = _apology(who, fact, policy)
    elif isinstance(fact, sla.SlaCorrected):
        _withdraw(who, fact.corrects)
    elif fact.due_at and isinstance(fact, (sla.SlaStarted, *_MOVED)):
        if isinstance(fact, _MOVED) and fact.clock in policy.told_clocks:
            notices = _moved(who, fact, fact.due_at, policy)
        if fact.clock in policy.told_clocks or fact.clock is policy.promise.clock:
            who.due[fact.clock] = fact.due_at
        if fact.clock is policy.promise.clock and isinstance(fact, sla.SlaStarted):
            who.promised_by = fact.ticket_sequence
            notices += _acknowledged(who, policy)
    return notices


def _moved(who: Addressee, fact: sla.SlaFact, due_at: datetime, policy: NotificationPolicy) -> list[Notice]:
    before = fact.due_before if isinstance(fact, sla.SlaRetargeted) else who.due.get(fact.clock)
    if before is None or due_at - before < timedelta(seconds=policy.told_shift_s_min) or who.state in ENDED:
        return []
    if fact.clock is not policy.promise.clock and isinstance(fact, sla.SlaRetargeted) and who.state in _UNANSWERED:
        return []  # Only the answer tells this time: a promise that nobody heard cannot move.
    return [
        _notice(
            who,
            Moment.IN_PROGRESS,
            fact.fact_id,
            fact.at,
            {
                "about": _about(fact.clock),
                "due_at": due_at,
                "after_wait": isinstance(fact, sla.SlaResumed),
                "reopened": False,
            },
        ),
    ]


def _apology(who: Addressee, fact: sla.SlaBreached, policy: NotificationPolicy) -> list[Notice]:
    tier = policy.apology.get(fact.clock)
    if tier is None:
        return []
    told = who.apologised.setdefault(f"{fact.clock}:{fact.cycle}", [])
    if fact.fact_id in told:
        # What followed from it was told before it was remembered. Telling that again would not end where the delivery
        # of this very apology is what showed the breach: each would call forth the other.
        return []
    told.append(fact.fact_id)
    who.withdrawn.discard(told[0])
    return [
        _notice(
            who,
            Moment.BREACHED_APOLOGY,
            told[0],
            fact.breached_at,
            {
                "about": _about(fact.clock),
                "due_at": fact.breached_at,
                "tier": (ApologyTier.REGIONAL_HEAD if who.major else tier).value,
            },
            telling=len(told),
        ),
    ]


def _withdraw(who: Addressee, breach: UUID) -> None:
    """Take back what is told of a breach, unless it was told anew since: that holds, however often this comes."""
    told = next((told for told in who.apologised.values() if breach in told), [breach])
    if breach == told[-1]:
        who.withdrawn.add(told[0])


def _about(clock: Clock) -> str:
    return ANSWER if clock is Clock.FIRST_ANSWER else RESOLUTION


@singledispatch
def _on_event(message: Message, who: Addressee, policy: NotificationPolicy) -> list[Notice]:  # noqa: ARG001 - shape
    return []


@_on_event.register
def _opened(event: events.TicketOpened, who: Addressee, policy: NotificationPolicy) -> list[Notice]:
    who.opened_id, who.opened_at, who.number = event.event_id, event.occurred_at, event.number
    who.person = Person(
        complaint_id=event.complaint_id,
        contact_ref=event.contact_ref,
        masked=event.masked,
        used=event.channel,
        language=event.language,
        time_zone=event.time_zone,
        received_at=event.received_at,
    )
    return _release(who, policy)


def _release(who: Addressee, policy: NotificationPolicy) -> list[Notice]:
    """Take in the facts that came before the opening."""
    held, who.held = who.held, []
    notices = []
    for name, json in held:
        fact = MESSAGES[name].model_validate_json(json)
        assert isinstance(fact, sla.SlaFact)
        notices += _on_fact(who, fact, policy)
    return notices


@_on_event.register
def _classified(event: events.TicketClassified, who: Addressee, _policy: NotificationPolicy) -> list[Notice]:
    understood = event.classification
    who.category = f"{understood.primary}.{understood.sub}" if understood.sub else understood.primary.value
    who.severity = event.classification.severity
    who.major = event.major
    return []


@_on_event.register
def _severity_changed(event: events.TicketSeverityChanged, who: Addressee, _policy: NotificationPolicy) -> list[Notice]:
    who.severity = event.severity
    return []


@_on_event.register
def _language_chosen(event: events.TicketLanguageChosen, who: Addressee, _policy: NotificationPolicy) -> list[Notice]:
    assert who.person is not None
    # All who complained of one matter share its ticket, and its language.
    who.person = replace(who.person, language=event.language)
    who.owed = [replace(owed, person=replace(owed.person, language=event.language)) for owed in who.owed]
    return []


@_on_event.register
def _followed_up(event: events.TicketFollowedUp, who: Addressee, _policy: NotificationPolicy) -> list[Notice]:
    assert who.person is not None
    # The one who asks again may be another person, with a contact of their own; language and zone are the ticket's.
    person = Person(
        complaint_id=event.complaint_id,
        contact_ref=event.contact_ref,
        masked=event.masked,
        used=event.channel,
        language=who.person.language,
        time_zone=who.person.time_zone,
        received_at=event.received_at,
    )
    if who.state in ENDED:
        who.owed = [*who.owed, Owed(event.event_id, event.sequence, event.occurred_at, person)]
        return []
    # A clock that has ended is not told: no time may be named that none of them watches. During an appeal that of the
    # resolution may have ended.
    clock = Clock.RESOLUTION if who.state is TicketState.ANSWERED else Clock.FIRST_ANSWER
    due = None if who.state in {TicketState.APPEALED, TicketState.APPEAL_DECIDED} else who.due.get(clock)
    is_watched = due and due > event.occurred_at and not who.owed
    facts = {"category": who.category, "answer_by": due if is_watched else None, "reopened": False}
    return [_notice(who, Moment.FOLLOW_UP_RECEIVED, event.event_id, event.occurred_at, facts, person=person)]


@_on_event.register
def _reopened(event: events.TicketReopened, who: Addressee, policy: NotificationPolicy) -> list[Notice]:
    assert who.person is not None
    who.amount, who.latest = "", {}
    before = event.sequence - 1
    if not any(owed.sequence == before for owed in who.owed):  # A follow-up that reopened it is acknowledged as such.
        owed = Owed(event.event_id, before, event.occurred_at, who.person, Moment.IN_PROGRESS)
        who.owed = [*who.owed, owed]
    return _acknowledged(who, policy)


@_on_event.register(events.TicketCustomerAwaited)
@_on_event.register(events.TicketApologised)
def _plain(
    event: events.TicketCustomerAwaited | events.TicketApologised, who: Addressee, _policy: NotificationPolicy
) -> list[Notice]:
    return [_told(who, event)]


@_on_event.register
def _answered(event: events.TicketAnswered, who: Addressee, _policy: NotificationPolicy) -> list[Notice]:
    who.amount, who.latest[Moment.ANSWERED] = money(event.amount), event.event_id
    due = who.due.get(Clock.RESOLUTION)
    return [_told(who, event, resolve_by=due if due and due > event.occurred_at else None)]


@_on_event.register
def _resolved(event: events.TicketResolved, who: Addressee, _policy: NotificationPolicy) -> list[Notice]:
    return [_told(who, event, amount=who.amount)]


@_on_event.register
def _appealed(event: events.TicketAppealed, who: Addressee, _policy: NotificationPolicy) -> list[Notice]:
    who.latest.pop(Moment.SURVEY, None)
    # An agent writes down what the complainant said; who else appeals is told by other ways.
    return [_told(who, event)] if event.actor.kind in {ActorKind.COMPLAINANT, ActorKind.AGENT} else []


@_on_event.register
def _appeal_decided(event: events.TicketAppealDecided, who: Addressee, _policy: NotificationPolicy) -> list[Notice]:
    who.amount = money(event.amount)
    return [_told(who, event)]


@_on_event.register
def _survey_requested(event: events.TicketSurveyRequested, who: Addressee, _policy: NotificationPolicy) -> list[Notice]:
    who.latest[Moment.SURVEY] = event.event_id
    return [_told(who, event)]


@_on_event.register
def _survey_answered(_event: events.TicketSurveyAnswered, who: Addressee, _policy: NotificationPolicy) -> list[Notice]:
    who.latest.pop(Moment.SURVEY, None)
    return []


@_on_event.register
def _survey_exhausted(event: events.TicketSurveyExhausted, who: Addressee, _policy: NotificationPolicy) -> list[Notice]:
    if refuses_surveys(event):
        who.latest.pop(Moment.SURVEY, None)
    return []


def _told(who: Addressee, event: events.TicketEvent, **facts: Any) -> Notice:
    """What an event says itself, and what is known of its ticket beside that."""
    said = occasion(event)
    assert said is not None
    moment, own = said
    return _notice(who, moment, event.event_id, event.occurred_at, own | facts, note_ref=event.note_ref)


def _notice(
    who: Addressee,
    moment: Moment,
    occasion: UUID,
    at: datetime,
    facts: Mapping[str, Any],
    *,
    person: Person | None = None,
    note_ref: UUID | None = None,
    telling: int = 1,
) -> Notice:
    to = person or who.person
    assert to is not None
    return Notice(
        ticket_id=who.ticket_id,
        routing_key=who.routing_key,
        moment=moment,
        occasion=occasion,
        at=at,
        person=to,
        severity=who.severity,
        facts={"number": who.number, **facts},
        note_ref=note_ref,
        telling=telling,
    )
