"""What a policy of service levels says: which clocks there are, their targets, calendars, conditions and escalation.

A policy is a YAML file (see `deploy/policies/sla.yaml`), checked as a whole: `read_policy` and `parse_policy` raise one
`PolicyError` that names every mistake with its path and value. `Rulebook` is what the clocks work with.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache, cached_property
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple, Self

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from schemas import topics
from schemas.codes import SUBCODES, Category, Channel, Clock, Moment, RiskFlag, Severity, Source
from schemas.events import TicketCommandRefused, TicketEvent, TicketLiabilityShared
from schemas.message import Code
from services.runtime.written import WrongYaml, printable, read_yaml_file, told
from services.service_levels.calendar import Calendar
from services.service_levels.opening_hours import CalendarError

PACKAGED: Final = files("deploy.policies")
"""Where the policies that come with the package are."""

DELIVERED: Final = {moment: f"{moment.value}_delivered" for moment in Moment}
"""Names of the events that a delivery receipt gives, one for each moment."""
DELIVERED_NAMES: Final = frozenset(DELIVERED.values())


@cache
def event_name(event: type[TicketEvent]) -> str:
    """What a ticket event is called in policies: the last part of its type."""
    return event.TYPE.rpartition(".")[2]


TICKET_EVENTS: Final = frozenset(
    {
        *(event_name(event) for event in topics.TICKET_EVENTS if event is not TicketCommandRefused),
        # Derived from them.
        "received",  # when the network got the complaint, which the opening event carries
        "assigned_to_unit",  # an assignment that changes department or unit, not one from person to person
        "machine_review_done",  # an assignment of a ticket that the machine understood well enough
        "waiting_over",  # any event that leaves a waiting state
        "approval_over",  # the last of the chain has approved, one has refused, or the ticket has gone on without
    },
)
NAMING_UNITS: Final = frozenset({event_name(TicketLiabilityShared)})
"""Events that may start a clock that runs for each of the units they name."""
EVENTS: Final = TICKET_EVENTS | DELIVERED_NAMES
"""Every event that a start, pause, resume, stop or cancel condition may name."""

OWNER: Final = "owner"
UNIT: Final = "unit"

TARGET_DAYS_MAX: Final = 3660
"""Ten years. Times far beyond cannot be counted, and a ticket with such a clock could not be handled at all."""
SHARE_MAX: Final = 100
SHARES_MAX: Final = 50
"""Each is a fact of every ticket."""
VERSION_MAX: Final = 2**31 - 1
EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(2200, 1, 1, tzinfo=UTC)
"""Between them a version can begin to hold."""

_ISO_DURATION: Final = re.compile(r"P(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?")
_WORDS: Final = re.compile(r"(\d+)\s*(working|calendar)?\s*(seconds?|sec|s|minutes?|min|m|hours?|h|days?|d)")
_WEEKDAYS: Final = re.compile(r"([0-6])-([0-6])")
_UNIT_S: Final = {"s": 1, "m": 60, "h": 3600}


class PolicyError(ValueError):
    """A policy that cannot be used; `problems` holds every reason with its path and value."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Target(_Section):
    """A time limit: working days (whole days on a calendar that never closes) and seconds of working time."""

    text: str
    days: int
    seconds: int

    @model_validator(mode="before")
    @classmethod
    def from_text(cls, written: Any) -> Any:
        """Read "15min", "4 working hours", "24h", "3d", "5 working days", or ISO 8601 as "PT24H", "P3D"."""
        if not isinstance(written, str):
            if isinstance(written, dict):
                return written
            raise ValueError("write a duration with its unit, such as '24h', '15min', '3 working days' or 'PT4H'")
        days = seconds = 0
        if match := _WORDS.fullmatch(written.strip().lower()):
            amount, unit = int(match[1]), match[3][0]
            days, seconds = (amount, 0) if unit == "d" else (0, amount * _UNIT_S[unit])
        elif match := _ISO_DURATION.fullmatch(written.strip().upper()):
            weeks, days, hours, minutes, rest = (int(part or 0) for part in match.groups())
            days, seconds = days + 7 * weeks, hours * 3600 + minutes * 60 + rest
        if days + seconds <= 0:
            raise ValueError("is not a duration; write '24h', '15min', '3 working days' or ISO 8601 such as 'PT4H'")
        if days > TARGET_DAYS_MAX or seconds > TARGET_DAYS_MAX * 86_400:
            raise ValueError(f"is longer than {TARGET_DAYS_MAX} days; no such time is counted")
        return {"text": written, "days": days, "seconds": seconds}


