"""What a complaint that is nobody's repeat becomes: its ticket's first events. Pure."""

from functools import cache
from typing import Any, Final
from uuid import UUID

from schemas import ids
from schemas.classification import Classification, Extracted, Facts
from schemas.codes import ActorKind, Channel, DeliveryChannel, Role, SpecialIdentity, TicketState
from schemas.commands import FollowUp, TicketCommand
from schemas.complaint import ComplaintSubmitted, Wording
from schemas.events import TicketAssigned, TicketClassified, TicketEvent, TicketOpened
from schemas.message import Actor
from schemas.sealed import MaskedContact
from services.router.assignment import Subject
from services.router.deciding import Assignment, Unassignable

ROUTER: Final = Actor(kind=ActorKind.SYSTEM, id="router")


def opening(
    complaint: ComplaintSubmitted,
    *,
    number: str,
    said: Classification,
    major: bool,
    waybills: tuple[str, ...],
    places: tuple[str, ...],
    assignment: Assignment | Unassignable | None,
) -> list[TicketEvent]:
    """Opened, classified and, unless a person is to review it first, assigned.

    Args:
        complaint: as it was accepted.
        number: for people.
        said: what the classifier says.
        major: whether the stricter limits hold.
        waybills: given or found in the text.
        places: outlet and hub codes, given or found in the text.
        assignment: None when a person reviews first.
    """
    ticket = ids.ticket_id(complaint.complaint_id)
    first = TicketOpened(
        **_common(complaint, ticket, 1, "opened", TicketState.OPENED),
        complaint_id=complaint.complaint_id,
        number=number,
        channel=complaint.channel,
        source=complaint.source,
        language=complaint.language,
        received_at=complaint.received_at,
        contact_ref=ids.contact_ref(complaint.complaint_id),
        masked=complaint.masked,
        contact_index=complaint.contact_index,
        reachable_by=reachable_by(complaint.masked),
        role=complaint.role,
        special_identity=complaint.special_identity,
        customer_tier=complaint.customer_tier,
        region=complaint.region,
        time_zone=complaint.time_zone,
        waybills=waybills,
        places=places,
        product=complaint.product,
        case_number=complaint.case_number,
        evidence=complaint.evidence,
        declared_value=complaint.declared_value,
        insured=complaint.insured,
    )
    events: list[TicketEvent] = [
        first,
        TicketClassified(
            **_common(complaint, ticket, 2, "classified", TicketState.OPENED), classification=said, major=major
        ),
    ]
    if isinstance(assignment, Assignment):
        events.append(
            TicketAssigned(
                **_common(complaint, ticket, 3, "assigned", TicketState.INVESTIGATING),
                department=assignment.department,
                unit=assignment.unit,
                person=assignment.person,
                unit_calendar=assignment.unit_calendar,
                rule=assignment.rule,
                directory_version=assignment.directory_version,
            )
        )
    return events


def _common(
    complaint: ComplaintSubmitted, ticket: UUID, sequence: int, step: str, state: TicketState
) -> dict[str, Any]:
    return {
        "routing_key": complaint.routing_key,
        "event_id": ids.event_id(complaint.complaint_id, step),
        "ticket_id": ticket,
        "sequence": sequence,
        "causation_id": complaint.complaint_id,
        "occurred_at": complaint.submitted_at,
        "actor": ROUTER,
        "state": state,
    }


def reachable_by(masked: MaskedContact) -> tuple[DeliveryChannel, ...]:
    """Ways to reach a person of whom this is known."""
    ways = (
        (DeliveryChannel.SMS, masked.phone),
        (DeliveryChannel.EMAIL, masked.email),
        (DeliveryChannel.WECHAT, masked.wechat),
    )
    return tuple(channel for channel, known in ways if known)


def facts_of(complaint: ComplaintSubmitted, remedy: Extracted | None) -> Facts:
    """What the classifier may know beside the words.

    Args:
        complaint: as it was accepted.
        remedy: what the remedy sought names; the largest sum in it is the claim.
    """
    declared = complaint.declared_value
    if declared is None:
        return _facts_without_value(complaint.role, complaint.special_identity, complaint.channel)
    claimed = [a.value for a in remedy.amounts if a.currency == declared.currency] if remedy else []
    return Facts(
        declared_value=float(declared.amount),
        claimed_value=float(max(claimed)) if claimed else None,
        role=complaint.role,
        special_identity=complaint.special_identity,
        channel=complaint.channel,
    )


@cache
def _facts_without_value(role: Role | None, special_identity: SpecialIdentity | None, channel: Channel) -> Facts:
    return Facts(role=role, special_identity=special_identity, channel=channel)


def subject_of(complaint: ComplaintSubmitted, said: Classification, places: tuple[str, ...]) -> Subject:
    """What the assignment table asks."""
    return Subject(
        category=said.primary,
        sub=said.sub,
        channel=complaint.channel,
        source=complaint.source,
        severity=said.severity,
        flags=said.flags,
        places=places,
        region=complaint.region,
    )


def follow_up(
    complaint: ComplaintSubmitted,
    *,
    ticket_id: UUID,
    routing_key: str,
    opened_by: UUID,
    matched_by: str,
    said: Classification,
) -> TicketCommand:
    """The command that a repeated complaint becomes; it travels with the key of the ticket that it repeats."""
    return TicketCommand(
        routing_key=routing_key,
        command_id=ids.command_id(complaint.complaint_id, "follow_up"),
        ticket_id=ticket_id,
        issued_at=complaint.submitted_at,
        actor=Actor(kind=ActorKind.COMPLAINANT, via=complaint.channel),
        action=FollowUp(
            complaint_id=complaint.complaint_id,
            channel=complaint.channel,
            received_at=complaint.received_at,
            contact_ref=ids.contact_ref(complaint.complaint_id),
            masked=complaint.masked,
            flags=said.flags,
            matched_by=matched_by,
            opened_by=opened_by,
        ),
    )


def text_of(wording: Wording) -> str:
    """Everything that the person wrote, for finding numbers in it."""
    return "\n".join(part for part in (wording.subject, wording.description, wording.occurred_place) if part)
