"""A whole Amends to be loaded and watched."""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import psutil

from deploy.local import running
from deploy.local.run_file import read_run
from services.cli.audit import summary
from services.cli.bench import chain
from services.cli.verify import until_settled
from tests.scale.load import Client

STALLED_S_MAX = 300.0
"""Without any progress of what is waited for, a part gives up."""
AUDIT_S_MAX = 900.0
FLOOD_PER_S = 1_000

Samples = list[tuple[float, dict[str, float]]]


class System:
    """One that runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.where: dict[str, Any] = read_run(folder) or {}
        self.client = Client(self.where["http"]["intake"])
        self._processes = {name: psutil.Process(pid) for name, pid in sorted(self.where["pids"].items())}
        self.ended: list[str] = []
        """Names of processes that were found to have ended and to have been started again."""

    def processes(self) -> dict[str, psutil.Process]:
        """By name, as they run now."""
        for name, pid in (read_run(self.folder) or self.where)["pids"].items():
            if pid and self._processes[name].pid != pid:
                self.ended.append(name)
                self._processes[name] = psutil.Process(pid)
        return self._processes

    def look(self, read: Callable[[psutil.Process], float]) -> dict[str, float]:
        """A value of each process; of one that has ended just now there is none."""
        found = {}
        for name, process in self.processes().items():
            with suppress(psutil.NoSuchProcess):
                found[name] = read(process)
        return found

    def memory_mb(self) -> dict[str, float]:
        """Resident megabytes by process."""
        return self.look(lambda process: process.memory_info().rss / 1e6)

    async def drained(self, *, backlog_max: float = 0, looks: int = 5) -> float:
        """Wait until at so many looks in a row, two seconds apart, no more than so much waits; the seconds it took.

        Raises:
            TimeoutError: nothing was handled for `STALLED_S_MAX`.
        """
        start = moved_at = time.monotonic()
        done, below, since = -1.0, 0, start
        while below < looks:
            try:
                waiting = sum((await chain.backlog(self.where)).values())
                handled = sum((await chain.handled(self.where)).values())
            except httpx.HTTPError:
                waiting, handled = float("inf"), done  # too busy to say, which is no progress
            now = time.monotonic()
            # What waits may become more for long: of one complaint that is handled come ten messages for others.
            if handled != done or waiting <= backlog_max:
                done, moved_at = handled, now
            if waiting > backlog_max:
                below = 0
            else:
                since, below = (since if below else now), below + 1
            if now - moved_at > STALLED_S_MAX:
                raise TimeoutError(f"{waiting:,.0f} messages wait, and for {STALLED_S_MAX:.0f} s none was handled")
            await asyncio.sleep(2)
        return since - start

    async def audit(self, accepted: Collection[str], *, uncounted: int = 0) -> dict[str, Any]:
        """What `amends verify` finds when nothing is under way any more, and which of the accepted it does not know.

        Args:
            accepted: ids.
            uncounted: how many others were accepted, whose ids nobody kept: so many more must be there.
        """
        snapshot, found = await until_settled(self.where, wait_s=AUDIT_S_MAX, every_s=2)
        counts = summary(snapshot, found)
        kinds, submitted = counts["differences_by_kind"], snapshot.submitted.keys()
        return {
            "accepted": len(accepted) + uncounted,
            "tickets": counts["tickets"],
            "follow_ups": counts["follow_ups"],
            "lost": len(set(accepted) - submitted)
            + max(0, uncounted - len(submitted - set(accepted)))
            + kinds.pop("lost", 0),
            "doubled": kinds.pop("doubled", 0),
            "other_differences": kinds,
        }


@contextmanager
def whole_system(workers: Mapping[str, int] | None = None) -> Iterator[System]:
    """Start everything in a folder of its own, and stop it whatever happens. `TMPDIR` says where the folder lies."""
    with tempfile.TemporaryDirectory(prefix="amends-scale-") as name:
        folder = Path(name)
        running.up(folder, workers=workers or {}, detached=False, say=lambda _line: None)
        try:
            system = System(folder)
            yield system
            system.client.close()
        finally:
            running.down(folder)


@asynccontextmanager
async def sampling(read: Callable[[], Awaitable[dict[str, float]]], *, every_s: float) -> AsyncIterator[Samples]:
    """Look again and again for as long as it lasts: (`time.monotonic`, values)."""
    samples: Samples = []

    async def look() -> None:
        start = time.monotonic()
        while True:
            with suppress(httpx.HTTPError):  # one look less
                values = await read()
                samples.append((time.monotonic(), values))
            await asyncio.sleep(every_s - (time.monotonic() - start) % every_s)

    looking = asyncio.create_task(look())
    try:
        yield samples
    finally:
        looking.cancel()
        (error,) = await asyncio.gather(looking, return_exceptions=True)
    if isinstance(error, Exception):
        raise error


async def held_per_s(system: System, *, seconds: int) -> float:
    """Complaints a second that the whole chain holds, until the last confirmation is sent and nothing waits."""
    began = time.monotonic()
    fed = await chain.load(system.where, chain.complaints(range(FLOOD_PER_S * seconds)), per_s=FLOOD_PER_S)
    await chain.until_done(system.where, fed)
    return fed / (time.monotonic() - began)
