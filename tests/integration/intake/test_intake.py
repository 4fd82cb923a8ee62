"""The intake as a process, on a real broker, database and Redis."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from pymongo.database import Database

from deploy.local.ports import free_ports
from deploy.local.stack import Stack
from schemas.codec import decode
from schemas.complaint import ComplaintSubmitted
from schemas.topics import COMPLAINT_SUBMITTED
from services.runtime.sealing import Keyring
from services.runtime.settings import RuntimeSettings
from services.runtime.topics import create_topics_async

GOOD: dict[str, Any] = {"channel": "web", "complainant": {"phone": "13800138000"}, "description": "快递太慢了"}


@dataclass
class Process:
    """An intake that runs."""

    port: int
    environment: dict[str, str]
    running: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Start it and wait until it is ready."""
        self.running = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "services.intake", env={**self.environment, "AMENDS_HTTP_PORT": str(self.port)}
        )
        async with httpx.AsyncClient() as client, asyncio.timeout(90):
            while True:
                try:
                    if (await client.get(f"{self.url}/readyz")).is_success:
                        return
                except httpx.TransportError:
                    pass
                await asyncio.sleep(0.05)

    async def end(self, number: signal.Signals) -> int:
        """Send the signal; gives the exit code."""
        assert self.running is not None
        if self.running.returncode is None:
            self.running.send_signal(number)
        return await self.running.wait()


Start = Callable[[], Awaitable[Process]]


@pytest.fixture
async def environment(stack: Stack, database_name: str, tmp_path: Path) -> dict[str, str]:
    """What the processes of a test are told."""
    Keyring.create(tmp_path / "keyring.json")
    given = {
        **os.environ,
        **stack.environment(),
        "AMENDS_MONGO_DATABASE": database_name,
        "AMENDS_KEYRING": str(tmp_path / "keyring.json"),
        "AMENDS_LOG_FORMAT": "json",
    }
    await create_topics_async(RuntimeSettings(kafka=stack.addresses.kafka))
    return given


@pytest.fixture
async def start(environment: dict[str, str]) -> AsyncIterator[Start]:
    """Starts intakes, and ends them afterwards."""
    started: list[Process] = []

    async def one() -> Process:
        process = Process(free_ports(1)[0], environment)
        started.append(process)
        await process.start()
        return process

    yield one
    for process in started:
        if process.running is not None and process.running.returncode is None:
            await process.end(signal.SIGKILL)


@asynccontextmanager
async def published(kafka: str) -> AsyncIterator[Callable[[], Awaitable[list[ComplaintSubmitted]]]]:
    """Gives what is published from now on."""
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, enable_auto_commit=False)
    await consumer.start()
    try:
        partitions = [TopicPartition(COMPLAINT_SUBMITTED.name, p) for p in range(12)]
        consumer.assign(partitions)
        start = await consumer.end_offsets(partitions)
        for partition, offset in start.items():
            consumer.seek(partition, offset)

        async def read() -> list[ComplaintSubmitted]:
            found: list[ComplaintSubmitted] = []
            ends = await consumer.end_offsets(partitions)
            while any([await consumer.position(p) < end for p, end in ends.items()]):
                for records in (await consumer.getmany(timeout_ms=500)).values():
                    for record in records:
                        message = decode(record.value, record.headers).message
                        assert isinstance(message, ComplaintSubmitted)
                        found.append(message)
            for partition, offset in start.items():
                consumer.seek(partition, offset)
            return found

        yield read
    finally:
        await consumer.stop()


async def test_202_means_that_the_broker_has_it(start: Start, stack: Stack) -> None:
    """Single complaints and batches; what is read back opens with the keyring."""
    intake = await start()
    async with published(stack.addresses.kafka) as read, httpx.AsyncClient(base_url=intake.url) as client:
        one = await client.post("/v1/complaints", json=GOOD)
        body = b"\n".join(b'{"text":"late %d","complainant":{"phone":"13900139000"}}' % n for n in range(700))
        many = await client.post("/v1/complaints/batch", content=body, headers={"Content-Type": "application/x-ndjson"})
        messages = {str(m.complaint_id) for m in await read()}
    assert one.json()["complaint_id"] in messages
    assert many.text.count('"accepted"') == 700
    assert len(messages) == 701


