"""What the router itself asks of a ticket when time has passed, and when. Pure.

An answer that nobody objects to settles the matter, a settled one is asked about and in the end closed. The step stands
in the ticket's document; whichever router has partition 0 asks for what is due, as a command like any other.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from schemas import lifecycle
from schemas.codes import TicketState
from schemas.commands import Action, Close, RequestSurvey, Resolve
from schemas.ticket import Ticket
from services.organisation.handling import HandlingPolicy

S = TicketState

ACTIONS: Final[dict[str, Action]] = {
    "resolve": Resolve(outcome="not_disputed"),
    "request_survey": RequestSurvey(),
    "close": Close(),
}


class Step(NamedTuple):
    """What is to be asked of a ticket."""

    at: datetime
    command: str
    """A key of `ACTIONS`."""


def next_step(ticket: Ticket, policy: HandlingPolicy) -> Step | None:
    """The next thing that time alone brings about, when it is not to be before the ticket's last event."""
    step = min(_steps(ticket, policy), default=None)
    return step and step._replace(at=max(step.at, ticket.updated_at))


def appeal_until(ticket: Ticket, policy: HandlingPolicy) -> datetime | None:
    """The last instant at which the complainant may appeal; None: there is nothing, or nothing more, to appeal against.

    It is shown to the complainant. Whether an appeal came in time is decided by the policy in force when it comes.
    """
    if ticket.state not in lifecycle.LEGAL["appeal"] or ticket.appeals >= policy.appeals_max:
        return None
    return (ticket.state_since or ticket.opened_at) + policy.appeal_window


def _steps(ticket: Ticket, policy: HandlingPolicy) -> Iterator[Step]:
    since, survey = ticket.state_since or ticket.opened_at, policy.survey
    if ticket.state is S.ANSWERED and ticket.approval is None:
        yield Step(since + policy.appeal_window, "resolve")
    if ticket.state in (S.RESOLVED, S.APPEAL_DECIDED):
        yield Step(since + timedelta(days=policy.close_days), "close")
        is_reachable = any((ticket.masked.phone, ticket.masked.email, ticket.masked.wechat))
        if is_reachable and survey.attempts and not (ticket.survey_over or ticket.surveys_stopped):
            asked = timedelta(hours=survey.after_hours + ticket.surveys * survey.every_hours)
            yield Step(since + asked, "request_survey")
