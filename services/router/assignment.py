"""Who gets a ticket: department and unit by the policy's table, the person by duty, skill and spare capacity. Pure.

A person's capacity is so many slots. `Capacity` is this process's picture of who sits on which; the database, where a
slot is one document, decides.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from schemas.codes import Category, Channel, RiskFlag, Severity, Source
from services.organisation.directory import Organisation, Person, Unit
from services.organisation.policy import PLACE, Rule, When
from services.router.deciding import Assignment, Unassignable


@dataclass(frozen=True, slots=True)
class Subject:
    """What the table asks about a ticket."""

    category: Category
    sub: str | None
    channel: Channel
    source: Source
    severity: Severity
    flags: tuple[RiskFlag, ...]
    places: tuple[str, ...]
    region: str | None


@dataclass(frozen=True, slots=True)
class Asked:
    """What a person who assigns by hand names; what is left out the policy chooses."""

    department: str | None = None
    unit: str | None = None
    person: str | None = None


NOTHING_ASKED: Final = Asked()


@dataclass(frozen=True, slots=True)
class Route:
    """Where a ticket goes."""

    department: str
    unit: str | None
    unit_calendar: str
    rule: str

    def given_to(self, person: str | None, *, directory_version: int) -> Assignment:
        """The assignment to one of them, or to the queue."""
        return Assignment(self.department, self.unit, person, self.unit_calendar, self.rule, directory_version)


def route(organisation: Organisation, subject: Subject, asked: Asked = NOTHING_ASKED) -> Route | Unassignable:
    """Where a ticket goes: what is asked for by hand, and for the rest what the table says."""
    rule = first_match(organisation, subject)
    person = organisation.person_by_id.get(asked.person) if asked.person is not None else None
    code = asked.department or (person.department if person else None)
    unit = _named_unit(organisation, asked.unit) if asked.unit else None
    if asked.person is not None and person is None:
        return Unassignable("no_such_person")
    if code is not None and code not in organisation.department_by_code:
        return Unassignable("no_such_department")
    if person is not None and person.department != code:
        return Unassignable("person_of_other_department")
    if asked.unit and unit is None:
        return Unassignable("no_such_unit")
    by_hand = code is not None or unit is not None
    if unit is None and code in (None, rule.department):
        unit = _unit_of(organisation, rule, subject)
    department = organisation.department_by_code[code or rule.department]
    return Route(
        department=department.code,
        unit=unit.code if unit else None,
        unit_calendar=unit.calendar if unit else department.calendar,
        rule="by_hand" if by_hand else rule.name,
    )


def able(
    organisation: Organisation, department: str, unit: str | None, *, category: Category, at: datetime
) -> tuple[Person, ...]:
    """The people of a department on duty who handle such tickets: those of the unit when it has people of its own."""
    staff = [p for p in organisation.people_by_department[department] if p.can(category) and p.on_duty(at)]
    own = [p for p in staff if p.unit is not None and unit is not None and p.unit.upper() == unit.upper()]
    return tuple(own or [p for p in staff if p.unit is None])


def first_match(organisation: Organisation, subject: Subject) -> Rule:
    """The rule that says whose ticket it is."""
    return next(rule for rule in organisation.assignment.rules if _holds(organisation, rule.when, subject))


def _holds(organisation: Organisation, when: When, subject: Subject) -> bool:
    codes = {subject.category.value, f"{subject.category.value}.{subject.sub}"}
    return (
        (not when.category or not codes.isdisjoint(when.category))
        and (not when.channel or subject.channel in when.channel)
        and (not when.source or subject.source in when.source)
        and (not when.severity or subject.severity in when.severity)
        and (not when.region or subject.region in when.region)
        and (not when.flags or not set(when.flags).isdisjoint(subject.flags))
        and (not when.place or _place(organisation, subject, when.place) is not None)
    )


def _unit_of(organisation: Organisation, rule: Rule, subject: Subject) -> Unit | None:
    if rule.unit == PLACE:
        return _place(organisation, subject, rule.when.place)
    return _named_unit(organisation, rule.unit) if rule.unit else None


def _place(organisation: Organisation, subject: Subject, kinds: Sequence[str]) -> Unit | None:
    known = (_named_unit(organisation, code) for code in subject.places)
    return next((unit for unit in known if unit and (not kinds or unit.kind in kinds)), None)


def _named_unit(organisation: Organisation, code: str) -> Unit | None:
    return organisation.unit_by_code.get(code.upper())


@dataclass(frozen=True, slots=True)
class Slot:
    """One place in a person's capacity."""

    person: str
    number: int

    def __str__(self) -> str:
        return f"{self.person}:{self.number}"


@dataclass(slots=True)
class Capacity:
    """Which slots are taken, as far as this process knows."""

    taken: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    _turns: dict[str, int] = field(default_factory=dict)
    _turn: int = 0

    def replace(self, slots: Iterable[Slot]) -> None:
        """Take over what the database says."""
        self.taken = defaultdict(set)
        for slot in slots:
            self.taken[slot.person].add(slot.number)

    def spare(self, person: Person) -> int:
        """How many more tickets the person can have."""
        return person.capacity - len(self.taken.get(person.id, ()))

    def take(self, people: Sequence[Person]) -> Slot | None:
        """A slot of the one with the most spare capacity, of equals the one whose last turn is longest ago."""
        best = max(people, key=lambda p: (self.spare(p), -self._turns.get(p.id, 0)), default=None)
        if best is None or self.spare(best) <= 0:
            return None
        number = next((n for n in range(best.capacity) if n not in self.taken[best.id]), None)
        if number is None:
            return None
        self._turn += 1
        self._turns[best.id] = self._turn
        self.taken[best.id].add(number)
        return Slot(best.id, number)

    def free(self, slots: Iterable[Slot]) -> None:
        """Slots that nobody sits on any more."""
        for slot in slots:
            self.taken[slot.person].discard(slot.number)
