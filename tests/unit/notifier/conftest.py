"""The policy that comes with Amends."""

from pathlib import Path

import pytest
import yaml

from services.notifier.policy import NotificationPolicy


@pytest.fixture(scope="session")
def policy() -> NotificationPolicy:
    """As the file in deploy/policies says."""
    return NotificationPolicy.model_validate(yaml.safe_load(Path("deploy/policies/notifications.yaml").read_text()))
