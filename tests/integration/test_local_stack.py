"""The local stack keeps what it acknowledged, whatever is killed, and leaves nothing running."""

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from pymongo import MongoClient
from pymongo.errors import PyMongoError
from redis import Redis

from deploy.local import programs, running
from deploy.local.part import PartUnavailableError
from deploy.local.run_file import read_run, run_file
from deploy.local.stack import Stack
from deploy.local.supervision import marked_processes

StartStack = Callable[..., Stack]
READY_PAGE = """
import http.server, os, signal, time
signal.signal(signal.SIGTERM, lambda *_: (time.sleep(0.5), os._exit(0)))
class Ready(http.server.BaseHTTPRequestHandler):
    def do_GET(self): self.send_response(200); self.end_headers()
http.server.HTTPServer(("127.0.0.1", int(os.environ["AMENDS_HTTP_PORT"])), Ready).serve_forever()
"""
NO_SERVICES = dict.fromkeys(programs.SERVICES, 0)


def eventually(condition: Callable[[], object], *, within_s: float = 90) -> None:
    """Wait until the condition holds."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


async def make_topic(bootstrap: str, name: str, *, copies: int = 1) -> None:
    """Make a topic of one partition."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(name, num_partitions=1, replication_factor=copies)])
    await admin.close()


async def everything_in(bootstrap: str, topic: str, *, count: int) -> list[bytes]:
    """The first `count` values."""
    async with AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest") as consumer:
        return [(await consumer.getone()).value for _ in range(count)]


def test_names_the_address_of_every_part(stack: Stack) -> None:
    """A service finds all it needs in the environment that the stack gives."""
    assert set(stack.environment()) == {
        "AMENDS_KAFKA", "AMENDS_MONGO", "AMENDS_REDIS", "AMENDS_SANDBOX", "AMENDS_SMPP", "AMENDS_SMTP",
    }  # fmt: skip


async def test_kafka_keeps_acknowledged_messages_through_kill_9(own_stack: StartStack) -> None:
    """What was acknowledged by all is there after the broker was killed and came back on its port."""
    stack = own_stack("kafka")
    bootstrap = stack.addresses.kafka
    await make_topic(bootstrap, "kept")
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all") as producer:
        for number in range(100):
            await producer.send_and_wait("kept", b"%d" % number)
    stack.kill("kafka")
    stack.restart("kafka")
    assert stack.addresses.kafka == bootstrap
    assert await everything_in(bootstrap, "kept", count=100) == [b"%d" % number for number in range(100)]


async def test_three_brokers_go_on_without_one(own_stack: StartStack) -> None:
    """With three brokers a message is acknowledged by all in sync while one is dead."""
    stack = own_stack("kafka", brokers=3)
    await make_topic(stack.addresses.kafka, "kept", copies=3)
    stack.kill("kafka-3")
    alive = ",".join(stack.addresses.kafka.split(",")[:2])
    async with AIOKafkaProducer(bootstrap_servers=alive, acks="all", request_timeout_ms=30_000) as producer:
        await producer.send_and_wait("kept", b"still here")
    assert await everything_in(alive, "kept", count=1) == [b"still here"]


def test_the_database_loses_no_acknowledged_write_by_kill_9(own_stack: StartStack) -> None:
    """Every insert that was answered before the kill is there after the restart."""
    stack = own_stack("database")
    for round_ in range(2):
        acknowledged: list[str] = []

        def insert(worker: int, acknowledged: list[str] = acknowledged, round_: int = round_) -> None:
            with (
                MongoClient[dict[str, Any]](
                    stack.addresses.mongo, serverSelectionTimeoutMS=500, retryWrites=False
                ) as client,
                contextlib.suppress(PyMongoError),
            ):
                for number in range(1_000_000):
                    key = f"{round_}:{worker}:{number}"
                    client["kill"]["kept"].insert_one({"_id": key})
                    acknowledged.append(key)

        workers = [threading.Thread(target=insert, args=(worker,)) for worker in range(4)]
        for worker in workers:
            worker.start()
        eventually(lambda acknowledged=acknowledged: len(acknowledged) > 500)  # type: ignore[misc]
        stack.kill("database")
        for worker in workers:
            worker.join()
        stack.restart("database")
        with MongoClient[dict[str, Any]](stack.addresses.mongo) as client:
            kept = {document["_id"] for document in client["kill"]["kept"].find({}, {"_id": 1})}
        assert set(acknowledged) <= kept


def test_redis_keeps_its_keys_through_a_restart(own_stack: StartStack) -> None:
    """Stopped and started, Redis has what it had."""
    stack = own_stack("redis")
    with Redis.from_url(stack.addresses.redis) as redis:
        redis.set("kept", "yes")
    stack.restart("redis")
    with Redis.from_url(stack.addresses.redis) as redis:
        assert redis.get("kept") == b"yes"


