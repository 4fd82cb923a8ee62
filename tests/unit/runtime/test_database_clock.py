"""One clock for all workers."""

import time

import pytest
from pymongo.errors import AutoReconnect

from services.runtime.database_clock import SYNC_S, DatabaseClock

AHEAD = 1_800_000_000.0
"""How far the server's clock is ahead of what this process counts by."""


class Server:
    """Answers with its time, cut to a millisecond, after a way there and back; and counts what passes."""

    def __init__(self) -> None:
        self.counted = 100.0
        self.ahead = AHEAD
        self.there_s = self.back_s = 0.001
        self.asked = 0

    def count(self) -> float:
        return self.counted

    async def ask(self) -> float:
        self.asked += 1
        self.counted += self.there_s
        told = int((self.counted + self.ahead) * 1000) / 1000
        self.counted += self.back_s
        return told


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def clock(server: Server) -> DatabaseClock:
    return DatabaseClock(server.ask, counted=server.count)


def test_is_the_own_clock_until_the_server_was_asked() -> None:
    """Nobody waits for a time: until the database answers, the machine's own is as good as any."""
    before = time.time()
    assert before - 0.001 <= DatabaseClock(Server().ask).time() <= time.time() + 0.001


async def test_follows_the_server_whatever_the_own_clock_says(clock: DatabaseClock, server: Server) -> None:
    """After one answer it is right to the way there and back, never ahead, and counts on."""
    await clock.sync()
    assert clock.time() == pytest.approx(server.counted + AHEAD, abs=0.0031)
    assert clock.time() <= server.counted + AHEAD
    server.counted += 3
    assert clock.time() == pytest.approx(server.counted + AHEAD, abs=0.0031)


async def test_asks_again_only_after_a_while(clock: DatabaseClock, server: Server) -> None:
    """Heartbeats do not cost the database a question each."""
    for _ in range(10):
        await clock.sync()
        server.counted += SYNC_S / 20
    assert server.asked == 1
    server.counted += SYNC_S
    await clock.sync()
    assert server.asked == 2


@pytest.mark.parametrize(("there_s", "back_s"), [(0.0, 2.0), (2.0, 0.0), (0.3, 0.4)])
async def test_a_slow_answer_moves_nothing_that_it_does_not_contradict(
    clock: DatabaseClock, server: Server, there_s: float, back_s: float
) -> None:
    """What was learned of a quick answer is better than the middle of a slow one."""
    await clock.sync()
    server.counted += SYNC_S
    server.there_s, server.back_s = there_s, back_s
    known = clock.time() - server.counted
    await clock.sync()
    assert clock.time() - server.counted == pytest.approx(known, abs=0.0031)


async def test_a_server_whose_clock_is_set_is_followed(clock: DatabaseClock, server: Server) -> None:
    """All workers go with it, each at its next question."""
    await clock.sync()
    server.ahead += 7
    server.counted += SYNC_S
    await clock.sync()
    assert clock.time() == pytest.approx(server.counted + AHEAD + 7, abs=0.0031)


async def test_a_server_that_is_away_leaves_the_time_as_known(clock: DatabaseClock, server: Server) -> None:
    """The time goes on, and the next call asks again."""
    await clock.sync()
    known = clock.time()

    async def away() -> float:
        raise AutoReconnect

    clock._ask = away
    server.counted += SYNC_S
    with pytest.raises(AutoReconnect):
        await clock.sync()
    assert clock.time() == pytest.approx(known + SYNC_S)
    clock._ask = server.ask
    await clock.sync()
    assert server.asked == 2
