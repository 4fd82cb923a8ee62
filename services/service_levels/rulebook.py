"""A policy made ready for the clocks: which event moves which clock, and which rule gives which target for a case."""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from schemas.codes import Clock
from services.service_levels.calendar import US_PER_S, Calendar, from_us, to_us
from services.service_levels.policy import (
    DELIVERED_NAMES,
    EVENTS,
    OWNER,
    UNIT,
    Case,
    ClockPolicy,
    PolicyError,
    Rule,
    SlaPolicy,
    Target,
)

_CASES_KEPT_MAX: Final = 10_000
_DAY_US: Final = 86_400 * US_PER_S


@dataclass(frozen=True, slots=True)
class Step:
    """A share of the target at which something is to be told."""

    share: float
    is_warning: bool
    rung: int
    """Which step of the escalation ladder; -1 for a warning."""


@dataclass(frozen=True, slots=True)
class ClockRules:
    """One clock of a policy, with its conditions as sets."""

    clock: Clock
    policy: ClockPolicy
    starts: frozenset[str]
    restarts: frozenset[str]
    stops: frozenset[str]
    pauses: frozenset[str]
    resumes: frozenset[str]
    cancels: frozenset[str]
    steps: tuple[Step, ...]
    breach_step: int
    """Which of the steps is the breach."""
    is_per_unit: bool
    is_stopped_elsewhere: bool
    """Whether a delivery stops it: those come on another topic, in no order with the ticket's events."""


class Rulebook:
    """One version of a policy, ready for use."""

    def __init__(self, policy: SlaPolicy) -> None:
        self.policy = policy
        self.version = policy.version
        self.name = policy.name
        self.cancels = frozenset(policy.cancel)
        self.clocks = {clock: _rules_of(clock, policy) for clock in Clock if clock in policy.clocks}
        self.started_by = {
            event: tuple(clock for clock, rules in self.clocks.items() if event in rules.starts) for event in EVENTS
        }
        self._calendars = policy.built_calendars
        self._chosen: dict[Case, dict[Clock, Rule]] = {}

    def rules(self, case: Case) -> dict[Clock, Rule]:
        """The rule of each clock that holds for the case; clocks without one are left out."""
        chosen = self._chosen.get(case)
        if chosen is None:
            if len(self._chosen) >= _CASES_KEPT_MAX:
                self._chosen.clear()
            found = {
                clock: next((rule for rule in rules.policy.rules if rule.match.holds(case)), None)
                for clock, rules in self.clocks.items()
            }
            chosen = self._chosen[case] = {clock: rule for clock, rule in found.items() if rule is not None}
        return chosen

    def stops_anything(self, name: str) -> bool:
        """Whether any clock names that event as a stop."""
        return any(name in rules.stops for rules in self.clocks.values())

    def level(self, case: Case, rung: int) -> str:
        """Who must look at it on that step of the ladder.

        The last ladder counts when none matches, so that a breach always has somebody.
        """
        ladders = self.policy.escalation.ladders
        ladder = next((ladder for ladder in ladders if ladder.match.holds(case)), ladders[-1])
        return ladder.levels[rung]

    def calendar_name(self, clock: Clock, unit_calendar: str | None) -> str:
        """The calendar a clock counts by; `unit_calendar` is the one that was named for the unit, if there was one."""
        named = self.clocks[clock].policy.calendar
        if named not in {OWNER, UNIT}:
            return named
        if unit_calendar is None or unit_calendar not in self._calendars:
            return self.policy.default_calendar
        return unit_calendar

    def calendar(self, name: str) -> Calendar:
        """A calendar of this version.

        Raises:
            LookupError: when the version does not list it.
        """
        try:
            return self._calendars[name]
        except KeyError:
            raise LookupError(f"policy {self.name} version {self.version} lists no calendar {name!r}") from None

    @staticmethod
    def target_us(target: Target, calendar: Calendar, start: int) -> int:
        """A target in microseconds of the calendar, for a clock that starts then.

        Working days become the working time from the first opening to the same time of day so many working days later.
        """
        if calendar.is_always_open or not target.days:
            return target.days * _DAY_US + target.seconds * US_PER_S
        opening = calendar.add_us(start, 0)
        until = to_us(calendar.add_working_days(from_us(opening), target.days))
        return calendar.difference_us(opening, until) + target.seconds * US_PER_S


class Policies:
    """All versions of a policy. A clock belongs to the version in force when it starts, and stays with it.

    Attributes:
        halts: Events that any version names as a pause or its end.
    """

    def __init__(self, versions: Iterable[SlaPolicy]) -> None:
        """Order them by the time from which they hold.

        Raises:
            PolicyError: without any version, or when two share a number.
        """
        ordered = sorted(versions, key=lambda policy: (policy.effective_from, policy.version))
        self._books = [Rulebook(policy) for policy in ordered]
        self._from_us = [to_us(policy.effective_from) for policy in ordered]
        self._by_version = {book.version: book for book in self._books}
        rules = [rules for book in self._books for rules in book.clocks.values()]
        self.halts = frozenset[str]().union(*(r.pauses | r.resumes for r in rules))
        if not ordered:
            raise PolicyError(["no policy of service levels is loaded; load one with `amends policy`"])
        if len(self._by_version) < len(ordered):
            raise PolicyError([f"versions {[policy.version for policy in ordered]} repeat; each needs its own number"])

    def at(self, instant: int) -> Rulebook:
        """The version in force then (microseconds); before the first, the first."""
        return self._books[max(0, bisect_right(self._from_us, instant) - 1)]

    def version(self, number: int) -> Rulebook:
        """The version a clock started with.

        Raises:
            LookupError: when it is not loaded; versions are never removed.
        """
        try:
            return self._by_version[number]
        except KeyError:
            raise LookupError(f"policy version {number} is not loaded; loaded are {sorted(self._by_version)}") from None


def _rules_of(clock: Clock, policy: SlaPolicy) -> ClockRules:
    own = policy.clocks[clock]
    shares = own.warnings if own.warnings is not None else policy.warnings
    warnings = [Step(share, is_warning=True, rung=-1) for share in sorted(shares)]
    rungs = [Step(share, is_warning=False, rung=i) for i, share in enumerate(policy.escalation.shares)]
    return ClockRules(
        clock=clock,
        policy=own,
        starts=frozenset((*own.start.at, *own.restart)),
        restarts=frozenset(own.restart),
        stops=frozenset(own.stop),
        pauses=frozenset(own.pause),
        resumes=frozenset(own.resume),
        cancels=frozenset((*policy.cancel, *own.cancel)),
        steps=(*warnings, *rungs),
        breach_step=len(warnings),
        is_per_unit=own.per == UNIT,
        is_stopped_elsewhere=not DELIVERED_NAMES.isdisjoint(own.stop),
    )
