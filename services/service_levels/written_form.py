"""A policy of service levels as people write it. Pure."""

from collections.abc import Mapping
from typing import Any

from services.service_levels.policy import SlaPolicy


def written(policy: SlaPolicy) -> dict[str, Any]:
    """As in a file: a target is the text that was written, equal weekdays stand together, defaults are left out."""
    content: dict[str, Any] = policy.model_dump(mode="json", exclude_defaults=True)
    for calendar in content["calendars"].values():
        calendar["hours"] = _together(calendar["hours"])
    for clock in content["clocks"].values():
        for rule in clock["rules"]:
            rule["target"] = rule["target"]["text"]
    return content


def _together(hours: Mapping[str, Any]) -> dict[str, Any]:
    """Hours by weekday as hours by spans of weekdays."""
    spans: list[tuple[int, int, Any]] = []
    for day in sorted(map(int, hours)):
        first, last, held = spans[-1] if spans else (day, -2, None)
        if day == last + 1 and hours[str(day)] == held:
            spans[-1] = (first, day, held)
        else:
            spans.append((day, day, hours[str(day)]))
    return {
        "all" if (first, last) == (0, 6) else f"{first}-{last}" if first < last else str(first): held
        for first, last, held in spans
    }