def _as_tuple(written: Any) -> Any:
    if isinstance(written, str | int | bool):
        return (written,)
    return tuple(written) if isinstance(written, list | set | frozenset) else written


def _none_as_empty(written: Any) -> Any:
    return () if written is None else written


def _known_event(name: Any) -> Any:
    if not isinstance(name, str) or name not in EVENTS:
        raise ValueError(f"is not an event; known are {', '.join(sorted(EVENTS))}")
    return name


def _known_category(written: Any) -> Any:
    category, _, sub = written.partition(".") if isinstance(written, str) else ("", "", "")
    if category not in {known.value for known in Category}:
        raise ValueError(f"is not a category; known are {', '.join(known.value for known in Category)}")
    if sub and sub not in SUBCODES[Category(category)]:
        raise ValueError(f"is not a sub-code of {category}; known are {', '.join(SUBCODES[Category(category)])}")
    return written


EventName = Annotated[str, BeforeValidator(_known_event)]
EventNames = Annotated[tuple[EventName, ...], BeforeValidator(_as_tuple)]
CategoryName = Annotated[str, BeforeValidator(_known_category)]
Warnings = Annotated[tuple[Annotated[float, Field(gt=0, lt=1)], ...], Field(max_length=SHARES_MAX)]


class Case(NamedTuple):
    """What a policy may look at when it chooses targets and ladders; None is not known yet."""

    channel: Channel | None = None
    source: Source | None = None
    category: str | None = None
    severity: Severity | None = None
    customer_tier: str | None = None
    region: str | None = None
    risk: frozenset[RiskFlag] = frozenset()
    major: bool = False
    reachable: bool = True


class Match(_Section):
    """Conditions that must all hold; each names one value or several of which one must hold. Empty: always."""

    channel: Annotated[tuple[Channel, ...], BeforeValidator(_as_tuple)] = ()
    source: Annotated[tuple[Source, ...], BeforeValidator(_as_tuple)] = ()
    category: Annotated[tuple[CategoryName, ...], BeforeValidator(_as_tuple)] = ()
    """`delay` matches every delay, `delay.transit` only that sub-code."""
    severity: Annotated[tuple[Severity, ...], BeforeValidator(_as_tuple)] = ()
    customer_tier: Annotated[tuple[Code, ...], BeforeValidator(_as_tuple)] = ()
    region: Annotated[tuple[Code, ...], BeforeValidator(_as_tuple)] = ()
    risk: Annotated[tuple[RiskFlag, ...], BeforeValidator(_as_tuple)] = ()
    major: bool | None = None
    reachable: bool | None = None
    """Whether any way to reach the complainant is known."""

    def holds(self, case: Case) -> bool:
        """Whether every condition holds; a value that is not known yet matches no condition on it."""
        named = (
            (self.channel, case.channel),
            (self.source, case.source),
            (self.severity, case.severity),
            (self.customer_tier, case.customer_tier),
            (self.region, case.region),
        )
        if any(wanted and value not in wanted for wanted, value in named):
            return False
        if self.category and not {case.category, (case.category or "").partition(".")[0]} & set(self.category):
            return False
        if self.risk and not case.risk & set(self.risk):
            return False
        flags = ((self.major, case.major), (self.reachable, case.reachable))
        return all(wanted is None or wanted == value for wanted, value in flags)


class Rule(_Section):
    """One line of a clock's table: when it holds, this is the target."""

    name: Code
    match: Match = Match()
    target: Target


