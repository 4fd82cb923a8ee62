"""Answers that are kept for a while for all who ask: however many look at once, the database is asked once."""

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Final, Generic, TypeVar

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")

KEPT_MAX: Final = 1_000
"""Questions; with more, those whose answers are old are forgotten."""


class KeptAnswers(Generic[K, T]):
    """One answer for each question. Who asks while it is being found waits for the same one."""

    def __init__(
        self, find: Callable[[K], Coroutine[Any, Any, T]], *, kept_s: float, ticks: Callable[[], float]
    ) -> None:
        """`ticks` gives seconds since any moment."""
        self._find = find
        self._kept_s = kept_s
        self._ticks = ticks
        self._known: dict[K, tuple[float, asyncio.Task[T]]] = {}

    async def get(self, asked: K) -> T:
        """The answer, asked for within the last `kept_s` seconds, or just being found."""
        known = self._known.get(asked)
        if known is None or not self._holds(*known):
            if len(self._known) >= KEPT_MAX:
                self._known = {question: kept for question, kept in self._known.items() if self._holds(*kept)}
            known = self._known[asked] = self._ticks(), asyncio.create_task(self._find(asked))
        # Who goes away takes the answer from nobody else.
        return await asyncio.shield(known[1])

    def _holds(self, asked_at: float, answer: asyncio.Task[T]) -> bool:
        if not answer.done():
            return True
        has_failed = answer.cancelled() or answer.exception() is not None
        return not has_failed and self._ticks() - asked_at < self._kept_s
