"""Figures from samples. Pure: seconds, milliseconds and numbers in, numbers out."""

import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence


def quantile(values: Iterable[float], share: float) -> float:
    """The value that so large a share of all does not exceed; of none, nan."""
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else float("nan")


def windows_p99(took: Iterable[tuple[float, float]], *, since_s: float) -> dict[int, float]:
    """The 99th percentile of each second, by its number after `since_s`, of (when in seconds, how long)."""
    seconds: dict[int, list[float]] = defaultdict(list)
    for at_s, value in took:
        if at_s >= since_s:
            seconds[int(at_s - since_s)].append(value)
    return {second: quantile(values, 0.99) for second, values in sorted(seconds.items())}


def normal_again_s(windows: dict[int, float], *, normal_max: float, in_a_row: int = 5) -> int | None:
    """The first second from which so many in a row are normal; None when there is none.

    A second without an answer is not normal.
    """
    last = max(windows, default=-1)
    for second in range(last - in_a_row + 2):
        if all(windows.get(second + n, float("inf")) <= normal_max for n in range(in_a_row)):
            return second
    return None


def trend(samples: Sequence[tuple[float, float]], *, settling_share: float = 0.1) -> dict[str, float]:
    """What (seconds, value) samples do in the long run: slope an hour by least squares, median of first and last third.

    The first tenth, in which caches fill, is left out.
    """
    kept = samples[int(len(samples) * settling_share) :]
    if len(kept) < 3:
        raise ValueError(f"{len(samples)} samples are too few for a trend: run longer")
    third = max(len(kept) // 3, 1)
    values = [value for _, value in kept]
    slope, _ = statistics.linear_regression([at_s for at_s, _ in kept], values)
    return {
        "slope_per_h": slope * 3600,
        "first_third": statistics.median(values[:third]),
        "last_third": statistics.median(values[-third:]),
        "max": max(values),
    }


def per_unit(
    idle: tuple[dict[str, float], dict[str, float], float],
    busy: tuple[dict[str, float], dict[str, float], float],
    count: int,
) -> tuple[dict[str, float], dict[str, float]]:
    """What counters say of (before, after, seconds) without and with work: (at rest per second, per unit of work).

    What a second at rest costs is taken off; what is then less than nothing is noise and counts as nothing.
    """
    at_rest = {name: (idle[1][name] - idle[0][name]) / idle[2] for name in idle[0]}
    used = {name: busy[1][name] - busy[0][name] - at_rest[name] * busy[2] for name in at_rest}
    return at_rest, {name: max(value / count, 0.0) for name, value in used.items()}
