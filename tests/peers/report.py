"""What was measured side by side, as tables for a terminal and for docs/peers.md. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from inspect import cleandoc
from statistics import median
from typing import Any


@dataclass(frozen=True, slots=True)
class Row:
    """One contestant's rounds."""

    name: str
    rounds: tuple[float, ...]
    """In the comparison's unit."""
    beside: tuple[str, ...] = ()
    """Its words for the comparison's further columns."""
    ours: bool = False
    aim: float | None = None
    """How many times better Amends shall be."""

    @property
    def figure(self) -> float:
        return median(self.rounds)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Contestants who did the same work by turns; one of them is Amends."""

    title: str
    unit: str
    rows: tuple[Row, ...]
    fairness: str
    """What each did, and what was done in whose favour: paragraphs."""
    columns: tuple[str, ...] = ()
    less_is_better: bool = False

    def times_better(self, row: Row) -> float:
        """How many times better Amends is than a peer; under 1 the peer wins."""
        ours = next(r for r in self.rows if r.ours).figure
        return row.figure / ours if self.less_is_better else ours / row.figure


def table(comparison: Comparison) -> list[str]:
    """Lines of a Markdown table."""
    head = ("", f"{comparison.unit}, median", "least - most", "Amends is", "Aim", *comparison.columns)
    lines = [_line(head), "|" + "---|" * len(head)]
    for row in comparison.rows:
        spread = f"{_number(min(row.rounds))} - {_number(max(row.rounds))}"
        lines.append(_line((row.name, _number(row.figure), spread, *_verdict(comparison, row), *row.beside)))
    return lines


def _verdict(comparison: Comparison, row: Row) -> tuple[str, str]:
    if row.ours:
        return "", ""
    times = comparison.times_better(row)
    says = f"{_number(times)} times better"
    if times < 1:
        says = f"**worse: the peer is {_number(1 / times)} times better**"
    if row.aim is None:
        return says, ""
    return says, f">= {row.aim:g}: {'yes' if times >= row.aim else '**no**'}"


def page(comparisons: Sequence[Comparison], *, facts: Sequence[str]) -> str:
    """docs/peers.md."""
    lines = ["# Side by side with others", "", *facts, ""]
    for comparison in comparisons:
        lines += [f"## {comparison.title}", "", *table(comparison), ""]
        lines += [cleandoc(comparison.fairness), ""]
    return "\n".join(lines).rstrip() + "\n"


def plain(comparisons: Sequence[Comparison]) -> list[dict[str, Any]]:
    """For a program."""
    return [
        {
            "title": c.title,
            "unit": c.unit,
            "rows": [
                {"name": r.name, "rounds": r.rounds, "median": r.figure, "ours": r.ours}
                | ({} if r.ours else {"times_better": c.times_better(r), "aim": r.aim})
                for r in c.rows
            ],
        }
        for c in comparisons
    ]


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:,.1f}" if value >= 10 else f"{value:,.2f}"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
