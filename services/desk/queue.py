"""What may be asked of the queue, who may see what of it, and how it is read. Pure.

`Filters` is what a caller wrote, `Scope` what the caller may see, `reading` says by which index the rows are found.
Conditions name fields of the document that `row_store.py` makes of a row.

Every reading goes by one index: by the few things that name few rows (a number, a customer, a person, a unit, a flag),
whose rows are then put in order, or else along a line (`lines.py`), whose order the rows have already. The field of
that index stands first, and no condition is nested: databases differ in what they see in one that is.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from hashlib import blake2b
from typing import Annotated, Any, Final, TypeVar

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints
from pydantic_core import PydanticCustomError

from schemas.classification import Matter
from schemas.codes import Category, Channel, Clock, RiskFlag, Severity, Source, TicketState
from services.desk.lines import Segment, Sort, field_of, segments
from services.desk.row import RARE_CLOCKS, SETTLED
from services.desk.searching import is_contact, search

PAGE_MAX: Final = 200
NOBODY: Final = "nobody"
ME: Final = "me"
_VALUES_MAX: Final = 50
_YEARS: Final = (1970, 9000)

Text = Annotated[str, StringConstraints(min_length=1, max_length=64, strip_whitespace=True)]
T = TypeVar("T")
Many = Annotated[list[T], Field(max_length=_VALUES_MAX)]
Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


def _within_calendars(at: datetime) -> datetime:
    if not _YEARS[0] <= at.year <= _YEARS[1]:
        raise PydanticCustomError(
            "no_such_time", "the year must be from {first} to {last}", dict(zip(("first", "last"), _YEARS, strict=True))
        )
    return at


Instant = Annotated[AwareDatetime, AfterValidator(_within_calendars)]
"""One that is a time in every zone and in the database."""


class Standing(StrEnum):
    """Whether somebody has to work on a ticket."""

    OPEN = "open"
    SETTLED = "settled"
    ANY = "any"


def _matter(code: str) -> str:
    category, _, sub = code.partition(".")
    if category not in set(Category):
        raise PydanticCustomError("no_such_category", "there is no category {code}", {"code": code[:64]})
    return Matter(category=Category(category), sub=sub or None).code


def _no_contact(text: str) -> str:
    if is_contact(text):
        raise PydanticCustomError(
            "contact_in_url",
            "a number or address of a person does not belong into a URL: ask POST /v1/customers for its key",
        )
    return text


class Filters(BaseModel):
    """Which tickets, in which order. Of several values of one field any does; of several fields, all must."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    standing: Standing | None = Field(None, description="Open ones, unless something is looked for by name or state.")
    state: Many[TicketState] = Field([], description="States.")
    clock: Clock | None = Field(None, description="Of which clock `due_before` and `breached` speak, else of any.")
    due_before: Instant | None = Field(None, description="A clock that runs is due before then.")
    breached: bool | None = Field(None, description="Whether a clock has been broken.")
    category: Many[Annotated[str, AfterValidator(_matter)]] = Field([], description="`delay` or `delay.transit`.")
    department: Many[Text] = Field([], description="Codes.")
    unit: Many[Text] = Field([], description="Outlets, hubs or teams that are responsible or share it.")
    person: Many[Text] = Field([], description="Ids; `me`, and `nobody` for what waits for a person.")
    severity: Many[Severity] = Field([], description="1 to 4, the gravest.")
    flag: Many[RiskFlag] = Field([], description="Risk flags.")
    major: bool | None = Field(None, description="Major complaints.")
    needs_review: bool | None = Field(None, description="A person is to look at the classification.")
    channel: Many[Channel] = Field([], description="Where it came in.")
    source: Many[Source] = Field([], description="External or internal.")
    received_from: Instant | None = Field(None, description="Received then or later.")
    received_to: Instant | None = Field(None, description="Received before then.")
    q: Annotated[Text, AfterValidator(_no_contact)] | None = Field(
        None, description="Ticket number, waybill or its beginning, place, case number."
    )
    waybill: Many[Text] = Field([], description="Waybill numbers, whole.")
    customer: Many[Digest] = Field([], description="Keys of a customer, as `POST /v1/customers` gives them.")
    sort: Sort = Field(Sort.DUE, description="Order.")

    def fingerprint(self) -> str:
        """By which a cursor knows the question that it belongs to."""
        asked = self.model_dump_json(include=set(Filters.model_fields), exclude_defaults=True)
        return blake2b(asked.encode(), digest_size=8).hexdigest()


class PageAsked(Filters):
    """A page of what `Filters` asks for."""

    size: int = Field(50, ge=1, le=PAGE_MAX, description="Most tickets of the page.")
    cursor: Annotated[str, StringConstraints(max_length=400)] | None = Field(
        None, description="`next` of the page before."
    )
    count: bool = Field(False, description="Whether to count them all, up to 1,000.")


@dataclass(frozen=True, slots=True)
class Scope:
    """What a person may see: all, or what is of these departments, or what is of these units. Always in force."""

    departments: frozenset[str] | None = None
    units: frozenset[str] | None = None
    sees_complainant: bool = True
    """Whether the masked contact is shown."""

    def shows(self, *, department: str | None, units: Iterable[str]) -> bool:
        """Whether a ticket of theirs may be seen."""
        if self.units is not None:
            return not self.units.isdisjoint(units)
        return self.departments is None or department in self.departments


EVERYTHING: Final = Scope()


