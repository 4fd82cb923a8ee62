"""What figures are made on, and how fast it is just now."""

import os
import platform
import timeit
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