class Start(_Section):
    """The event that starts a clock, and the earlier event it is counted from when that is another."""

    at: EventNames
    counted_from: Annotated[EventNames, BeforeValidator(_none_as_empty)] = ()
    """Of several the latest that has happened."""


class ClockPolicy(_Section):
    """One clock: conditions, calendar and table of targets. A ticket that no rule matches does not get the clock."""

    start: Start
    stop: EventNames
    pause: EventNames = ()
    resume: EventNames = ()
    restart: EventNames = ()
    """Events that begin a further cycle when the one before has ended, e.g. `reopened`."""
    repeats: bool = False
    """Whether a later start event ends the cycle that is open and begins the next; otherwise it runs once a ticket."""
    per: Literal["unit"] | None = None
    """`unit`: a cycle for each unit that the start event names. A later one keeps those of the units it names again,
    cancels the others and begins what is missing; a stop event that names a unit stops that one's alone."""
    cancel: EventNames = ()
    """What ends it without a result, beside what ends every clock so."""
    calendar: Code
    """Name of a calendar below; `unit`: the one that the assignment names, or that the start event names for the unit
    of the cycle; `owner`: that, and before it the default."""
    warnings: Warnings | None = None
    rules: Annotated[tuple[Rule, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def conditions_fit(self) -> Self:
        """What pauses can be resumed, rules have names of their own, and what runs for each unit hears of units."""
        problems = []
        if bool(self.pause) != bool(self.resume):
            problems.append("pause and resume go together; name both or none")
        names = [rule.name for rule in self.rules]
        if doubled := sorted({name for name in names if names.count(name) > 1}):
            problems.append(f"rules share the names {doubled}; each needs its own, it stands in every fact")
        if self.per:
            problems += self._unfit_per_unit()
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _unfit_per_unit(self) -> list[str]:
        problems = []
        if unnamed := sorted(set(self.start.at) - NAMING_UNITS):
            problems.append(f"start.at: {unnamed} name no units; with `per: unit` use {', '.join(NAMING_UNITS)}")
        if self.repeats or self.restart:
            problems.append("per: unit says itself what a later start does; leave repeats and restart out")
        if delivered := sorted(DELIVERED_NAMES.intersection(self.stop)):
            # Receipts come in no order with the ticket's events, which say whose cycle is still to begin.
            problems.append(f"stop: {delivered} cannot stop a clock that is per: unit; name events of the ticket")
        return problems


class Ladder(_Section):
    """Who must look at a breach at each share of the target."""

    name: Code
    match: Match = Match()
    levels: tuple[Code, ...]


class Escalation(_Section):
    """Shares of the target (1.0 is the breach) and ladders with a level for each; the first that matches counts."""

    shares: Annotated[tuple[Annotated[float, Field(ge=1, le=SHARE_MAX)], ...], Field(max_length=SHARES_MAX)]
    ladders: Annotated[tuple[Ladder, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def levels_fit(self) -> Self:
        """The steps begin at the breach and rise, and each ladder has a level for each."""
        if not self.shares or self.shares[0] != 1 or list(self.shares) != sorted(set(self.shares)):
            raise ValueError(f"shares {list(self.shares)} must begin with 1.0, the breach, and rise")
        for ladder in self.ladders:
            if len(ladder.levels) != len(self.shares):
                raise ValueError(f"ladder {ladder.name!r} needs {len(self.shares)} levels, it has {len(ladder.levels)}")
        return self


class CalendarPolicy(_Section):
    """A calendar as it is written; `OpeningHours.parse` explains the fields."""

    tz: str
    hours: dict[str, Any]
    holidays: tuple[Any, ...] = ()
    holidays_yearly: tuple[Any, ...] = ()
    date_overrides: dict[Any, Any] = {}
    date_breaks: dict[Any, Any] = {}
    public_holidays: str | None = None
    makeup_weekday: int = 0

    @field_validator("hours", mode="before")
    @classmethod
    def weekdays_as_text(cls, hours: Any) -> Any:
        """YAML reads unquoted weekdays as numbers; `all` and `0-4` stand for several."""
        if not isinstance(hours, Mapping):
            return hours
        spread: dict[str, Any] = {}
        for written, spans in hours.items():
            span = _WEEKDAYS.fullmatch("0-6" if written == "all" else str(written))
            days = range(int(span[1]), int(span[2]) + 1) if span else ()
            # What is no span, or runs backwards, stays as it is written, and is refused as no weekday.
            spread |= {str(day): spans for day in days or (written,)}
        return spread

    @model_validator(mode="after")
    def works(self) -> Self:
        """Whatever the calendar would refuse is refused here."""
        try:
            self.build("")
        except CalendarError as error:
            raise PolicyError(list(error.problems)) from None
        if not any(self.hours.values()) and not any(self.date_overrides.values()):
            raise PolicyError(["hours: opens on no day, so that no clock would ever be due"])
        return self

    def build(self, name: str) -> Calendar:
        """The calendar that counts."""
        return Calendar.from_hours(name=name, **dict(self))


class SlaPolicy(_Section):
    """One version of a policy of service levels."""

    name: Code
    version: Annotated[int, Field(ge=1, le=VERSION_MAX)]
    effective_from: Annotated[AwareDatetime, Field(ge=EARLIEST, le=LATEST)]
    """Clocks that start at or after this time, and before that of the next version, belong to this one."""
    default_calendar: Code
    """For the owner before anything is assigned, and for a unit whose calendar is not listed."""
    cancel: EventNames = ("withdrawn",)
    """What ends every clock without a result, also those that an earlier version started."""
    warnings: Warnings = (0.5, 0.8)
    escalation: Escalation
    calendars: dict[Code, CalendarPolicy]
    clocks: dict[Clock, ClockPolicy]

    @cached_property
    def built_calendars(self) -> dict[str, Calendar]:
        """The calendars by name, ready to count with."""
        return {name: calendar.build(name) for name, calendar in self.calendars.items()}


def parse_policy(written: Mapping[str, Any]) -> SlaPolicy:
    """A policy from its written form.

    Raises:
        PolicyError: with every mistake at once, each with path and value.
    """
    problems = _unlisted_calendars(written)
    try:
        policy = SlaPolicy.model_validate(written)
    except ValidationError as error:
        problems += told(error)
    if problems:
        raise PolicyError(problems)
    return policy


def _unlisted_calendars(written: Mapping[str, Any]) -> list[str]:
    """Calendars that are named and not listed, found in the written form so that other mistakes do not hide them."""
    calendars, clocks = written.get("calendars"), written.get("clocks")
    if not isinstance(calendars, Mapping) or not isinstance(clocks, Mapping):
        return []
    named = {"default_calendar": written.get("default_calendar")} | {
        f"clocks.{clock}.calendar": policy.get("calendar")
        for clock, policy in clocks.items()
        if isinstance(policy, Mapping) and policy.get("calendar") not in (OWNER, UNIT)
    }
    return [
        printable(f"{path}: {name!r} is not listed; calendars are {', '.join(map(str, calendars))}, {OWNER} and {UNIT}")
        for path, name in named.items()
        if isinstance(name, str) and name not in calendars
    ]


def read_policy(path: Path | None = None, *, packaged: Literal["sla", "demo"] = "sla") -> SlaPolicy:
    """A policy from a YAML file, or one that comes with the package. `calendars: FILE` reads them from beside it.

    Raises:
        PolicyError: for a file that cannot be read, and for every mistake in it at once.
    """
    source = path or PACKAGED / f"{packaged}.yaml"
    try:
        written = read_yaml_file(source)
        if not isinstance(written, dict):
            raise PolicyError([f"{source}: holds no policy; a policy is a mapping, see deploy/policies/sla.yaml"])
        if isinstance(written.get("calendars"), str):
            beside = path.parent / written["calendars"] if path else PACKAGED / written["calendars"]
            written["calendars"] = read_yaml_file(beside)
    except WrongYaml as error:
        raise PolicyError([f"{source}: {problem}" for problem in error.problems]) from None
    return parse_policy(written)
