"""Which events and facts are occasions to write."""

from datetime import timedelta
from decimal import Decimal
from uuid import UUID, uuid4

import pytest

from schemas import ids
from schemas.codes import (
    ActorKind,
    ApologyTier,
    Category,
    Channel,
    Clock,
    ClockState,
    Language,
    Moment,
    Severity,
    TicketState,
)
from schemas.complaint import Money
from schemas.events import (
    SURVEYS_STOPPED,
    TicketAnswered,
    TicketApologised,
    TicketAppealDecided,
    TicketAppealed,
    TicketAssigned,
    TicketCustomerAwaited,
    TicketEvent,
    TicketLanguageChosen,
    TicketResolved,
    TicketReviewStarted,
    TicketSurveyAnswered,
    TicketSurveyExhausted,
    TicketSurveyRequested,
)
from schemas.message import Actor, Message
from schemas.sla import SlaCorrected, SlaMet, SlaResumed, SlaRetargeted, SlaStarted, SlaWarned
from services.notifier.moments import Addressee, UnknownTicket, acknowledgements, confirmation, fold, refuses_surveys
from services.notifier.notice import Notice
from services.notifier.policy import NotificationPolicy
from services.notifier.standing import Standing, is_overtaken, is_withdrawn
from services.wording.templates import FIELDS
from tests.unit.notifier.tickets import (
    COMPLAINT,
    NOON,
    TICKET,
    breached,
    classified,
    event,
    fact,
    followed_up,
    opened,
    reopened,
)

DUE = NOON + timedelta(hours=48)
COMPLAINANT = Actor(kind=ActorKind.COMPLAINANT)


def told(policy: NotificationPolicy, *messages: Message, who: Addressee | None = None) -> list[Notice]:
    """What the complainant is told because of all of them, each being a batch of its own."""
    addressee = who or Addressee(TICKET, "w:1")
    notices = []
    for message in messages:
        was_confirmed = addressee.is_confirmed(policy)
        notices += fold(addressee, message, policy)
        if addressee.is_confirmed(policy) and not was_confirmed:
            notices.append(confirmation(addressee, policy))
    return notices


def test_the_confirmation_waits_for_understanding_and_promise(policy: NotificationPolicy) -> None:
    """It goes with the last of opened, classified and the promised clock's start."""
    who = Addressee(TICKET, "w:1")
    assert told(policy, opened(), classified(Category.DELAY, "delivery"), who=who) == []
    assert who.awaits_promise(policy)
    (notice,) = told(policy, fact(SlaStarted), who=who)
    assert notice.moment is Moment.RECEIVED
    assert notice.occasion == opened().ce_id
    assert notice.facts == {"number": "2611-0042175", "category": "delay.delivery", "answer_by": DUE}
    assert not who.awaits_promise(policy)


def test_a_clock_that_started_first_lets_the_confirmation_go_with_the_classification(
    policy: NotificationPolicy,
) -> None:
    """The two topics may be read in either order."""
    (notice,) = told(policy, fact(SlaStarted), opened(), classified())
    assert notice.facts["answer_by"] == DUE


def test_without_a_clock_the_confirmation_names_no_time(policy: NotificationPolicy) -> None:
    """And when the clock starts after all, it is the same message, with the time that is watched."""
    who = Addressee(TICKET, "w:1")
    told(policy, opened(), classified(), who=who)
    without = confirmation(who, policy)
    assert without.facts["answer_by"] is None
    (notice,) = told(policy, fact(SlaStarted, due_at=NOON + timedelta(seconds=60)), who=who)
    assert notice.id == without.id
    assert notice.facts["answer_by"] == NOON + timedelta(seconds=60)
    assert told(policy, fact(SlaStarted), who=who) == []


def test_a_clock_that_is_moved_as_soon_as_it_starts_is_told_as_it_is_watched(policy: NotificationPolicy) -> None:
    """The confirmation is made when a batch is folded, not in the middle of it."""
    who, sooner = Addressee(TICKET, "w:1"), NOON + timedelta(hours=24)
    moved = fact(SlaRetargeted, due_at=sooner, due_before=DUE, severity=Severity.CRITICAL)
    for message in (opened(), classified(), fact(SlaStarted), moved):
        fold(who, message, policy)
    assert confirmation(who, policy).facts["answer_by"] == sooner


