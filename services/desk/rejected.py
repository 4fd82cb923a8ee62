"""Complaints that the intake refused: seen with what was wrong, opened with a reason, submitted again once mended."""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol
from uuid import UUID

from schemas.codes import Language
from schemas.sealed import Sealed
from services.desk.accounts import Wrong
from services.desk.audit import Entry
from services.desk.customer_request import reason_problems
from services.desk.refusal import Refusal
from services.desk.signing_in import Auditing
from services.runtime.rejected import Rejected

PAGE: Final = 50
RETRY_AFTER_S: Final = 5
_VALUE_CHARACTERS_MAX: Final = 100
_IMPERSONAL: Final = frozenset(
    {"channel", "source", "language", "waybills", "places", "product", "evidence", "insured", "declared_value"}
    | {"occurred_at", "submitted_at", "time_zone", "region"}
)
"""Fields of a complaint whose values tell nothing of a person, beside those that are not part of a complaint at all."""


class Store(Protocol):
    """See `refused_store.py`."""

    async def page(self, *, before: str | None, count_max: int) -> list[Rejected]:
        """The latest first."""

    async def get(self, rejected_id: UUID) -> Rejected | None:
        """One."""

    async def submitted(self, rejected_id: UUID, complaint_id: UUID, at: datetime) -> None:
        """It was submitted again, as this complaint."""


class Told(Protocol):
    """What the intake said."""

    @property
    def complaint_id(self) -> UUID | None:
        """When it was taken."""

    @property
    def problems(self) -> list[tuple[str, str]]:
        """(field, words) otherwise."""


@dataclass(frozen=True, kw_only=True)
class RejectedComplaints:
    """What people may do about them."""

    store: Store
    auditing: Auditing
    open_sealed: Callable[[Sealed, UUID], bytes | None]
    """What was sent; None when its key is gone."""
    submit: Callable[[Mapping[str, Any], str, Language], Awaitable[Told | None]]
    """Submits a complaint under a key; None while the intake is away."""
    now: Callable[[], datetime]

    async def page(self, before: str | None) -> tuple[list[Rejected], str | None]:
        """The latest first, and where the next page begins."""
        found = await self.store.page(before=before, count_max=PAGE)
        return found, place_of(found[-1]) if len(found) == PAGE else None

    async def get(self, rejected_id: str) -> Rejected:
        """One.

        Raises:
            Refusal: `no-such-rejected`.
        """
        try:
            found = await self.store.get(UUID(rejected_id))
        except ValueError:
            found = None
        if found is None:
            raise Refusal("no-such-rejected")
        return found

    def problems(self, one: Rejected) -> list[dict[str, Any]]:
        """`{field, code, value}` of each; a value only of what can be no personal data."""
        sent = self._body(one)
        return [{"field": name, "code": code, "value": value_at(sent, name)} for name, code in one.reasons]

    async def open(self, rejected_id: str, *, reason: str, entry: Callable[..., Entry]) -> str:
        """What was sent, as text; audited, since it may be personal.

        Raises:
            Refusal: `no-such-rejected`; `wrong-fields` without a reason; `sealed-for-ever` when its key is gone.
        """
        one = await self.get(rejected_id)
        if problems := reason_problems(reason):
            raise Refusal("wrong-fields", problems=problems)
        await self.auditing.add(entry("replay_rejected", about=f"open {one.rejected_id}", reason=reason.strip()))
        opened = self.open_sealed(one.body, one.rejected_id)
        if opened is None:
            raise Refusal("sealed-for-ever")
        return _readable(opened)

    async def replay(self, rejected_id: str, mended: Any, *, language: Language, entry: Callable[..., Entry]) -> UUID:
        """Submit it again: as it was (None), or as somebody mended it. However often, it becomes one complaint.

        Raises:
            Refusal: `no-such-rejected`, `sealed-for-ever`, `intake-away`; `wrong-fields` with what the intake says.
        """
        one = await self.get(rejected_id)
        if one.complaint_id is not None:
            return one.complaint_id
        content = self._body(one) if mended is None else mended
        if not isinstance(content, dict):
            raise Refusal("wrong-fields", problems=[Wrong("body", "body_not_json", None)])
        await self.auditing.add(entry("replay_rejected", about=f"submit {one.rejected_id}"))
        told = await self.submit(content, f"rejected-{one.rejected_id}", language)
        if told is None:
            raise Refusal("intake-away", retry_after_s=RETRY_AFTER_S)
        if told.complaint_id is None:
            raise Refusal("wrong-fields", problems=_said(told.problems))
        await self.store.submitted(one.rejected_id, told.complaint_id, self.now())
        return told.complaint_id

    def _body(self, one: Rejected) -> Any:
        opened = self.open_sealed(one.body, one.rejected_id)
        return None if opened is None else parsed(opened.decode("utf-8", "replace"))


def place_of(one: Rejected) -> str:
    """Where a page ends that ends with it."""
    return f"{int(one.at.timestamp() * 1000)}~{one.rejected_id}"


def value_at(sent: Any, name: str) -> str | None:
    """The value of a field of a complaint, e.g. `waybills.2`, unless it may be about a person or is not there."""
    steps = name.split(".")
    if steps[0] not in _IMPERSONAL:
        return None
    for step in steps:
        if isinstance(sent, dict):
            sent = sent.get(step)
        elif isinstance(sent, list) and step.isdecimal() and int(step) < len(sent):
            sent = sent[int(step)]
        else:
            return None
    return str(sent)[:_VALUE_CHARACTERS_MAX] if isinstance(sent, str | int | float) else None


def _said(problems: Sequence[tuple[str, str]]) -> list[Wrong]:
    return [Wrong(name or "body", "intake_said", None, {"words": words}) for name, words in problems]


def parsed(text: str) -> Any:
    """What JSON says; None when it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _readable(opened: bytes) -> str:
    text = opened.decode("utf-8", "backslashreplace")
    content = parsed(text)
    return json.dumps(content, ensure_ascii=False, indent=2) if isinstance(content, dict) else text
