"""The intake, to which complaints that people type at the desk are submitted: as any other channel does, over HTTP."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

import httpx

from schemas.codes import Language
from services.runtime.logging import get_logger

log = get_logger(__name__)

NOT_HELD: Final = UUID(int=0)
"""Id of evidence that nobody has: a complaint that names it is refused with all that is wrong beside that."""
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
        answer = await self._post("/v1/complaints", headers, json=dict(complaint))
        if answer.status_code == httpx.codes.ACCEPTED:
            return Told(UUID(answer.json()["complaint_id"]))
        return Told(problems=_problems(answer))

    async def upload(self, content: bytes, *, language: Language) -> UUID | str:
        """See `uploading.Taker`. The content alone tells what kind of file it is."""
        headers = {"Content-Type": "application/octet-stream", "Accept-Language": language.value}
        answer = await self._post("/v1/evidence", headers, content=content)
        if answer.status_code == httpx.codes.CREATED:
            return UUID(answer.json()["id"])
        return " ".join(words for _, words in _problems(answer))

    async def resubmit(self, complaint: Mapping[str, Any], key: str, language: Language) -> Told | None:
        """The same of one that was refused before; None while the intake is away."""
        try:
            return await self.submit(complaint, key=key, language=language)
        except IntakeAway:
            return None

    async def number(self, complaint_id: UUID) -> str | None:
        """The ticket number that a complaint has led to; None: not yet, or the intake does not say."""
        try:
            answer = await self._client.get(f"/v1/complaints/{complaint_id}", headers={"Prefer": "wait=2"})
        except httpx.HTTPError:
            return None
        return answer.json().get("ticket_number") if answer.status_code == httpx.codes.OK else None

    async def _post(self, path: str, headers: Mapping[str, str], **more: Any) -> httpx.Response:
        """What was accepted, or refused for what it is.

        Raises:
            IntakeAway: neither.
        """
        try:
            answer = await self._client.post(path, headers=headers, **more)
        except httpx.HTTPError as error:
            log.warning("intake.away", error=type(error).__name__)
            raise IntakeAway from error
        if not answer.is_success and answer.status_code not in _PROBLEMS:
            log.warning("intake.away", status=answer.status_code)
            raise IntakeAway
        return answer


def _problems(answer: httpx.Response) -> list[tuple[str, str]]:
    """All that is wrong, at least one; of files that were refused before it is known already."""
    told = answer.json()
    errors = [
        (str(one["field"]), f"{one['problem']} {one.get('todo', '')}".strip())
        for one in told.get("errors", ())
        if one.get("value") != str(NOT_HELD)
    ]
    return errors if told.get("errors") else [("", str(told.get("detail") or told.get("title") or ""))]
