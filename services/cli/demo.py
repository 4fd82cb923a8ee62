"""`amends demo`: the main job, live. Starts everything, feeds complaints at a human pace, and shows what happens."""

import asyncio
import contextlib
import importlib.resources
import random
import shutil
import signal
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import click
import httpx
import yaml
from aiokafka import AIOKafkaProducer
from rich.console import Console
from rich.live import Live

from deploy.local import running
from deploy.local.part import PartUnavailableError
from deploy.local.run_file import read_run, run_folder
from schemas import codec, commands
from schemas.codes import ActorKind
from schemas.ids import command_id
from schemas.message import Actor
from schemas.topics import TICKET_COMMAND, TOPICS
from services.cli import output
from services.cli.audit import differences, summary
from services.cli.demo_view import Board, trail
from services.cli.desk import ready_made
from services.cli.topic_reading import follow
from services.cli.verify import show, take_snapshot
from services.runtime import mongo
from services.runtime.brokers import connection
from services.runtime.settings import RuntimeSettings, load

FEEDING_S = 40.0
SETTLING_S_MAX = 45.0
EXIT_DIFFERENCES = 1
PLACES = ("NET-1001", "NET-1001", "NET-1002", "NET-1003")
"""Outlets of the packaged directory that complainants name, so that their people have tickets of their own."""


@click.command(short_help="Start everything, feed complaints, and show it live.")
@click.option(
    "--exit", "leave", is_flag=True, help="Stop after about a minute; exit 1 if anything was lost or doubled."
)
@click.option("--rate", type=float, default=2.0, show_default=True, help="Complaints a second.")
@click.option("--seed", type=int, default=None, help="The same seed gives the same complaints.")
def demo(*, leave: bool, rate: float, seed: int | None) -> None:
    """Start the stack with limits of seconds, feed complaints in Chinese and English, and show it live.

    Ctrl-C ends it; then the trail of one ticket is shown, everything is compared, and all that was started is stopped.
    """
    console = output.console()
    folder = run_folder() / "demo"
    signal.signal(signal.SIGTERM, _interrupt)
    code = 1
    try:
        running.down(folder)
        shutil.rmtree(folder, ignore_errors=True)
        console.print("Starting Kafka, database, Redis, the sandbox and the services here ...")
        running.up(folder, workers={}, policy="demo", brokers=1, detached=False, say=console.print)
        run = read_run(folder) or {}
        asyncio.run(_invite(run, folder, console))
        code = asyncio.run(_play(run, console=console, leave=leave, rate=rate, seed=seed))
    except PartUnavailableError as error:
        console.print(f"[red]The demo cannot run:[/] {error}", highlight=False)
    except KeyboardInterrupt:
        console.print("Interrupted.")
        code = 130
    finally:
        # A second Ctrl-C must not leave half of it running.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        console.print("Stopping everything that was started ...")
        running.down(folder)
    raise SystemExit(code)


async def _invite(run: dict[str, Any], folder: Path, console: Console) -> None:
    """Say where people work, with an account for each role."""
    console.rule("Open it in a browser")
    console.print(f"The desk      {run['http']['desk']}")
    console.print(f"For customers {run['http']['portal']}")
    for name, role, password in await ready_made(
        mongo.connect(run["mongo"], database=load(RuntimeSettings).mongo_database)
    ):
        console.print(f"  {role:<16} {name:<24} {password}", highlight=False)
    console.print(
        "Try: the queue as the agent, a ticket, an answer of 1,500 yuan, its approval as the supervisor; a complaint on"
        " the customers' page; an outlet, which sees its own tickets alone.",
        highlight=False,
    )
    console.print(f"Other commands look at it with AMENDS_RUN={folder}", highlight=False)


async def _play(run: dict[str, Any], *, console: Console, leave: bool, rate: float, seed: int | None) -> int:
    board = Board(note=f"Desk: {run['http']['desk']} - Ctrl-C ends the demonstration.")
    enough = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, enough.set)
    async with contextlib.AsyncExitStack() as stack:
        client = await stack.enter_async_context(httpx.AsyncClient(timeout=10))
        settings = load(RuntimeSettings, kafka=run["kafka"])
        producer = AIOKafkaProducer(**connection(settings), acks="all", enable_idempotence=True)
        await producer.start()
        stack.push_async_callback(producer.stop)
        with Live(board.render(), console=console, refresh_per_second=4, transient=False) as live:
            tasks = [
                asyncio.create_task(_watch_topics(settings, board)),
                asyncio.create_task(_watch_messages(client, run["sandbox"], board)),
                asyncio.create_task(_redraw(live, board)),
                asyncio.create_task(_feed(client, run["http"]["intake"], board, rate=rate, seed=seed)),
                asyncio.create_task(_centre(producer, board, seed=seed)),
            ]
            try:
                await _until(enough, tasks, seconds=FEEDING_S if leave else None)
                for task in tasks[3:]:
                    task.cancel()
                board.note = "No more complaints; waiting until every started thing has come to its end ..."
                snapshot, found = await _settle(run, enough)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
            live.update(board.render())
    loop.remove_signal_handler(signal.SIGINT)
    console.print()
    console.rule("One ticket, from HTTP to the customer's phone")
    for line in trail(snapshot):
        console.print(line, highlight=False)
    console.rule("What was accepted, compared with what came of it")
    show(console, summary(snapshot, found), found)
    return EXIT_DIFFERENCES if found else 0


