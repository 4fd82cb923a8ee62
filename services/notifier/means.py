"""What sending needs of the outside, as the parts of the notifier share it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol
from uuid import UUID

from schemas.codes import DeliveryChannel
from schemas.complaint import Contact
from services.notifier.gateway import Gateway
from services.notifier.notification_store import NotificationStore
from services.notifier.policy import NotificationPolicy
from services.notifier.schedule.now import Now
from services.notifier.standing import Standing
from services.runtime.deadlines import Deadline
from services.runtime.metrics import NotifierMetrics
from services.runtime.private_link import PrivateLinks
from services.runtime.producing import Outgoing, partition_for
from services.wording.in_force import Wordings

SERVICE: Final = "notifier"


class ContactStore(Protocol):
    """Where people's numbers and addresses are."""

    async def load(self, refs: Iterable[UUID]) -> dict[UUID, Contact]:
        """Those that are known."""


class Tickets(Protocol):
    """Where tickets stand now, for messages that had to wait."""

    async def standing(self, tickets: Iterable[UUID]) -> dict[UUID, Standing]:
        """Those that are known."""


class Notes(Protocol):
    """What people wrote for complainants."""

    async def words(self, wanted: Iterable[tuple[UUID, UUID]]) -> dict[UUID, str]:
        """Of (note, ticket), those that are there."""


class OptOuts(Protocol):
    """Who does not want to be asked how it was."""

    async def opted_out(self, refs: Iterable[UUID]) -> set[UUID]:
        """Those of the contacts."""


class Links(Protocol):
    """Whose private links were revoked."""

    async def generations(self, tickets: Iterable[UUID]) -> dict[UUID, int]:
        """The generation of links by ticket, where it is not 0."""


class Publisher(Protocol):
    """Where events go."""

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        """Return when the broker has all of them."""


class Alarm(Protocol):
    """What wakes us."""

    async def arm(self, deadlines: Sequence[Deadline]) -> None:
        """Arm, or move."""


@dataclass(frozen=True, slots=True)
class Portal:
    """The complainant's own pages."""

    url: str
    links: PrivateLinks
    revocations: Links


@dataclass(frozen=True, slots=True)
class Means:
    """What sending needs."""

    store: NotificationStore
    contacts: ContactStore
    tickets: Tickets
    notes: Notes
    opt_outs: OptOuts
    portal: Portal | None
    """None: messages have no links."""
    gateways: Mapping[DeliveryChannel, Gateway]
    wordings: Wordings
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