def test_a_redelivered_event_tells_nothing(policy: NotificationPolicy) -> None:
    """What was taken in before is known by its number."""
    who = Addressee(TICKET, "w:1")
    history = [opened(), classified(), fact(SlaStarted), event(TicketResolved, 3, TicketState.RESOLVED)]
    assert len(told(policy, *history, who=who)) == 2
    assert told(policy, *history, who=who) == []


def test_an_event_without_an_opening_is_refused(policy: NotificationPolicy) -> None:
    """Nobody knows whom to write to."""
    with pytest.raises(UnknownTicket, match="event 4"):
        told(policy, event(TicketAnswered, 4, TicketState.ANSWERED))


@pytest.mark.parametrize(
    ("message", "moment", "facts"),
    [
        (
            event(TicketCustomerAwaited, 3, TicketState.WAITING_CUSTOMER, what="photos"),
            Moment.ASKED_FOR_MORE,
            {"what": "photos"},
        ),
        (
            event(TicketAnswered, 3, TicketState.ANSWERED, remedy="redeliver"),
            Moment.ANSWERED,
            {"remedy": "redeliver", "amount": "", "resolve_by": None},
        ),
        (
            event(TicketResolved, 3, TicketState.RESOLVED, outcome="refund"),
            Moment.RESOLVED,
            {"outcome": "refund", "amount": ""},
        ),
        (
            event(TicketAppealed, 3, TicketState.APPEALED, before=TicketState.ANSWERED, actor=COMPLAINANT),
            Moment.APPEAL_RECEIVED,
            {},
        ),
        (
            event(
                TicketAppealDecided, 3, TicketState.APPEAL_DECIDED, changed=True, amount=Money(amount=Decimal("9.5"))
            ),
            Moment.APPEAL_DECIDED,
            {"changed": True, "remedy": "", "amount": "9.5 CNY"},
        ),
        (event(TicketSurveyRequested, 3, TicketState.RESOLVED, attempt=2), Moment.SURVEY, {"attempt": 2}),
        (
            event(TicketApologised, 3, TicketState.CLOSED, tier=ApologyTier.REGIONAL_HEAD),
            Moment.APOLOGY,
            {"spoken_by": "regional_head"},
        ),
    ],
)
def test_an_event_of_the_ticket_is_told(
    policy: NotificationPolicy, message: Message, moment: Moment, facts: dict[str, object]
) -> None:
    """Under its own moment, with what the text needs."""
    notice = told(policy, opened(), classified(), message)[-1]
    assert notice.moment is moment
    assert notice.facts == {"number": "2611-0042175", **facts}


def test_an_answer_names_the_time_of_the_resolution(policy: NotificationPolicy) -> None:
    """Where that clock runs and is not over."""
    later = NOON + timedelta(days=5)
    resolution = fact(SlaStarted, Clock.RESOLUTION, due_at=later)
    answered = event(TicketAnswered, 3, TicketState.ANSWERED)
    assert told(policy, opened(), classified(), resolution, answered)[-1].facts["resolve_by"] == later


@pytest.mark.parametrize(
    "message",
    [
        event(TicketReviewStarted, 3, TicketState.IN_REVIEW),
        event(TicketAssigned, 3, TicketState.IN_REVIEW, department="centre", unit_calendar="centre", rule="r"),
        fact(SlaMet, elapsed_s=1.0),
        fact(SlaWarned, detected_at=NOON, elapsed_s=1.0, severity=Severity.NORMAL, share=0.5),
        breached(Clock.ACKNOWLEDGE),
        breached(Clock.UNIT_RESPONSE),
    ],
)
def test_inner_matters_are_not_told(policy: NotificationPolicy, message: Message) -> None:
    """The complainant hears nothing of reviews, assignments, warnings and limits that were never promised."""
    before = [opened(), classified(), fact(SlaStarted)]
    assert len(told(policy, *before, message)) == 1


