"""Many callers, one call: what concurrent requests ask of a store or broker goes there together.

Nobody waits for company: a call starts at once while fewer than `calls_max` run, and the next takes whoever came
meanwhile.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class Coalescing(Generic[T, R]):
    """Turns a function of many into one that each caller calls for itself."""

    def __init__(
        self, call: Callable[[Sequence[T]], Awaitable[Sequence[R]]], *, batch_max: int = 500, calls_max: int = 4
    ) -> None:
        """What it works with.

        Args:
            call: gives one result per item, in order; what it raises is raised in every caller of the batch.
            batch_max: items of one call.
            calls_max: calls at one time.
        """
        self._call = call
        self._batch_max = batch_max
        self._calls_max = calls_max
        self._waiting: list[tuple[T, asyncio.Future[R]]] = []
        self._calls: set[asyncio.Task[None]] = set()

    async def __call__(self, item: T) -> R:
        """The result for one item."""
        answer: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, answer))
        if len(self._calls) < self._calls_max:
            task = asyncio.create_task(self._work())
            self._calls.add(task)
            task.add_done_callback(self._calls.discard)
        return await answer

    async def _work(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[: self._batch_max], self._waiting[self._batch_max :]
            batch = [(item, answer) for item, answer in batch if not answer.done()]
            if not batch:
                continue
            try:
                results = await self._call([item for item, _ in batch])
            except Exception as error:  # noqa: BLE001  # it is decided on by every caller
                for answer in _open(batch):
                    answer.set_exception(error)
            except BaseException:
                for answer in _open(batch):
                    answer.cancel()
                raise
            else:
                for (_, answer), result in zip(batch, results, strict=True):
                    if not answer.done():
                        answer.set_result(result)


def _open(batch: Sequence[tuple[T, asyncio.Future[R]]]) -> list[asyncio.Future[R]]:
    return [answer for _, answer in batch if not answer.done()]
