"""The judge's own model of clocks against the clocks of the SLA monitor, which share no code."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import orjson
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.codec import encode
from schemas.codes import Moment
from schemas.events import (
    TicketAccepted,
    TicketAnswered,
    TicketAppealDecided,
    TicketAppealed,
    TicketApprovalRefused,
    TicketApprovalRequested,
    TicketApproved,
    TicketClosed,
    TicketCommandRefused,
    TicketCustomerAwaited,
    TicketEvent,
    TicketFirstActionTaken,
    TicketLinked,
    TicketReopened,
    TicketResolved,
    TicketResumed,
    TicketReturned,
    TicketReviewCompleted,
    TicketSeverityChanged,
    TicketSurveyExhausted,
    TicketSurveyRequested,
    TicketThirdPartyAwaited,
    TicketWithdrawn,
)
from schemas.notifications import NotificationDelivered
from services.service_levels.policy import parse_policy
from services.service_levels.rulebook import Policies
from services.sla_monitor.clocks import next_milestone
from tests.simulation.history import Recorded
from tests.simulation.oracle.clock_model import ClockModel
from tests.simulation.oracle.deadlines import differences
from tests.simulation.oracle.policy import POLICIES, Policy
from tests.simulation.oracle.reading import us, us_of
from tests.simulation.oracle.sla_facts import standing
from tests.unit.sla_monitor.conftest import STATES, Story
from tests.unit.sla_monitor.test_replay import END, every_fact, lived

DAY = 1440
STATES |= {TicketThirdPartyAwaited: "waiting_third_party"}
KINDS = st.sampled_from(
    [
        TicketFirstActionTaken,
        TicketAnswered,
        TicketCustomerAwaited,
        TicketThirdPartyAwaited,
        TicketResumed,
        TicketReviewCompleted,
        TicketSeverityChanged,
        TicketSeverityChanged,
        TicketResolved,
        TicketReopened,
        TicketWithdrawn,
        TicketCommandRefused,
        TicketClosed,
        TicketLinked,
        TicketReturned,
        TicketAccepted,
        TicketAppealed,
        TicketAppealDecided,
        TicketApprovalRequested,
        TicketApprovalRequested,
        TicketApprovalRefused,
        TicketApproved,
        TicketSurveyRequested,
        TicketSurveyExhausted,
        "classified",
        "assigned",
        "assigned",
        "shared",
        "shared",
        "shared",
        "responded",
        "responded",
        "received_delivered",
        "answered_delivered",
        "resolved_delivered",
    ],
)
SHARING = (("NET-0", "NET-1"), ("NET-1", "NET-2"), ("NET-0", "NET-1", "NET-2"), ("NET-3", "NET-0"))
GAPS = st.sampled_from([0.02, 0.3, 1, 4, 11, 60, 5 * 60, 18 * 60, 2 * DAY, 4 * DAY])
LAGS = st.sampled_from([0, 0, 0, 0, 1, 5, 60, 600])
"""Minutes between an event and its arrival."""
STEPS = st.lists(st.tuples(st.one_of(st.none(), GAPS), KINDS, st.integers(0, 3), LAGS), max_size=12)
OPENINGS = st.tuples(st.integers(1, 4), st.sampled_from(["centre", "hub", "outlet"]), st.booleans(), st.booleans())


@cache
def written(name: str) -> dict[str, Any]:
    """A policy of the package, with a list of holidays in place of a country's."""
    policy = yaml.safe_load((POLICIES / f"{name}.yaml").read_text(encoding="utf-8"))
    policy["calendars"] = yaml.safe_load((POLICIES / "calendars.yaml").read_text(encoding="utf-8"))
    for calendar in policy["calendars"].values():
        if calendar.pop("public_holidays", None):
            calendar["holidays"] = ["2026-11-25", "2026-12-07"]
    return policy  # type: ignore[no-any-return]


@cache
def rules(name: str) -> Policy:
    """The same for the judge."""
    return Policy(written(name))


@cache
def policies(name: str) -> Policies:
    """And for the SLA monitor."""
    return Policies([parse_policy(written(name))])