def test_a_follow_up_is_told_to_the_one_who_asked(policy: NotificationPolicy) -> None:
    """Their own contact, by the channel they used; the ticket's number and time."""
    again = uuid4()
    notice = told(policy, opened(), classified(), fact(SlaStarted), followed_up(3, complaint=again))[-1]
    assert notice.moment is Moment.FOLLOW_UP_RECEIVED
    assert notice.person.contact_ref == ids.contact_ref(again)
    assert notice.person.complaint_id == again
    assert notice.person.used is Channel.EMAIL
    assert notice.facts == {"number": "2611-0042175", "category": "damage", "answer_by": DUE, "reopened": False}


@pytest.mark.parametrize(
    ("moved_to", "is_told"),
    [(timedelta(hours=48, minutes=59), False), (timedelta(hours=49), True), (timedelta(hours=24), False)],
)
def test_a_promise_that_moves_later_is_told(policy: NotificationPolicy, moved_to: timedelta, is_told: bool) -> None:
    """An hour or more; a promise that moves nearer needs no message."""
    moved = fact(SlaRetargeted, due_at=NOON + moved_to, due_before=DUE, severity=Severity.LOW)
    notices = told(policy, opened(), classified(), fact(SlaStarted), moved)
    assert [n.moment for n in notices[1:]] == ([Moment.IN_PROGRESS] if is_told else [])


def test_a_time_that_nobody_was_told_moves_in_silence(policy: NotificationPolicy) -> None:
    """The answer is what tells the time of the resolution: before it, an assignment that moves it is no news."""
    moved = fact(
        SlaRetargeted, Clock.RESOLUTION, due_at=NOON + timedelta(days=9), due_before=DUE, severity=Severity.LOW
    )
    opening = [opened(), classified(), fact(SlaStarted)]
    assert [n.moment for n in told(policy, *opening, moved)] == [Moment.RECEIVED]
    answered = event(TicketAnswered, 3, TicketState.ANSWERED)
    assert told(policy, *opening, answered, moved)[-1].moment is Moment.IN_PROGRESS


def test_a_clock_that_goes_on_after_a_wait_is_told_with_its_new_time(policy: NotificationPolicy) -> None:
    """Compared with the time that held before the wait; once."""
    later = NOON + timedelta(days=9)
    resolution = fact(SlaStarted, Clock.RESOLUTION, due_at=NOON + timedelta(days=5))
    resumed = fact(SlaResumed, Clock.RESOLUTION, due_at=later, at=NOON + timedelta(days=4))
    notices = told(policy, opened(), classified(), fact(SlaStarted), resolution, resumed, resumed)
    assert [n.moment for n in notices] == [Moment.RECEIVED, Moment.IN_PROGRESS]
    assert notices[1].facts == {
        "number": "2611-0042175",
        "about": "resolution",
        "due_at": later,
        "after_wait": True,
        "reopened": False,
    }


@pytest.mark.parametrize(
    ("clock", "major", "about", "tier"),
    [
        (Clock.FIRST_ANSWER, False, "answer", "agent"),
        (Clock.RESOLUTION, False, "resolution", "supervisor"),
        (Clock.STATUTORY_USER, False, "resolution", "supervisor"),
        (Clock.FIRST_ANSWER, True, "answer", "regional_head"),
    ],
)
def test_a_missed_promise_is_apologised_for(
    policy: NotificationPolicy, clock: Clock, major: bool, about: str, tier: str
) -> None:
    """By whom the policy says, and by the regional head for a major complaint."""
    notice = told(policy, opened(), classified(major=major), breached(clock))[-1]
    assert notice.moment is Moment.BREACHED_APOLOGY
    assert notice.facts == {"number": "2611-0042175", "about": about, "due_at": DUE, "tier": tier}


def test_a_breach_that_overtakes_the_opening_is_told_after_it(policy: NotificationPolicy) -> None:
    """Facts are kept until it is known whom they concern."""
    who = Addressee(TICKET, "w:1")
    assert told(policy, breached(Clock.FIRST_ANSWER), who=who) == []
    notices = told(policy, opened(), classified(), who=who)
    assert [n.moment for n in notices] == [Moment.BREACHED_APOLOGY]
    assert who.held == []


