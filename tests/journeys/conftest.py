"""One network and one browser for all journeys. A test fails also for what its pages did wrong without showing it."""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NoReturn

import pytest
from playwright.sync_api import Browser, sync_playwright

from deploy.local.chromium import chromium
from deploy.local.part import PartUnavailableError
from tests.journeys.browsing import Browsing, chrome
from tests.journeys.network import Network
from tests.journeys.network import network as started


@pytest.fixture(scope="package")
def program() -> Path:
    """Where Chromium is."""
    try:
        return chromium()
    except PartUnavailableError as error:
        _is_missing(error)


@pytest.fixture(scope="package")
def network(program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """The one that all tests share; each has customers of its own."""
    with ExitStack() as running:
        try:
            there = running.enter_context(started(tmp_path_factory.mktemp("journeys") / "run"))
        except PartUnavailableError as error:
            _is_missing(error)
        yield there


@pytest.fixture(scope="package")
def browser(program: Path) -> Iterator[Browser]:
    """The program; people have contexts of their own in it."""
    with sync_playwright() as playwright:
        opened = chrome(playwright, program)
        yield opened
        opened.close()


@pytest.fixture(scope="package")
def states() -> dict[str, Any]:
    """Who is signed in."""
    return {}


@pytest.fixture
def browsing(browser: Browser, network: Network, states: dict[str, Any]) -> Iterator[Browsing]:
    """Browsers for one test. Afterwards nothing may have gone wrong: no script, no policy, no server."""
    browsing = Browsing(browser, network, states=states)
    yield browsing
    browsing.close()
    assert browsing.wrong == []


def _is_missing(error: PartUnavailableError) -> NoReturn:
    if os.environ.get("CI") == "true":
        pytest.fail(str(error))
    pytest.skip(str(error))
