"""Who there is: departments, outlets, hubs and people with duty times, skills and capacity. Pure.

All of it, with the policies that name it, is one versioned document (`Organisation`), so that a rule never meets a
directory in which its department is missing.
"""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime, time, timedelta
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Any, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator

from schemas.codes import Category
from services.organisation.handling import HandlingPolicy
from services.organisation.policy import PLACE, AssignmentPolicy, Given, Name, RiskPolicy
from services.runtime.written import told, wall_time


class WrongOrganisation(ValueError):  # noqa: N818  # said of the file
    """A directory or policy that cannot be used. `problems` has one line each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class SupersededError(Exception):
    """Somebody else has put another version into force meanwhile."""


class Day(StrEnum):
    """Days of the week, Monday first."""

    MON = "mon"
    TUE = "tue"
    WED = "wed"
    THU = "thu"
    FRI = "fri"
    SAT = "sat"
    SUN = "sun"


_DAYS = tuple(Day)


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{name!r} is no IANA time zone, e.g. Asia/Shanghai") from None
    return name


Zone = Annotated[str, AfterValidator(_known_zone)]
WallTime = Annotated[time, BeforeValidator(wall_time)]


class Duty(Given):
    """A shift on the wall clock of the person's zone. One that ends before it begins ends on the next day."""

    days: tuple[Day, ...] = _DAYS
    begins: WallTime = time(0)
    ends: WallTime = time(0)
    """00:00 is the end of the day."""

    def covers(self, local: datetime) -> bool:
        """Whether the shift holds at a wall-clock time."""
        at, today = local.time(), _DAYS[local.weekday()]
        if self.ends > self.begins:
            return today in self.days and self.begins <= at < self.ends
        yesterday = _DAYS[(local - timedelta(days=1)).weekday()]
        return (today in self.days and at >= self.begins) or (yesterday in self.days and at < self.ends)


class Department(Given):
    """A part of the network that owns complaints."""

    code: Name
    name: str
    calendar: Name
    """Whose hours it works, by name."""
    manager: Name | None = None


class Unit(Given):
    """An outlet or hub."""

    code: Name
    kind: Annotated[str, Field(pattern="^(outlet|hub|team)$")]
    name: str
    calendar: Name
    manager: Name | None = None


class Person(Given):
    """Somebody who handles tickets."""

    id: Name
    department: Name
    unit: Name | None = None
    """Handles the tickets of this unit only; None: those of the whole department."""
    skills: tuple[Category, ...] = ()
    """Categories; empty: all."""
    capacity: Annotated[int, Field(ge=0, le=10_000)]
    """Open tickets at once."""
    duty: tuple[Duty, ...] = (Duty(),)
    time_zone: Zone = "Asia/Shanghai"

    def on_duty(self, at: datetime) -> bool:
        """Whether a shift holds at an instant."""
        local = at.astimezone(ZoneInfo(self.time_zone))
        return any(duty.covers(local) for duty in self.duty)

    def can(self, category: Category) -> bool:
        """Whether the person handles such complaints."""
        return not self.skills or category in self.skills


class Organisation(Given):
    """Directory and policies of one version."""

    version: int = 0
    departments: tuple[Department, ...]
    units: tuple[Unit, ...] = ()
    people: tuple[Person, ...] = ()
    assignment: AssignmentPolicy
    risk: RiskPolicy = RiskPolicy()
    handling: HandlingPolicy = HandlingPolicy()

    @cached_property
    def department_by_code(self) -> dict[str, Department]:
        """Departments."""
        return {d.code: d for d in self.departments}

    @cached_property
    def unit_by_code(self) -> dict[str, Unit]:
        """Outlets, hubs and teams; codes are compared in capitals."""
        return {u.code.upper(): u for u in self.units}

    @cached_property
    def person_by_id(self) -> dict[str, Person]:
        """People."""
        return {p.id: p for p in self.people}

    @cached_property
    def people_by_department(self) -> dict[str, list[Person]]:
        """People, in the order of the file."""
        staff: dict[str, list[Person]] = {d.code: [] for d in self.departments}
        for person in self.people:
            staff[person.department].append(person)
        return staff

    @model_validator(mode="after")
    def everything_named_exists(self) -> Self:
        """Codes are unique, and whatever is named is there. All problems at once."""
        problems = [*self._doubled(), *self._missing()]
        if problems:
            raise WrongOrganisation(problems)
        return self

    def _doubled(self) -> list[str]:
        problems = []
        for kind, codes in (
            ("department", [d.code for d in self.departments]),
            ("unit", [u.code.upper() for u in self.units]),
            ("person", [p.id for p in self.people]),
        ):
            problems += [f"{kind} {code} is there twice" for code, times in Counter(codes).items() if times > 1]
        return problems

    def _missing(self) -> list[str]:
        departments, units = {d.code for d in self.departments}, {u.code.upper() for u in self.units}
        problems = []
        for person in self.people:
            if person.department not in departments:
                problems.append(f"person {person.id}: there is no department {person.department}")
            if person.unit is not None and person.unit.upper() not in units:
                problems.append(f"person {person.id}: there is no unit {person.unit}")
        for rule in self.assignment.rules:
            if rule.department not in departments:
                problems.append(f"rule {rule.name}: there is no department {rule.department}")
            if rule.unit not in (None, PLACE) and rule.unit.upper() not in units:
                problems.append(f"rule {rule.name}: there is no unit {rule.unit}")
        return problems


def organisation(content: Mapping[str, Any]) -> Organisation:
    """Directory and policies from plain values, e.g. of a YAML file.

    Raises:
        WrongOrganisation: with every problem, each with the place where it is.
    """
    try:
        return Organisation.model_validate(content)
    except ValidationError as refusal:
        raise WrongOrganisation(told(refusal)) from None
