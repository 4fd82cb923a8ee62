"""The intake, to which complaints that people type at the desk are submitted: as any other channel does, over HTTP."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

import httpx

from schemas.codes import Language
from services.runtime.logging import get_logger

log = get_logger(__name__)

_PROBLEMS: Final = frozenset({400, 409, 413, 415, 422})


class IntakeAway(Exception):  # noqa: N818  # said of the intake
    """It does not answer, or cannot take anything just now; nothing was promised."""


@dataclass(frozen=True, slots=True)
class Told:
    """What the intake said to one complaint: an id, or everything that is wrong as (field, words)."""

    complaint_id: UUID | None = None
    problems: list[tuple[str, str]] = field(default_factory=list)


class IntakeGateway:
    """Submits complaints and asks what became of them."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        """`client` has the intake's address as its base and a timeout."""
        self._client = client

    async def submit(self, complaint: Mapping[str, Any], *, key: str, language: Language) -> Told:
        """Submit one; the same key again is the same complaint.

        Raises:
            IntakeAway: nothing was promised.
        """
        headers = {"Idempotency-Key": key, "Accept-Language": language.value}
        try:
            answer = await self._client.post("/v1/complaints", json=dict(complaint), headers=headers)
        except httpx.HTTPError as error:
            log.warning("intake.away", error=type(error).__name__)
            raise IntakeAway from error
        if answer.status_code == httpx.codes.ACCEPTED:
            return Told(UUID(answer.json()["complaint_id"]))
        if answer.status_code not in _PROBLEMS:
            log.warning("intake.away", status=answer.status_code)
            raise IntakeAway
        told = answer.json()
        errors = [
            (str(one["field"]), f"{one['problem']} {one.get('todo', '')}".strip()) for one in told.get("errors", ())
        ]
        return Told(problems=errors or [("", str(told.get("detail") or told.get("title") or ""))])

    async def number(self, complaint_id: UUID) -> str | None:
        """The ticket number that a complaint has led to; None: not yet, or the intake does not say."""
        try:
            answer = await self._client.get(f"/v1/complaints/{complaint_id}", headers={"Prefer": "wait=2"})
        except httpx.HTTPError:
            return None
        return answer.json().get("ticket_number") if answer.status_code == httpx.codes.OK else None
