"""Fixtures on real parts: Kafka, the database, Redis and the sandbox, started once for the whole session.

A test that kills or restarts a part starts a `Stack` of its own, so that its neighbours keep theirs.
"""

import os
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from pymongo import MongoClient
from pymongo.database import Database

from deploy.local.part import PartUnavailableError
from deploy.local.stack import Stack


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever stands in this folder is an integration test."""
    for item in items:
        if "tests/integration" in item.path.as_posix():
            item.add_marker(pytest.mark.integration)


def start_or_skip(stack: Stack) -> Stack:
    """Start the stack; where a part cannot be had, the test is skipped, and fails when `CI` is `true`."""
    try:
        return stack.start()
    except PartUnavailableError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error))
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Everything running, with one broker, on ports of its own. `stack.addresses` and `stack.environment()`."""
    running = start_or_skip(Stack(tmp_path_factory.mktemp("stack")))
    yield running
    running.stop()


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
