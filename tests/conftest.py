"""Fixtures on real parts: Kafka, the database, Redis and the sandbox, started when a test first asks for one.

They run once for the whole session. A test that kills or restarts a part uses `own_stack`, so that its neighbours keep
theirs. Where a part cannot be had, the test is skipped with the reason; with `CI=true` it fails.

Property tests draw the same examples in every run, so that a change is judged by what it changed; `make explore` draws
others each time.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import settings
from pymongo import MongoClient
from pymongo.database import Database

from deploy.local.part import PartUnavailableError
from deploy.local.stack import PARTS, Stack

settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.register_profile("explore", deadline=None, print_blob=True)
settings.load_profile("repeatable")


def pytest_addoption(parser: pytest.Parser) -> None:
    """How long the runs under faults are."""
    chaos = parser.getgroup("runs under faults")
    chaos.addoption("--chaos", choices=["short", "long"], default="short", help="How long they are.")
    chaos.addoption("--faults", type=int, default=200, help="Number of faults in the long run.")
    chaos.addoption("--baseline", type=float, default=75, help="Seconds of the long run before its first fault.")
    chaos.addoption("--chaos-seed", type=int, default=7, help="What faults and load are drawn from.")
    chaos.addoption("--kinds", default="", help="Faults of the long run by name, in this order, instead of drawn ones.")
    chaos.addoption("--report", default="", help="File that the long run writes its page to.")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test that runs on a real part is an integration test, wherever it stands."""
    for item in items:
        if {"stack", "own_stack", "network"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.integration)


def _started(stack: Stack) -> Stack:
    try:
        return stack.start()
    except PartUnavailableError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error))
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Everything running, with one broker, on ports of its own. `stack.addresses` and `stack.environment()`."""
    running = _started(Stack(tmp_path_factory.mktemp("stack")))
    yield running
    running.stop()


@pytest.fixture
def own_stack(tmp_path: Path) -> Iterator[Callable[..., Stack]]:
    """Starts the named parts for this test alone: `own_stack("kafka", "database", brokers=3)`."""
    started: list[Stack] = []

    def start(*parts: str, brokers: int = 1) -> Stack:
        started.append(_started(Stack(tmp_path / f"stack{len(started)}", parts=parts or PARTS, brokers=brokers)))
        return started[-1]

    yield start
    for stack in started:
        stack.stop()


@pytest.fixture
def kafka(stack: Stack) -> str:
    """Bootstrap servers."""
    return stack.addresses.kafka


@pytest.fixture
def topic_prefix() -> str:
    """Put before a topic's or a consumer group's name, it makes one that no other test has seen."""
    return f"t{uuid4().hex[:10]}-"


@pytest.fixture
def database_name() -> str:
    """The name of a database that no other test has seen."""
    return f"test_{uuid4().hex[:12]}"


@pytest.fixture
def mongo_url(stack: Stack, database_name: str) -> str:
    """Connection string of a database that is empty and this test's own."""
    return f"{stack.addresses.mongo.rsplit('/', 1)[0]}/{database_name}"


@pytest.fixture
def mongo(mongo_url: str, database_name: str) -> Iterator[Database[dict[str, Any]]]:
    """That database by the synchronous driver, dropped afterwards."""
    with MongoClient[dict[str, Any]](mongo_url, tz_aware=True) as client:
        yield client[database_name]
        client.drop_database(database_name)


@pytest.fixture
def redis_url(stack: Stack) -> str:
    """The Redis of the session; its keys are shared, so name yours by `topic_prefix`."""
    return stack.addresses.redis


@pytest.fixture
def sandbox(stack: Stack) -> str:
    """HTTP surface of the sandbox. Its messages are shared, so send to numbers and addresses of your own."""
    return stack.addresses.sandbox
