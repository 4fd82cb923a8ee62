"""The intake, over HTTP: the portal has no other way to bring a complaint in."""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import httpx

from schemas.codes import Language
from services.portal.handlers import Progress
from services.portal.uploads import Unavailable
from services.runtime.logging import get_logger

log = get_logger(__name__)

_RETRY_AFTER_S: Final = 5
_RETRY_AFTER_S_MAX: Final = 120
_REFUSED: Final = frozenset({400, 409, 413, 422})


class HttpIntake:
    """See `handlers.Intake` and `uploads.EvidenceTaker`."""

    def __init__(self, url: str, *, seconds_max: float, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._client = httpx.AsyncClient(base_url=url, timeout=seconds_max, transport=transport)

    async def start(self) -> None:
        """Nothing to do: it connects when it is first used."""

    async def stop(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def submit(
        self, body: Mapping[str, Any], *, key: str, language: Language
    ) -> UUID | Sequence[Mapping[str, Any]]:
        """`POST /v1/complaints`; see `handlers.Intake`."""
        answer = await self._ask("POST", "/v1/complaints", language, json=body, headers={"Idempotency-Key": key})
        return UUID(answer.json()["complaint_id"]) if answer.is_success else _errors(answer)

    async def upload(self, content: bytes, *, language: Language) -> UUID | str:
        """`POST /v1/evidence`; see `uploads.EvidenceTaker`. The content alone tells what kind of file it is."""
        headers = {"Content-Type": "application/octet-stream"}
        answer = await self._ask("POST", "/v1/evidence", language, content=content, headers=headers)
        if answer.is_success:
            return UUID(answer.json()["id"])
        return " ".join(f"{error.get('problem', '')} {error.get('todo', '')}".strip() for error in _errors(answer))

    async def progress(self, complaint_id: UUID, *, wait_s: float, language: Language) -> Progress | None:
        """`GET /v1/complaints/{id}`; see `handlers.Intake`."""
        headers = {"Prefer": f"wait={int(wait_s)}"} if wait_s else {}
        answer = await self._ask("GET", f"/v1/complaints/{complaint_id}", language, headers=headers)
        if answer.status_code == httpx.codes.NOT_FOUND:
            return None
        told = answer.raise_for_status().json()
        ticket_id = told.get("ticket_id")
        return Progress(told["ticket_number"], told["next"], UUID(ticket_id) if ticket_id else None)

    async def _ask(
        self, method: str, path: str, language: Language, *, headers: Mapping[str, str], **more: Any
    ) -> httpx.Response:
        try:
            answer = await self._client.request(
                method, path, headers={"Accept-Language": language.value, **headers}, **more
            )
        except httpx.HTTPError as error:
            log.warning("intake.away", error=type(error).__name__)
            raise Unavailable(_RETRY_AFTER_S) from error
        status = answer.status_code
        if answer.is_success or status in _REFUSED or status == httpx.codes.NOT_FOUND:
            return answer
        after = answer.headers.get("retry-after", "")
        raise Unavailable(min(int(after), _RETRY_AFTER_S_MAX) if after.isdecimal() else _RETRY_AFTER_S)


def _errors(answer: httpx.Response) -> Sequence[Mapping[str, Any]]:
    """Everything that is wrong; at least one."""
    told = answer.json()
    found: Sequence[Mapping[str, Any]] = told.get("errors") or [
        {"field": "", "problem": told.get("title", ""), "todo": told.get("detail", "")}
    ]
    return found
