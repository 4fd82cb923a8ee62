"""A stack of its own, because topics and consumer groups have fixed names."""

import os
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from deploy.local.part import PartUnavailableError
from deploy.local.stack import Stack
from tests.integration.notifier.scene import Scene


@pytest.fixture(scope="session")
def notifier_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Kafka, the database and the sandbox for notifier processes alone."""
    stack = Stack(tmp_path_factory.mktemp("notifier"), parts=("kafka", "database", "sandbox"))
    try:
        running = stack.start()
    except PartUnavailableError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error))
        pytest.skip(str(error))
    yield running
    running.stop()


@pytest.fixture
async def scene(notifier_stack: Stack, tmp_path: Path) -> AsyncIterator[Scene]:
    """An empty database, a keyring, and a notifier that is not started."""
    made = Scene(notifier_stack, tmp_path, f"notifier_{uuid4().hex[:8]}")
    await made.open()
    yield made
    sys.stdout.write(made.log.read_text() if made.log.exists() else "")  # Shown of a test that fails.
    await made.close()