def test_what_is_held_is_told_though_another_took_in_the_opening(policy: NotificationPolicy) -> None:
    """A worker that stood still wrote what it knew of the ticket, and nothing of the facts that were held meanwhile."""
    opening = opened()
    other, who = Addressee(TICKET, "w:1"), Addressee(TICKET, "w:1")
    told(policy, opening, classified(), who=other)
    told(policy, breached(Clock.FIRST_ANSWER), who=who)
    other.held, other.facts_seen = who.held, who.facts_seen
    (notice,) = told(policy, opening, who=other)
    assert notice.moment is Moment.BREACHED_APOLOGY
    assert (other.held, other.facts_seen) == ([], who.facts_seen + 1)


def test_a_breach_that_is_corrected_is_known_to_be_void(policy: NotificationPolicy) -> None:
    """In whichever order the two and the opening are read, as long as the correction follows its breach."""
    breach = breached(Clock.FIRST_ANSWER)
    correction = fact(SlaCorrected, Clock.FIRST_ANSWER, corrects=breach.ce_id, result=ClockState.MET)
    for messages in ([opened(), breach, correction], [breach, opened(), correction], [breach, correction, opened()]):
        who = Addressee(TICKET, "w:1")
        (apology,) = told(policy, *messages, who=who)
        assert is_withdrawn(apology, Standing(who.state, frozenset(who.withdrawn)))
        assert not is_withdrawn(apology, Standing(who.state, frozenset()))


def test_a_breach_that_is_told_anew_is_apologised_for_once(policy: NotificationPolicy) -> None:
    """It has another id and the same apology, due again though the first telling was taken back, however often."""
    first = breached(Clock.FIRST_ANSWER)
    again = first.model_copy(update={"fact_id": uuid4()})
    correction = fact(SlaCorrected, Clock.FIRST_ANSWER, corrects=first.ce_id, result=ClockState.MET)
    who = Addressee(TICKET, "w:1")
    both = told(policy, opened(), first, correction, again, correction, who=who)
    assert [(notice.occasion, notice.telling) for notice in both] == [(first.ce_id, 1), (first.ce_id, 2)]
    assert not is_withdrawn(both[1], Standing(who.state, frozenset(who.withdrawn)))
    told(policy, fact(SlaCorrected, Clock.FIRST_ANSWER, corrects=again.ce_id, result=ClockState.MET), who=who)
    assert is_withdrawn(both[1], Standing(who.state, frozenset(who.withdrawn)))


def test_every_notice_has_the_facts_that_its_templates_declare(policy: NotificationPolicy) -> None:
    """What a template may use is what it is given."""
    resolution = fact(SlaStarted, Clock.RESOLUTION, due_at=NOON + timedelta(days=5))
    notices = told(
        policy,
        opened(),
        classified(),
        fact(SlaStarted),
        resolution,
        followed_up(3, complaint=UUID(int=7)),
        event(TicketCustomerAwaited, 4, TicketState.WAITING_CUSTOMER, what="photos"),
        fact(SlaResumed, Clock.RESOLUTION, due_at=NOON + timedelta(days=9)),
        breached(Clock.FIRST_ANSWER),
        event(TicketAnswered, 5, TicketState.ANSWERED),
        event(TicketAppealed, 6, TicketState.APPEALED, before=TicketState.ANSWERED, actor=COMPLAINANT),
        event(TicketAppealDecided, 7, TicketState.APPEAL_DECIDED, changed=False),
        event(TicketResolved, 8, TicketState.RESOLVED),
        event(TicketSurveyRequested, 9, TicketState.RESOLVED, attempt=1),
        event(TicketApologised, 10, TicketState.RESOLVED, tier=ApologyTier.AGENT),
    )
    assert {n.moment for n in notices} == set(Moment)
    for notice in notices:
        assert notice.facts.keys() | {"sender", "hotline", "link", "words", "tone"} >= FIELDS[notice.moment]


