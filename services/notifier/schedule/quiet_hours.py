"""Nobody is woken by a message that can wait until morning. Pure."""

from datetime import datetime, time, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo


def next_allowed(now: datetime, *, zone: str, start: time, end: time) -> datetime:
    """`now` when it is outside the quiet hours of `zone`, else the instant they end.

    Args:
        now: aware.
        zone: IANA name of the person's time zone.
        start: wall time at which the quiet hours begin; may be later than `end`, which is then of the next day.
        end: wall time at which they end. Equal to `start`: there are none.

    Wall times follow the zone's clock: in a night with a change of the clock the quiet hours are an hour longer or
    shorter, and an end that the clock skips is the instant of the skip.
    """
    local = now.astimezone(ZoneInfo(zone))
    at = local.time()
    quiet = start <= at < end if start <= end else at >= start or at < end
    if not quiet:
        return now
    day = local.date() + timedelta(days=1 if start > end and at >= start else 0)
    return datetime.combine(day, end, tzinfo=local.tzinfo).astimezone(now.tzinfo)


def spread(identity: UUID, *, seconds: int) -> timedelta:
    """A wait of 0..`seconds`, always the same for one message: what a night held back does not go all at once."""
    return timedelta(seconds=identity.int % (seconds + 1))
