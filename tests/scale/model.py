"""How many of what for so many complaints a second, from what one complaint costs. Pure."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

PARTITIONS_STEP = 12
"""Partitions come in multiples of it: it divides evenly among 2, 3, 4 and 6 workers."""


@dataclass(frozen=True, slots=True)
class Costs:
    """Of one complaint, from a measured run."""

    service_cpu_ms: Mapping[str, float]
    """By service."""
    parts_cpu_ms: float
    """Of Kafka, the database, Redis and the gateways together."""
    database_operations: float
    """Documents written, statements and queries."""
    record_bytes: float
    """On all topics, one copy."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one of each is trusted with. Assumptions, but for the partitions: put in your own."""

    core_share: float = 0.7
    """Of one core, that a worker may use on average; the rest is for peaks and for a neighbour that is away."""
    broker_bytes_per_s: float = 50e6
    """Records written by one broker, copies included."""
    replication: int = 3
    database_operations_per_s: float = 20_000
    """Of one primary on its own disk."""
    brokers: int = 3
    partitions: int = 12
    """What a system starts with: more workers than partitions have nothing to do."""


@dataclass(frozen=True, slots=True)
class Capacity:
    """What a rate takes."""

    per_s: float
    workers: Mapping[str, int]
    partitions: int
    brokers: int
    databases: int
    breaks_first: str
    """What of the smallest system (12 partitions, 3 brokers, one database) is exceeded most, or comes nearest to it."""
    breaks_at_per_s: float
    """The rate at which it does."""


def capacity(costs: Costs, per_s: float, limits: Limits = Limits()) -> Capacity:
    """What so many complaints a second take."""
    workers = {
        service: max(1, math.ceil(per_s * cpu_ms / 1000 / limits.core_share))
        for service, cpu_ms in costs.service_cpu_ms.items()
    }
    bytes_per_s = per_s * costs.record_bytes * limits.replication
    first, at_per_s = min(ceilings(costs, limits).items(), key=lambda ceiling: ceiling[1])
    return Capacity(
        per_s=per_s,
        workers=workers,
        partitions=math.ceil(2 * max(workers.values()) / PARTITIONS_STEP) * PARTITIONS_STEP,
        brokers=max(limits.brokers, math.ceil(bytes_per_s / limits.broker_bytes_per_s)),
        databases=max(1, math.ceil(per_s * costs.database_operations / limits.database_operations_per_s)),
        breaks_first=first,
        breaks_at_per_s=at_per_s,
    )


def ceilings(costs: Costs, limits: Limits = Limits()) -> dict[str, float]:
    """Complaints a second that each thing holds which cannot be had twice by starting another process.

    The intake reads no topic, so partitions do not bound it.
    """
    at_most = {
        f"{service}: {limits.partitions} partitions": limits.partitions * limits.core_share * 1000 / cpu_ms
        for service, cpu_ms in costs.service_cpu_ms.items()
        if service != "intake" and cpu_ms
    }
    if costs.record_bytes:
        at_most[f"{limits.brokers} brokers"] = (
            limits.brokers * limits.broker_bytes_per_s / (costs.record_bytes * limits.replication)
        )
    if costs.database_operations:
        at_most["one database"] = limits.database_operations_per_s / costs.database_operations
    return at_most


def held_per_s(costs: Costs, workers: Mapping[str, int], *, cores: int) -> tuple[float, str]:
    """Complaints a second that one machine holds when nothing but processors bounds it, and what bounds it.

    A service not named has one worker; a worker uses one core at most.
    """
    total_ms = sum(costs.service_cpu_ms.values()) + costs.parts_cpu_ms
    at_most = {s: workers.get(s, 1) * 1000 / cpu_ms for s, cpu_ms in costs.service_cpu_ms.items() if cpu_ms}
    at_most[f"{cores} cores"] = cores * 1000 / total_ms
    bound = min(at_most, key=lambda name: at_most[name])
    return at_most[bound], bound
