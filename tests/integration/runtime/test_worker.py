"""A service as a process: how it starts, how it ends, and what a killed one leaves behind."""

import asyncio
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from deploy.local.ports import free_ports
from deploy.local.stack import Stack
from schemas.topics import Topic
from services.runtime.producing import PublishFailed
from tests.integration.runtime.probing import PARTITIONS, Bench, Log, eventually, probes

ROOT = Path(__file__).parents[3]


class Worker:
    """`worker_program` as a child process."""

    def __init__(self, kafka: str, topic: str, group: str, mode: str, file: Path, **settings: str) -> None:
        (self.port,) = free_ports(1)
        self.log = file.with_suffix(f".{self.port}.log")
        self.file = file
        environment = {
            "PATH": "",
            "AMENDS_KAFKA": kafka,
            "AMENDS_HTTP_PORT": str(self.port),
            "AMENDS_PARTITIONS": str(PARTITIONS),
        } | {f"AMENDS_{name.upper()}": value for name, value in settings.items()}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.integration.runtime.worker_program", topic, group, mode, str(file)],
            cwd=ROOT,
            env=environment,
            stderr=self.log.open("wb"),
        )

    def lines(self) -> list[str]:
        """What it wrote."""
        return self.file.read_text().split("\n") if self.file.exists() else []

    def numbers(self) -> set[int]:
        """What it handled."""
        return {int(line) for line in self.lines() if line.isdigit()}

    def ready(self) -> tuple[int, str]:
        """Status and body of /readyz; 0 when nobody answers."""
        try:
            answer = self.get("/readyz")
        except httpx.TransportError:
            return 0, ""
        return answer.status_code, answer.text

    def get(self, path: str) -> httpx.Response:
        """Ask its HTTP surface."""
        return httpx.get(f"http://127.0.0.1:{self.port}{path}", timeout=5)

    async def exit_code(self, limit_s: float = 120.0) -> int:
        """Wait for its end."""
        return await asyncio.to_thread(self.process.wait, limit_s)


Start = Callable[..., Worker]


@pytest.fixture
def start(tmp_path: Path, topic_prefix: str) -> Iterator[Start]:
    """Starts workers that end with the test."""
    workers: list[Worker] = []

    def started(kafka: str, topic: str, mode: str = "work", **settings: str) -> Worker:
        workers.append(Worker(kafka, topic, topic_prefix + "service", mode, tmp_path / "work", **settings))
        return workers[-1]

    yield started
    for worker in workers:
        if worker.process.poll() is None:
            worker.process.kill()
            worker.process.wait(10)


async def test_what_a_killed_worker_had_in_hand_is_handled_by_the_next(bench: Bench, start: Start) -> None:
    """`kill -9` in the middle of a batch: all is handled, what was committed is not handled again."""
    topic = await bench.topic()
    await bench.publish(topic, probes(200))
    first = start(bench.kafka, topic.name, "slow")
    await eventually(lambda: len(first.numbers()) >= 20, limit_s=120)
    before = await bench.committed(bench.group())
    first.process.kill()
    await first.exit_code()
    second = start(bench.kafka, topic.name)
    await eventually(lambda: second.numbers() == set(range(200)), limit_s=120)
    handled = [line for line in second.lines() if line.isdigit()]
    assert len(handled) <= 200 + 40
    second.process.send_signal(signal.SIGTERM)
    assert await second.exit_code() == 0
    assert before <= await bench.committed(bench.group()) == 200


async def test_sigterm_lets_the_running_batch_end_and_commits_it(bench: Bench, start: Start) -> None:
    """Exit code 0, health and metrics answered meanwhile, and a next worker is given nothing again."""
    topic, log = await bench.topic(), Log()
    await bench.publish(topic, probes(20))
    worker = start(bench.kafka, topic.name, "slow")
    await eventually(lambda: any(line.startswith("begun") for line in worker.lines()), limit_s=120)
    assert worker.ready()[0] == 200
    assert worker.get("/healthz").json() == {"status": "ok"}
    assert "amends_consumed_total" in worker.get("/metrics").text
    worker.process.send_signal(signal.SIGTERM)
    assert await worker.exit_code(10) == 0
    done = worker.numbers()
    assert done
    async with bench.consuming([topic], log):
        await eventually(lambda: len(log.received) == 20 - len(done))
    assert done.isdisjoint(log.numbers)


