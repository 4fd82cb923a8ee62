"""Tests of simulated parts, on a loop that never waits."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from tests.simulation.loop import VirtualLoop


def in_virtual_time(work: Callable[[VirtualLoop], Coroutine[Any, Any, None]]) -> None:
    """Run it from beginning to end; what it leaves under way is thrown away."""
    loop = VirtualLoop(_no_clock)
    asyncio.set_event_loop(loop)
    try:
        loop.run_until_complete(work(loop))
    finally:
        loop.end()
        asyncio.set_event_loop(None)


def _no_clock(_now: float) -> None:
    """The wall clock is the real one."""
