"""`amends due`: when a clock is due, and how that was counted."""

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO, TypeVar

import click

from schemas.codes import SUBCODES, Category, Channel, Clock, RiskFlag, Severity, Source
from services.cli.due_cases import answer_case
from services.service_levels.calendar import Pause
from services.service_levels.opening_hours import CalendarError
from services.service_levels.policy import OWNER, UNIT, Case, PolicyError, SlaPolicy, read_policy
from services.service_levels.rulebook import Rulebook
from services.sla_monitor.explanation import Explanation, explain

WRONG_INPUT = 2
_T = TypeVar("_T")


@click.command()
@click.option("--clock", help=f"Which time limit: {', '.join(Clock)}.")
@click.option("--received", "--start", "start", help="When the clock starts: ISO 8601 with offset.")
@click.option("--severity", help="1 to 4, 4 is the gravest.")
@click.option("--category", help="What went wrong, e.g. delay or delay.transit.")
@click.option("--channel", help=f"Where it came in: {', '.join(Channel)}.")
@click.option("--source", help="external (the default) or internal.")
@click.option("--tier", help="Customer tier, as the policy names it.")
@click.option("--region", help="Region, as the policy names it.")
@click.option("--risk", multiple=True, help="Risk flag; may be repeated.")
@click.option("--major", is_flag=True, help="A major complaint.")
@click.option("--calendar", help="Calendar of the unit that has the ticket; default: the policy's.")
@click.option("--pause", "pauses", multiple=True, metavar="FROM/TO", help="A wait that does not count; repeatable.")
@click.option("--policy", type=click.Path(path_type=Path), help="Policy file; default: the one of the package.")
@click.option("--json", "as_json", is_flag=True, help="For a program.")
@click.option("--case", "cases", type=click.File(encoding="utf-8"), help="Answer the working-time cases of a file.")
def due(*, cases: TextIO | None, as_json: bool, **asked: Any) -> None:
    """Say when a clock is due, and show how it was counted.

    \b
    amends due --clock resolution --severity 3 --received 2026-11-20T16:30:00+08:00
    amends due --case cases.json

    Exit code 0: there is a due time (or all cases agree). 1: the policy gives such a complaint no such clock (or a
    case disagrees). 2: wrong input; every mistake is named.
    """  # noqa: D301  # click reads the control character as: keep these lines
    if cases is not None:
        sys.exit(_answer_cases(cases))
    question = _Question(**asked)
    found = question.answer()
    if question.problems:
        for problem in question.problems:
            click.echo(problem, err=True)
        sys.exit(WRONG_INPUT)
    if found is None:
        text = "no rule of the policy gives such a complaint this clock"
        click.echo(json.dumps({"clock": asked["clock"], "due_at": None, "reason": text}) if as_json else text)
        sys.exit(1)
    click.echo(json.dumps(found.to_json(), ensure_ascii=False, indent=2) if as_json else _written(found))


