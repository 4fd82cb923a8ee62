"""Each way to make connections, disks and clocks fail does what it says, and can be taken back."""

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.chaos.faults import FAULTS, schedule
from tests.chaos.proxy import SLOW_S, Mode
from tests.chaos.surroundings import Clocks, Connections, Disks

TELLS_TIME = "import sys, time\nfor _ in sys.stdin: print(time.time(), time.monotonic(), flush=True)"


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("AMENDS_CACHE", str(tmp_path / "cache"))


@asynccontextmanager
async def echoing(port: int) -> AsyncIterator[None]:
    """A server that says everything again."""

    async def say_again(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while said := await reader.read(100):
            writer.write(said)
        writer.close()

    async with await asyncio.start_server(say_again, "127.0.0.1", port):
        yield


async def test_connections_are_cut_held_and_slowed_and_heal(tmp_path):
    """Cut ends what is open and refuses what is new; held keeps every byte for later; slow delays it."""
    connections = Connections(tmp_path, brokers=1)
    with connections.running():
        async with echoing(connections.backs["database"]):
            front = connections.fronts["database"]
            reader, writer = await asyncio.open_connection("127.0.0.1", front)
            writer.write(b"one")
            assert await reader.readexactly(3) == b"one"
            await connections.rule("database", Mode.HOLD)
            writer.write(b"two")
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    await reader.read(3)
            await connections.rule("database", Mode.SLOW)
            assert await reader.readexactly(3) == b"two"
            writer.write(b"six")
            began = time.monotonic()
            assert await reader.readexactly(3) == b"six"
            assert time.monotonic() - began >= 2 * SLOW_S
            await connections.rule("database", Mode.CUT)
            with pytest.raises((OSError, EOFError)):
                await reader.readexactly(1)
            with pytest.raises((OSError, EOFError)):
                await (await asyncio.open_connection("127.0.0.1", front))[0].readexactly(1)
            await connections.rule("database", Mode.PASS)
            reader, writer = await asyncio.open_connection("127.0.0.1", front)
            writer.write(b"ten")
            assert await reader.readexactly(3) == b"ten"


@pytest.mark.skipif(not Disks.is_there(), reason="file systems cannot be mounted here")
def test_a_disk_is_full_and_has_room_again(tmp_path):
    """Not a page more can be written to a full one."""
    disks = Disks(tmp_path, ["redis"])
    file = tmp_path / "redis" / "file"
    with disks.mounted():
        file.write_bytes(b"kept")
        disks.fill("redis")
        with pytest.raises(OSError, match="No space left"):
            (tmp_path / "redis" / "more").write_bytes(b"x" * 10_000)
        disks.free("redis")
        (tmp_path / "redis" / "more").write_bytes(b"x" * 10_000)
        assert file.read_bytes() == b"kept"


@pytest.mark.skipif(not Clocks.is_there(), reason="libfaketime does not work here")
def test_the_wall_clock_of_one_process_jumps_and_comes_back(tmp_path):
    """While it runs, forwards and backwards; its monotonic clock goes on as ever."""
    clocks = Clocks(tmp_path / "clock", ["router"])
    with subprocess.Popen(
        [sys.executable, "-c", TELLS_TIME], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env=dict(clocks.variables["router"]),
    ) as process:  # fmt: skip

        def ahead_s() -> float:
            process.stdin.write("\n")
            process.stdin.flush()
            told, monotonic = map(float, process.stdout.readline().split())
            assert abs(monotonic - time.monotonic()) < 1
            return told - time.time()

        for set_s in (30, -5, 0):
            clocks.set("router", set_s)
            until = time.monotonic() + 10
            while abs(ahead_s() - set_s) > 0.5:
                assert time.monotonic() < until, f"the clock does not go {set_s} s ahead"
        process.stdin.close()


def test_a_schedule_has_every_kind_about_as_often():
    """A run of several times as many faults as there are kinds leaves none out."""
    drawn = schedule(3 * len(FAULTS), seed=1)
    there = [name for name, fault in FAULTS.items() if fault.possible()]
    assert {drawn.count(name) for name in there} <= {3, 4}
    assert len(drawn) == 3 * len(FAULTS)
