"""Every metric of Amends, one class per part. Label sets are bounded: codes, topics, partitions; never ids or people.

Times are in seconds, counts end in `_total`. The documentation's table is made from these literals.
"""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

FAST_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Buckets of what should take milliseconds."""
LATENESS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 2.0, 5.0, 30.0, 300.0, 3600.0)
"""Buckets of how late a deadline fired; 1 s is the promise."""
PATIENCE_S: Final = (0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14400.0)
"""Buckets of what a customer waits for; 900 s is the acknowledgement's default limit."""


class IntakeMetrics:
    """What comes in."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.accepted = Counter(
            "amends_intake_accepted_total", "Complaints answered with 202.", ["channel"], registry=registry
        )
        self.rejected = Counter(
            "amends_intake_rejected_total",
            "Complaints refused, by the kind of the first problem.",
            ["channel", "why"],
            registry=registry,
        )
        self.seconds = Histogram(
            "amends_intake_request_seconds",
            "From request to answer.",
            ["route", "status"],
            buckets=FAST_S,
            registry=registry,
        )
        self.in_flight = Gauge("amends_intake_requests_in_flight", "Requests worked on now.", registry=registry)
        self.rejected_not_kept = Counter(
            "amends_intake_rejected_not_kept_total",
            "Refused complaints that the database could not take.",
            registry=registry,
        )
        self.unavailable = Counter(
            "amends_intake_unavailable_total",
            "Complaints answered with 503 because Kafka or the database was away.",
            registry=registry,
        )
        self.evidence_bytes = Counter(
            "amends_intake_evidence_bytes_total", "Bytes of evidence taken.", registry=registry
        )


class PortalMetrics:
    """What complainants do on the public pages."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.seconds = Histogram(
            "amends_portal_request_seconds",
            "From request to page; a page that tells what became of an action waits for that.",
            ["page", "status"],
            buckets=FAST_S,
            registry=registry,
        )
        self.complaints = Counter(
            "amends_portal_complaints_total",
            "Forms that were sent: accepted, refused, or away when the intake could not take them.",
            ["result"],
            registry=registry,
        )
        self.actions = Counter(
            "amends_portal_actions_total",
            "Actions on private pages: asked of the router, invalid, away, or the reason why not.",
            ["act", "result"],
            registry=registry,
        )
        self.links_refused = Counter(
            "amends_portal_links_refused_total",
            "Private links that opened nothing, by why.",
            ["why"],
            registry=registry,
        )


class RouterMetrics:
    """What becomes of complaints, and what is done with tickets."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.opened = Counter(
            "amends_router_tickets_opened_total", "Tickets opened.", ["channel", "category"], registry=registry
        )
        self.followed_up = Counter(
            "amends_router_follow_ups_total",
            "Complaints linked to a ticket that was there, by what they had in common.",
            ["channel", "matched_by"],
            registry=registry,
        )
        self.reopened = Counter(
            "amends_router_reopened_total",
            "Settled tickets that were opened again, by the state they were in.",
            ["before"],
            registry=registry,
        )
        self.review_needed = Counter(
            "amends_router_review_needed_total",
            "Classifications that a person looks at first.",
            ["category"],
            registry=registry,
        )
        self.commands = Counter(
            "amends_router_commands_total",
            "Commands decided, by action, and what came of it: done or the reason of the refusal.",
            ["action", "result"],
            registry=registry,
        )
        self.assigned = Counter(
            "amends_router_assigned_total",
            "Tickets given to a department, to a person or its queue.",
            ["department", "to"],
            registry=registry,
        )
        self.waiting = Gauge(
            "amends_router_waiting",
            "Tickets that wait in a department for a person; at most 500 are counted.",
            ["department"],
            registry=registry,
        )
        self.parked = Gauge(
            "amends_router_parked",
            "Follow-ups that wait for a ticket which is not opened, counted by one of all routers.",
            registry=registry,
        )
        self.opening_seconds = Histogram(
            "amends_router_opening_seconds",
            "From the acceptance of a complaint to its published ticket.",
            buckets=PATIENCE_S,
            registry=registry,
        )


class ConsumingMetrics:
    """What a service reads from its topics."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.handled = Counter(
            "amends_consumed_total", "Messages finished, dead letters included.", ["topic"], registry=registry
        )
        self.batch_seconds = Histogram(
            "amends_consumed_batch_seconds",
            "From the start of a batch to its end, retries included.",
            buckets=FAST_S,
            registry=registry,
        )
        self.backlog = Gauge(
            "amends_consumed_backlog", "Messages of the owned partitions not yet handled.", ["topic"], registry=registry
        )
        self.dead_letters = Counter(
            "amends_dead_letters_total",
            "Messages set aside, by why: undecodable, refused or failed.",
            ["topic", "why"],
            registry=registry,
        )
        self.retries = Counter(
            "amends_consumed_batch_retries_total",
            "Batches tried again because a part that they need was away.",
            registry=registry,
        )
        self.commit_failures = Counter(
            "amends_consumed_commit_failures_total",
            "Commits of offsets that the broker did not take.",
            registry=registry,
        )
        self.partitions = Gauge("amends_consumed_partitions", "Partitions owned now.", registry=registry)
        self.generation = Gauge(
            "amends_consumed_generation", "Changes of ownership since the start.", registry=registry
        )