class _Question:
    """What was asked, read as a whole so that every mistake is told at once."""

    def __init__(self, **asked: Any) -> None:
        self.asked = asked
        self.problems: list[str] = []

    def answer(self) -> Explanation | None:
        """The explanation; None when there is none or `problems` say why not."""
        asked = self.asked
        policy = self._policy(asked["policy"])
        clock = self._read("clock", Clock, known=Clock, required=True)
        start = self._time("--received", asked["start"])
        case = Case(
            channel=self._read("channel", Channel, known=Channel),
            source=self._read("source", Source, known=Source) or Source.EXTERNAL,
            category=self._category(asked["category"]),
            severity=self._read("severity", lambda text: Severity(int(text)), known=[s.value for s in Severity]),
            customer_tier=asked["tier"],
            region=asked["region"],
            risk=frozenset(self._risks(asked["risk"])),
            major=asked["major"],
        )
        pauses = [pause for text in asked["pauses"] if (pause := self._pause(text))]
        self._check_calendar(policy, clock)
        if self.problems or policy is None or clock is None or start is None:
            return None
        try:
            return explain(
                Rulebook(policy),
                clock=clock,
                case=case,
                start=start,
                calendar_name=asked["calendar"],
                pauses=pauses,
            )
        except CalendarError as error:
            self.problems += error.problems
        except OverflowError:
            self.problems.append("--received: what follows from it lies before the year 1 or after 9999")
        return None

    def _policy(self, path: Path | None) -> SlaPolicy | None:
        try:
            return read_policy(path)
        except PolicyError as error:
            self.problems += [f"--policy: {problem}" for problem in error.problems]
            return None

    def _check_calendar(self, policy: SlaPolicy | None, clock: Clock | None) -> None:
        name = self.asked["calendar"]
        if policy is None:
            return
        if name is not None and name not in policy.calendars:
            self.problems.append(f"--calendar: {name!r} is not known; known are {', '.join(policy.calendars)}")
        if clock is None:
            return
        if clock not in policy.clocks:
            self.problems.append(f"--clock: the policy {policy.name!r} has no clock {clock.value!r}")
        elif name in policy.calendars and policy.clocks[clock].calendar not in {OWNER, UNIT, name}:
            own = policy.clocks[clock].calendar
            self.problems.append(f"--calendar: {name!r} cannot be chosen, {clock.value} always counts by {own!r}")

    def _read(
        self,
        name: str,
        parse: Callable[[str], _T],
        *,
        known: Iterable[Any],
        required: bool = False,
    ) -> _T | None:
        text = self.asked[name]
        if text is None:
            if required:
                self.problems.append(f"--{name}: is missing; known are {', '.join(map(str, known))}")
            return None
        try:
            return parse(text)
        except ValueError:
            self.problems.append(f"--{name}: {text!r} is not known; known are {', '.join(map(str, known))}")
            return None

    def _category(self, text: str | None) -> str | None:
        if text is None:
            return None
        category, _, sub = text.partition(".")
        if category not in list(Category):
            self.problems.append(f"--category: {category!r} is not known; known are {', '.join(Category)}")
        elif sub and sub not in SUBCODES[Category(category)]:
            known = ", ".join(SUBCODES[Category(category)])
            self.problems.append(f"--category: {sub!r} is no sub-code of {category}; known are {known}")
        return text

    def _risks(self, flags: Sequence[str]) -> list[RiskFlag]:
        unknown = [flag for flag in flags if flag not in list(RiskFlag)]
        self.problems += [f"--risk: {flag!r} is not known; known are {', '.join(RiskFlag)}" for flag in unknown]
        return [RiskFlag(flag) for flag in flags if flag not in unknown]

    def _time(self, option: str, text: str | None) -> datetime | None:
        if text is None:
            self.problems.append(f"{option}: is missing; give a time such as 2026-11-20T16:30:00+08:00")
            return None
        try:
            at = datetime.fromisoformat(text)
        except ValueError:
            self.problems.append(f"{option}: {text!r} is not a time; write it as 2026-11-20T16:30:00+08:00")
            return None
        if at.tzinfo is None:
            self.problems.append(f"{option}: {text!r} has no offset; add one, such as +08:00 or Z")
            return None
        return at

    def _pause(self, text: str) -> Pause | None:
        parts = text.split("/")
        if len(parts) != 2:
            self.problems.append(f"--pause: {text!r} is not FROM/TO")
            return None
        begin, end = (self._time("--pause", part) for part in parts)
        if begin is None or end is None:
            return None
        if end < begin:
            self.problems.append(f"--pause: {text!r} ends before it begins")
            return None
        return begin, end


def _answer_cases(cases: TextIO) -> int:
    try:
        questions = json.load(cases)
    except ValueError as error:
        click.echo(f"--case: {cases.name} is not JSON: {error}", err=True)
        return WRONG_INPUT
    if not isinstance(questions, list) or not all(isinstance(question, dict) for question in questions):
        click.echo(f"--case: {cases.name} holds no list of cases", err=True)
        return WRONG_INPUT
    answers = [answer_case(question) for question in questions]
    for answer in answers:
        click.echo(json.dumps(answer, ensure_ascii=False))
    return int(any(answer["agrees"] is False for answer in answers))


def _written(found: Explanation) -> str:
    target = f"{found.target} = {_length(found.target_s)} of calendar {found.calendar}"
    lines = [
        f"{found.clock.value} is due {_time(found.due_at)} ({found.due_at.tzinfo})",
        f"  rule {found.rule} of policy {found.policy} version {found.policy_version}: {target}",
        f"  from {_time(found.start)}",
    ]
    used = 0.0
    for stretch in found.stretches:
        span = f"{_time(stretch.begin)} - {_time(stretch.end, beside=stretch.begin)}"
        if stretch.reason is None:
            used += stretch.seconds
            lines.append(f"  + {span}  {_length(stretch.seconds):>12}  {_length(used)} of {_length(found.target_s)}")
        else:
            lines.append(f"    {span}  {'':>12}  {stretch.reason}")
    for milestone in found.milestones:
        what = "warning" if milestone.level is None else "breach" if milestone.share == 1 else "escalation"
        to = f" to {milestone.level}" if milestone.level else ""
        lines.append(f"  {milestone.share:>4.0%} {_time(milestone.at)}  {what}{to}")
    return "\n".join([*lines, *(f"  note: {note}" for note in found.notes)])


def _time(at: datetime, *, beside: datetime | None = None) -> str:
    clock = at.strftime("%H:%M:%S").removesuffix(":00")
    if beside and beside.date() == at.date():
        return f"{clock:<20}"
    if beside and clock == "00:00" and (at.date() - beside.date()).days == 1:
        return f"{'24:00':<20}"
    return f"{at:%a %Y-%m-%d} {clock}"


def _length(seconds: float) -> str:
    hours, rest = divmod(round(seconds), 3600)
    minutes, rest = divmod(rest, 60)
    parts = [f"{n} {unit}" for n, unit in ((hours, "h"), (minutes, "min"), (rest, "s")) if n]
    return " ".join(parts) or "0 s"