def happen(story: Story, at: float, kind: Any, n: int) -> None:
    """One thing of `KINDS`, at a minute."""
    calendar = ("hub", "centre", "outlet", "office")[n]
    if kind == "assigned":
        story.assigned(at, unit=f"HUB-0{n}", unit_calendar=calendar)
    elif kind == "classified":
        story.classified(at, severity=n + 1, needs_review=n == 0, major=n == 3)
    elif kind == "shared":
        story.shared(at, *SHARING[n], calendars=calendar, department=f"dep{n}")
    elif kind == "responded":
        story.responded(at, f"NET-{n}")
    elif isinstance(kind, str):
        story.delivered(at, Moment(kind.removesuffix("_delivered")))
    else:
        story.then(kind, at, **said(kind, at, n))


def said(kind: type[TicketEvent], at: float, n: int) -> dict[str, Any]:
    """What an event says beside what they all say."""
    moment = datetime(2026, 11, 23, 2, 0, tzinfo=UTC) + timedelta(minutes=at)
    fields: dict[type[TicketEvent], dict[str, Any]] = {
        TicketSeverityChanged: {"before": 2, "severity": n + 1},
        TicketReopened: {"before": "resolved", "received_at": moment},
        TicketCommandRefused: {"command": "close", "why": "illegal_in_state"},
        TicketApproved: {"remaining": ["centre_manager"] if n else []},
        TicketAppealed: {"before": "resolved" if n else "answered"},
        TicketSurveyRequested: {"attempt": n + 1},
        TicketSurveyExhausted: {"attempts": n},
    }
    return fields.get(kind, {})


def arrivals_of(name: str, opening: tuple[int, str, bool, bool], steps: Sequence[Any], *, scale: float) -> list[Any]:
    """Events of one ticket, each with when it arrived; without a gap at the very instant of the next step."""
    story = Story(policies(name))
    severity, calendar, reviewed, major = opening
    story.opened()
    story.classified(severity=severity, needs_review=not reviewed, major=major)
    story.assigned(unit_calendar=calendar)
    received = story.events[0].occurred_at
    arrivals = [(received, event) for event in story.events]
    at = 0.0
    for gap, kind, n, lag in steps:
        step = next_milestone(story.sla)
        if gap is not None:
            at += gap * scale + 1 / 7 * scale
        elif step is not None:
            at = max(at, (step - received).total_seconds() / 60)
        happen(story, max(0.0, at - lag * scale), kind, n)
        arrivals.append((received + timedelta(minutes=at), story.events[-1]))
    return arrivals


def recorded(fact: Any) -> Recorded:
    """A fact as the broker has it."""
    bytes_ = encode(fact)
    return Recorded("sla-event", 0, 0, END, bytes_.key, bytes_.headers, bytes_.value)


def compared(name: str, arrivals: Sequence[Any]) -> list[str]:
    """What the SLA monitor told and took back, against what the judge says ought to stand."""
    told = [recorded(fact) for fact in every_fact(policies(name), *lived(policies(name), arrivals))]
    events = [e for _, e in arrivals if not isinstance(e, NotificationDelivered)]
    deliveries = [e for _, e in arrivals if isinstance(e, NotificationDelivered)]
    wanted = ClockModel(rules(name)).live(
        [(type(e).TYPE.rpartition(".")[2], orjson.loads(e.payload)) for e in events],
        [(us(orjson.loads(d.payload)["at"]), f"{d.moment}_delivered") for d in deliveries],
        us_of(END),
    )
    return [found.words for found in differences("t", wanted, standing(told), recent=us_of(END))]


@settings(max_examples=60, deadline=None)
@given(OPENINGS, STEPS)
def test_what_stands_over_days_is_what_the_rules_say(opening, steps):
    """With opening hours, pauses, new severities, late receipts and back-dated events."""
    assert compared("sla", arrivals_of("sla", opening, steps, scale=1)) == []


@settings(max_examples=60, deadline=None)
@given(OPENINGS, STEPS)
def test_what_stands_over_seconds_is_what_the_rules_say(opening, steps):
    """The same under the policy of seconds that simulations run with."""
    assert compared("demo", arrivals_of("demo", opening, steps, scale=1 / 60)) == []
