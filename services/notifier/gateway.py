"""What the notifier asks of a provider, and the answers there are. Gateways never raise for what a provider does."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from schemas.codes import DeliveryChannel, Language
from services.wording.templates import Rendered


@dataclass(frozen=True, slots=True)
class Envelope:
    """A message with its address. Lives in memory only."""

    notification_id: UUID
    """Goes with the message as the sender's own id, where the protocol has a place for one."""
    address: str
    """E.164 number or e-mail address."""
    rendered: Rendered
    language: Language


@dataclass(frozen=True, slots=True)
class Taken:
    """The provider has it."""

    provider_ids: tuple[str, ...] = ()
    """What it calls it, by which receipts name it: one for each segment, or for all that it has joined."""
    arrived: bool = False
    """Whether it is known to have arrived."""
    segments: int = 1
    """How many of it the provider has."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Never to this address, or never this text: another try would end the same."""

    why: str


@dataclass(frozen=True, slots=True)
class Later:
    """Not taken, for now."""

    why: str


@dataclass(frozen=True, slots=True)
class Unsure:
    """The connection broke when it may have been taken."""

    segments: int = 1
    """How many a provider knows that has taken all of it."""


Outcome = Taken | Refused | Later | Unsure


@dataclass(frozen=True, slots=True)
class NotTaken:
    """The provider was asked and does not know the message."""


@dataclass(frozen=True, slots=True)
class Unanswerable:
    """This provider cannot be asked."""


class LookupFailed(Exception):  # noqa: N818 - told of the question, which may be asked again
    """The provider can be asked, but did not answer."""


class Gateway(Protocol):
    """One provider of one channel."""

    @property
    def channel(self) -> DeliveryChannel:
        """Which way to the person it is."""

    async def send(self, envelopes: Sequence[Envelope]) -> list[Outcome]:
        """Hand messages over, and give what became of each. Returns within 10 s; safe to call from many tasks."""

    async def lookup(self, notification_id: UUID) -> Taken | NotTaken | Unanswerable:
        """Whether the provider has it.

        Raises:
            LookupFailed: it did not answer.
        """


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a provider says became of what it took."""

    provider_id: str
    arrived: bool


OnReceipt = Callable[[Receipt, Callable[[bool], None]], None]
"""Called with a receipt and what to call once it is stored (True) or is to come again (False): the provider hears that
we have it after that, not before. Must not block."""
