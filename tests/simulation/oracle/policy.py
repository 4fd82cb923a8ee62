"""A policy of service levels as it is written, and what it says of a case."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.simulation.oracle.calendars import Calendar

POLICIES = Path(__file__).parents[3] / "deploy" / "policies"
DURATION = re.compile(r"(\d+)\s*(?:working |calendar )?\s*([a-z]+)")
ISO_DURATION = re.compile(r"p(?:(\d+)w)?(?:(\d+)d)?(?:t(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?)?")
UNITS_S = {"s": 1, "m": 60, "h": 3600}


@dataclass(frozen=True, slots=True)
class Case:
    """What is so of a ticket: what a policy looks at, and who has it."""

    channel: str | None = None
    source: str | None = None
    category: str | None = None
    severity: int | None = None
    customer_tier: str | None = None
    region: str | None = None
    risk: frozenset[str] = frozenset()
    major: bool = False
    reachable: bool = True
    department: str | None = None
    unit: str | None = None
    person: str | None = None
    calendar: str | None = None
    """The one that the unit works by."""
    liable: tuple[tuple[str, str | None, str], ...] = ()
    """Units that share liability, each with its department and calendar."""

    def but(self, **changes: Any) -> "Case":
        """The same with changes."""
        return replace(self, **changes)


class Clock:
    """What a policy says of one clock."""

    def __init__(self, name: str, written: Mapping[str, Any], policy: Mapping[str, Any]) -> None:
        self.name = name
        self.starts = names(written["start"]["at"])
        self.counted_from = names(written["start"].get("counted_from"))
        self.is_per_unit = written.get("per") == "unit"
        self.cancels = names(written.get("cancel"))
        self.restarts = names(written.get("restart"))
        self.stops = names(written["stop"])
        self.pauses, self.resumes = names(written.get("pause")), names(written.get("resume"))
        self.repeats = bool(written.get("repeats"))
        self.calendar: str = written["calendar"]
        self.rules = written["rules"]
        warnings = written["warnings"] if written.get("warnings") is not None else policy.get("warnings", (0.5, 0.8))
        self.steps = [("warned", share) for share in sorted(warnings)]
        self.steps += [("breached", 1.0)] + [("escalated", share) for share in policy["escalation"]["shares"][1:]]

    def rule(self, case: Case) -> Mapping[str, Any] | None:
        """The first rule that matches."""
        return next((rule for rule in self.rules if matches(rule.get("match") or {}, case)), None)


class Policy:
    """The whole of it."""

    def __init__(self, written: Mapping[str, Any]) -> None:
        self.written = written
        self.version: int = written["version"]
        self.cancels = names(written.get("cancel", "withdrawn"))
        self.clocks = {name: Clock(name, clock, written) for name, clock in written["clocks"].items()}
        named = written["calendars"]
        self._written = _beside(named) if isinstance(named, str) else named
        self._calendars: dict[str, Calendar] = {}

    def calendar(self, name: str) -> Calendar:
        """By its name."""
        if name not in self._calendars:
            self._calendars[name] = Calendar(self._written[name])
        return self._calendars[name]

    def calendar_name(self, clock: Clock, own: str | None) -> str:
        """By which calendar a clock counts: the owner's or unit's own where it is known and listed."""
        if clock.calendar not in {"owner", "unit"}:
            return clock.calendar
        return own if own is not None and own in self._written else str(self.written["default_calendar"])

    def target(self, written: str, calendar: Calendar, start: int) -> int:
        """Microseconds of working time."""
        text = written.strip().lower()
        if iso := ISO_DURATION.fullmatch(text):
            weeks, days, hours, minutes, seconds = (int(part or 0) for part in iso.groups())
            rest = hours * 3600 + minutes * 60 + seconds
            return (calendar.days(start, weeks * 7 + days) if weeks or days else 0) + rest * 1_000_000
        match = DURATION.fullmatch(text)
        assert match is not None, written
        amount, unit = int(match[1]), match[2][0]
        return calendar.days(start, amount) if unit == "d" else amount * UNITS_S[unit] * 1_000_000

    def level(self, case: Case, share: float) -> str:
        """Who must look at a breach at that share of its target."""
        escalation = self.written["escalation"]
        ladders = escalation["ladders"]
        ladder = next((ladder for ladder in ladders if matches(ladder.get("match") or {}, case)), ladders[-1])
        return str(ladder["levels"][list(escalation["shares"]).index(share)])


def matches(wanted: Mapping[str, Any], case: Case) -> bool:
    """Whether every condition holds; what is not known fits none."""
    for name, written in wanted.items():
        values = set(written) if isinstance(written, list) else {written}
        if name == "risk":
            fits = not case.risk.isdisjoint(values)
        elif name == "category":
            fits = case.category is not None and not values.isdisjoint({case.category, case.category.split(".")[0]})
        else:
            fits = getattr(case, name) in values
        if not fits:
            return False
    return True


def names(written: str | Iterable[str] | None) -> frozenset[str]:
    """One name or several."""
    return frozenset() if written is None else frozenset([written] if isinstance(written, str) else written)


@cache
def _beside(name: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = yaml.safe_load((POLICIES / name).read_text(encoding="utf-8"))
    return found
