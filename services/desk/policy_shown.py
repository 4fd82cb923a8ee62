"""A policy of service levels, its calendars and what a draft of it would mean, as pages show them. Pure."""

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any, Final

from schemas.codes import Severity, Source
from services.desk.differences import Change, as_yaml
from services.desk.policy_editing import Trial
from services.desk.wording import Speaker
from services.service_levels.policy import Case, SlaPolicy
from services.service_levels.rulebook import Rulebook
from services.service_levels.what_if import Counted
from services.service_levels.written_form import written

SEVERITIES: Final = tuple(sorted(Severity, reverse=True))
DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def clocks_shown(policy: SlaPolicy, say: Speaker) -> list[dict[str, Any]]:
    """Each clock: target of an ordinary complaint of each severity, calendar, warnings and all rules."""
    book, content = Rulebook(policy), written(policy)["clocks"]
    by_severity = {severity: book.rules(Case(severity=severity, source=Source.EXTERNAL)) for severity in SEVERITIES}
    return [
        {
            "code": clock.value,
            "name": say.word("clock", clock.value),
            "calendar": own.calendar,
            "warnings": say.listed(say.share(share) for share in own.warnings or policy.warnings),
            "targets": [
                rules[clock].target.text if clock in (rules := by_severity[severity]) else "" for severity in SEVERITIES
            ],
            "rules": [
                {"name": rule["name"], "when": _conditions(rule.get("match", {})), "target": rule["target"]}
                for rule in content[clock.value]["rules"]
            ],
        }
        for clock, own in policy.clocks.items()
    ]


def calendars_shown(policy: SlaPolicy, say: Speaker) -> list[dict[str, Any]]:
    """Each calendar: its zone, weekly hours, and days that are otherwise."""
    return [
        {
            "code": name,
            "zone": one["tz"],
            "hours": [(_days(days, say), _spans(spans)) for days, spans in one["hours"].items() if spans],
            "closed": _dates([*one.get("holidays", ()), *one.get("holidays_yearly", ())], say),
            "public": one.get("public_holidays", ""),
            "otherwise": [(str(day), _spans(spans)) for day, spans in one.get("date_overrides", {}).items()],
        }
        for name, one in written(policy)["calendars"].items()
    ]


def changes_shown(changes: Iterable[Change], say: Speaker) -> list[dict[str, Any]]:
    """Differences, each with its place in words."""
    return [
        {
            "place": " › ".join(_step(change.place, i, say) for i in range(len(change.place))),
            "before": change.before,
            "after": change.after,
        }
        for change in changes
    ]


def trial_shown(trial: Trial, say: Speaker) -> dict[str, Any]:
    """What a draft would mean for the clocks that run."""
    found = trial.what_if
    return {
        "tickets": say.number(trial.tickets),
        "is_sample": trial.is_sample,
        "clocks": say.number(found.clocks),
        "numbers": {
            name: say.number(getattr(found, name))
            for name in ("earlier", "later", "same", "dropped", "paused", "overdue_now", "overdue_then")
        },
        "moved": [_moved_shown(one, trial, say) for one in found.moved],
        "rest": say.number(found.earlier + found.later + found.dropped - len(found.moved)),
        "has_rest": found.earlier + found.later + found.dropped > len(found.moved),
    }


def _moved_shown(one: Counted, trial: Trial, say: Speaker) -> dict[str, Any]:
    moved = one.moved.total_seconds()
    return {
        "number": trial.numbers.get(one.ticket_id, ""),
        "clock": say.word("clock", one.clock.value) + (f" ({one.unit})" if one.unit else ""),
        "due_now": say.at(one.due_now) if one.due_now else "",
        "due_then": say.at(one.due_then) if one.due_then else "",
        "moved": say.page("moved_later" if moved > 0 else "moved_earlier", time=say.lasting(moved)) if moved else "",
    }


def _step(place: tuple[str, ...], i: int, say: Speaker) -> str:
    is_of_clock = place[0] == "clocks"
    if i == 1 and is_of_clock:
        return say.word("clock", place[i])
    # In between stand names that people have given.
    is_field = i in (0, len(place) - 1) or (i == 2 and is_of_clock)
    return say.word("rules", place[i]) if is_field else place[i]


def _conditions(match: Mapping[str, Any]) -> str:
    return "; ".join(
        f"{name}: {', '.join(map(str, wanted)) if isinstance(wanted, list) else as_yaml(wanted, on_one_line=True)}"
        for name, wanted in match.items()
    )


def _days(days: str, say: Speaker) -> str:
    if days == "all":
        return say.page("every_day")
    return "–".join(say.word("day", DAYS[int(day)]) for day in days.split("-"))


def _spans(spans: Iterable[Any]) -> str:
    return ", ".join("–".join(map(str, span)) if isinstance(span, list | tuple) else str(span) for span in spans)


def _dates(days: Iterable[Any], say: Speaker) -> str:
    return say.listed(say.day(day) if isinstance(day, date) else str(day) for day in days)
