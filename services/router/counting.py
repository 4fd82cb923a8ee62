"""What the router counts, once per new event."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime

from prometheus_client import Counter as Series

from schemas import events as e
from services.router.settled import Settled
from services.runtime.metrics import RouterMetrics


def count(settled: Settled, metrics: RouterMetrics) -> None:
    """Count what was appended in a batch. What a redelivery brings again is not counted again."""
    now = datetime.now(UTC)
    found: Counter[tuple[Series, tuple[str, ...]]] = Counter()
    for event in settled.appended:
        if isinstance(event, e.TicketOpened):
            metrics.opening_seconds.observe(max(0.0, (now - event.occurred_at).total_seconds()))
        for series, labels in _counted(event, settled, metrics):
            found[series, labels] += 1
    found.update((metrics.commands, decided) for decided in settled.decided)
    for (series, labels), times in found.items():
        series.labels(*labels).inc(times)


def _counted(
    event: e.TicketEvent, settled: Settled, metrics: RouterMetrics
) -> Iterator[tuple[Series, tuple[str, ...]]]:
    """What one event counts for."""
    match event:
        case e.TicketOpened():
            said = settled.tickets[event.ticket_id].classification
            yield metrics.opened, (event.channel, said.primary if said else "none")
        case e.TicketClassified(classification=said) if said.needs_review:
            yield metrics.review_needed, (said.primary,)
        case e.TicketAssigned():
            yield metrics.assigned, (event.department, "person" if event.person else "queue")
        case e.TicketFollowedUp():
            yield metrics.followed_up, (event.channel, event.matched_by)
        case e.TicketReopened():
            yield metrics.reopened, (event.before,)
