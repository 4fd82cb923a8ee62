"""How the open tickets of each department stand: what the wall board shows. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

SOON: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Standing:
    """Open tickets of one department."""

    department: str
    on_time: int = 0
    soon: int = 0
    """Due within the hour."""
    breached: int = 0

    @property
    def open(self) -> int:
        """All of them."""
        return self.on_time + self.soon + self.breached


def standings(tickets: Iterable[tuple[str | None, datetime | None, bool]], *, now: datetime) -> list[Standing]:
    """Count open tickets.

    Args:
        tickets: department, when the next clock is due, whether a clock was broken.
        now: the time.
    """
    counts: dict[str, list[int]] = {}
    for department, due_at, was_breached in tickets:
        # A clock that is over is a breach, also in the second before anybody was told.
        is_breached = was_breached or (due_at is not None and due_at < now)
        is_soon = due_at is not None and due_at <= now + SOON
        counts.setdefault(department or "", [0, 0, 0])[2 if is_breached else 1 if is_soon else 0] += 1
    return [Standing(department, *numbers) for department, numbers in sorted(counts.items())]
