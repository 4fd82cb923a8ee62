"""Add working hours to random instants: `businesstimedelta` and Amends' calendar, by turns, in one process.

Prints JSON: microseconds per addition of each slice, and how many results agree.
"""

import datetime as dt
import json
import random
import sys
import time
from collections.abc import Callable
from typing import Any

import holidays
import pytz
from businesstimedelta import BusinessTimeDelta, HolidayRule, LunchTimeRule, Rules, WorkDayRule

from services.service_levels.calendar import Calendar

Case = tuple[dt.datetime, int]
ZONE = "Europe/Berlin"
YEARS = range(2024, 2033)
SHOWN_MAX = 5


def main() -> None:
    count, slices = int(sys.argv[1]), int(sys.argv[2])
    chance = random.Random(7)
    begin = dt.datetime(2025, 1, 1, tzinfo=dt.UTC)
    cases = [
        (begin + dt.timedelta(seconds=chance.randrange(3 * 365 * 86_400)), chance.randint(1, 40)) for _ in range(count)
    ]
    closed = frozenset(holidays.country_holidays("DE", years=YEARS))
    size = count // slices
    pieces = [cases[first : first + size] for first in range(0, count, size)]
    with_us, pairs = by_turns(pieces, closed)
    # A fifth of them will do: nobody's results are in question here.
    without_us, more = by_turns([piece[: size // 5] for piece in pieces], frozenset())
    pairs += more
    other = [(at.isoformat(), hours, p.isoformat(), o.isoformat()) for (at, hours), p, o in pairs if p != o]
    print(
        json.dumps(
            {
                "with": with_us,
                "without": without_us,
                "agree": len(pairs) - len(other),
                "of": len(pairs),
                "other": other[:SHOWN_MAX],
            }
        )
    )


def by_turns(pieces: list[list[Case]], closed: frozenset[dt.date]) -> tuple[dict[str, list[float]], list[Any]]:
    """Microseconds of each by piece, and (case, peer's result, ours)."""
    zone = pytz.timezone(ZONE)
    rules: list[Any] = [
        WorkDayRule(start_time=dt.time(9), end_time=dt.time(18), working_days=[0, 1, 2, 3, 4], tz=zone),
        LunchTimeRule(start_time=dt.time(12), end_time=dt.time(13, 30), working_days=[0, 1, 2, 3, 4], tz=zone),
    ]
    # A set: with the list of its documentation it would be slower still.
    rules += [HolidayRule(closed, tz=zone)] if closed else []
    business = Rules(rules)
    calendar = Calendar.from_hours(
        tz=ZONE,
        hours={str(day): [["09:00", "12:00"], ["13:30", "18:00"]] for day in range(5)},
        holidays=sorted(day.isoformat() for day in closed),
    )
    for at, hours in pieces[0]:
        calendar.add(at, hours * 3600)  # Reads its years.
    us: dict[str, list[float]] = {"peer": [], "ours": []}
    pairs = []
    for piece in pieces:
        peers = timed(us["peer"], lambda piece=piece: [at + BusinessTimeDelta(business, hours=h) for at, h in piece])
        ours = timed(us["ours"], lambda piece=piece: [calendar.add(at, h * 3600) for at, h in piece])
        pairs += list(zip(piece, peers, ours, strict=True))
    return us, pairs


def timed(us: list[float], work: Callable[[], list[dt.datetime]]) -> list[dt.datetime]:
    """Adds the microseconds of processor time for each result."""
    began = time.process_time()
    results = work()
    us.append((time.process_time() - began) / len(results) * 1e6)
    return results


main()
