"""Rows and events as the desk's API tells them. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from schemas.codes import ClockState
from schemas.events import TicketEvent
from services.desk.queue import Scope
from services.desk.row import OPEN_STATES, Row

_NEVER_TOLD: Final = frozenset({"routing_key", "contact_index"})
"""Digests: of no use to people, and nothing that leaves the service."""
_OF_COMPLAINANT: Final = frozenset({"masked", "contact_ref"})


def row_told(row: Row, scope: Scope) -> dict[str, Any]:
    """A row as it is listed; who may not see the complainant is not told the masked contact."""
    due = row.next_due
    return {
        "id": str(row.id),
        "number": row.number,
        "version": row.version,
        "state": row.state,
        "is_open": row.is_open,
        "channel": row.channel,
        "source": row.source,
        "language": row.language,
        "received_at": row.received_at,
        "opened_at": row.opened_at,
        "updated_at": row.updated_at,
        **({"contact": row.masked.model_dump()} if scope.sees_complainant else {}),
        "role": row.role,
        "waybills": row.waybills,
        "places": row.places,
        "region": row.region,
        "product": row.product,
        "case_number": row.case_number,
        "category": row.category,
        "sub": row.sub,
        "confidence": row.confidence,
        "needs_review": row.needs_review,
        "demand": row.demand,
        "severity": int(row.severity),
        "flags": row.flags,
        "major": row.major,
        "department": row.department,
        "unit": row.unit,
        "shared_units": row.shared_units,
        "person": row.person,
        "repeats": row.repeats,
        "next_due_at": due[0] if due else None,
        "next_due_clock": due[1] if due else None,
        "breached": row.breached,
        "clocks": clocks_told(row, only_open=True),
        "last_change": row.last_change,
        "messages": messages_told(row),
    }


def clocks_told(row: Row, *, only_open: bool) -> list[dict[str, Any]]:
    """Cycles of clocks, each with its state and what passed on it."""
    found = ((clock, clock.state(row.id), clock.holding(row.id)) for clock in row.clocks)
    return [
        {
            "clock": clock.clock,
            "cycle": clock.cycle,
            "state": state,
            "due_at": clock.due_at,
            "is_paused": clock.is_paused and state in OPEN_STATES,
            "is_breached": state in {ClockState.BREACHED, ClockState.STOPPED_LATE},
            "target_s": clock.target_s,
            "policy": clock.policy,
            **({} if only_open else {"passed": [{"what": m.kind, "at": m.at, "detail": m.detail} for m in marks]}),
        }
        for clock, state, marks in found
        if state in OPEN_STATES or not only_open
    ]


def messages_told(row: Row) -> dict[str, str]:
    """How the latest message of each moment stands."""
    latest = sorted(row.messages, key=lambda message: (message.at, message.id))
    return {message.moment.value: message.result for message in latest}


def all_messages_told(row: Row, records: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Every message, the earliest first, with what was tried."""
    by_id = {record["id"]: record for record in records}
    return [
        {
            "id": str(message.id),
            "moment": message.moment,
            "result": message.result,
            "at": message.at,
            "channel": message.channel,
            "why": message.why,
            "attempts": by_id.get(str(message.id), {}).get("attempts", []),
        }
        for message in sorted(row.messages, key=lambda m: (m.at, m.id))
    ]


def event_told(event: TicketEvent, scope: Scope) -> dict[str, Any]:
    """An event of the trail."""
    hidden = _NEVER_TOLD if scope.sees_complainant else _NEVER_TOLD | _OF_COMPLAINANT
    fields = event.model_dump(mode="json", exclude=set(hidden))
    return {"type": event.TYPE.rpartition(".")[2], **fields}
