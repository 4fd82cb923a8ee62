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

AUDIT = {"accepted": 9, "lost": 1, "doubled": 0, "other_differences": {"no_clock": 2}}
WAIT = {"count": 300, "p50_s": 0.4, "p99_s": 1.5}
POINT = dict.fromkeys(("documents", "cpu_us_per_complaint", "late_p50_ms", "late_max_ms", "read_before_due_s"), 60.0)
FIGURES = {
    "growth": {
        "complaints": 5000, "seeds": 2000,
        "curve": [
            {"tickets": 10_000, "complaints_per_s": 500.0, "late_p99_ms": 100.0, **POINT},
            {"tickets": 1_000_000, "complaints_per_s": 400.0, "late_p99_ms": 130.0, **POINT},
        ],
    },
    "burst": {
        "burst_accepted": 50_000, "burst_posted_s": 60.0, "backlog_gone_after_s": 200.0, "trickle_per_s": 5,
        "trickle_refused": 3, "trickle_without_ticket": 0, "to_ticket": {"before": WAIT}, "audit": AUDIT,
    },
    "soak": {
        "seconds": 1800.0, "posted_per_s": 90.0, "not_accepted": 0, "samples": 180, "ended": ["router"],
        "trends": {"router: handles": {"slope_per_h": 0.5, "first_third": 40, "last_third": 41, "max": 44}},
        "audit": AUDIT,
    },
    "queries": {
        "times": 300, "page": 50,
        "curve": [
            {"tickets": 10_000, "asked": {"all, by time left": {"p50_ms": 2.0, "p95_ms": 3.0}}},
            {"tickets": 1_000_000, "asked": {"all, by time left": {"p50_ms": 2.1, "p95_ms": 3.5}}},
        ],
    },
    "check": {
        "cores": 2,
        "runs": [{"workers": 1, "measured_per_s": 180.0, "predicted_per_s": 200.0, "bound": "2 cores"}],
    },
}  # fmt: skip


def test_each_part_tells_what_it_found():
    """Also what is not as it should be."""
    run = {"at": "2026-11-22", "command": "make bench-scale", "machine": "2 cores"}
    written = page({part: {**run, "figures": figures} for part, figures in FIGURES.items()})
    flowing = " ".join(written.split())
    assert "throughput falls by **20%** and p99 of lateness rises by **30.0 ms**" in flowing
    assert "| before | 300 | 0.40 | 1.50 |" in written
    assert "The backlog was gone **200 s** later" in flowing
    assert "| all, by time left | 2.00, 3.00 | 2.10, 3.50 | +5% |" in written
    assert "processes that ended: router." in flowing
    assert "| router: handles | 40.0 | 41.0 | 44.0 | 0.50 |" in written
    assert "| accepted, lost, doubled | 9, 1, 0 | 0 and 0 |" in written
    assert "| other differences that `amends verify` names | 2 no_clock | none |" in written
    assert "| 1 | 180 | 200 | 2 cores | 0.90 |" in written


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


def test_what_was_found_before_of_a_part_that_was_not_run_stays():
    """The figures of a part cost half an hour; those of another do not take them away."""
    run = {"at": "2026-11-22", "command": "make bench-scale", "machine": "2 cores"}
    first = page({part: {**run, "figures": FIGURES[part]} for part in ("soak", "check")})
    again = page({"check": {**run, "at": "2026-11-23", "figures": FIGURES["check"]}}, before=first)
    assert again == page({
        "soak": {**run, "figures": FIGURES["soak"]}, "check": {**run, "at": "2026-11-23", "figures": FIGURES["check"]}
    })  # fmt: skip
