"""What happens to a complaint between the request and the answer 202.

Order: check everything -> claim the idempotency key (durable) -> publish, acknowledged by the broker -> remember that
it was published, and whose its files are -> answer. A crash between any two of these leaves a state from which a retry
with the same key goes on and ends with one complaint.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple, Protocol
from uuid import UUID
from zoneinfo import ZoneInfo

from schemas.codes import Channel
from schemas.message import Message
from schemas.topics import COMPLAINT_SUBMITTED
from services.intake.coalescing import Coalescing
from services.intake.complaint import Circumstances, Complaint, check
from services.intake.identity import fresh_id
from services.intake.problems import Problem, problem
from services.intake.submission import submitted
from services.runtime.logging import get_logger
from services.runtime.producing import Outgoing
from services.runtime.sealing import Keyring

log = get_logger(__name__)

KEY_CHARACTERS_MAX: Final = 255


class Unavailable(Exception):  # noqa: N818  # said of a part
    """A part that is needed does not answer. Nothing was promised; the same request may be sent again."""


class Claim(NamedTuple):
    """What is kept about an idempotency key."""

    complaint_id: UUID
    fingerprint: str
    """Keyed digest of the content."""
    accepted_at: datetime


class IdempotencyStore(Protocol):
    """Durable claims."""

    async def claim(self, wanted: Sequence[Claim]) -> Sequence[Claim]:
        """For each wanted claim the one that holds: itself, or an earlier one of the same id.

        Raises:
            Unavailable: it is not known whether they were kept.
        """


class PublishedStore(Protocol):
    """What was published lately. It may forget at any time, and never raises."""

    async def get(self, ids: Sequence[UUID]) -> Mapping[UUID, str]:
        """Fingerprints of those that are known to be published."""

    async def add(self, claims: Sequence[Claim]) -> None:
        """Remember."""


class EvidenceIndex(Protocol):
    """Which evidence there is."""

    async def missing(self, ids: Collection[UUID]) -> set[UUID]:
        """Those that were never uploaded.

        Raises:
            Unavailable: nobody can tell now.
        """

    async def claim(self, ids: Collection[UUID], *, of: UUID) -> None:
        """Make some a complaint's, unless they are somebody's already.

        Raises:
            Unavailable: nobody knows whether they are.
        """


class Publisher(Protocol):
    """The way to the broker."""

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        """Returns when all are acknowledged.

        Raises:
            Unavailable: they are not.
        """


class Accepted(NamedTuple):
    """Answered with 202."""

    complaint_id: UUID
    channel: Channel
    ignored: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Refused:
    """Answered with 4xx."""

    kind: str
    """A key of `problems.TITLES`."""
    problems: tuple[Problem, ...]
    channel: Channel | None = None


class Ready(NamedTuple):
    """A complaint that is in order and has its identity."""

    complaint: Complaint
    complaint_id: UUID
    fingerprint: str | None
    """None when the caller named no key: then nobody can send it again."""
    ignored: tuple[str, ...]
    traceparent: str | None


class Intake:
    """Accepts complaints."""

    def __init__(
        self,
        *,
        keyring: Keyring,
        idempotency: IdempotencyStore,
        published: PublishedStore,
        evidence: EvidenceIndex,
        publisher: Publisher,
        zones: Mapping[Channel, ZoneInfo],
        now: Callable[[], datetime],
    ) -> None:
        self._keyring = keyring
        self._idempotency = idempotency
        self._published = published
        self._evidence = evidence
        self._publisher = publisher
        self._zones = zones
        self._now = now
        self._keyed = Coalescing(self.accept)
        self._unkeyed = Coalescing(self.accept)

    async def submit(
        self, raw: Mapping[str, Any], *, key: str | None, traceparent: str | None = None
    ) -> Accepted | Refused:
        """Take one complaint; concurrent ones share the way to the database and the broker.

        Args:
            raw: plain values as `read_json` gives them.
            key: what the caller's `Idempotency-Key` says, if there is one.
            traceparent: the caller's trace.

        Raises:
            Unavailable: the database or the broker is away.
        """
        ready = await self.prepare(raw, key=key, traceparent=traceparent)
        if isinstance(ready, Refused):
            return ready
        return await (self._keyed if ready.fingerprint else self._unkeyed)(ready)

    async def prepare(
        self, raw: Mapping[str, Any], *, key: str | None, traceparent: str | None = None
    ) -> Ready | Refused:
        """Check one complaint and give it its identity.

        Raises:
            Unavailable: evidence is named, and the database is away.
        """
        checked = check(raw, Circumstances(self._now(), self._zones))
        problems = [*checked.problems, *_key_problems(key, raw.get("idempotency_key"))]
        if checked.evidence:
            missing = await self._evidence.missing(checked.evidence)
            problems += [
                problem(f"evidence.{place}", "evidence_unknown", value=str(one))
                for place, one in enumerate(checked.evidence)
                if one in missing
            ]
        complaint = checked.complaint
        if problems or complaint is None:
            return Refused("invalid-complaint", tuple(problems), complaint.channel if complaint else None)
        key = key or complaint.idempotency_key
        if key is None:
            ready = Ready(complaint, fresh_id(self._keyring), None, checked.ignored, traceparent)
        else:
            id_ = self._keyring.complaint_id(complaint.channel, key)
            fingerprint = self._keyring.blind("content", complaint.canonical().decode())
            ready = Ready(complaint, id_, fingerprint, checked.ignored, traceparent)
        return ready

    async def accept(self, ready: Sequence[Ready]) -> list[Accepted | Refused]:
        """Claim, publish and remember many at once. An id that occurs twice is published once.

        Raises:
            Unavailable: the database or the broker is away; any part may have been published.
        """
        held = await self._claims(ready)
        outgoing: dict[UUID, Outgoing] = {}
        new: list[Claim] = []
        outcomes: list[Accepted | Refused] = []
        for one, (claim, is_published) in zip(ready, held, strict=True):
            channel = one.complaint.channel
            if one.fingerprint is not None and claim.fingerprint != one.fingerprint:
                reused = problem("Idempotency-Key", "idempotency_key_reused")
                outcomes.append(Refused("idempotency-key-reused", (reused,), channel))
                continue
            outcomes.append(Accepted(one.complaint_id, channel, one.ignored))
            if is_published or one.complaint_id in outgoing:
                continue
            outgoing[one.complaint_id] = Outgoing(COMPLAINT_SUBMITTED, self._message(one, claim), one.traceparent)
            if one.fingerprint is not None:
                new.append(claim)
        if outgoing:
            await self._publisher.publish(list(outgoing.values()))
        if new:
            await self._published.add(new)
        await self._claim_files(one for one, said in zip(ready, outcomes, strict=True) if isinstance(said, Accepted))
        return outcomes

    async def _claim_files(self, accepted: Iterable[Ready]) -> None:
        """Make files those of the complaints that name them.

        Not before they are published: what was answered 503 may come again under another id. A database that is away
        now leaves a file that is nobody's, which is open to the complaint that names it.
        """
        named = [
            self._evidence.claim(one.complaint.evidence, of=one.complaint_id)
            for one in accepted
            if one.complaint.evidence
        ]
        for failure in await asyncio.gather(*named, return_exceptions=True):
            if isinstance(failure, Unavailable):
                log.warning("evidence.not_claimed", reason=str(failure))
            elif failure is not None:
                raise failure

    async def _claims(self, ready: Sequence[Ready]) -> list[tuple[Claim, bool]]:
        """The claim that holds for each, and whether its complaint is known to be published."""
        now = self._now()
        wanted = [Claim(one.complaint_id, one.fingerprint or "", now) for one in ready]
        keyed = [claim for claim in wanted if claim.fingerprint]
        if not keyed:
            return [(claim, False) for claim in wanted]
        held = {claim.complaint_id: claim for claim in await self._idempotency.claim(keyed)}
        # Most claims are new. Only of an earlier one may anybody know that its complaint was published.
        earlier = [claim.complaint_id for claim in keyed if held[claim.complaint_id] is not claim]
        published = await self._published.get(earlier) if earlier else {}
        return [(held.get(claim.complaint_id, claim), claim.complaint_id in published) for claim in wanted]

    def _message(self, one: Ready, claim: Claim) -> Message:
        return submitted(
            one.complaint, complaint_id=one.complaint_id, keyring=self._keyring, accepted_at=claim.accepted_at
        )


def _key_problems(key: str | None, in_body: Any) -> list[Problem]:
    if key is None:
        return []
    if not (0 < len(key) <= KEY_CHARACTERS_MAX and key.isascii() and key.isprintable()):
        return [problem("Idempotency-Key", "idempotency_key_invalid", value=key)]
    if in_body is not None and str(in_body) != key:
        return [problem("Idempotency-Key", "idempotency_key_differs", value=key)]
    return []
