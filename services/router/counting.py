"""What the router counts, once per new event."""

from datetime import UTC, datetime

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
    causes: set[object] = set()
    for event in settled.appended:
        first, channel = event.causation_id not in causes, None
        causes.add(event.causation_id)
        match event:
            case e.TicketOpened():
                channel = event.channel
                said = settled.tickets[event.ticket_id].classification
                category = said.primary if said else "none"
                metrics.opened.labels(channel=channel, category=category).inc()
                metrics.opening_seconds.observe(max(0.0, (now - event.occurred_at).total_seconds()))
                continue
            case e.TicketClassified(classification=said) if said.needs_review:
                metrics.review_needed.labels(category=said.primary).inc()
            case e.TicketAssigned():
                to = "person" if event.person else "queue"
                metrics.assigned.labels(department=event.department, to=to).inc()
                if first:
                    metrics.commands.labels(action="assign", result="done").inc()
            case e.TicketSeverityChanged() if first:
                metrics.commands.labels(action="change_severity", result="done").inc()
            case e.TicketCommandRefused():
                metrics.commands.labels(action=event.command, result=event.why).inc()
            case e.TicketFollowedUp():
                metrics.followed_up.labels(channel=event.channel, matched_by=event.matched_by).inc()
        if (action := _ACTIONS.get(type(event))) is not None:
            metrics.commands.labels(action=action, result="done").inc()
