"""A provider of SMS or e-mail: what it took arrives, and receipts tell so, more or less."""

import asyncio
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import partial
from typing import Any
from uuid import UUID

from schemas.codes import DeliveryChannel
from services.notifier.gateway import (
    Envelope,
    Later,
    LookupFailed,
    NotTaken,
    OnReceipt,
    Outcome,
    Receipt,
    Refused,
    Taken,
    Unsure,
)
from tests.simulation.aims import Aims
from tests.simulation.history import Acknowledged, Arrived
from tests.simulation.loop import Process, VirtualLoop, current
from tests.simulation.network import Way

RECEIPT_AGAIN_S = 3.0
_NOBODY_LISTENS = 0.5
"""How often a provider that is away is seen to be: else it takes the connection and says nothing."""


class Whim(StrEnum):
    """What becomes of the next message or receipt."""

    REFUSES = "refuses"
    DELAYS = "delays"
    LOSES_RECEIPT = "loses receipt"
    DOUBLES_RECEIPT = "doubles receipt"
    FAILS = "does not arrive"


@dataclass(slots=True)
class _Account:
    process: Process
    on_receipt: OnReceipt


class Provider:
    """One channel's provider, which outlives all processes.

    Attributes:
        arrived: What customers received, in order.
        acknowledged: Receipts that need not be sent again, in order.
        whims: What becomes of the messages to come, each used up by one.
    """

    def __init__(self, loop: VirtualLoop, way: Way, channel: DeliveryChannel, *, receipts: bool) -> None:
        self.channel = channel
        self.way = way
        self.arrived: list[Arrived] = []
        self.acknowledged: list[Acknowledged] = []
        self.whims: list[Whim] = []
        self._loop = loop
        self._receipts = receipts
        self._taken: dict[UUID, str] = {}
        self._numbers = itertools.count(1)
        self._accounts: list[_Account] = []

    def connect(self, on_receipt: OnReceipt, aims: Aims) -> "Gateway":
        """The gateway of the process that calls."""
        process = current()
        assert process is not None
        account = _Account(process, on_receipt)
        self._accounts.append(account)
        process.on_death.append(partial(self._accounts.remove, account))
        return Gateway(self, aims)

    def take(self, envelope: Envelope) -> Outcome:
        """A message."""
        whim = self.whims.pop(0) if self.whims else None
        if whim is Whim.REFUSES:
            return Refused("unknown_address")
        if whim is Whim.DELAYS:
            return Later("throttled")
        number = f"{self.channel}-{next(self._numbers)}"
        self._taken[envelope.notification_id] = number
        arrives = whim is not Whim.FAILS
        if arrives:
            self.arrived.append(
                Arrived(
                    notification_id=str(envelope.notification_id),
                    channel=str(self.channel),
                    address=envelope.address,
                    text=envelope.rendered.text,
                    at=datetime.now(UTC),
                )
            )
        if self._receipts and whim is not Whim.LOSES_RECEIPT:
            for _ in range(2 if whim is Whim.DOUBLES_RECEIPT else 1):
                # Often at once, perhaps before whoever sent the message has heard that it is taken.
                after_s = 1.5 * self.way.chance.random() ** 4
                self._loop.later(after_s, self._tell, Receipt(number, arrives), envelope.notification_id)
        return Taken((number,))

    def find(self, notification_id: UUID) -> Taken | NotTaken:
        """Whether it has a message."""
        number = self._taken.get(notification_id)
        return Taken((number,)) if number else NotTaken()

    def _tell(self, receipt: Receipt, about: UUID) -> None:
        """Tell one of those who are connected, until somebody has it."""
        answered: list[bool] = []

        def answer(taken: bool) -> None:
            answered.append(taken)
            if taken:
                self.acknowledged.append(
                    Acknowledged(str(about), str(self.channel), receipt.arrived, datetime.now(UTC))
                )

        awake = [a for a in self._accounts if not a.process.frozen]
        if awake and not self.way.away:
            account = self.way.chance.choice(awake)
            account.process.call(account.on_receipt, receipt, answer)

        def look() -> None:
            if not any(answered):
                self._tell(receipt, about)

        self._loop.later(RECEIPT_AGAIN_S, look)


class Gateway:
    """See `services.notifier.gateway.Gateway`."""

    def __init__(self, provider: Provider, aims: Aims) -> None:
        self._provider = provider
        self._aims = aims

    @property
    def channel(self) -> DeliveryChannel:
        """See there."""
        return self._provider.channel

    async def start(self) -> None:
        """Connected as soon as there is a process."""

    async def stop(self) -> None:
        """See `start`."""

    async def send(self, envelopes: Sequence[Envelope]) -> list[Outcome]:
        """See there."""
        way = self._provider.way
        if way.away and way.chance.random() < _NOBODY_LISTENS:
            await asyncio.sleep(way.latency())
            return [Later("provider_unreachable")] * len(envelopes)
        outcomes: list[Outcome] = [Unsure()] * len(envelopes)

        def taker(place: int, envelope: Envelope) -> Callable[[], None]:
            return lambda: outcomes.__setitem__(place, self._provider.take(envelope))

        try:
            await way.request([taker(*pair) for pair in enumerate(envelopes)], ConnectionError)
        except ConnectionError:
            # What the provider thinks of them is known only over there.
            return [Unsure()] * len(envelopes)
        if self._aims.hits:
            await self._aims.reached(f"{self.channel}.send")
        return list(outcomes)

    async def lookup(self, notification_id: UUID) -> Taken | NotTaken:
        """See there."""
        found: list[Any] = []
        try:
            await self._provider.way.request(
                [lambda: found.append(self._provider.find(notification_id))], ConnectionError
            )
        except ConnectionError as error:
            raise LookupFailed from error
        assert isinstance(found[0], Taken | NotTaken)
        return found[0]