async def _until(enough: asyncio.Event, tasks: list[asyncio.Task[None]], *, seconds: float | None) -> None:
    """Wait for Ctrl-C or the time; a task that fails ends the demo with its error."""
    waiting = asyncio.create_task(enough.wait())
    done, _ = await asyncio.wait([waiting, *tasks], timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    for task in done - {waiting}:
        task.result()


async def _settle(run: dict[str, Any], enough: asyncio.Event) -> tuple[Any, Any]:
    loop = asyncio.get_running_loop()
    until = loop.time() + SETTLING_S_MAX
    enough.clear()
    while True:
        snapshot = await take_snapshot(run)
        found = differences(snapshot)
        if not found or loop.time() > until or enough.is_set():
            return snapshot, found
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(enough.wait(), timeout=1)


async def _watch_topics(settings: RuntimeSettings, board: Board) -> None:
    async for record in follow(settings, [*TOPICS]):
        if record.payload is not None:
            board.saw(record.topic, record.type, record.payload)


async def _watch_messages(client: httpx.AsyncClient, sandbox: str, board: Board) -> None:
    while True:
        with contextlib.suppress(httpx.HTTPError):
            board.messages = (await client.get(f"{sandbox}/messages")).json()
        await asyncio.sleep(1)


async def _redraw(live: Live, board: Board) -> None:
    while True:
        live.update(board.render())
        await asyncio.sleep(0.25)


async def _feed(client: httpx.AsyncClient, intake: str, board: Board, *, rate: float, seed: int | None) -> None:
    async for complaint in _complaints(random.Random(seed), rate=rate):  # noqa: S311  # invented complaints, no secrets
        answer = await client.post(f"{intake}/v1/complaints", json=complaint, headers={"Idempotency-Key": str(uuid4())})
        board.answered(answer.status_code)


async def _complaints(rng: random.Random, *, rate: float) -> AsyncIterator[dict[str, Any]]:
    """Invented complaints; one in seven repeats an earlier one, as impatient people do."""
    texts = yaml.safe_load(importlib.resources.files("services.cli").joinpath("demo_texts.yaml").read_text())
    earlier: list[dict[str, Any]] = []
    while True:
        if earlier and rng.random() < 1 / 7:
            yield {**rng.choice(earlier), "channel": rng.choice(["phone", "wechat", "web"])}
        else:
            text = rng.choice(texts)
            waybill = f"SF{rng.randrange(10**12, 10**13)}"
            person: dict[str, Any] = {"phone": f"+86139{rng.randrange(10**7, 10**8)}"}
            if text["lang"] == "en":
                person["email"] = f"customer{rng.randrange(10**6)}@example.com"
            complaint = {
                "channel": rng.choice(["web", "phone", "wechat", "email"] if "email" in person else ["web", "phone"]),
                "language": text["lang"],
                "complainant": person,
                "waybills": [waybill],
                "description": text["text"].format(waybill=waybill),
                "places": [rng.choice(PLACES)] if rng.random() < 1 / 3 else [],
            }
            earlier.append(complaint)
            yield complaint
        await asyncio.sleep(rng.expovariate(rate))


async def _centre(producer: AIOKafkaProducer, board: Board, *, seed: int | None) -> None:
    """People at work: most tickets move on step by step, some are left until their clock breaks."""
    rng = random.Random(seed)  # noqa: S311  # as above
    ways = (
        (commands.FirstAction(), commands.Answer(remedy="redeliver"), commands.Resolve(outcome="redelivered")),
        (commands.FirstAction(), commands.Answer(remedy="refund")),
        (commands.FirstAction(), commands.WaitForCustomer(what="photos"), commands.Resume()),
        (),
    )
    review = (commands.StartReview(), commands.CompleteReview())
    plans: dict[str, list[Any]] = {}
    while True:
        await asyncio.sleep(rng.uniform(0.3, 0.9))
        for ticket in board.open_tickets():
            if ticket.id not in plans:
                plans[ticket.id] = [*(review if ticket.needs_review else ()), *rng.choice(ways)]
        waiting = [ticket for ticket in board.open_tickets() if plans[ticket.id]]
        if waiting:
            ticket = rng.choice(waiting)
            action = plans[ticket.id].pop(0)
            command = commands.TicketCommand(
                routing_key=ticket.routing_key,
                command_id=command_id(uuid4(), action.name),
                ticket_id=UUID(ticket.id),
                issued_at=datetime.now(UTC),
                actor=Actor(kind=ActorKind.AGENT, id="demo-centre", via="demo"),
                action=action,
            )
            encoded = codec.encode(command)
            await producer.send_and_wait(
                TICKET_COMMAND.name, key=encoded.key, value=encoded.value, headers=encoded.headers
            )


def _interrupt(_signal: int, _frame: Any) -> None:
    """SIGTERM ends the demo as Ctrl-C does."""
    raise KeyboardInterrupt