@pytest.mark.parametrize("mode", ["block", "hang"])
async def test_a_worker_that_hangs_ends_itself(bench: Bench, start: Start, mode: str) -> None:
    """With exit code 70 and a line in the log, whether the event loop is blocked or only waits."""
    topic = await bench.topic()
    await bench.publish(topic, probes(5))
    worker = start(bench.kafka, topic.name, mode, stall_s_max="2")
    assert await worker.exit_code() == 70
    assert "worker.stalled" in worker.log.read_text()


async def test_a_worker_with_nothing_to_do_is_not_taken_for_hanging(bench: Bench, start: Start) -> None:
    """Idleness is no stall."""
    topic = await bench.topic()
    worker = start(bench.kafka, topic.name, stall_s_max="2")
    await eventually(lambda: worker.ready()[0] == 200, limit_s=120)
    with pytest.raises(subprocess.TimeoutExpired):
        await worker.exit_code(4)


async def test_a_crash_of_faust_ends_the_process_with_an_error(bench: Bench, start: Start) -> None:
    """A supervisor starts it again; a process that goes on without consuming would be worse."""
    topic = await bench.topic()
    await bench.publish(topic, probes(5))
    worker = start(bench.kafka, topic.name, "crash")
    assert await worker.exit_code() == 1
    assert "worker.crashed" in worker.log.read_text()


async def test_a_blocked_loop_cannot_hold_up_the_stop(bench: Bench, start: Start) -> None:
    """After SIGTERM the process is gone within `stop_s_max`, whatever hangs, and commits nothing of the batch."""
    topic = await bench.topic()
    await bench.publish(topic, probes(5))
    worker = start(bench.kafka, topic.name, "hang", stop_s_max="4")
    await eventually(lambda: any(line.startswith("begun") for line in worker.lines()), limit_s=120)
    worker.process.send_signal(signal.SIGTERM)
    before = time.monotonic()
    assert await worker.exit_code() in {0, 75}
    assert time.monotonic() - before < 30  # the handler hangs for ten minutes
    assert await bench.committed(bench.group()) == 0


async def test_a_taken_port_is_told_in_a_sentence(bench: Bench, start: Start) -> None:
    """Before anything else is started."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        worker = start(bench.kafka, "none", http_port=str(port))
        assert await worker.exit_code() == 2
    assert f"Cannot listen on 127.0.0.1:{port}" in worker.log.read_text()


async def test_kafka_may_be_away_at_the_start_and_go_away_later(
    own_stack: Callable[..., Stack], start: Start, topic_prefix: str
) -> None:
    """Not ready, with the reason, and no process ends; once it is back all goes on by itself and nothing is lost."""
    stack = own_stack("kafka")
    bench = Bench(stack.addresses.kafka, topic_prefix)
    await bench.producer.start()
    topic = await bench.topic()
    await bench.publish(topic, probes(50))
    stack.kill("kafka")
    worker = start(bench.kafka, topic.name)
    await eventually(lambda: worker.ready()[0] == 503, limit_s=120)
    assert "starting" in worker.ready()[1]
    await asyncio.to_thread(stack.restart, "kafka")
    await eventually(lambda: len(worker.numbers()) == 50, limit_s=120)
    stack.kill("kafka")
    publishing = asyncio.create_task(_until_published(bench, topic))
    await eventually(lambda: "does not answer" in worker.ready()[1], limit_s=120)
    assert worker.process.poll() is None
    await asyncio.to_thread(stack.restart, "kafka")
    await publishing
    await eventually(lambda: worker.numbers() == set(range(100)) and worker.ready()[0] == 200, limit_s=120)
    worker.process.send_signal(signal.SIGTERM)
    assert await worker.exit_code() == 0
    await bench.producer.stop()


async def _until_published(bench: Bench, topic: Topic) -> None:
    while True:
        try:
            await bench.publish(topic, probes(50, start=50))
        except PublishFailed:
            await asyncio.sleep(0.2)
        else:
            return
