"""What the router counts, once per new event."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from uuid import UUID

from prometheus_client import Counter as Series

from schemas import events as e
from services.router.settled import Settled
from services.runtime.metrics import RouterMetrics

_ACTIONS = {
    e.TicketReviewStarted: "start_review",
    e.TicketReviewCompleted: "complete_review",
    e.TicketFirstActionTaken: "first_action",
    e.TicketAnswered: "answer",
    e.TicketResolved: "resolve",
    e.TicketCustomerAwaited: "wait_for_customer",
    e.TicketThirdPartyAwaited: "wait_for_third_party",
    e.TicketResumed: "resume",
    e.TicketWithdrawn: "withdraw",
    e.TicketClosed: "close",
    e.TicketFollowedUp: "follow_up",
}
"""The first event of a command, by type; `assign` and `change_severity` also come with others and are told apart."""


def count(settled: Settled, metrics: RouterMetrics) -> None:
    """Count what was appended in a batch. What a redelivery brings again is not counted again."""
    now = datetime.now(UTC)
    found: Counter[tuple[Series, tuple[str, ...]]] = Counter()
    causes: set[UUID] = set()
    for event in settled.appended:
        if isinstance(event, e.TicketOpened):
            metrics.opening_seconds.observe(max(0.0, (now - event.occurred_at).total_seconds()))
        for series, labels in _counted(event, settled, metrics, first=event.causation_id not in causes):
            found[series, labels] += 1
        causes.add(event.causation_id)
    for (series, labels), times in found.items():
        series.labels(*labels).inc(times)


def _counted(
    event: e.TicketEvent, settled: Settled, metrics: RouterMetrics, *, first: bool
) -> Iterator[tuple[Series, tuple[str, ...]]]:
    """What one event counts for; `first` of its command's events."""
    match event:
        case e.TicketOpened():
            said = settled.tickets[event.ticket_id].classification
            yield metrics.opened, (event.channel, said.primary if said else "none")
        case e.TicketClassified(classification=said) if said.needs_review:
            yield metrics.review_needed, (said.primary,)
        case e.TicketAssigned():
            yield metrics.assigned, (event.department, "person" if event.person else "queue")
            if first:
                yield metrics.commands, ("assign", "done")
        case e.TicketSeverityChanged() if first:
            yield metrics.commands, ("change_severity", "done")
        case e.TicketCommandRefused():
            yield metrics.commands, (event.command, event.why)
        case e.TicketFollowedUp():
            yield metrics.followed_up, (event.channel, event.matched_by)
        case e.TicketReopened():
            yield metrics.reopened, (event.before,)
    if (action := _ACTIONS.get(type(event))) is not None:
        yield metrics.commands, (action, "done")
