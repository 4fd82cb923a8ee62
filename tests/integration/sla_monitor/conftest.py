"""A broker of these tests' own, because the SLA monitor reads topics of fixed names."""

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from deploy.local.part import PartUnavailableError
from deploy.local.stack import Stack
from tests.integration.sla_monitor.running import World


@pytest.fixture(scope="package")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Kafka and a database for all of them."""
    made = Stack(tmp_path_factory.mktemp("sla"), parts=("kafka", "database"))
    try:
        made.start()
    except PartUnavailableError as error:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(str(error))
    yield made
    made.stop()


@pytest.fixture
async def world(broker: Stack, tmp_path: Path, database_name: str) -> AsyncIterator[World]:
    """Everything but workers, with an empty database; topics are shared, so look at your own tickets."""
    made = World(broker, tmp_path, database_name)
    await made.prepare()
    yield made
    made.stop_all()