@pytest.mark.parametrize(
    ("moment", "facts", "state", "expected"),
    [
        (Moment.ASKED_FOR_MORE, {}, TicketState.WAITING_CUSTOMER, False),
        (Moment.ASKED_FOR_MORE, {}, TicketState.INVESTIGATING, True),
        (Moment.BREACHED_APOLOGY, {"about": "answer"}, TicketState.ANSWERED, True),
        (Moment.BREACHED_APOLOGY, {"about": "resolution"}, TicketState.ANSWERED, False),
        (Moment.BREACHED_APOLOGY, {"about": "resolution"}, TicketState.RESOLVED, True),
        (Moment.IN_PROGRESS, {"about": "resolution"}, TicketState.CLOSED, True),
        (Moment.ANSWERED, {}, TicketState.RESOLVED, False),
        (Moment.ANSWERED, {}, TicketState.WITHDRAWN, True),
        (Moment.ANSWERED, {}, TicketState.APPEALED, True),
        (Moment.ANSWERED, {}, TicketState.APPEAL_DECIDED, True),
        (Moment.RECEIVED, {}, TicketState.CLOSED, False),
        (Moment.RESOLVED, {}, TicketState.CLOSED, False),
        (Moment.RESOLVED, {}, TicketState.APPEALED, True),
        (Moment.RESOLVED, {}, TicketState.OPENED, True),
        (Moment.APPEAL_RECEIVED, {}, TicketState.APPEALED, False),
        (Moment.APPEAL_RECEIVED, {}, TicketState.WAITING_THIRD_PARTY, False),
        (Moment.APPEAL_RECEIVED, {}, TicketState.APPEAL_DECIDED, True),
        (Moment.APPEAL_DECIDED, {}, TicketState.CLOSED, False),
        (Moment.APPEAL_DECIDED, {}, TicketState.OPENED, False),
        (Moment.APPEAL_DECIDED, {}, TicketState.WITHDRAWN, True),
        (Moment.BREACHED_APOLOGY, {"about": "answer"}, TicketState.APPEALED, True),
        (Moment.BREACHED_APOLOGY, {"about": "resolution"}, TicketState.APPEALED, False),
        (Moment.IN_PROGRESS, {"about": "resolution"}, TicketState.APPEAL_DECIDED, True),
        (Moment.APOLOGY, {}, TicketState.CLOSED, False),
    ],
)
def test_what_had_to_wait_is_told_only_if_it_is_still_true(
    policy: NotificationPolicy, moment: Moment, facts: dict[str, str], state: TicketState, expected: bool
) -> None:
    """An apology for a late answer does not come after the answer."""
    (notice,) = told(policy, fact(SlaStarted), opened(), classified())
    held = Notice(
        ticket_id=notice.ticket_id,
        routing_key=notice.routing_key,
        moment=moment,
        occasion=notice.occasion,
        at=notice.at,
        person=notice.person,
        severity=notice.severity,
        facts=facts,
    )
    assert is_overtaken(held, Standing(state, frozenset())) is expected
    assert not is_overtaken(held, Standing(None, frozenset()))


@pytest.mark.parametrize("state", [TicketState.RESOLVED, TicketState.WITHDRAWN, TicketState.CLOSED])
@pytest.mark.parametrize("clock_first", [True, False])
def test_a_follow_up_that_reopens_is_told_the_time_that_is_promised_anew(
    policy: NotificationPolicy, state: TicketState, *, clock_first: bool
) -> None:
    """The clocks of the settled ticket have ended: it waits for the one that starts again, whichever is read first."""
    due, again = NOON + timedelta(days=9), uuid4()
    before = [opened(), classified(), fact(SlaStarted, ticket_sequence=1), event(TicketResolved, 3, state)]
    who = Addressee(TICKET, "w:1")
    told(policy, *before, who=who)
    events = [followed_up(4, complaint=again, state=state), reopened(5, before=state)]
    restarted = fact(SlaStarted, cycle=2, ticket_sequence=5, due_at=due)
    (notice,) = told(policy, *([restarted, *events] if clock_first else [*events, restarted]), who=who)
    assert (notice.moment, notice.person.complaint_id) == (Moment.FOLLOW_UP_RECEIVED, again)
    assert (notice.facts["answer_by"], notice.facts["reopened"]) == (due, True)
    assert who.owed == []


