"""A bench on the session's broker."""

from collections.abc import AsyncIterator

import pytest

from tests.integration.runtime.probing import Bench


@pytest.fixture
async def bench(kafka: str, topic_prefix: str) -> AsyncIterator[Bench]:
    """Topics and groups of this test alone."""
    made = Bench(kafka, topic_prefix)
    await made.producer.start()
    yield made
    await made.producer.stop()
