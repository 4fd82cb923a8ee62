"""How long it takes to count a due time in working hours."""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from services.service_levels.calendar import Calendar

STARTS_ITSELF = True
COUNT = 2_000
ROUNDS = 50


async def run(_folder: Path) -> dict[str, Any]:
    """Median over rounds, in processor time: 4 to 40 working hours from instants all over a year, with lunch breaks."""
    calendar = Calendar.from_hours(
        tz="Asia/Shanghai", hours={str(day): [["09:00", "12:00"], ["13:30", "18:00"]] for day in range(5)}
    )
    start = datetime(2026, 1, 1, tzinfo=UTC)
    cases = [(start + timedelta(minutes=n * 250), (4 + n % 37) * 3600) for n in range(COUNT)]
    for at, seconds in cases:
        calendar.add(at, seconds)
    rounds = []
    for _ in range(ROUNDS):
        began = time.process_time()
        for at, seconds in cases:
            calendar.add(at, seconds)
        rounds.append((time.process_time() - began) / COUNT * 1e6)
    rounds.sort()
    return {"us_per_due_time": rounds[ROUNDS // 2]}