@pytest.mark.parametrize("clock_first", [True, False])
def test_what_is_reopened_without_a_follow_up_is_told_with_the_new_time(
    policy: NotificationPolicy, *, clock_first: bool
) -> None:
    """By a bad rating, or by an agent whom the complainant told that it is not settled."""
    due, closed = NOON + timedelta(days=9), TicketState.CLOSED
    who = Addressee(TICKET, "w:1")
    told(policy, opened(), classified(), fact(SlaStarted), event(TicketResolved, 3, closed), who=who)
    again = reopened(4, before=closed)
    restarted = fact(SlaStarted, cycle=2, ticket_sequence=4, due_at=due)
    (notice,) = told(policy, *([restarted, again] if clock_first else [again, restarted]), who=who)
    assert (notice.moment, notice.person.complaint_id) == (Moment.IN_PROGRESS, COMPLAINT)
    assert notice.occasion == again.ce_id
    assert notice.facts == {
        "number": "2611-0042175",
        "about": "answer",
        "due_at": due,
        "after_wait": False,
        "reopened": True,
    }
    assert who.owed == []


def test_without_the_clock_the_acknowledgement_of_a_reopening_names_no_time(policy: NotificationPolicy) -> None:
    """The time of the clock that ended is not told, neither to that follow-up nor to the next."""
    who, resolved = Addressee(TICKET, "w:1"), TicketState.RESOLVED
    settled = [opened(), classified(), fact(SlaStarted, ticket_sequence=1), event(TicketResolved, 3, resolved)]
    told(policy, *settled, who=who)
    assert told(policy, followed_up(4, complaint=uuid4(), state=resolved), reopened(5, before=resolved), who=who) == []
    (late,) = acknowledgements(who, policy)
    assert (late.facts["answer_by"], late.facts["reopened"]) == (None, True)
    (next_one,) = told(policy, followed_up(6, complaint=uuid4(), state=TicketState.OPENED), who=who)
    assert (next_one.facts["answer_by"], next_one.facts["reopened"]) == (None, False)
    (same,) = told(policy, fact(SlaStarted, cycle=2, ticket_sequence=5, due_at=NOON + timedelta(days=9)), who=who)
    assert same.id == late.id


@pytest.mark.parametrize(
    ("kind", "is_told"), [(ActorKind.COMPLAINANT, True), (ActorKind.AGENT, True), (ActorKind.REGULATOR, False)]
)
def test_an_appeal_is_confirmed_to_whoever_made_it(
    policy: NotificationPolicy, kind: ActorKind, *, is_told: bool
) -> None:
    """Also when an agent wrote it down; the regulator is answered by other ways."""
    appealed = event(TicketAppealed, 3, TicketState.APPEALED, before=TicketState.ANSWERED, actor=Actor(kind=kind))
    notices = told(policy, opened(), classified(), appealed)
    assert [n.moment for n in notices] == ([Moment.APPEAL_RECEIVED] if is_told else [])


def test_a_resolution_is_told_with_what_was_offered_last(policy: NotificationPolicy) -> None:
    """The decision on an appeal takes the place of the answer; what was offered before a reopening is gone."""
    who = Addressee(TICKET, "w:1")
    offers = [
        event(TicketAnswered, 3, TicketState.ANSWERED, remedy="refund", amount=Money(amount=Decimal(20))),
        event(TicketAppealDecided, 4, TicketState.APPEAL_DECIDED, changed=True, amount=Money(amount=Decimal("35.50"))),
        event(TicketResolved, 5, TicketState.RESOLVED, outcome="refunded"),
    ]
    assert told(policy, opened(), classified(), *offers, who=who)[-1].facts["amount"] == "35.50 CNY"
    again = [reopened(6, before=TicketState.RESOLVED), event(TicketResolved, 7, TicketState.RESOLVED)]
    assert told(policy, *again, who=who)[-1].facts["amount"] == ""


