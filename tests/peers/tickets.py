"""From a complaint to a ticket and a message to the customer: django-helpdesk against the whole of Amends."""

import asyncio
import json
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from deploy.local import running
from deploy.local.run_file import read_run
from services.cli.bench import chain
from tests.peers.environment import ROOT, environment, python_of, version_of
from tests.peers.report import Comparison, Row

COUNT = 1_000
ROUNDS = 3
WORKERS = 2
WARM_UP = 500


def compare(say: Callable[[str], None]) -> Comparison:
    """As many complaints to each, by turns, on one machine with all parts running."""
    with tempfile.TemporaryDirectory(prefix="amends-peers-") as name:
        folder = Path(name)
        running.up(folder, workers={}, detached=False, say=lambda _line: None)
        try:
            return asyncio.run(_compare(read_run(folder) or {}, folder, say))
        finally:
            running.down(folder)


async def _compare(where: dict[str, Any], folder: Path, say: Callable[[str], None]) -> Comparison:
    peer = await asyncio.create_subprocess_exec(
        str(python_of("helpdesk")), "-m", "tests.peers.programs.helpdesk", str(WORKERS),
        cwd=ROOT,
        env=environment(
            PEER_TEXTS=json.dumps(chain.TEXTS),
            PEER_FOLDER=str(folder),
            PEER_SMTP=where["smtp"],
        ),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )  # fmt: skip
    assert peer.stdin is not None
    assert peer.stdout is not None
    theirs, ours = [], []
    try:
        assert json.loads(await peer.stdout.readline())["ready"]
        sent = await _round(where, count=WARM_UP, start=0, sent=0)
        for round_ in range(ROUNDS):
            peer.stdin.write(f"{COUNT}\n".encode())
            found = json.loads(await peer.stdout.readline())
            assert (found["tickets"], found["mails"]) == (COUNT, COUNT), found
            theirs.append(COUNT / found["seconds"])
            began = time.perf_counter()
            sent = await _round(where, count=COUNT, start=(round_ + 1) * 1_000_000, sent=sent)
            ours.append(COUNT / (time.perf_counter() - began))
            say(f"django-helpdesk: {theirs[-1]:,.0f} tickets/s; Amends: {ours[-1]:,.0f}")
    finally:
        peer.stdin.close()
        await asyncio.wait_for(peer.wait(), 30)
    return _comparison(theirs, ours)


async def _round(where: dict[str, Any], *, count: int, start: int, sent: int) -> int:
    """Post complaints within a second and wait for each customer's message; how many messages there are then."""
    accepted = await chain.load(where, chain.complaints(range(start, start + count)), per_s=float(count))
    assert accepted == count
    await chain.until_sent(where, sent + count)
    return sent + count


def _comparison(theirs: list[float], ours: list[float]) -> Comparison:
    versions = f"{version_of('helpdesk', 'django-helpdesk')}, {version_of('helpdesk', 'django')}"
    return Comparison(
        title="From complaint to ticket and message",
        unit="complaints/s",
        rows=(
            Row("Amends, from HTTP to SMS", tuple(ours), ours=True),
            Row("django-helpdesk, from form to mail", tuple(theirs), aim=50),
        ),
        fairness=f"""
            {versions}. {COUNT:,} complaints to each, by turns, {ROUNDS} rounds; every ticket was there and every
            customer's message handed to the same sandbox. Amends runs as `make up` starts it, four services of one
            process each with Kafka, database and Redis, all on these cores; the helpdesk in {WORKERS} processes.

            In the helpdesk's favour: its public form is filled and saved directly, with no web server and no HTTP
            request; SQLite in WAL mode, which does not wait for the disk at each commit, so that a power failure may
            take the last tickets along; one connection to the mail server is kept, where Django opens one a mail.
            Amends is called over HTTP in batches of {chain.BATCH} and waits for the disk. In Amends' favour: its
            services run on, idle, while the helpdesk works.

            The helpdesk does much less for a ticket: it does not classify it, look for repeats, assign it by skill and
            capacity, or start clocks. A mail that fails is logged and forgotten; a process killed before its mail
            leaves a ticket whose customer hears nothing.
        """,
    )
