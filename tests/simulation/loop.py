"""An event loop whose time is made up, and processes in it that can die or stand still at any step.

Every callback carries the process that scheduled it in its context. What belongs to no process is the world: it goes on
when processes die, as requests that have left a process do.
"""

import asyncio
import contextvars
import gc
import heapq
import itertools
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
        freezes_at: The step before which it freezes.
        dead: It runs nothing any more.
        frozen: It runs nothing for now; what comes meanwhile waits.
    """

    def __init__(self, loop: "VirtualLoop", name: str) -> None:
        self.name = name
        self.steps = 0
        self.dies_at: int | None = None
        self.freezes_at: int | None = None
        self.dead = False
        self.frozen = False
        self.on_death: list[Callable[[], None]] = []
        self.on_freeze: list[Callable[[], None]] = []
        self.on_thaw: list[Callable[[], None]] = []
        self._loop = loop
        self._held: list[_Handle] = []
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

    def may_run(self, handle: "_Handle") -> bool:
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
        if self.steps == self.freezes_at:
            self._held.append(handle)
            self.freeze()
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
        # Tuples are compared much faster than asyncio's handles, and this is where a simulation spends its time.
        self._agenda: list[tuple[float, int, Any, Any]] = []
        self._numbers = itertools.count()
        self._buried: list[_Handle] = []
        # Every future and handle asks it, and this is the fastest that answers no.
        self.get_debug = bool  # type: ignore[method-assign,assignment]

    def time(self) -> float:
        """See `asyncio.AbstractEventLoop`."""
        return self.now

    def call_at(self, when: float, callback: Any, *args: Any, context: Any = None) -> Any:
        """See `asyncio.AbstractEventLoop`."""
        handle = _Handle(callback, args, contextvars.copy_context() if context is None else context)
        if not self._ended:
            heapq.heappush(self._agenda, (when, next(self._numbers), handle, None))
        return handle

    def call_later(self, delay: float, callback: Any, *args: Any, context: Any = None) -> Any:
        """See `asyncio.AbstractEventLoop`."""
        return self.call_at(self.now + delay, callback, *args, context=context)

    def call_soon(self, callback: Any, *args: Any, context: Any = None) -> Any:
        """See `asyncio.AbstractEventLoop`."""
        handle = _Handle(callback, args, contextvars.copy_context() if context is None else context)
        if not self._ended:
            self._ready.append(handle)  # type: ignore[attr-defined]
        return handle

    def _asyncgen_finalizer_hook(self, agen: Any) -> None:
        """Whenever garbage is collected: in no seed's hands, and perhaps what a dead process has left."""

    def later(self, delay_s: float, callback: Callable[..., object], *args: Any) -> None:
        """As `call_later`, in the name of the world; it cannot be cancelled."""
        heapq.heappush(self._agenda, (self.now + delay_s, next(self._numbers), callback, args))

    def world(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run it in the name of the world."""
        return self.create_task(work, context=WORLD.copy())

    def end(self) -> None:
        """Leave everything where it stands. What is under way is thrown away, and whatever that does goes nowhere."""
        self._ended = True
        for task in asyncio.all_tasks(self):
            task._log_destroy_pending = False  # type: ignore[attr-defined]
        with mock.patch("sys.unraisablehook", _ignore), warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # What was never awaited never will be.
            self._ready.clear()  # type: ignore[attr-defined]
            self._agenda.clear()
            self._buried.clear()
            gc.collect(0)
        self.close()

    def _run_once(self) -> None:
        """Run on until somebody stops the loop."""
        ready = self._ready  # type: ignore[attr-defined]
        while not self._stopping:  # type: ignore[attr-defined]
            while not ready:
                self._pass_time()
            handle = ready.popleft()
            if handle.is_cancelled:
                continue
            process = handle.context.get(_PROCESS)
            if process is not None and not process.may_run(handle):
                if process.dead:
                    # A task that only this would wake is referred to by nobody else; collected, it would run its
                    # `finally`.
                    self._buried.append(handle)
                continue
            try:
                handle.context.run(handle.callback, *handle.args)
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException as error:  # noqa: BLE001 - as asyncio does
                self.call_exception_handler({"message": f"Exception in callback {handle.callback}", "exception": error})

    def _pass_time(self) -> None:
        """Go to the next instant at which anything happens."""
        agenda = self._agenda
        if not agenda:
            raise Stuck
        when = agenda[0][0]
        if when > self.now:
            self.now = when
            self._on_time(when)
        while agenda and agenda[0][0] <= self.now:
            _, _, what, args = heapq.heappop(agenda)
            # Between two handles nobody runs but the world.
            if args is not None:
                what(*args)
            elif not what.is_cancelled:
                self._ready.append(what)  # type: ignore[attr-defined]

    def _process_events(self, event_list: Any) -> None:
        """There are none."""

    def _write_to_self(self) -> None:
        """Nothing sleeps."""


class _Handle:
    """What asyncio's handles are for, at half their cost."""

    __slots__ = ("args", "callback", "context", "is_cancelled")

    def __init__(self, callback: Any, args: tuple[Any, ...], context: contextvars.Context) -> None:
        self.callback = callback
        self.args = args
        self.context = context
        self.is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True
        self.callback = self.args = None

    def cancelled(self) -> bool:
        return self.is_cancelled


class _NoSelector:
    def select(self, _timeout: float | None) -> list[Any]:
        return []


WORLD = contextvars.copy_context()
"""The context of what belongs to no process."""


def current() -> Process | None:
    """The process that runs now; None: the world."""
    return _PROCESS.get()


def _ignore(_unraisable: object) -> None:
    """What a task says that is thrown away in the middle of a step."""