def test_own_servers_are_used_and_not_started(redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever names a server has it used."""
    monkeypatch.setenv("AMENDS_REDIS", redis_url)
    with Stack(tmp_path, parts=["redis"]) as stack:
        assert stack.addresses.redis == redis_url
        with pytest.raises(KeyError, match="not run by this stack"):
            stack.kill("redis")


@pytest.fixture
def amends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stack: Stack) -> Iterator[Path]:
    """Redis and the sandbox under a supervisor, beside a stack in another folder whose Kafka and database it uses."""
    monkeypatch.setenv("AMENDS_KAFKA", stack.addresses.kafka)
    monkeypatch.setenv("AMENDS_MONGO", stack.addresses.mongo)
    monkeypatch.setattr(programs, "PREPARATIONS", ())
    folder = tmp_path / "run"
    running.up(folder, workers=NO_SERVICES, detached=True, say=lambda _: None)
    yield folder
    running.down(folder)


def pids(folder: Path) -> dict[str, int]:
    """Process ids as run.json has them."""
    found: dict[str, int] = (read_run(folder) or {})["pids"]
    return found


def test_what_dies_is_started_again_and_run_json_knows_it(amends: Path) -> None:
    """A killed part comes back by itself and is ready; its new process id is in run.json."""
    before = pids(amends)
    os.kill(before["redis"], signal.SIGKILL)
    eventually(lambda: pids(amends).get("redis", before["redis"]) != before["redis"])
    eventually(lambda: all(line.ready for line in running.status(amends)))
    assert {line.name for line in running.status(amends)} == {"redis", "sandbox"}
    assert pids(amends)["sandbox"] == before["sandbox"]


def test_down_leaves_nothing_running(amends: Path) -> None:
    """After `down` no process of the folder is alive, run.json is gone, and a second start works."""
    started = pids(amends)
    assert running.down(amends)
    assert not any(psutil.pid_exists(pid) for pid in started.values())
    assert not run_file(amends).exists()
    assert not running.down(amends)
    running.up(amends, workers=NO_SERVICES, detached=True, say=lambda _: None)
    assert all(line.ready for line in running.status(amends))


def test_a_killed_supervisor_leaves_nothing_behind(amends: Path) -> None:
    """Killed with -9, the supervisor takes all with it, or `down` finds them; status says that nothing runs."""
    supervisor = (read_run(amends) or {})["supervisor"]
    os.kill(supervisor, signal.SIGKILL)
    if sys.platform == "linux":
        eventually(lambda: not [process for process in marked_processes(amends) if process.pid != supervisor])
    running.down(amends)
    assert not [
        process for process in marked_processes(amends) if process.is_running() and process.status() != "zombie"
    ]
    assert running.status(amends) == []


def test_a_service_gets_more_processes_and_fewer_while_it_runs(amends: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Scaled up, new processes are ready and known; scaled down, they are gone; the parts live on untouched."""
    page = amends / "ready.py"
    page.write_text(READY_PAGE)
    monkeypatch.setattr(programs.Program, "command", property(lambda _: (sys.executable, str(page))))
    before = pids(amends)
    running.scale(amends, {"router": 3}, say=lambda _: None)
    assert {line.name for line in running.status(amends) if line.ready} == {*before, "router", "router-2", "router-3"}
    first = pids(amends)["router"]
    running.scale(amends, {"router": 1}, say=lambda _: None)
    assert pids(amends) == before | {"router": first}
    assert {*(read_run(amends) or {})["metrics"]} == {"router"}
    assert all(line.ready for line in running.status(amends))


def test_what_does_not_run_cannot_be_scaled(tmp_path: Path) -> None:
    """The message says what to do first."""
    with pytest.raises(PartUnavailableError, match="amends up"):
        running.scale(tmp_path, {"router": 2}, say=lambda _: None)


def test_a_second_start_in_the_same_folder_is_refused(amends: Path) -> None:
    """One folder, one stack; the message says how to stop it."""
    with pytest.raises(PartUnavailableError, match="amends down"):
        running.up(amends, workers=NO_SERVICES, detached=True, say=lambda _: None)
    assert running.status(amends)


def test_a_preparation_that_fails_stops_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stack: Stack
) -> None:
    """When a preparation fails its words are told, and nothing stays behind."""
    for name, value in stack.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(programs, "PREPARATIONS", ((sys.executable, "-c", "raise SystemExit('no such policy')"),))
    with pytest.raises(PartUnavailableError, match="no such policy"):
        running.up(tmp_path, workers=NO_SERVICES, detached=True, say=lambda _: None)
    assert marked_processes(tmp_path) == []


def test_a_service_that_ends_again_and_again_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stack: Stack
) -> None:
    """A service that cannot start is not waited for; the message has the end of its log."""
    for name, value in stack.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(programs, "PREPARATIONS", ())
    broken = property(lambda _: (sys.executable, "-c", "raise SystemExit('AMENDS_THING is wrong')"))
    monkeypatch.setattr(programs.Program, "command", broken)
    with pytest.raises(PartUnavailableError, match=r"(?s)router .* ended while starting.*AMENDS_THING is wrong"):
        running.up(tmp_path, workers=NO_SERVICES | {"router": 1}, detached=True, say=lambda _: None)
    assert marked_processes(tmp_path) == []
