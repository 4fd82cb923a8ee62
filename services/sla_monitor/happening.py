"""What a ticket event says to the clocks: its names in policies, and what is so from then on. Pure."""

from typing import NamedTuple

from schemas.codes import Clock
from schemas.events import (
    TicketAnswered,
    TicketAppealed,
    TicketApprovalRefused,
    TicketApproved,
    TicketAssigned,
    TicketClassified,
    TicketEvent,
    TicketFollowedUp,
    TicketLiabilityShared,
    TicketOpened,
    TicketReopened,
    TicketReturned,
    TicketReviewCompleted,
    TicketSeverityChanged,
    TicketUnitResponded,
)
from schemas.lifecycle import SETTLED, WAITING
from services.service_levels.calendar import to_us
from services.service_levels.policy import Case, event_name
from services.service_levels.rulebook import Rulebook
from services.service_levels.ticket_sla import Known, Party, TicketSla


class Happening(NamedTuple):
    """A ticket event as the conditions of clocks see it."""

    at: int
    """Microseconds since 1970."""
    names: frozenset[str]
    """What it is called in policies, derived names included."""
    units: tuple[str, ...]
    """Whom it is about, when it names units; of clocks that run for each unit it moves only theirs."""
    starting: frozenset[Clock]
    """Clocks that it may start."""
    cancels_all: bool


def happening(event: TicketEvent, sla: TicketSla, book: Rulebook) -> Happening:
    """The next event of a ticket, of which `sla` knows everything before it, under the policy of its time."""
    names = {event_name(type(event))}
    needs_review, department = sla.needs_review, sla.known.department
    if isinstance(event, TicketAssigned):
        department = event.department
        moved = (event.department, event.unit) != (sla.known.department, sla.known.unit)
        if moved or "assigned" not in sla.times:
            names.add("assigned_to_unit")
    elif isinstance(event, TicketClassified):
        needs_review = event.classification.needs_review
    if department is not None and needs_review is False and not names.isdisjoint({"assigned", "classified"}):
        names.add("machine_review_done")
    if sla.is_waiting and event.state not in WAITING:
        names.add("waiting_over")
    if _ends_approval(event, sla):
        names.add("approval_over")
    return Happening(
        at=to_us(event.occurred_at),
        names=frozenset(names),
        units=_units(event),
        starting=frozenset(clock for name in names for clock in book.started_by.get(name, ())),
        cancels_all=not book.cancels.isdisjoint(names),
    )


def _ends_approval(event: TicketEvent, sla: TicketSla) -> bool:
    """Whether nobody is to approve anything any more: what was proposed does not outlive the state it was made in."""
    if isinstance(event, TicketApproved):
        return not event.remaining
    return isinstance(event, TicketApprovalRefused | TicketAnswered) or sla.state not in {None, event.state}


def _units(event: TicketEvent) -> tuple[str, ...]:
    if isinstance(event, TicketLiabilityShared):
        return tuple(share.unit for share in event.shares)
    return (event.unit,) if isinstance(event, TicketUnitResponded) else ()


def learn(sla: TicketSla, event: TicketEvent) -> None:
    """Note what is so from this event on."""
    at = to_us(event.occurred_at)
    sla.times[event_name(type(event))] = at
    sla.state = event.state
    match event:
        case TicketOpened():
            sla.times["received"] = to_us(event.received_at)
        case TicketClassified():
            sla.needs_review = event.classification.needs_review
        case TicketReviewCompleted():
            sla.needs_review = False
        case TicketReopened():
            # It begins anew: its receipt and opening are these, and the unit that has it is to be given it again.
            sla.times |= {"received": to_us(event.received_at), "opened": at}
            sla.times.pop("assigned", None)
            sla.needs_review = True
            sla.responded = frozenset()
        case TicketReturned():
            # Whoever gets it now is given it, also the unit that returned it.
            sla.times.pop("assigned", None)
            sla.needs_review = True
        case TicketLiabilityShared():
            sla.responded &= frozenset(share.unit for share in event.shares)
        case TicketUnitResponded():
            sla.responded |= {event.unit}
    known = _known_after(event, sla.known)
    if known[1:] != sla.known[1:] or not sla.history:
        sla.history.append(known._replace(at=sla.seen[-1][0]))


def _known_after(event: TicketEvent, known: Known) -> Known:  # noqa: PLR0911  # one per type of event
    case = known.case
    match event:
        case TicketOpened():
            opened = Case(
                channel=event.channel,
                source=event.source,
                customer_tier=event.customer_tier,
                region=event.region,
                reachable=bool(event.reachable_by),
            )
            return known._replace(case=opened)
        case TicketClassified(classification=said):
            primary, sub = said.primary.value, said.sub
            understood = case._replace(
                category=f"{primary}.{sub}" if sub else primary,
                severity=said.severity,
                risk=frozenset(said.flags),
                major=event.major,
            )
            return known._replace(case=understood)
        case TicketSeverityChanged():
            return known._replace(case=case._replace(severity=event.severity))
        case TicketFollowedUp():
            return known._replace(case=case._replace(risk=case.risk | frozenset(event.flags)))
        case TicketAssigned():
            return known._replace(
                department=event.department, unit=event.unit, person=event.person, calendar=event.unit_calendar
            )
        case TicketReopened() | TicketReturned():
            return known._replace(person=None)
        case TicketAppealed() if event.before in SETTLED:
            # Whoever had it gave it back when it was settled.
            return known._replace(person=None)
        case TicketLiabilityShared():
            parties = tuple(Party(share.unit, share.department, share.unit_calendar) for share in event.shares)
            return known._replace(parties=parties)
    return known
