"""Departments, units and people, and the rules by which work is shared out and handled, as pages show them. Pure."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final

from schemas.complaint import Money
from services.desk.wording import Speaker
from services.organisation.directory import Day, Duty, Organisation, Person
from services.organisation.handling import HandlingPolicy
from services.organisation.policy import AssignmentPolicy

SHOWN_MAX: Final = 200
"""Of each kind; who looks for another one searches."""
_DAYS: Final = tuple(Day)


def directory_shown(one: Organisation, sought: str, *, now: datetime, say: Speaker) -> dict[str, Any]:
    """What of the directory has a text in a code or name, and how much that is."""
    departments = [d for d in one.departments if _has(sought, d.code, d.name, d.manager, d.calendar)]
    units = [u for u in one.units if _has(sought, u.code, u.name, u.manager, u.calendar, u.kind)]
    people = [p for p in one.people if _has(sought, p.id, p.department, p.unit, *p.skills)]
    return {
        "departments": [
            {
                "code": d.code,
                "name": d.name,
                "manager": d.manager or "",
                "calendar": d.calendar,
                "people": say.number(len(staff := one.people_by_department[d.code])),
                "capacity": say.number(sum(p.capacity for p in staff)),
                "on_duty": say.number(sum(p.on_duty(now) for p in staff)),
            }
            for d in departments[:SHOWN_MAX]
        ],
        "units": [
            {
                "code": u.code,
                "name": u.name,
                "kind": say.word("unit_kind", u.kind),
                "manager": u.manager or "",
                "calendar": u.calendar,
            }
            for u in units[:SHOWN_MAX]
        ],
        "people": [_person_shown(p, now=now, say=say) for p in people[:SHOWN_MAX]],
        "counts": {
            "departments": _count(departments, one.departments, say),
            "units": _count(units, one.units, say),
            "people": _count(people, one.people, say),
        },
    }


def duty_shown(duty: Sequence[Duty], say: Speaker) -> str:
    """Shifts in words."""
    return "; ".join(_shift(one, say) for one in duty)


def rules_shown(policy: AssignmentPolicy) -> list[dict[str, Any]]:
    """The table of assignment: name, conditions, who has it."""
    return [
        {
            "name": rule.name,
            "when": "; ".join(
                f"{name}: {', '.join(map(str, values))}"
                for name, values in rule.when.model_dump(mode="json", exclude_defaults=True).items()
            ),
            "department": rule.department,
            "unit": rule.unit or "",
        }
        for rule in policy.rules
    ]


def chain_shown(policy: HandlingPolicy, say: Speaker) -> list[tuple[str, str]]:
    """Who may promise how much, from the lowest to the highest."""

    def limit(amount: Any) -> str:
        if amount is None:
            return say.page("any_amount")
        return say.money(Money(amount=amount, currency=policy.currency))

    return [
        (say.page("who_answers"), limit(policy.agent_amount_max)),
        *((say.word("staff_role", one.role), limit(one.amount_max)) for one in policy.approvers),
    ]


def _person_shown(one: Person, *, now: datetime, say: Speaker) -> dict[str, Any]:
    return {
        "id": one.id,
        "department": one.department,
        "unit": one.unit or "",
        "skills": say.listed(say.word("matter", skill) for skill in one.skills) if one.skills else "",
        "capacity": say.number(one.capacity),
        "duty": duty_shown(one.duty, say),
        "zone": one.time_zone,
        "is_on_duty": one.on_duty(now),
    }


def _shift(one: Duty, say: Speaker) -> str:
    hours = f"{one.begins:%H:%M}–{one.ends:%H:%M}" if one.begins != one.ends else say.page("all_day")
    return f"{_days(one.days, say)} {hours}"


def _days(days: Iterable[Day], say: Speaker) -> str:
    """Days of the week, those in a row as a span."""
    places = sorted({_DAYS.index(day) for day in days})
    if len(places) == len(_DAYS):
        return say.page("every_day")
    spans: list[list[int]] = []
    for place in places:
        if spans and place == spans[-1][-1] + 1:
            spans[-1].append(place)
        else:
            spans.append([place])
    words = [[say.word("day", _DAYS[place]) for place in (span[0], span[-1])] for span in spans]
    return ", ".join(first if first == last else f"{first}–{last}" for first, last in words)


def _has(sought: str, *texts: str | None) -> bool:
    return any(sought.casefold() in text.casefold() for text in texts if text)


def _count(found: Sequence[Any], all_: Sequence[Any], say: Speaker) -> dict[str, Any]:
    return {"shown": say.number(min(len(found), SHOWN_MAX)), "of": say.number(len(all_))}
