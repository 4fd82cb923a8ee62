"""docs/scale.md."""

from tests.scale.report import SECTIONS, page

COST = {
    "complaints": 500,
    "per_s": 50.0,
    "not_accepted": 0,
    "each": {
        "cpu_ms router": 1.4,
        "cpu_ms database": 0.8,
        "database documents kept": 20.0,
        "record_bytes ticket-event": 4e3,
    },
    "at_rest": {
        "cpu_ms router": 9.0,
        "cpu_ms database": 5.0,
        "database documents kept": 0.1,
        "record_bytes ticket-event": 0.0,
    },
    "audit": {"accepted": 500, "lost": 0, "doubled": 0, "other_differences": {}},
}


def test_a_part_that_was_not_run_is_said_not_to_be():
    """With the command that runs it; there is no figure without a run."""
    written = page({})
    assert written.count("Not measured yet") == len(SECTIONS)
    assert "`make bench-scale ARGS='--parts=soak --write'`" in written


def test_a_part_says_when_how_and_where_it_was_measured():
    """And the capacities follow from its costs."""
    written = page({"cost": {"at": "2026-11-22", "command": "make bench-scale", "machine": "2 cores", "figures": COST}})
    assert "By `make bench-scale` on 2026-11-22, 2 cores." in written
    assert "| 10,000 | router 20 | 48 | 3 | 10 | one database, at 1,000/s |" in written
    assert written.count("Not measured yet") == len(SECTIONS) - 1
