"""docs/scale.md from what the parts measured. Pure: figures in, Markdown out."""

import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from tests.scale.cost import costs
from tests.scale.model import Limits, capacity, ceilings

RATES = (10, 100, 1_000, 10_000)
NORMAL_AGAIN_S_AIM = 30

Figures = Mapping[str, Any]
Sections = Mapping[str, tuple[str, Callable[[Figures], list[str]]]]


def page(measured: Mapping[str, Mapping[str, Any]], *, before: str = "") -> str:
    """The page.

    Args:
        measured: of each part `{"at", "command", "machine", "figures"}`, of a part that was not run nothing.
        before: the page as it stood; what it says of a part that was not run stays.
    """
    lines = [
        "# Under load, for long, and large",
        "",
        "Everything runs on one machine, the load included: one broker, one database, one of each service. Each part",
        "says when, how and where it was measured.",
    ]
    for part, (title, section) in SECTIONS.items():
        lines += ["", f"## {title}", ""]
        if part in measured:
            one = measured[part]
            lines += [f"By `{one['command']}` on {one['at']}, {one['machine']}.", "", *section(one["figures"])]
        elif f"## {title}\n" in before:
            lines += [before.split(f"## {title}\n")[1].split("\n## ", maxsplit=1)[0].strip()]
        else:
            lines += [f"Not measured yet: `make bench-scale ARGS='--parts={part} --write'`."]
    return "\n".join(lines) + "\n"


def rate(f: Figures) -> list[str]:
    """What holds."""
    return _prose(f"""The whole chain, from HTTP to the confirmation handed to the SMS gateway, holds
        **{_n(f["held_per_s"])}** complaints/s: a flood of {f["seconds"]} s, counted until its last confirmation
        is sent and no message waits anywhere.""")


def overload(f: Figures) -> list[str]:
    """Three times what holds."""
    again = f["normal_again_s"]
    rows = [
        ("posted, complaints/s", f"{_n(f['posted_per_s'])} for {_n(f['seconds'])} s", ""),
        ("answers by status", ", ".join(f"{n:,} x {status}" for status, n in f["answers"].items()), "202, 429, 503"),
        ("not sent, as 2,000 were under way", f["unsent"], ""),
        ("429 and 503 without Retry-After", f["503_without_retry_after"] + f["429_without_retry_after"], "0"),
        ("accept p99 of a second, highest before, ms", _n(f["accept_p99_ms_before_max"]), ""),
        ("accept p99 during, ms", _n(f["accept_p99_ms_during"]), ""),
        *([("from 30 s after it, ms", _n(f["accept_p99_ms_after"]), "")] if "accept_p99_ms_after" in f else []),
        ("normal again after, s", "not seen" if again is None else again, f"<= {NORMAL_AGAIN_S_AIM}"),
        ("everything handled after, s", _n(f["drained_s"]), ""),
        ("processes that ended", ", ".join(f["ended"]) or "none", "none"),
        *_audit(f["audit"]),
    ]
    memory = [
        (name, _n(mb), f["memory_mb_bound"][name], "yes" if mb <= f["memory_mb_bound"][name] else "**no**")
        for name, mb in f["memory_mb_max"].items()
    ]
    return [
        *table(("", "Measured", "Aim"), rows),
        "",
        *_prose(f"""Normal is a second whose p99 is not above the highest of the seconds before the overload, five in a
            row, at half of what holds. While what was accepted is worked off, all parts share the processors with
            accepting. Memory, looked at {f["memory_samples"]:,} times, a second apart, until that is done:"""),
        "",
        *table(("Process", "RSS max, MB", "Bound, MB", "Holds"), memory),
    ]


def burst(f: Figures) -> list[str]:
    """The trickle beside the burst."""
    rows = [(name, w["count"], _n(w["p50_s"]), _n(w["p99_s"])) for name, w in f["to_ticket"].items()]
    return [
        *_prose(f"""{f["burst_accepted"]:,} complaints about five outlets were accepted within
            {_n(f["burst_posted_s"])} s, half of them from the outlets themselves, all of one outlet with one key. The
            backlog was gone **{_n(f["backlog_gone_after_s"])} s** later. Meanwhile {f["trickle_per_s"]} others came
            each second, of which {f["trickle_refused"]} were refused and {f["trickle_without_ticket"]} got no
            ticket:"""),
        "",
        *table(("Others, accepted to ticket", "Complaints", "p50, s", "p99, s"), rows),
        "",
        *table(("", "Measured", "Aim"), _audit(f["audit"])),
    ]


def soak(f: Figures) -> list[str]:
    """Trends."""
    rows = [
        (name, *(_n(t[value]) for value in ("first_third", "last_third", "max", "slope_per_h")))
        for name, t in f["trends"].items()
    ]
    return [
        *_prose(f"""{_n(f["posted_per_s"])} complaints/s for {_n(f["seconds"])} s, {f["samples"]} looks, the first tenth
            of them left out. {f["not_accepted"]} were not accepted; processes that ended:
            {", ".join(f["ended"]) or "none"}."""),
        "",
        *table(("", "Median, first third", "Median, last third", "Max", "Slope per hour"), rows),
        "",
        *table(("", "Measured", "Aim"), _audit(f["audit"])),
    ]


