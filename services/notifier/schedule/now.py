"""The time as an argument."""

from collections.abc import Callable
from datetime import UTC, datetime

Now = Callable[[], datetime]
"""The time in UTC, in whole milliseconds, as the database keeps it: what is stored and what is told are the same."""


def system_now() -> datetime:
    """The machine's time."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)
