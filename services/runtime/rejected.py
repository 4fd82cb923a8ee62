"""A refused complaint as the collection `rejected` keeps it, for all who read or write there."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from schemas.sealed import Sealed

COLLECTION: Final = "rejected"


@dataclass(frozen=True, slots=True)
class Rejected:
    """One refused complaint. Reasons are in the clear and carry no values; the body is sealed about `rejected_id`."""

    rejected_id: UUID
    at: datetime
    route: str
    channel: str | None
    kind: str
    reasons: tuple[tuple[str, str], ...]
    """(field, code) of every problem."""
    body: Sealed
    """What was sent, cut off after `rejected_bytes_max`."""
    body_bytes: int
    """How long it was."""
    complaint_id: UUID | None = None
    """What became of it, once somebody submitted it again."""


def document_of(one: Rejected) -> dict[str, Any]:
    """What is stored of a fresh one."""
    return {
        "_id": str(one.rejected_id),
        "at": one.at,
        "route": one.route,
        "channel": one.channel,
        "kind": one.kind,
        "reasons": [{"field": name, "code": code} for name, code in one.reasons],
        "body": one.body.model_dump(),
        "body_bytes": one.body_bytes,
    }


def rejected_of(document: Mapping[str, Any]) -> Rejected:
    """What was stored."""
    complaint = document.get("complaint_id")
    return Rejected(
        rejected_id=UUID(document["_id"]),
        at=document["at"].astimezone(UTC),
        route=document["route"],
        channel=document["channel"],
        kind=document["kind"],
        reasons=tuple((reason["field"], reason["code"]) for reason in document["reasons"]),
        body=Sealed.model_validate(document["body"]),
        body_bytes=document["body_bytes"],
        complaint_id=UUID(complaint) if complaint else None,
    )
