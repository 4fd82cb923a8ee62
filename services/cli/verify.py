"""`amends verify`: was anything lost, doubled or late? Compares what was accepted with what came out of it."""

import asyncio
import json
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import httpx
from aiokafka.errors import KafkaError
from pymongo.errors import PyMongoError
from rich.console import Console
from rich.table import Table

from schemas.topics import TOPICS
from services.cli import output
from services.cli.audit import Difference, Snapshot, differences, settled, summary
from services.cli.topic_reading import read_to_end
from services.runtime.letters import KafkaLetters, dead_letter_topics
from services.runtime.mongo import connect
from services.runtime.settings import RuntimeSettings, load

EXIT_DIFFERENCES = 1
EXIT_UNREACHABLE = 3
SHOWN_MAX = 50
MESSAGES_AT_ONCE = 50_000


@click.command(short_help="Was anything lost, doubled or late?")
@click.option("--run", "folder", envvar="AMENDS_RUN", default=".run", show_default=True, help="Folder of `amends up`.")
@click.option("--wait", "wait_s", type=float, default=30, show_default=True, help="Seconds to let work settle.")
@click.option("--lateness-max", "lateness_s_max", type=float, help="Name breaches told later than this many seconds.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def verify(*, folder: str, wait_s: float, lateness_s_max: float | None, as_json: bool) -> None:
    """Compare what was accepted with tickets, clocks and messages, and name each difference.

    Exit code: 0 nothing differs, 1 something does, 3 Kafka or the database cannot be asked.
    """
    console = output.console()
    where = addresses(Path(folder))
    try:
        snapshot, found = asyncio.run(until_settled(where, wait_s=wait_s, lateness_s_max=lateness_s_max))
    except (KafkaError, PyMongoError, OSError) as error:
        click.echo(f"Cannot verify: {error}. Is the stack up? `amends status` tells.", err=True)
        raise SystemExit(EXIT_UNREACHABLE) from None
    counts = summary(snapshot, found)
    if as_json:
        named = [{"kind": d.kind, "subject": d.subject, "says": d.says} for d in found]
        click.echo(json.dumps(counts | {"found": named}, ensure_ascii=False))
    else:
        show(console, counts, found)
    raise SystemExit(EXIT_DIFFERENCES if found else 0)


def addresses(folder: Path) -> dict[str, Any]:
    """Where the parts are: from the environment, else from the folder's `run.json`."""
    file = folder / "run.json"
    run: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    for name in ("kafka", "mongo", "redis"):
        given = os.environ.get(f"AMENDS_{name.upper()}")
        if given:
            run[name] = given
        elif name not in run:
            raise click.UsageError(f"nothing runs in {folder}: start with `amends up`, or set AMENDS_{name.upper()}")
    return run


async def take_snapshot(where: dict[str, Any]) -> Snapshot:
    """Read topics, collections and the sandbox once."""
    settings = load(RuntimeSettings, kafka=where["kafka"])
    snapshot = Snapshot(now=datetime.now(UTC))
    async for record in read_to_end(settings, [*TOPICS]):
        if record.payload is not None:
            try:
                snapshot.add(record.topic, record.type, record.payload)
            except KeyError:
                continue  # a poison message: its consumer says what it is, in the dead letters
    letters = await KafkaLetters(settings).read(dead_letter_topics())
    snapshot.dead_letters = [(letter.id, letter.summary()["reason"]) for letter in letters if not letter.was_replayed]
    snapshot.set_aside = {
        (dict(letter.original.headers).get("ce_id") or b"").decode("ascii", "replace") for letter in letters
    }
    database = connect(where["mongo"], database=os.environ.get("AMENDS_MONGO_DATABASE", "amends"))
    async for event in database["ticket_events"].find({}, {"_id": 1, "event_id": 1}):
        ticket, _, number = event["_id"].rpartition(":")
        snapshot.stored[ticket][int(number)] = str(event["event_id"])
    async for ticket in database["tickets"].find({}, {"version": 1, "state": 1, "number": 1}):
        snapshot.tickets[str(ticket["_id"])] = ticket
    if where.get("sandbox"):
        snapshot.messages = await _messages(where["sandbox"])
    return snapshot


async def _messages(sandbox: str) -> list[dict[str, Any]]:
    """All that customers received: the sandbox gives so many at a time."""
    messages: list[dict[str, Any]] = []
    async with httpx.AsyncClient(timeout=30) as client:
        while True:
            answer = await client.get(
                f"{sandbox}/messages", params={"offset": len(messages), "limit": MESSAGES_AT_ONCE}
            )
            answer.raise_for_status()
            page = answer.json()
            messages += page
            if len(page) < MESSAGES_AT_ONCE:
                return messages


async def until_settled(
    where: dict[str, Any], *, wait_s: float, lateness_s_max: float | None = None, every_s: float = 0.5
) -> tuple[Snapshot, list[Difference]]:
    """Look until nothing is under way any more or the wait is over; the last snapshot and what differs in it."""
    until = time.monotonic() + wait_s
    while True:
        snapshot = await take_snapshot(where)
        found = differences(snapshot, lateness_s_max=lateness_s_max)
        if settled(found) or time.monotonic() > until:
            return snapshot, found
        # Two of them at once may be more than the machine's memory.
        del snapshot, found
        await asyncio.sleep(every_s)


def _in_words(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{count} {name}" for name, count in value.items()) or "-"
    return "-" if value is None else str(value)


def show(console: Console, counts: dict[str, Any], found: list[Difference]) -> None:
    """The result for people: counts, then each difference."""
    table = Table(show_header=False, box=None)
    for name, value in counts.items():
        if not name.startswith("differences"):
            table.add_row(name.replace("_", " "), _in_words(value))
    console.print(table)
    for difference in found[:SHOWN_MAX]:
        console.print(f"[red]{difference.kind}[/] {difference.subject}: {difference.says}", highlight=False)
    if len(found) > SHOWN_MAX:
        console.print(f"... and {len(found) - SHOWN_MAX} more; --json lists all")
    console.print("[red]Something differs.[/]" if found else "[green]Nothing lost, nothing doubled.[/]")
