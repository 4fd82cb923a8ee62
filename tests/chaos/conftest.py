"""Runs of the whole system under faults. `make test` runs the short form, `make chaos` the long one."""

import pytest


@pytest.fixture
def kills_each(request: pytest.FixtureRequest) -> int:
    """How often each part is killed."""
    return 5 if request.config.getoption("--chaos") == "long" else 1


@pytest.fixture
def complaints_count(request: pytest.FixtureRequest) -> int:
    """How many complaints are fed."""
    return 3000 if request.config.getoption("--chaos") == "long" else 300


@pytest.fixture
def poison_rounds(request: pytest.FixtureRequest) -> int:
    """How often every kind of poison is sent to every topic: some hundred messages, or more than 10,000."""
    return 85 if request.config.getoption("--chaos") == "long" else 2
