"""The ways between a process and what it needs: they take time, and they break."""

import asyncio
import contextlib
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from tests.simulation.loop import VirtualLoop


class Mishap(StrEnum):
    """What may become of one request."""

    LOST = "lost"
    """It never arrives; the caller is told so late."""
    UNANSWERED = "unanswered"
    """It arrives; the caller is told the same."""
    LATE = "late"
    """The caller is told the same, and it arrives after that."""
    PARTIAL = "partial"
    """Some of it is done."""
    SLOW = "slow"
    """It is answered, but late."""


@dataclass(slots=True)
class Way:
    """To one part: a broker, a database, a provider.

    Attributes:
        away_until: Until then the part answers nobody.
        absences: When it answered nobody, from and until.
        mishaps: What is to become of the requests to come, by their number from now on; see `Fault`.
    """

    loop: VirtualLoop
    chance: random.Random
    latency_s: tuple[float, float]
    patience_s: float
    """After so long without an answer the caller gives up."""
    away_until: float = 0.0
    absences: list[tuple[float, float]] = field(default_factory=list)
    requests: int = 0
    mishaps: dict[int, Mishap] = field(default_factory=dict)

    @property
    def away(self) -> bool:
        """Whether the part answers nobody."""
        return self.loop.now < self.away_until

    def depart(self, for_s: float) -> None:
        """Let it be away."""
        self.away_until = max(self.away_until, self.loop.now + for_s)
        self.absences.append((self.loop.now, self.away_until))

    def heal(self) -> None:
        """Nothing goes wrong any more."""
        self.away_until = 0.0
        self.absences = [(begin, min(end, self.loop.now)) for begin, end in self.absences]
        self.mishaps.clear()

    def latency(self) -> float:
        """Of one request."""
        least, most = self.latency_s
        # Mostly near the least, seldom long.
        return least + (most - least) * self.chance.random() ** 4

    def expect(self, mishap: Mishap, *, after: int) -> None:
        """Let it happen to the request that comes after so many others."""
        number = self.requests + 1 + after
        while number in self.mishaps:
            number += 1
        self.mishaps[number] = mishap

    async def request(
        self,
        effects: Sequence[Callable[[], Any]],
        refusal: Callable[[], Exception],
        *,
        mishap: Mishap | None = None,
    ) -> None:
        """Have `effects` happen over there, and return when the answer is here; `mishap` is to become of it.

        Raises:
            Exception: `refusal()`, when there is no answer; any of the effects may have happened or may happen yet.
        """
        mishap = self.next_mishap() or mishap
        answer = self.loop.create_future()
        if mishap is None:
            self.loop.later(self.latency(), self._arrive, effects, refusal, answer)
        elif mishap is Mishap.SLOW:
            self.loop.later(self.chance.uniform(0.2, self.patience_s * 0.8), self._arrive, effects, refusal, answer)
        else:
            self.loop.later(self.patience_s, resolve, answer, refusal())
            self._happen_unseen(mishap, effects)
        await answer

    def _arrive(
        self,
        effects: Sequence[Callable[[], Any]],
        refusal: Callable[[], Exception],
        answer: "asyncio.Future[None]",
    ) -> None:
        if self.loop.now < self.away_until:
            self.loop.later(self.patience_s, resolve, answer, refusal())
            return
        try:
            for effect in effects:
                effect()
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller is told
            resolve(answer, error)
        else:
            resolve(answer, None)

    def next_mishap(self) -> Mishap | None:
        """What becomes of the request that begins now."""
        self.requests += 1
        return self.mishaps.pop(self.requests, None) if self.mishaps else None

    def _happen_quietly(self, effects: Sequence[Callable[[], Any]]) -> None:
        if self.away:
            return
        with contextlib.suppress(Exception):  # Nobody hears of it.
            for effect in effects:
                effect()

    def _happen_unseen(self, mishap: Mishap, effects: Sequence[Callable[[], Any]]) -> None:
        """What becomes of a request that gets no answer."""
        match mishap:
            case Mishap.UNANSWERED:
                self.loop.later(self.latency(), self._happen_quietly, effects)
            case Mishap.PARTIAL:
                some = [effect for effect in effects if self.chance.random() < 0.5]
                self.loop.later(self.latency(), self._happen_quietly, some)
            case Mishap.LATE:
                self.loop.later(self.patience_s + self.chance.uniform(0.01, 2.0), self._happen_quietly, effects)


def resolve(answer: "asyncio.Future[None]", error: Exception | None) -> None:
    """Answer, unless somebody has: the error, or that it is done."""
    if answer.done():
        return
    if error is None:
        answer.set_result(None)
    else:
        answer.set_exception(error)
