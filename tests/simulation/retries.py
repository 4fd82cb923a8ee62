"""`stamina.retry_context` as the services use it, at a tenth of its cost: attempts that grow apart."""

import asyncio
import random
from collections.abc import Callable
from types import TracebackType
from typing import Self

On = type[BaseException] | tuple[type[BaseException], ...] | Callable[[Exception], bool]


class Retries:
    """Iterate over it asynchronously, and do in each attempt what may fail."""

    def __init__(
        self,
        *,
        on: On,
        attempts: int | None = 10,
        timeout: float | None = 45.0,
        wait_initial: float = 0.1,
        wait_max: float = 5.0,
        wait_jitter: float = 1.0,
    ) -> None:
        """See stamina. No `timeout` but None is used."""
        assert timeout is None
        self._on = on
        self._attempts = attempts
        self._waits = (wait_initial, wait_max, wait_jitter)
        self._number = 0
        self._last: Attempt | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> "Attempt":
        if self._last is not None:
            if not self._last.has_failed:
                raise StopAsyncIteration
            initial, most, jitter = self._waits
            await asyncio.sleep(min(initial * 2.0 ** (self._number - 1) + random.uniform(0, jitter), most))
        self._number += 1
        self._last = Attempt(self._on, is_last=self._number == self._attempts)
        return self._last


class Attempt:
    """One of them. An error of the kind that is tried again ends here, unless no attempt is left."""

    def __init__(self, on: On, *, is_last: bool) -> None:
        self._on = on
        self._is_last = is_last
        self.has_failed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: TracebackType | None) -> bool:
        if error is None or self._is_last:
            return False
        if isinstance(self._on, type | tuple):
            self.has_failed = isinstance(error, self._on)
        else:
            self.has_failed = isinstance(error, Exception) and self._on(error)
        return self.has_failed
