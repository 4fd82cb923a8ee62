"""Outlets and hubs about which unusually many complain, against what is usual for them. Pure.

The number of complaints of a unit in a window is compared with the mean of the same window of the days before, at most
14. If complaints came independently at that mean (Poisson), a number as high as this one would be seen less often than
once in 10,000 times: then something has happened there.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

DAYS: Final = 14
DAY: Final = timedelta(days=1)
COUNT_MIN: Final = 3
"""Fewer are no cluster, however rare they are."""
CHANCE_MAX: Final = 1e-4
_PRIOR: Final = 0.5
"""Complaints that are taken to have been before: what never happened is rare and not impossible."""


class Window(StrEnum):
    """How far back it is counted."""

    HOUR = "hour"
    DAY = "day"

    @property
    def length(self) -> timedelta:
        """Of it."""
        return timedelta(hours=1) if self is Window.HOUR else DAY


@dataclass(frozen=True, slots=True)
class Received:
    """One complaint."""

    at: datetime
    category: str


@dataclass(frozen=True, slots=True)
class Cluster:
    """Unusually many complaints."""

    unit: str
    category: str
    """Empty: all of the unit's."""
    count: int
    usual: float
    chance: float
    """Of so many or more."""


def chance(count: int, mean: float) -> float:
    """How likely `count` or more are, of a Poisson distribution with that mean (above 0)."""
    if count <= 0:
        return 1.0
    # From the term at `count` upwards: taking the others from 1 would leave rounding errors where it is small.
    term = math.exp(count * math.log(mean) - mean - math.lgamma(count + 1))
    total, number = 0.0, count
    while term > total * 1e-12 or number < mean:
        total += term
        number += 1
        term *= mean / number
    return min(total, 1.0)


def candidates(units: Iterable[str | None], *, count_max: int) -> list[str]:
    """Units that may have a cluster, those with the most complaints first."""
    counts = Counter(unit for unit in units if unit)
    return [unit for unit, count in counts.most_common(count_max) if count >= COUNT_MIN]


def clusters(histories: Mapping[str, Sequence[Received]], *, window: Window, days: int, now: datetime) -> list[Cluster]:
    """The least likely first.

    Args:
        histories: by unit, all complaints of the window and of the days before it.
        window: what is looked at.
        days: how many days before it are known.
        now: the end of the window.
    """
    found = []
    for unit, history in histories.items():
        recent = Counter(one.category for one in history if _days_back(one, window, now) == 0)
        before = Counter(one.category for one in history if 1 <= (_days_back(one, window, now) or 0) <= DAYS)
        for category, count in [("", recent.total()), *recent.items()]:
            usual = before[category] if category else before.total()
            mean = (usual + _PRIOR) / max(days, 1)
            if count >= COUNT_MIN and (likely := chance(count, mean)) <= CHANCE_MAX:
                found.append(Cluster(unit, category, count, usual / max(days, 1), likely))
    return sorted(found, key=lambda one: (one.chance, -one.count, one.unit, one.category))


def _days_back(one: Received, window: Window, now: datetime) -> int | None:
    """In the window of how many days ago it came, 0 for today's; None: in none."""
    ago = now - one.at
    days, within = divmod(ago, DAY)
    return days if timedelta() <= ago and within < window.length else None
