"""What a simulated run leaves behind for its judge: everything that can be seen from outside, and nothing else."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import orjson

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Place = tuple[str, int, int]
"""Topic, partition and offset."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """A record as the broker has it. What is told by its bytes is read once, when it is first asked for."""

    topic: str
    partition: int
    offset: int
    at: datetime
    """When the broker took it."""
    key: bytes | None
    headers: list[tuple[str, bytes]]
    value: bytes | None
    _named: dict[str, str] | None = field(default=None, init=False, repr=False, compare=False)
    _payload: dict[str, Any] | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def place(self) -> Place:
        """Where it is."""
        return (self.topic, self.partition, self.offset)

    @property
    def named(self) -> dict[str, str]:
        """The headers by name; of one that comes twice the last."""
        if self._named is None:
            object.__setattr__(self, "_named", {name: v.decode("utf-8", "replace") for name, v in self.headers})
        assert self._named is not None
        return self._named

    @property
    def type(self) -> str:
        """`ce_type`, e.g. `amends.ticket.opened.v1`; empty where there is none."""
        return self.named.get("ce_type", "")

    @property
    def verb(self) -> str:
        """What happened, e.g. `opened`; empty where nothing says so."""
        return _verb(self.named.get("ce_type", ""))

    @property
    def id(self) -> str:
        """`ce_id`."""
        return self.named.get("ce_id", "")

    @property
    def subject(self) -> str:
        """`ce_subject`: the ticket, or the complaint before there is a ticket."""
        return self.named.get("ce_subject", "")

    @property
    def payload(self) -> dict[str, Any]:
        """The JSON object in it; empty where there is none."""
        if self._payload is None:
            try:
                read = orjson.loads(self.value or b"{}")
            except orjson.JSONDecodeError:
                read = {}
            object.__setattr__(self, "_payload", read if isinstance(read, dict) else {})
        assert self._payload is not None
        return self._payload


@lru_cache(maxsize=1024)
def _verb(type_: str) -> str:
    parts = type_.split(".")
    return parts[2] if len(parts) == 4 else ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a client was answered. A request that nobody answered is not listed."""

    key: str | None
    """`Idempotency-Key`."""
    body: dict[str, Any]
    """What the client sent."""
    status: int
    complaint_id: str | None
    at: datetime


@dataclass(frozen=True, slots=True)
class Arrived:
    """A message that a customer has."""

    notification_id: str
    channel: str
    """`sms` or `email`."""
    address: str
    text: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """A receipt that a provider need not send again: we took it."""

    notification_id: str
    channel: str
    arrived: bool
    at: datetime


@dataclass(slots=True)
class History:
    """One run."""

    records: list[Recorded] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    arrived: list[Arrived] = field(default_factory=list)
    acknowledged: list[Acknowledged] = field(default_factory=list)
    documents: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """Collections as they are at the end."""
    sla_policy: dict[str, Any] = field(default_factory=dict)
    """As it is written in YAML; `calendars` may be the mapping or the name of the file beside it."""
    began_at: datetime = EPOCH
    healed_at: datetime = EPOCH
    """When the last fault ended."""
    ended_at: datetime = EPOCH
    able: list[tuple[datetime, datetime]] = field(default_factory=list)
    """When broker and database could be reached, and an SLA worker lived and had taken over its partitions."""
    late_s_max: float = 1.5
    """Inside `able`, what is due is told this soon."""
    taken_over_s: float = 10.0
    """An event whose reader dies inside `able` is read by another so soon; a deadline does not wait for that."""
    sla_lives: list[tuple[datetime, datetime]] = field(default_factory=list)
    """When each SLA worker ran and could reach the broker: from its start or thaw to its death or freezing."""
    followed_s: float = 3.0
    """When none could for so long, nothing is told before what came meanwhile has been read."""
    poison: set[Place] = field(default_factory=set)
    """Records that were put there as garbage."""
    settled: bool = True
    """Whether the run ended because nothing was left to do."""
    personal: list[str] = field(default_factory=list)
    """Names, numbers and addresses that clients gave."""
    logs: list[str] = field(default_factory=list)