def growth(f: Figures) -> list[str]:
    """The curve."""
    names = {
        "tickets": "Tickets", "documents": "Documents", "complaints_per_s": "Router, complaints/s",
        "cpu_us_per_complaint": "CPU us each", "late_p50_ms": "Late p50, ms", "late_p99_ms": "p99, ms",
        "late_max_ms": "max, ms", "read_before_due_s": "Read before due, s",
    }  # fmt: skip
    curve = f["curve"]
    rows = [tuple(_n(point[name]) for name in names) for point in curve]
    later_ms = curve[-1]["late_p99_ms"] - curve[0]["late_p99_ms"]
    worse = 1 - curve[-1]["complaints_per_s"] / curve[0]["complaints_per_s"]
    return [
        *_prose(f"""One router working through {f["complaints"]:,} waiting complaints, then one SLA monitor with as many
            breaches at 1,000 a second, for each size on an empty Kafka. The tickets are copies, under other ids, of
            what the services wrote about {f["seeds"]:,} real ones; all of them are open."""),
        "",
        *table(tuple(names.values()), rows),
        "",
        *_prose(f"""From {curve[0]["tickets"]:,} to {curve[-1]["tickets"]:,} tickets throughput falls by
            **{worse:.0%}** and p99 of lateness rises by **{_n(later_ms)} ms** (below nothing: it is better)."""),
    ]


def queries(f: Figures) -> list[str]:
    """The desk's questions, each at every size."""
    curve = f["curve"]
    first, last = curve[0]["asked"], curve[-1]["asked"]
    rows = [
        (
            question,
            *(f"{_n(point['asked'][question]['p50_ms'])}, {_n(point['asked'][question]['p95_ms'])}" for point in curve),
            f"{last[question]['p50_ms'] / first[question]['p50_ms'] - 1:+.0%}",
        )
        for question in first
    ]
    return [
        *_prose(f"""What the desk asks its database, {f["times"]} times each, one after the other: p50 and p95 in
            milliseconds; lists are pages of {f["page"]}. The tickets are those of a year, a twentieth of them
            open."""),
        "",
        *table(("", *(f"{point['tickets']:,} tickets" for point in curve), "p50, first to last"), rows),
    ]


def cost(f: Figures) -> list[str]:
    """Costs, and what they foretell."""
    limits = Limits()
    used = costs(f)
    rows = [(name, _n(value), _n(f["at_rest"][name])) for name, value in f["each"].items()]
    planned = []
    for per_s in RATES:
        c = capacity(used, per_s)
        workers = ", ".join(f"{service} {n}" for service, n in c.workers.items())
        verdict = f"{c.breaks_first}, at {_n(c.breaks_at_per_s)}/s" if c.breaks_at_per_s < per_s else "nothing"
        planned.append((f"{per_s:,}", workers, c.partitions, c.brokers, c.databases, verdict))
    return [
        *_prose(f"""{f["complaints"]:,} complaints at {_n(f["per_s"])}/s; {f["not_accepted"]} more were not accepted.
            What the same process takes a second at rest is taken off."""),
        "",
        *table(("", "Per complaint", "Per second at rest"), rows),
        "",
        *table(("", "Measured", "Aim"), _audit(f["audit"])),
        "",
        "### What a rate takes",
        "",
        *_prose(f"""From these costs, by `tests/scale/model.py`. Assumed: a worker uses {limits.core_share:.0%} of a
            core; a broker writes {limits.broker_bytes_per_s / 1e6:.0f} MB/s with replication {limits.replication}; one
            database does {limits.database_operations_per_s:,.0f} operations/s, and with more it is sharded. Partitions
            are twice the workers of the largest service, in steps of 12. What breaks first is looked for in a system of
            {limits.partitions} partitions, {limits.brokers} brokers and one database."""),
        "",
        *table(("Complaints/s", "Workers", "Partitions", "Brokers", "Databases", "What breaks first"), planned),
        "",
        *table(
            ("Such a system, however many workers it has, ends at", "complaints/s"),
            [(name, _n(at)) for name, at in sorted(ceilings(used).items(), key=lambda c: c[1])],
        ),
    ]


def check(f: Figures) -> list[str]:
    """Foretold and found."""
    rows = [
        (r["workers"], _n(r["measured_per_s"]), _n(r["predicted_per_s"]), r["bound"],
         f"{r['measured_per_s'] / r['predicted_per_s']:.2f}")
        for r in f["runs"]
    ]  # fmt: skip
    return [
        *_prose(f"""A flood on {f["cores"]} cores, beside what the costs above foretell for them if every core is used
            to the full. The load takes a part of the same cores, which the model does not count. The costs were
            counted at half of what holds: in a flood batches are full, and what a batch costs is shared by more
            complaints, so that the model promises less than what comes."""),
        "",
        *table(("Workers of each consuming service", "Measured/s", "Foretold/s", "Bound by", "Ratio"), rows),
    ]


SECTIONS: Sections = {
    "rate": ("What holds", rate),
    "overload": ("Three times what holds", overload),
    "burst": ("A hub stops", burst),
    "soak": ("For long", soak),
    "growth": ("Large", growth),
    "queries": ("Large, as the desk asks", queries),
    "cost": ("What one complaint costs, and what a rate takes", cost),
    "check": ("Whether the model holds", check),
}
"""By part, in the order in which they are run."""


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[str]:
    """Lines of a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join(f"{c:,}" if isinstance(c, int) else str(c) for c in line) + " |" for line in lines]


def _prose(text: str) -> list[str]:
    return textwrap.wrap(" ".join(text.split()), 120, break_long_words=False, break_on_hyphens=False)


def _audit(found: Figures) -> list[tuple[Any, ...]]:
    others = ", ".join(f"{n:,} {kind}" for kind, n in found["other_differences"].items())
    return [
        ("accepted, lost, doubled", f"{found['accepted']:,}, {found['lost']:,}, {found['doubled']:,}", "0 and 0"),
        ("other differences that `amends verify` names", others or "none", "none"),
    ]


def _n(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.1f}" if abs(value) >= 10 else f"{value:,.2f}"
