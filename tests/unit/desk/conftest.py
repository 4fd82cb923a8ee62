"""A desk that is served."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.runtime.sealing import Keyring
from tests.unit.desk.serving import Browser, Desk, browsing, served


@pytest.fixture
def closed_desk(tmp_path: Path) -> Desk:
    """A desk with an empty database that nobody serves yet."""
    return Desk(Keyring.create(tmp_path / "keyring.json"))


@pytest.fixture
async def desk(closed_desk: Desk) -> AsyncIterator[Desk]:
    """The same, served."""
    async with served(closed_desk.app()) as url:
        closed_desk.url = url
        yield closed_desk


@pytest.fixture
async def browser(desk: Desk) -> AsyncIterator[Browser]:
    """At the desk, nobody signed in."""
    async with browsing(desk.url) as browser:
        yield browser
