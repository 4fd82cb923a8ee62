"""`make bench-peers`: Amends and others at the same work, side by side in one run.

The peers are installed into environments of their own under `AMENDS_CACHE`, from the files in `requirements/`
(made anew by `uv pip compile <peer>.in --generate-hashes --no-annotate --no-emit-index-url --no-header -o <peer>.txt`).
"""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.console import Console

from services.cli.machine import machine
from tests.peers import router, tickets, working_time
from tests.peers.environment import REQUIREMENTS, python_of
from tests.peers.report import Comparison, page, plain, table

PARTS: dict[str, Callable[[Callable[[str], None]], Comparison]] = {
    "router": router.compare,
    "tickets": tickets.compare,
    "working-time": lambda _say: working_time.compare(),
}
PAGE = Path("docs/peers.md")


@click.command()
@click.argument("which", nargs=-1, type=click.Choice(list(PARTS)))
@click.option("--json", "as_json", is_flag=True, help="One JSON list on standard output.")
@click.option("--write", is_flag=True, help=f"Write {PAGE}.")
def main(*, which: tuple[str, ...], as_json: bool, write: bool) -> None:
    """Measure WHICH comparisons (all of them when none is named) on real Kafka and a real database."""
    if write and which:
        raise click.UsageError("--write writes the whole page: name no part")
    console = Console(stderr=True, highlight=False)
    for file in sorted(REQUIREMENTS.glob("*.txt")):
        python_of(file.stem)
    began, comparisons = time.monotonic(), []
    for name in which or PARTS:
        console.print(f"[bold]{name}[/] ...")
        comparison = PARTS[name](lambda line: console.print("  " + line, markup=False))
        comparisons.append(comparison)
        for line in table(comparison):
            console.print(line, markup=False, soft_wrap=True)
    console.print(f"{time.monotonic() - began:.0f} s")
    if as_json:
        click.echo(json.dumps(plain(comparisons), indent=2))
    if write:
        PAGE.write_text(page(comparisons, facts=facts()))
        console.print(f"Written to {PAGE}")


def facts() -> list[str]:
    """When, where and how."""
    return [
        f"Made by `make bench-peers` on {datetime.now(UTC):%Y-%m-%d} with {machine()}.",
        "Contestants take turns within one run, so that whatever else the machine does concerns all of them; figures",
        "are medians of the rounds. Versions are pinned in `tests/peers/requirements/`; the programs are in",
        "`tests/peers/programs/`.",
    ]


if __name__ == "__main__":
    main()
