"""What a command makes the complainant read, on every way by which the notifier would try it. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from schemas import commands as c
from schemas import events as e
from schemas.codes import Clock, DeliveryChannel, Language
from schemas.lifecycle import target
from schemas.message import Part
from schemas.ticket import Ticket, offer
from services.desk.clock_row import ClockRow
from services.runtime import private_link
from services.wording import channels
from services.wording.occasions import money
from services.wording.preview import preview
from services.wording.sms_text import segments
from services.wording.templates import Templates

_SHOWN: Final = frozenset({DeliveryChannel.SMS, DeliveryChannel.EMAIL})


class Told(StrEnum):
    """Whether the complainant is told of a command."""

    ALWAYS = "always"
    ONCE_APPROVED = "once_approved"
    """At once, unless somebody has to approve it first."""
    IF_MOVED = "if_moved"
    """Only where a promised time moves to a later one."""
    REOPENED = "reopened"
    """As soon as the new time is known."""
    IF_REOPENED = "if_reopened"
    """The same where a bad rating opens it again."""
    WITH_ANOTHER = "with_another"
    """As somebody who has complained again, of the other ticket."""
    NEVER = "never"


_TOLD: Final[Mapping[str, Told]] = MappingProxyType(
    {
        "answer": Told.ONCE_APPROVED,
        "decide_appeal": Told.ONCE_APPROVED,
        "approve": Told.ONCE_APPROVED,
        "accept": Told.ALWAYS,
        "resolve": Told.ALWAYS,
        "appeal": Told.ALWAYS,
        "apologise": Told.ALWAYS,
        "request_survey": Told.ALWAYS,
        "wait_for_customer": Told.ALWAYS,
        "link_as_repeat": Told.WITH_ANOTHER,
        "reopen": Told.REOPENED,
        "record_survey": Told.IF_REOPENED,
        "resume": Told.IF_MOVED,
        "change_severity": Told.IF_MOVED,
        "complete_review": Told.IF_MOVED,
    }
)


@dataclass(frozen=True, slots=True)
class Shown:
    """One message."""

    channel: DeliveryChannel
    text: str
    subject: str = ""
    parts: int = 0
    """Of an SMS."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A message by each way, that which is tried first at the front; none: there is no way to this person."""

    language: Language
    messages: tuple[Shown, ...]


def told(name: str) -> Told:
    """Whether the complainant is told of a command of that name."""
    return _TOLD.get(name, Told.NEVER)


def as_told(action: Part, ticket: Ticket) -> Part:
    """The command whose message it is.

    Approving sends what was proposed, an answer that stands what it offered, accepting an answer settles the matter.
    """
    proposal = ticket.approval
    match action:
        case c.Approve() if proposal is not None and proposal.command == "answer":
            return c.Answer(remedy=proposal.remedy, amount=proposal.amount)
        case c.Approve() if proposal is not None:
            return c.DecideAppeal(changed=bool(proposal.changed), remedy=proposal.remedy, amount=proposal.amount)
        case c.DecideAppeal():
            remedy, amount = offer(ticket, action)
            return action.model_copy(update={"remedy": remedy, "amount": amount})
        case c.Accept() if target(ticket.state, "accept") is not ticket.state:
            return c.Resolve(outcome="accepted")
    return action


def seen(
    templates: Templates,
    action: Part,
    *,
    ticket: Ticket,
    events: Sequence[e.TicketEvent],
    clocks: Sequence[ClockRow],
    words: str,
    portal: str,
    link: str,
    now: datetime,
) -> Seen | None:
    """What would be read; None: nobody is told.

    Args:
        templates: in force.
        action: of the command.
        ticket: as it is before.
        events: all of the ticket's.
        clocks: all cycles of the ticket's clocks.
        words: of the person who acts, for the complainant.
        portal: address of the complainants' pages; empty: messages have no links.
        link: what is shown in the place of the private link, which is its owner's alone.
        now: the time.
    """
    opened = events[0]
    assert isinstance(opened, e.TicketOpened)
    sample = private_link.sample(portal)
    messages = []
    for channel in channels.order(opened.channel, opened.masked, provided=_SHOWN):
        rendered = preview(
            templates,
            as_told(action, ticket),
            channel,
            number=ticket.number,
            language=ticket.language,
            time_zone=opened.time_zone,
            known={
                "resolve_by": _resolve_by(clocks, now),
                "amount": _amount(events),
                "attempt": ticket.surveys + 1,
            },
            words=words,
            link=sample,
        )
        if rendered is None:
            return None
        parts = len(segments(rendered.text, reference=0)) if channel is DeliveryChannel.SMS else 0
        text = rendered.text.replace(sample, link) if sample else rendered.text
        messages.append(Shown(channel, text, rendered.subject, parts))
    return Seen(ticket.language, tuple(messages))


def _resolve_by(clocks: Sequence[ClockRow], now: datetime) -> datetime | None:
    cycles = {one.cycle: one.due_at for one in clocks if one.clock is Clock.RESOLUTION}
    due_at = cycles[max(cycles)] if cycles else None
    return due_at if due_at and due_at > now else None


def _amount(events: Sequence[e.TicketEvent]) -> str:
    """What was offered or decided last, since it was opened anew."""
    amount = ""
    for event in events:
        if isinstance(event, e.TicketAnswered | e.TicketAppealDecided):
            amount = money(event.amount)
        elif isinstance(event, e.TicketReopened):
            amount = ""
    return amount