class ProducingMetrics:
    """What a service publishes."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.published = Counter(
            "amends_published_total", "Messages that the broker has acknowledged.", ["topic"], registry=registry
        )
        self.failures = Counter(
            "amends_publish_failures_total", "Attempts to publish that failed as a whole or in part.", registry=registry
        )
        self.seconds = Histogram(
            "amends_publish_seconds", "From the call to the last acknowledgement.", buckets=FAST_S, registry=registry
        )


class DeadlineMetrics:
    """Whether what has to happen at a time happens then."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.lateness = Histogram(
            "amends_deadline_lateness_seconds",
            "From the due time of a deadline, or its arming when that was later, to the end of its handling.",
            buckets=LATENESS_S,
            registry=registry,
        )
        self.swept = Counter(
            "amends_deadlines_swept_total",
            "Overdue deadlines found by a sweep: their owner had died, or another process had armed them.",
            registry=registry,
        )
        self.failed = Counter(
            "amends_deadlines_failed_total", "Deadlines put off because their handling failed.", registry=registry
        )
        self.retries = Counter(
            "amends_deadlines_retries_total",
            "Attempts to claim or handle that waited because a part was away.",
            registry=registry,
        )
        self.window = Gauge(
            "amends_deadlines_in_memory", "Deadlines of the next minutes, held ready.", registry=registry
        )
        self.shards_open = Gauge(
            "amends_deadlines_shards_open", "Owned shards whose deadlines may fire.", registry=registry
        )


class NotifierMetrics:
    """What complainants are told."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.outcomes = Counter(
            "amends_notifications_total",
            "What became of messages: requested, sent, delivered, failed, suppressed. No channel is `none`.",
            ["moment", "channel", "result"],
            registry=registry,
        )
        self.failures = Counter(
            "amends_notification_channel_failures_total",
            "Channels that did not work for a message, by why; the next one may have.",
            ["channel", "why"],
            registry=registry,
        )
        self.handed_over_seconds = Histogram(
            "amends_notification_handed_over_seconds",
            "From receipt of a complaint to the provider having its confirmation.",
            ["channel"],
            buckets=PATIENCE_S,
            registry=registry,
        )
        self.delivered_seconds = Histogram(
            "amends_notification_delivered_seconds",
            "From receipt of a complaint to its confirmation being in the person's hand.",
            ["channel"],
            buckets=PATIENCE_S,
            registry=registry,
        )
        self.pending = Gauge(
            "amends_notifications_pending",
            "Messages that this process has claimed and whose outcome it has not yet stored and told: those on their "
            "way to a provider. What waits (for the morning, another try, a receipt) is not among them.",
            registry=registry,
        )
        self.texts_broken = Counter(
            "amends_notification_texts_broken_total",
            "Messages that went in the words that come with the product, because the text in force could not be used.",
            ["text"],
            registry=registry,
        )
        self.receipts = Counter(
            "amends_notification_receipts_total",
            "Receipts by what they were: of use, doubled or late, or kept because their message is not marked yet.",
            ["what"],
            registry=registry,
        )


class SlaMetrics:
    """Promised time limits, kept and broken."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.clocks_open = Gauge(
            "amends_sla_clocks_open",
            "Cycles of clocks that have not stopped, of the owned partitions, counted every few seconds.",
            ["clock", "state"],
            registry=registry,
        )
        self.facts = Counter(
            "amends_sla_facts_total",
            "Facts published, by the past verb of their type: started, met, stopped_late and so on.",
            ["fact", "clock"],
            registry=registry,
        )
        self.warned = Counter(
            "amends_sla_warned_total",
            "Warnings: a share of a limit is used up.",
            ["clock", "category", "department"],
            registry=registry,
        )
        self.breached = Counter(
            "amends_sla_breached_total",
            "Limits that have passed.",
            ["clock", "category", "department"],
            registry=registry,
        )
        self.acknowledge_seconds = Histogram(
            "amends_sla_acknowledge_seconds",
            "From receipt of a complaint to its confirmation in the customer's hand.",
            buckets=PATIENCE_S,
            registry=registry,
        )
        self.gaps = Counter(
            "amends_sla_sequence_gaps_total", "Ticket events that came before an earlier one.", registry=registry
        )
        self.conflicts = Counter(
            "amends_sla_conflicts_total",
            "Tickets decided again because another worker had changed them meanwhile.",
            registry=registry,
        )
        self.policy_version = Gauge(
            "amends_sla_policy_version", "Highest version of the policy that is loaded.", registry=registry
        )


class DeskMetrics:
    """What people work with."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.projected = Counter(
            "amends_desk_rows_projected_total", "Writes of tickets as the desk lists them.", registry=registry
        )
        self.lag_seconds = Histogram(
            "amends_desk_lag_seconds",
            "From a message being in Kafka to the desk listing what it says.",
            buckets=LATENESS_S,
            registry=registry,
        )
        self.seconds = Histogram(
            "amends_desk_request_seconds",
            "From request to the end of the answer, of pages and of the API; status 429 is a sign-in put off.",
            ["surface", "status"],
            buckets=FAST_S,
            registry=registry,
        )
        self.query_seconds = Histogram(
            "amends_desk_query_seconds",
            "Questions to the database, by kind: page, search, ticket, count, export, cases.",
            ["kind"],
            buckets=FAST_S,
            registry=registry,
        )
        self.listeners = Gauge("amends_desk_listeners", "Browsers that hear of changes at once.", registry=registry)
        self.is_live = Gauge(
            "amends_desk_is_live",
            "1: changes are heard of by Redis; 0: Redis is away, and they are looked for every second.",
            registry=registry,
        )
        self.notices = Counter(
            "amends_desk_notices_total",
            "Notices of changed rows, by what became of them: published, or dropped because Redis was away.",
            ["result"],
            registry=registry,
        )
        self.refreshes = Counter(
            "amends_desk_refreshes_total",
            "Browsers told to load anew because they took notices too slowly.",
            registry=registry,
        )
