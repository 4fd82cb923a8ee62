"""`make bench-scale`: overload, burst, soak, growth and cost of the whole system, each on a stack of its own."""

import importlib
import json
import sys
import time
import traceback
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import uvloop
from rich.console import Console

from services.cli.machine import machine, time_stolen
from tests.scale.options import Options
from tests.scale.report import SECTIONS, page

PARTS = tuple(SECTIONS)
NEED_RATE = ("overload", "soak", "cost")
PAGE = Path("docs/scale.md")


@click.command()
@click.option("--parts", default=",".join(PARTS), show_default=True, help="Which to measure, by comma.")
@click.option("--rate", type=float, help="Complaints/s that hold; else the last measured, else measured first.")
@click.option("--flood-s", default=16, show_default=True, help="Seconds of the flood that measures the rate.")
@click.option("--overload-s", default=300.0, show_default=True, help="Seconds at three times the rate.")
@click.option("--burst", default=50_000, show_default=True, help="Complaints in the one minute of the burst.")
@click.option("--soak", default=1800.0, show_default=True, help="Seconds at half the rate.")
@click.option("--growth", default="10000,100000,1000000", show_default=True, help="Tickets in the database.")
@click.option("--complaints", default=5_000, show_default=True, help="Counted in cost, and at each size of growth.")
@click.option("--folder", default=Path(".run/scale"), show_default=True, type=click.Path(path_type=Path),
              help="Where the figures of each part are kept.")  # fmt: skip
@click.option("--write", is_flag=True, help=f"Write {PAGE} from all figures that are kept.")
def main(*, parts: str, write: bool, growth: str, folder: Path, rate: float | None, **sizes: Any) -> None:
    """Measure on real Kafka and a real database. A part that fails leaves the figures of the others as they are."""
    wanted = [part.strip() for part in parts.split(",") if part.strip()]
    if unknown := set(wanted) - set(PARTS):
        raise click.UsageError(f"no such parts: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    options = Options(folder=folder, rate=rate or 0.0, growth=tuple(map(int, growth.split(","))), **sizes)
    if rate is None and "rate" not in wanted and set(wanted) & set(NEED_RATE) and options.figures_of("rate") is None:
        wanted.insert(0, "rate")
    folder.mkdir(parents=True, exist_ok=True)
    failed = [part for part in PARTS if part in wanted and not _measure(part, options)]
    kept = {part: json.loads(options.file_of(part).read_text()) for part in PARTS if options.file_of(part).exists()}
    if write:
        PAGE.write_text(page(kept, before=PAGE.read_text()))
        Console(stderr=True).print(f"Written to {PAGE}")
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")


def _measure(part: str, options: Options) -> bool:
    """One part, its figures kept; whether it could be measured."""
    console = Console(stderr=True, highlight=False)
    console.print(f"[bold]{part}[/] ...")
    began = time.monotonic()
    try:
        if part in NEED_RATE and not options.rate:
            known = options.figures_of("rate")
            if known is None:
                raise LookupError("no rate was measured: give it with --rate")  # noqa: TRY301
            options = replace(options, rate=known["held_per_s"])
        with time_stolen() as stolen:
            figures = uvloop.run(importlib.import_module(f"tests.scale.{part}").run(options))
        one = {
            "at": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
            "command": f"make bench-scale ARGS='{' '.join(sys.argv[1:])}'",
            "machine": f"{machine()}, of whose time others had {stolen['time_stolen_percent']:.0f}%",
            "figures": figures,
        }
        lines = page({part: one}).split(f"## {SECTIONS[part][0]}\n")[1].split("\n## ")[0]
        options.file_of(part).write_text(json.dumps(one, indent=2))
    except Exception:  # noqa: BLE001  # whatever ends one part, the others are measured
        console.print(traceback.format_exc(), markup=False, soft_wrap=True)
        return False
    console.print(lines.strip(), markup=False, soft_wrap=True)
    console.print(f"{time.monotonic() - began:.0f} s")
    return True


if __name__ == "__main__":
    main()
