"""What sending needs of the outside, as the parts of the notifier share it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol
from uuid import UUID

from schemas.codes import DeliveryChannel
from schemas.complaint import Contact
from services.notifier.gateway import Gateway
from services.notifier.moments import Standing
from services.notifier.notification_store import NotificationStore
from services.notifier.policy import NotificationPolicy
from services.notifier.schedule.now import Now
from services.notifier.templates import Templates
from services.runtime.deadlines import Deadline
from services.runtime.metrics import NotifierMetrics
from services.runtime.producing import Outgoing, partition_for

SERVICE: Final = "notifier"


class ContactStore(Protocol):
    """Where people's numbers and addresses are."""

    async def load(self, refs: Iterable[UUID]) -> dict[UUID, Contact]:
        """Those that are known."""


class Tickets(Protocol):
    """Where tickets stand now, for messages that had to wait."""

    async def standing(self, tickets: Iterable[UUID]) -> dict[UUID, Standing]:
        """Those that are known."""


class Publisher(Protocol):
    """Where events go."""

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        """Return when the broker has all of them."""


class Alarm(Protocol):
    """What wakes us."""

    async def arm(self, deadlines: Sequence[Deadline]) -> None:
        """Arm, or move."""


@dataclass(frozen=True, slots=True)
class Means:
    """What sending needs."""

    store: NotificationStore
    contacts: ContactStore
    tickets: Tickets
    gateways: Mapping[DeliveryChannel, Gateway]
    templates: Templates
    policy: NotificationPolicy
    publisher: Publisher
    alarm: Alarm
    metrics: NotifierMetrics
    blind: Callable[[str, str], str]
    """Keyed digest of a number or address."""
    now: Now
    owner: str
    """Name of this process, of no other and of none before it."""
    partitions: int


def shard_of(routing_key: str, partitions: int) -> str:
    """Whose it is."""
    return f"{SERVICE}:{partition_for(routing_key, partitions)}"
