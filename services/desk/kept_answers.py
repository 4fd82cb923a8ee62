"""Answers that are kept for a while for all who ask: however many look at once, the database is asked once."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class KeptAnswers(Generic[K, T]):
    """One answer for each question; the questions are few."""

    def __init__(self, find: Callable[[K], Awaitable[T]], *, kept_s: float, ticks: Callable[[], float]) -> None:
        """`ticks` gives seconds since any moment."""
        self._find = find
        self._kept_s = kept_s
        self._ticks = ticks
        self._known: dict[K, tuple[float, T]] = {}
        self._finding = asyncio.Lock()

    async def get(self, asked: K) -> T:
        """The answer, found within the last `kept_s` seconds."""
        async with self._finding:
            if asked not in self._known or self._ticks() - self._known[asked][0] >= self._kept_s:
                answer = await self._find(asked)
                self._known[asked] = self._ticks(), answer
            return self._known[asked][1]
