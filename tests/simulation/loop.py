"""An event loop whose time is made up, and processes in it that can die or stand still at any step.

Every callback carries the process that scheduled it in its context. What belongs to no process is the world: it goes on
when processes die, as requests that have left a process do.
"""

import asyncio
import contextvars
import gc
import heapq
import warnings
from collections.abc import Callable, Coroutine
from typing import Any
from unittest import mock

_PROCESS: contextvars.ContextVar["Process | None"] = contextvars.ContextVar("process", default=None)


class Stuck(Exception):  # noqa: N818 - said of the simulation
    """Nothing will ever happen again."""


class Process:
    """One operating system process of the simulation.

    Attributes:
        name: Unique among all that ever lived, e.g. `router-1#3`.
        steps: Callbacks that have run.
        dies_at: The step before which it dies; None: it lives on.
        dead: It runs nothing any more.
        frozen: It runs nothing for now; what comes meanwhile waits.
    """

    def __init__(self, loop: "VirtualLoop", name: str) -> None:
        self.name = name
        self.steps = 0
        self.dies_at: int | None = None
        self.dead = False
        self.frozen = False
        self.on_death: list[Callable[[], None]] = []
        self.on_freeze: list[Callable[[], None]] = []
        self.on_thaw: list[Callable[[], None]] = []
        self._loop = loop
        self._held: list[asyncio.Handle] = []
        self._context = contextvars.copy_context()
        self._context.run(_PROCESS.set, self)

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run it as this process."""
        return self._loop.create_task(work, context=self._context)

    def call(self, callback: Callable[..., None], *args: Any) -> None:
        """Have it called as this process, soon."""
        self._loop.call_soon(callback, *args, context=self._context)

    def kill(self) -> None:
        """`kill -9`."""
        if self.dead:
            return
        self.dead = True
        self._held.clear()
        for callback in self.on_death:
            callback()

    def freeze(self) -> None:
        """SIGSTOP."""
        self.frozen = True
        for callback in self.on_freeze:
            callback()

    def thaw(self) -> None:
        """SIGCONT: everything that came meanwhile happens now."""
        self.frozen = False
        held, self._held = self._held, []
        if not self.dead:
            self._loop._ready.extend(held)  # type: ignore[attr-defined]
            for callback in self.on_thaw:
                callback()

    def may_run(self, handle: asyncio.Handle) -> bool:
        """Whether a callback of this process runs now; one that may not is kept or forgotten."""
        if self.dead:
            return False
        if self.frozen:
            self._held.append(handle)
            return False
        self.steps += 1
        if self.steps == self.dies_at:
            self.kill()
            return False
        return True


class VirtualLoop(asyncio.BaseEventLoop):
    """An event loop that never waits: when nothing is ready, it is later.

    Attributes:
        now: Seconds since the loop was made.
    """

    def __init__(self, on_time: Callable[[float], None]) -> None:
        """An idle loop.

        Args:
            on_time: told each time that it is later, before anything happens then.
        """
        super().__init__()
        self.now = 0.0
        self._on_time = on_time
        self._ended = False
        self._selector = _NoSelector()
        self.tasks: list[asyncio.Task[Any]] = []
        self.set_task_factory(self._keep)

    def time(self) -> float:
        """See `asyncio.AbstractEventLoop`."""
        return self.now

    def later(self, delay_s: float, callback: Callable[..., object], *args: Any) -> None:
        """As `call_later`, in the name of the world."""
        self.call_at(self.now + delay_s, callback, *args, context=WORLD)

    def world(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run it in the name of the world."""
        return self.create_task(work, context=WORLD.copy())

    def call_soon(self, callback: Any, *args: Any, context: Any = None) -> asyncio.Handle:
        """See `asyncio.AbstractEventLoop`."""
        if self._ended:
            return asyncio.Handle(callback, args, self, context)
        return super().call_soon(callback, *args, context=context)

    def end(self) -> None:
        """Leave everything where it stands. What is under way is thrown away, and whatever that does goes nowhere."""
        self._ended = True
        for task in self.tasks:
            task._log_destroy_pending = False  # type: ignore[attr-defined]
        self._ready.clear()  # type: ignore[attr-defined]
        self._scheduled.clear()  # type: ignore[attr-defined]
        with mock.patch("sys.unraisablehook", _ignore), warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # What was never awaited never will be.
            self.tasks.clear()
            gc.collect(0)
        self.close()

    def _keep(self, loop: asyncio.AbstractEventLoop, work: Any, **named: Any) -> asyncio.Task[Any]:
        # A task that only a dead process would wake is referred to by nobody; collected, it would run its `finally`.
        task = asyncio.Task(work, loop=loop, **named)
        self.tasks.append(task)
        return task

    def _run_once(self) -> None:
        ready, scheduled = self._ready, self._scheduled  # type: ignore[attr-defined]
        if not ready:
            while scheduled and scheduled[0]._cancelled:
                heapq.heappop(scheduled)._scheduled = False
            if not scheduled:
                raise Stuck
            when = scheduled[0]._when
            if when > self.now:
                self.now = when
                self._on_time(when)
        while scheduled and scheduled[0]._when <= self.now:
            handle = heapq.heappop(scheduled)
            handle._scheduled = False
            ready.append(handle)
        for _ in range(len(ready)):
            handle = ready.popleft()
            if handle._cancelled:
                continue
            process = handle._context.get(_PROCESS)
            if process is None or process.may_run(handle):
                handle._run()

    def _process_events(self, event_list: Any) -> None:
        """There are none."""

    def _write_to_self(self) -> None:
        """Nothing sleeps."""


def _ignore(_unraisable: object) -> None:
    """What a task says that is thrown away in the middle of a step."""


class _NoSelector:
    def select(self, _timeout: float | None) -> list[Any]:
        return []


WORLD = contextvars.copy_context()
"""The context of what belongs to no process."""


def current() -> Process | None:
    """The process that runs now; None: the world."""
    return _PROCESS.get()
