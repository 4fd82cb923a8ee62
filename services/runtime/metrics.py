"""Every metric of Amends, one class per part. Label sets are bounded: codes, topics, partitions; never ids or people.

Times are in seconds, counts end in `_total`. The documentation's table is made from these literals.
"""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram

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
