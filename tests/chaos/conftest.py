"""Runs of the whole system under faults. `make test` runs the short form, `make chaos` the long one."""

import pytest


@pytest.fixture
def poison_rounds(request: pytest.FixtureRequest) -> int:
    """How often every kind of poison is sent to every topic: some hundred messages, or more than 10,000."""
    return 85 if request.config.getoption("--chaos") == "long" else 2