async def test_two_processes_agree_on_one_key_whatever_becomes_of_redis(start: Start, stack: Stack) -> None:
    """Racing, after a flush: one content wins everywhere."""
    one, two = await start(), await start()
    async with published(stack.addresses.kafka) as read, httpx.AsyncClient() as client:

        async def post(process: Process, key: str, text: str) -> httpx.Response:
            return await client.post(
                f"{process.url}/v1/complaints", json={**GOOD, "description": text}, headers={"Idempotency-Key": key}
            )

        for key in (f"race-{n}" for n in range(10)):
            answers = await asyncio.gather(*(post(p, key, text) for p in (one, two) for text in ("a", "b", "a", "b")))
            assert sorted(a.status_code for a in answers) == [202] * 4 + [422] * 4
            winner = next(a.request.read() for a in answers if a.status_code == 202)
            text = "a" if b'"a"' in winner else "b"
            await _flush(stack)
            same, other = await post(two, key, text), await post(one, key, "b" if text == "a" else "a")
            assert (same.status_code, other.status_code) == (202, 422)
            assert same.json() == next(a.json() for a in answers if a.status_code == 202)
        messages = await read()
    assert len({m.complaint_id for m in messages}) == 10
    assert len({(m.complaint_id, m.submitted_at, m.text_fingerprint) for m in messages}) == 10


async def test_a_complaint_survives_kill_9_between_claim_and_publish(
    start: Start, stack: Stack, mongo: Database[dict[str, Any]]
) -> None:
    """Whatever a request got to before the process died, its retry ends with one complaint."""
    intake = await start()
    async with published(stack.addresses.kafka) as read, httpx.AsyncClient(timeout=30) as client:

        async def post(number: int) -> httpx.Response | None:
            try:
                return await client.post(
                    f"{intake.url}/v1/complaints",
                    json={**GOOD, "description": f"number {number}"},
                    headers={"Idempotency-Key": f"killed-{number}"},
                )
            except httpx.TransportError:
                return None

        tasks = [asyncio.create_task(post(n)) for n in range(200)]
        while not mongo["idempotency"].find_one():  # noqa: ASYNC110  # the database does not call back
            await asyncio.sleep(0)
        await intake.end(signal.SIGKILL)
        first = await asyncio.gather(*tasks)
        await intake.start()
        second = await asyncio.gather(*(post(n) for n in range(200)))
        messages = await read()
    assert all(a is not None and a.status_code == 202 for a in second)
    for before, after in zip(first, second, strict=True):
        assert before is None or before.json() == (after.json() if after else None)
    assert len({m.complaint_id for m in messages}) == 200
    assert len({(m.complaint_id, m.submitted_at) for m in messages}) == 200


async def test_a_broker_that_is_away_costs_a_503_and_nothing_that_was_accepted(tmp_path: Path) -> None:
    """Redis away costs nothing at all; when Kafka is back, so is the intake."""
    with Stack(tmp_path / "stack", parts=("kafka", "database", "redis")) as own:
        await create_topics_async(RuntimeSettings(kafka=own.addresses.kafka))
        Keyring.create(tmp_path / "keyring.json")
        told = {"AMENDS_KEYRING": str(tmp_path / "keyring.json"), "AMENDS_PUBLISH_S_MAX": "2"}
        intake = Process(free_ports(1)[0], {**os.environ, **own.environment(), **told})
        await intake.start()
        try:
            async with httpx.AsyncClient(base_url=intake.url, timeout=60) as client:
                headers = {"Idempotency-Key": "one"}
                first = await client.post("/v1/complaints", json=GOOD, headers=headers)
                own.kill("redis")
                assert (await client.post("/v1/complaints", json=GOOD, headers=headers)).json() == first.json()
                own.kill("kafka")
                refused = await client.post("/v1/complaints", json=GOOD, headers={"Idempotency-Key": "two"})
                assert refused.status_code == 503
                assert "retry-after" in refused.headers
                while (await client.get("/readyz")).is_success:  # noqa: ASYNC110  # nor does a process
                    await asyncio.sleep(0.05)
                await asyncio.to_thread(own.restart, "kafka")
                async with asyncio.timeout(120):
                    while (await client.post("/v1/complaints", json=GOOD, headers={"Idempotency-Key": "two"})).is_error:  # noqa: ASYNC110
                        await asyncio.sleep(0.2)
        finally:
            assert await intake.end(signal.SIGTERM) == 0


async def test_an_intake_that_is_told_to_stop_finishes_what_it_began(start: Start) -> None:
    """Every request that it took is answered, and it ends within its time with code 0."""
    intake = await start()
    async with httpx.AsyncClient(base_url=intake.url) as client:
        await client.post("/v1/complaints", json=GOOD)
        tasks = [asyncio.create_task(client.post("/v1/complaints", json=GOOD)) for _ in range(50)]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        assert await asyncio.wait_for(intake.end(signal.SIGTERM), 10) == 0
        answers = await asyncio.gather(*tasks, return_exceptions=True)
    taken = [a.status_code for a in answers if isinstance(a, httpx.Response)]
    assert taken
    assert set(taken) <= {202, 503}


async def _flush(stack: Stack) -> None:
    from redis.asyncio import Redis  # noqa: PLC0415

    redis = Redis.from_url(stack.addresses.redis)
    await redis.flushall()
    await redis.aclose()
