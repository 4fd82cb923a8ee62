"""`amends bench`: figures on real parts, everything on this machine, written to docs/benchmarks.md."""

import asyncio
import importlib
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from deploy.local.stack import Stack
from services.cli.machine import machine, pace_ms, time_stolen

BENCHES = ("classifier", "calendar", "intake", "router", "sla", "notifier", "desk", "chain", "rest")
"""Modules of this folder; each has `async def run(addresses) -> dict` of figures, names ending in their units."""


@dataclass(frozen=True, slots=True)
class Aim:
    """What a figure should be."""

    says: str
    at_least: float | None = None
    at_most: float | None = None

    def holds(self, value: float) -> bool:
        """Whether it is reached."""
        return (self.at_least is None or value >= self.at_least) and (self.at_most is None or value <= self.at_most)


AIMS: Mapping[str, Mapping[str, Aim]] = {
    "classifier": {"us_per_text": Aim("one text classified, us", at_most=300)},
    "calendar": {"us_per_due_time": Aim("one due time, us", at_most=5)},
    "intake": {
        "complaints_per_s": Aim("complaints a second over HTTP, one process", at_least=1500),
        "batch_lines_per_s": Aim("lines a second in batches, one process", at_least=5000),
    },
    "router": {"complaints_per_s": Aim("complaints a second, one process", at_least=1500)},
    "sla": {
        "ticket_events_per_s": Aim("ticket events a second, one process", at_least=3000),
        "armed_1m_mb": Aim("memory with 1,000,000 armed deadlines, MB", at_most=400),
        "lateness_p99_ms": Aim("lateness at 1,000 due a second, p99, ms", at_most=100),
        "lateness_max_ms": Aim("the same, max, ms", at_most=1000),
        "burst_50k_published_s": Aim("50,000 due in one second, all published after, s", at_most=10),
    },
    "notifier": {"sms_per_s": Aim("SMS a second, one process", at_least=500)},
    "desk": {
        "queue_p95_ms": Aim("a page of the queue, 100 people who work, p95, ms (aim: at 1,000,000 rows)", at_most=200),
        "ticket_p95_ms": Aim("a ticket's page, p95, ms", at_most=100),
        "waybill_p95_ms": Aim("search by waybill, p95, ms", at_most=100),
        "command_seen_max_ms": Aim("a command seen in all other browsers, max, ms", at_most=1000),
    },
    "chain": {
        "complaints_per_s": Aim("whole chain, complaints a second from HTTP to SMS", at_least=500),
        "backlog_end": Aim("messages not yet handled 5 s after two minutes at 80 % of that", at_most=500),
        "accept_to_sms_p99_ms": Aim("accepted to SMS handed over at half of that, p99, ms", at_most=1000),
    },
    "rest": {"service_mb_max": Aim("memory of the largest service at rest, MB", at_most=150)},
}


@click.command(short_help="Measure parts, or all of them.")
@click.argument("which", nargs=-1, type=click.Choice(BENCHES))
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
@click.option("--write", is_flag=True, help="Write what was measured into docs/benchmarks.md; other parts stay there.")
def bench(*, which: tuple[str, ...], as_json: bool, write: bool) -> None:
    """Measure WHICH parts (all of them when none is named) on real Kafka and a real database."""
    console = Console(stderr=True)
    figures: dict[str, dict[str, Any]] = {}
    paces = []
    for name in which or BENCHES:
        paces.append(pace_ms())
        console.print(f"[bold]{name}[/] (a million additions: {paces[-1]:.0f} ms) ...")
        with tempfile.TemporaryDirectory(prefix="amends-bench-") as folder, time_stolen() as stolen:
            figures[name] = measure(name, Path(folder))
        figures[name] |= stolen
        for row in rows({name: figures[name]}):
            console.print("  " + row, highlight=False)
    if as_json:
        click.echo(json.dumps(figures, indent=2))
    if write:
        path = Path("docs/benchmarks.md")
        path.parent.mkdir(exist_ok=True)
        written = path.read_text() if path.exists() and which else ""
        path.write_text(page(figures, paces_ms=paces, written=written))
        console.print(f"Written to {path}")


def measure(name: str, folder: Path) -> dict[str, Any]:
    """One bench on fresh parts."""
    module = importlib.import_module(f"services.cli.bench.{name}")
    if getattr(module, "STARTS_ITSELF", False):
        measured: dict[str, Any] = asyncio.run(module.run(folder))
    else:
        stack = Stack(folder)
        stack.start()
        try:
            measured = asyncio.run(module.run(stack.addresses))
        finally:
            stack.stop()
    return measured


def rows(figures: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """A line a figure: what, measured, aim, whether it holds."""
    lines = []
    for name, measured in figures.items():
        aims = AIMS.get(name, {})
        for figure, value in measured.items():
            aim = aims.get(figure)
            shown = f"{value:,.1f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else value
            if aim is None:
                lines.append(f"| {name} | {figure.replace('_', ' ')} | {shown} | | |")
            else:
                bound = f">= {aim.at_least:,}" if aim.at_least is not None else f"<= {aim.at_most:,}"
                lines.append(f"| {name} | {aim.says} | {shown} | {bound} | {'yes' if aim.holds(value) else '**no**'} |")
    return lines


def page(figures: Mapping[str, Mapping[str, Any]], *, paces_ms: Sequence[float], written: str = "") -> str:
    """docs/benchmarks.md; the pace of the machine is that before each part.

    Args:
        figures: of the parts that were measured.
        paces_ms: of each of them.
        written: the page as it is, of which everything else stays; empty: it is made anew.
    """
    if written:
        return _with(written, figures, paces_ms=paces_ms)
    head = [
        "# Benchmarks",
        "",
        f"Made by `make bench` on {datetime.now(UTC):%Y-%m-%d} with {machine()}.",
        "Kafka, database, Redis, gateways, load and the service measured share these cores, so a figure says what one",
        "small machine holds, not what a process could do alone. Adding a million integers in Python took it",
        f"{min(paces_ms):.0f} to {max(paces_ms):.0f} ms before each part; figures of two runs compare at a like pace.",
        "",
        "| Part | Figure | Measured | Aim | Holds |",
        "|---|---|---|---|---|",
    ]
    return "\n".join([*head, *rows(figures)]) + "\n"


def _with(written: str, figures: Mapping[str, Mapping[str, Any]], *, paces_ms: Sequence[float]) -> str:
    """The page with other rows of these parts, which say when and at which pace they were measured."""
    head: list[str] = []
    known: dict[str, list[str]] = {}
    for line in written.splitlines():
        part = line.removeprefix("| ").partition(" |")[0]
        (known.setdefault(part, []) if part in BENCHES else head).append(line)
    for (name, measured), pace in zip(figures.items(), paces_ms, strict=True):
        alone = f"| {name} | measured alone on | {datetime.now(UTC):%Y-%m-%d} at a pace of {pace:.0f} ms | | |"
        known[name] = [*rows({name: measured}), alone]
    return "\n".join([*head, *(line for name in BENCHES for line in known.get(name, ()))]) + "\n"
