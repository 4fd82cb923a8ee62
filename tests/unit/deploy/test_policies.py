"""The policies that come with limits of seconds."""

from pathlib import Path

import yaml

from deploy.local.running import _without_nights
from schemas.codes import Moment, Severity
from services.notifier.policy import NotificationPolicy


def test_with_limits_of_seconds_no_message_waits_for_the_morning(tmp_path: Path) -> None:
    """A demo at midnight, and a run under faults, tell all they have to tell."""
    policy = NotificationPolicy.model_validate(yaml.safe_load(_without_nights(tmp_path).read_text("utf-8")))
    assert all(policy.goes_at_night(moment, severity) for moment in Moment for severity in Severity)