def test_every_attempt_of_a_survey_is_a_message_of_its_own(policy: NotificationPolicy) -> None:
    """And the latest is the one that is to be answered."""
    who = Addressee(TICKET, "w:1")
    asked = [event(TicketSurveyRequested, n, TicketState.RESOLVED, attempt=n - 2) for n in (3, 4)]
    first, second = told(policy, opened(), classified(), *asked, who=who)
    assert first.id != second.id
    here = Standing(TicketState.RESOLVED, frozenset(), who.latest)
    assert is_overtaken(first, here)
    assert not is_overtaken(second, here)


@pytest.mark.parametrize(
    ("after", "is_over"),
    [
        (event(TicketSurveyAnswered, 4, TicketState.RESOLVED, score=5, satisfied=True), True),
        (event(TicketSurveyExhausted, 4, TicketState.RESOLVED, attempts=1, reason=SURVEYS_STOPPED), True),
        (event(TicketSurveyExhausted, 4, TicketState.RESOLVED, attempts=3), False),
        (reopened(4, before=TicketState.RESOLVED), True),
        (event(TicketAppealed, 4, TicketState.APPEALED, before=TicketState.RESOLVED, actor=COMPLAINANT), True),
    ],
)
def test_what_ends_a_survey_takes_back_the_question(
    policy: NotificationPolicy, after: TicketEvent, *, is_over: bool
) -> None:
    """But for the last attempt having been made: the answer to it still counts."""
    who = Addressee(TICKET, "w:1")
    (survey,) = told(
        policy, opened(), classified(), event(TicketSurveyRequested, 3, TicketState.RESOLVED, attempt=1), who=who
    )
    told(policy, after, who=who)
    assert is_overtaken(survey, Standing(TicketState.RESOLVED, frozenset(), who.latest)) is is_over


def test_of_two_answers_the_later_one_holds(policy: NotificationPolicy) -> None:
    """The earlier is not sent any more if it had to wait; one from before this was kept is."""
    who = Addressee(TICKET, "w:1")
    answers = [event(TicketAnswered, n, TicketState.ANSWERED) for n in (3, 4)]
    first, second = told(policy, opened(), classified(), *answers, who=who)
    here = Standing(TicketState.ANSWERED, frozenset(), who.latest)
    assert (is_overtaken(first, here), is_overtaken(second, here)) == (True, False)
    assert not is_overtaken(first, Standing(TicketState.ANSWERED, frozenset()))


def test_the_words_of_whoever_acted_are_referred_to(policy: NotificationPolicy) -> None:
    """And are no part of the message's facts."""
    note = uuid4()
    answered = event(TicketAnswered, 3, TicketState.ANSWERED, note_ref=note)
    assert told(policy, opened(), classified(), answered)[-1].note_ref == note


def test_only_a_stop_is_an_opt_out() -> None:
    """Not the last of the attempts."""
    stopped = event(TicketSurveyExhausted, 3, TicketState.RESOLVED, attempts=1, reason=SURVEYS_STOPPED)
    assert refuses_surveys(stopped)
    assert not refuses_surveys(event(TicketSurveyExhausted, 3, TicketState.RESOLVED, attempts=3))


def test_all_later_messages_are_in_the_language_that_was_chosen(policy: NotificationPolicy) -> None:
    """Also to those who complain of the same matter afterwards, and to those who are owed an acknowledgement."""
    who = Addressee(TICKET, "w:1")
    before = told(policy, opened(), classified(), event(TicketAnswered, 3, TicketState.ANSWERED), who=who)
    resolved, again = (
        event(TicketResolved, 4, TicketState.RESOLVED),
        followed_up(5, complaint=uuid4(), state=TicketState.RESOLVED),
    )
    chosen = event(TicketLanguageChosen, 6, TicketState.RESOLVED, language=Language.EN)
    told(policy, resolved, again, chosen, who=who)
    after = [*acknowledgements(who, policy), *told(policy, event(TicketApologised, 7, TicketState.RESOLVED,
             tier=ApologyTier.AGENT), who=who)]  # fmt: skip
    assert {n.person.language for n in before} == {Language.ZH}
    assert [(n.moment, n.person.language) for n in after] == [
        (Moment.FOLLOW_UP_RECEIVED, Language.EN),
        (Moment.APOLOGY, Language.EN),
    ]
