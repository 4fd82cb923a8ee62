"""What figures are made on, and how fast it is just now."""

import os
import platform
import time
import timeit
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

_PROCESSOR = Path("/proc/cpuinfo")


def machine() -> str:
    """Python, cores and memory, for a page of figures."""
    lines = _PROCESSOR.read_text().splitlines() if _PROCESSOR.exists() else []
    named = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())
    memory = f"{psutil.virtual_memory().total / 2**30:.0f} GiB"
    return f"Python {platform.python_version()} on {os.cpu_count()} cores ({named}), {memory}"


def pace_ms() -> float:
    """Milliseconds that adding a million integers takes, at best of five.

    A virtual machine may be half as fast in one hour as in another: two figures compare where this is alike.
    """
    return min(timeit.repeat(lambda: sum(range(1_000_000)), number=1, repeat=5)) * 1000


@contextmanager
def time_stolen() -> Iterator[dict[str, float]]:
    """Measure what share of the processors' time the host gave to other machines meanwhile.

    Yields:
        Where `time_stolen_percent` will stand afterwards: a figure that was measured while it was high is worth little.
    """
    found: dict[str, float] = {}
    began, before = time.monotonic(), _stolen_s()
    yield found
    whole_s = (time.monotonic() - began) * (os.cpu_count() or 1)
    found["time_stolen_percent"] = 100 * (_stolen_s() - before) / whole_s


def _stolen_s() -> float:
    # Linux alone tells it.
    return float(getattr(psutil.cpu_times(), "steal", 0.0))
