"""From what one complaint costs to what a rate takes."""

import pytest

from tests.scale.model import Costs, Limits, capacity, ceilings, held_per_s

COSTS = Costs(
    service_cpu_ms={"intake": 0.7, "router": 1.4, "notifier": 2.0},
    parts_cpu_ms=1.9,
    database_operations=40,
    record_bytes=10_000,
)


def test_workers_use_no_more_than_their_share_of_a_core():
    """At 100/s a router of 1.4 ms needs 0.14 s a second; at 1,000/s two cores at 70 %."""
    assert capacity(COSTS, 100).workers == {"intake": 1, "router": 1, "notifier": 1}
    assert capacity(COSTS, 1_000).workers == {"intake": 1, "router": 2, "notifier": 3}


def test_there_are_twice_as_many_partitions_as_workers_of_the_largest_service():
    """In steps that divide evenly."""
    assert capacity(COSTS, 1_000).partitions == 12
    assert capacity(COSTS, 10_000).workers["notifier"] == 29
    assert capacity(COSTS, 10_000).partitions == 60


def test_brokers_are_counted_by_what_they_write_and_databases_by_operations():
    """10,000/s of 10 kB three times over is 300 MB/s, and 400,000 operations; never fewer than to begin with."""
    large = capacity(COSTS, 10_000)
    assert (large.brokers, large.databases) == (6, 20)
    small = capacity(COSTS, 10)
    assert (small.brokers, small.databases) == (3, 1)


def test_what_breaks_first_has_the_lowest_ceiling():
    """Twenty thousand operations a second are 500 complaints of 40; the intake is bound by no partition."""
    found = ceilings(COSTS)
    assert found["one database"] == 500
    assert found["3 brokers"] == 5_000
    assert found["notifier: 12 partitions"] == pytest.approx(4_200)
    assert not any(name.startswith("intake") for name in found)
    planned = capacity(COSTS, 10_000)
    assert (planned.breaks_first, planned.breaks_at_per_s) == ("one database", 500)
    assert capacity(COSTS, 10, Limits(database_operations_per_s=1e9)).breaks_first == "notifier: 12 partitions"


def test_one_machine_is_bound_by_its_slowest_worker_or_by_all_its_cores():
    """More workers help until the cores are full."""
    assert held_per_s(COSTS, {}, cores=64) == (500, "notifier")
    assert held_per_s(COSTS, {"notifier": 2}, cores=64) == (pytest.approx(714, abs=1), "router")
    assert held_per_s(COSTS, {}, cores=2) == (pytest.approx(333, abs=1), "2 cores")