@dataclass(frozen=True, slots=True)
class Reading:
    """How the rows of a question are found."""

    where: dict[str, Any]
    """All conditions, that of the index first."""
    order: str
    """Field of the line that orders them."""
    segments: tuple[Segment, ...] = ()
    """Stretches of that line to read; empty: the conditions find them."""
    is_void: bool = False
    """Nothing can match."""


def reading(asked: Filters, *, scope: Scope, me: str, now: datetime) -> Reading:
    """How to find what is asked for, of what may be seen."""
    standings = _standings(asked)
    units = _within(asked.unit, scope.units)
    departments = _within(asked.department, scope.departments)
    if units == [] or departments == [] or not standings:
        return Reading({}, "", is_void=True)
    persons = [{NOBODY: None, ME: me}.get(p, p) for p in asked.person]
    where = _conditions(asked, standings=standings, units=units, departments=departments, persons=persons)
    lead = _lead(asked, standings=standings, units=units, persons=persons)
    if lead:
        return Reading({**lead, **{k: v for k, v in where.items() if k not in lead}}, f"by_{asked.sort}")
    department = departments[0] if departments and len(departments) == 1 else None
    stretches = segments(
        asked.sort,
        now=now,
        department=department,
        standings=standings,
        severities=asked.severity or list(Severity),
        due_before=asked.due_before,
        received=(asked.received_from, asked.received_to),
    )
    line = field_of(asked.sort, department=department, is_open=standings == [True])
    return Reading(where, line, tuple(stretches))


def _standings(asked: Filters) -> list[bool]:
    """Open (True), settled (False) or both."""
    named = asked.q or asked.waybill or asked.customer or asked.state
    standing = asked.standing or (Standing.ANY if named else Standing.OPEN)
    wanted = {Standing.OPEN: [True], Standing.SETTLED: [False], Standing.ANY: [True, False]}[standing]
    if asked.state:
        return [is_open for is_open in wanted if any((state not in SETTLED) is is_open for state in asked.state)]
    return wanted


def _within(asked: list[str], seen: frozenset[str] | None) -> list[str] | None:
    """What is asked for, of what may be seen; None: no limit; empty: nothing."""
    if seen is None:
        return asked or None
    return sorted(seen & set(asked)) if asked else sorted(seen)


def _any_of(values: Iterable[Any]) -> Any:
    listed = list(values)
    return listed[0] if len(listed) == 1 else {"$in": listed}


def _conditions(
    asked: Filters,
    *,
    standings: list[bool],
    units: list[str] | None,
    departments: list[str] | None,
    persons: list[str | None],
) -> dict[str, Any]:
    where: dict[str, Any] = {}
    if len(standings) == 1:
        where["is_open"] = standings[0]
    several: dict[str, Iterable[Any]] = {
        "state": [state.value for state in asked.state],
        "matters": asked.category,
        "department": departments or (),
        "units": units or (),
        "person": persons,
        "severity": [int(severity) for severity in asked.severity],
        "flags": [flag.value for flag in asked.flag],
        "channel": [channel.value for channel in asked.channel],
        "source": [source.value for source in asked.source],
        "waybills": [waybill.upper() for waybill in asked.waybill],
        "contacts": asked.customer,
    }
    where |= {field: _any_of(values) for field, values in several.items() if values}
    where |= {
        field: value
        for field, value in (("major", asked.major), ("needs_review", asked.needs_review))
        if value is not None
    }
    if asked.breached is not None and asked.clock:
        where["breached"] = asked.clock.value if asked.breached else {"$ne": asked.clock.value}
    elif asked.breached is not None:
        where["breached.0"] = {"$exists": asked.breached}
    elif asked.clock and asked.due_before is None:
        where["clocks_open"] = asked.clock.value
    if asked.due_before:
        where[f"due.{asked.clock}" if asked.clock else "next_due_at"] = {"$lt": asked.due_before}
    bounds = {"$gte": asked.received_from, "$lt": asked.received_to}
    if received := {name: at for name, at in bounds.items() if at}:
        where["received_at"] = received
    return where


def _lead(
    asked: Filters, *, standings: list[bool], units: list[str] | None, persons: list[str | None]
) -> dict[str, Any]:
    """The condition of the index that names few rows, if there is one."""
    marks = ["o" if is_open else "s" for is_open in standings]
    if asked.q:
        meant = search(asked.q)
        return {"keys": {"$regex": f"^{re.escape(meant.prefix)}"} if meant.prefix else _any_of(meant.exact)}
    if asked.waybill:
        return {"keys": _any_of(search(waybill).exact[0] for waybill in asked.waybill)}
    if asked.customer:
        return {"contacts": _any_of(asked.customer)}
    if persons and None not in persons:
        return {"person_standing": _any_of(f"{p}|{mark}" for p in persons for mark in marks)}
    if units:
        return {"units_standing": _any_of(f"{unit}|{mark}" for unit in units for mark in marks)}
    rare = [flag.value for flag in asked.flag]
    rare = rare or ["major"] * bool(asked.major) or ["needs_review"] * bool(asked.needs_review)
    if not rare and asked.breached:
        rare = [f"breached:{asked.clock}" if asked.clock else "breached"]
    if not rare and asked.clock in RARE_CLOCKS and asked.breached is None and asked.due_before is None:
        rare = [f"clock:{asked.clock}"]
    return {"marks": _any_of(f"{one}|{mark}" for one in rare for mark in marks)} if rare else {}
