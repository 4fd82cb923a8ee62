"""The time as an argument."""

from collections.abc import Callable
from datetime import UTC, datetime

Now = Callable[[], datetime]
"""The time in UTC, in whole milliseconds, as the database keeps it: what is stored and what is told are the same."""


def system_now() -> datetime:
    """The machine's time."""
    return whole_milliseconds(datetime.now(UTC))


def whole_milliseconds(at: datetime) -> datetime:
    """The same without what the database does not keep."""
    return at.replace(microsecond=at.microsecond // 1000 * 1000)
