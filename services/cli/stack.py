"""`amends up`, `scale`, `down`, `status`: Amends on this machine, with Kafka, database, Redis and sandbox."""

import dataclasses
import json
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import NoReturn

import click
from rich.table import Table

from deploy.local import running
from deploy.local.part import PartUnavailableError
from deploy.local.programs import SERVICES
from deploy.local.run_file import run_file, run_folder
from deploy.local.supervision import Supervisor
from services.cli import output

EXIT_DEGRADED = 1
EXIT_NOT_RUNNING = 3


class Workers(click.ParamType):
    """`router=2`: how many processes a service has."""

    name = "SERVICE=COUNT"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, int]:
        """Read one."""
        service, _, count = str(value).partition("=")
        if service not in SERVICES or not count.isdecimal():
            self.fail(f"{value!r} is not like router=2; services are {', '.join(SERVICES)}", param, ctx)
        return service, int(count)


_FOLDER = click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=run_folder,
    help="Folder of the stack: data, logs, run.json.  [default: AMENDS_RUN, else .run]",
)


@click.command(short_help="Start Amends on this machine.")
@_FOLDER
@click.option("--detach", is_flag=True, help="Return when everything is ready, and leave it running.")
@click.option("--workers", type=Workers(), multiple=True, help="Processes of a service, such as router=2; 0 for none.")
@click.option("--policy", default="", help="Policy of service levels to put in force; `demo` has limits of seconds.")
@click.option("--brokers", type=click.Choice(["1", "3"]), default="1", show_default=True, help="Brokers of Kafka.")
@click.option("--json", "as_json", is_flag=True, help="Print run.json on standard output when everything is ready.")
def up(
    *, folder: Path, detach: bool, workers: tuple[tuple[str, int], ...], policy: str, brokers: str, as_json: bool
) -> None:
    """Start Kafka, the database, Redis, the sandbox and all services, and keep them running.

    Addresses and process ids are in run.json in the folder as soon as everything is ready. What dies is started
    again. Ctrl-C stops everything. AMENDS_KAFKA, AMENDS_MONGO and AMENDS_REDIS name servers of your own; those parts
    are not started then.

    Exit codes: 0 ready (--detach) or stopped, 1 something did not come up.
    """
    folder = folder.absolute()
    for number in (signal.SIGINT, signal.SIGTERM):  # SIGINT is ignored in what a script starts in the background
        signal.signal(number, _interrupt)
    try:
        running.up(
            folder,
            workers=dict(workers),
            policy=policy,
            brokers=int(brokers),
            detached=detach,
            say=lambda line: click.echo(line, err=True),
        )
        if as_json:
            click.echo(run_file(folder).read_text())
        if detach:
            click.echo(f"Running. Addresses are in {run_file(folder)}; `amends down` stops it.", err=True)
            return
        click.echo(f"Running. Addresses are in {run_file(folder)}; Ctrl-C stops everything.", err=True)
        for line in _spoken(Supervisor(folder)):
            click.echo(line, err=True)
        if run_file(folder).exists():  # `amends down` from elsewhere takes it away first
            running.down(folder)
            raise click.ClickException(f"The supervisor was killed and everything with it; see {folder / 'logs'}.")
    except PartUnavailableError as error:
        raise click.ClickException(str(error)) from error
    except KeyboardInterrupt:
        click.echo("Stopping.", err=True)
        # A second Ctrl-C must not leave half of it running.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    running.down(folder)


@click.command(short_help="Run more or fewer processes of a service.")
@_FOLDER
@click.argument("workers", metavar="SERVICE=COUNT...", type=Workers(), nargs=-1, required=True)
def scale(*, folder: Path, workers: tuple[tuple[str, int], ...]) -> None:
    """Change the number of processes while everything runs, such as `amends scale router=4 notifier=2`.

    Services share the partitions of their topics anew by themselves; more workers than partitions (AMENDS_PARTITIONS)
    help nobody. Holds until `amends down`.

    Exit codes: 0 done, 1 a process does not come up or nothing is running.
    """
    try:
        running.scale(folder.absolute(), dict(workers), say=lambda line: click.echo(line, err=True))
    except PartUnavailableError as error:
        raise click.ClickException(str(error)) from error


@click.command(short_help="Stop what `up` started. Data stays.")
@_FOLDER
def down(*, folder: Path) -> None:
    """Stop everything that `amends up` started in the folder, also what a killed supervisor left. Data stays.

    Exit codes: 0 stopped, 3 nothing was running.
    """
    if not running.down(folder.absolute()):
        click.echo(f"Nothing is running in {folder}.", err=True)
        sys.exit(EXIT_NOT_RUNNING)
    click.echo(f"Stopped. Data and logs are in {folder}.", err=True)


@click.command(short_help="Say what runs, where, and whether it is ready.")
@_FOLDER
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
def status(*, folder: Path, as_json: bool) -> None:
    """Tell state, process id, readiness and address of every process, and freshen the process ids in run.json.

    Exit codes: 0 all ready, 1 something is not, 3 nothing is running.
    """
    lines = running.status(folder.absolute())
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(line) for line in lines], indent=2))
    elif lines:
        table = Table("process", "state", "pid", "ready", "address", box=None, pad_edge=False)
        for line in lines:
            table.add_row(
                line.name, line.state, str(line.pid or "-"), "[green]yes" if line.ready else "[red]no", line.address
            )
        output.console().print(table)
    if not lines:
        click.echo(f"Nothing is running in {folder}. `amends up` starts it.", err=True)
        sys.exit(EXIT_NOT_RUNNING)
    if not all(line.ready for line in lines):
        sys.exit(EXIT_DEGRADED)


def _spoken(supervisor: Supervisor) -> Iterator[str]:
    """What the supervisor writes to its log from now on, until it ends."""
    with supervisor.log.open() as log:
        log.seek(0, 2)
        while supervisor.is_running():
            yield from (line.rstrip() for line in log)
            time.sleep(0.3)


def _interrupt(_signal: int, _frame: FrameType | None) -> NoReturn:
    """End `amends up` as Ctrl-C does."""
    raise KeyboardInterrupt
