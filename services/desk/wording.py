"""Words, dates, numbers and amounts for one reader: `data/words.yaml` and Babel, in language and zone. Pure.

A code that has no word is shown as it is: policies and directories bring codes of their own.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from importlib import resources
from typing import Any, Final, Protocol
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import format_date, format_datetime
from babel.lists import format_list
from babel.numbers import format_currency, format_decimal, format_percent
from jinja2 import Environment, Template

from schemas import events as e
from schemas.codes import ActorKind, Language
from schemas.complaint import Money
from services.desk.person import Person
from services.desk.reasons import in_words
from services.runtime.written import read_yaml

_PLACE: Final = {Language.ZH: 0, Language.EN: 1}
_LOCALES: Final = {Language.ZH: Locale.parse("zh_Hans_CN"), Language.EN: Locale.parse("en_GB")}
_MONTH_TO_MINUTE: Final = {Language.ZH: "M月d日 HH:mm", Language.EN: "d MMM HH:mm"}
_UNITS: Final = (("days", 86_400), ("hours", 3_600), ("minutes", 60), ("seconds", 1))
WORDS: Final[Mapping[str, Mapping[str, list[str]]]] = read_yaml(
    resources.files("services.desk").joinpath("data/words.yaml").read_text(encoding="utf-8")
)
_PLAIN: Final = Environment(autoescape=False)  # noqa: S701  # its output is text, escaped where it is put into a page
_SECTIONS: Final = {
    "channel": "channel",
    "remedy": "remedy",
    "outcome": "outcome",
    "cause": "cause",
    "what": "what",
    "whom": "whom",
    "tier": "tier",
    "command": "command",
    "severity": "severity",
    "role": "staff_role",
    "language": "language",
}
"""Fields of events whose values have words, and the section where."""
_PLACES: Final = {
    "department": frozenset({"department", "before_department"}),
    "unit": frozenset({"unit", "before_unit", "responsible_unit"}),
}
"""Fields of events whose values have names in the directory."""


class Named(Protocol):
    """See `naming.Names`."""

    def department(self, code: str | None) -> str:
        """What people call it."""

    def unit(self, code: str | None) -> str:
        """Likewise."""


@dataclass(frozen=True, slots=True)
class Speaker:
    """Says things to one reader."""

    language: Language
    zone: str = "Asia/Shanghai"

    def word(self, section: str, code: object) -> str:
        """The word for a code."""
        known = WORDS[section].get(str(code))
        return known[_PLACE[self.language]] if known else str(code)

    def page(self, key: str, **details: object) -> str:
        """A phrase of the pages.

        Raises:
            KeyError: there is no such phrase.
        """
        words = WORDS["page"][key][_PLACE[self.language]]
        return words.format(**details) if details else words

    def at(self, instant: datetime) -> str:
        """Day and minute, in the reader's zone."""
        pattern = _MONTH_TO_MINUTE[self.language]
        return str(format_datetime(instant, pattern, tzinfo=ZoneInfo(self.zone), locale=_LOCALES[self.language]))

    def whole(self, instant: datetime) -> str:
        """The same with year and zone: what stands behind the short form."""
        return str(format_datetime(instant, "long", tzinfo=ZoneInfo(self.zone), locale=_LOCALES[self.language]))

    def local(self, instant: datetime) -> str:
        """As a field of a form holds it: in the reader's zone, without saying so."""
        return instant.astimezone(ZoneInfo(self.zone)).strftime("%Y-%m-%dT%H:%M")

    def day(self, day: date) -> str:
        """A date."""
        return str(format_date(day, "medium", locale=_LOCALES[self.language]))

    def number(self, value: float | Decimal) -> str:
        """A number."""
        return str(format_decimal(value, locale=_LOCALES[self.language]))

    def share(self, value: float) -> str:
        """A share of one, as percent."""
        return str(format_percent(value, locale=_LOCALES[self.language]))

    def money(self, money: Money) -> str:
        """An amount with its currency."""
        return str(format_currency(money.amount, money.currency, locale=_LOCALES[self.language]))

    def listed(self, values: Iterable[object]) -> str:
        """An enumeration."""
        return str(format_list([str(value) for value in values], locale=_LOCALES[self.language]))

    def lasting(self, seconds: float) -> str:
        """A time span in its largest unit and the next smaller one; the pages count on by the same rule."""
        left = int(abs(seconds))
        unit, size = next(((unit, size) for unit, size in _UNITS if left >= size), _UNITS[-1])
        count, rest = divmod(left, size)
        parts = [self.word("time", unit).format(n=count)]
        smaller = next((one for one in _UNITS if one[1] < size), None)
        if smaller and rest >= smaller[1]:
            parts.append(self.word("time", smaller[0]).format(n=rest // smaller[1]))
        return " ".join(parts)

    def working(self, seconds: int) -> str:
        """A target: hours, minutes and seconds, never days, since a day of work has not 24 hours."""
        minutes, rest = divmod(seconds, 60)
        hours, minutes = divmod(minutes, 60)
        parts = (("hours", hours), ("minutes", minutes), ("seconds", rest))
        return " ".join(self.word("time", unit).format(n=n) for unit, n in parts if n) or self.lasting(seconds)

    def event(self, event: e.TicketEvent, names: Named) -> str:
        """What happened, as a sentence."""
        details = self._details(event)
        for field, called in (("department", names.department), ("unit", names.unit)):
            details |= {name: called(details[name]) for name in _PLACES[field] & details.keys() if details[name]}
        return _template(event.TYPE.rpartition(".")[2], self.language).render(details)

    def actor(self, event: e.TicketEvent) -> str:
        """Who did it."""
        who = event.actor
        if who.kind is ActorKind.SYSTEM:
            return self.word("actor", who.kind)
        return f"{who.id} ({who.unit})" if who.id and who.unit else who.id or self.word("actor", who.kind)

    def _detail(self, name: str, value: Any) -> Any:
        if isinstance(value, Money):
            return self.money(value)
        if isinstance(value, date):
            return self.day(value)
        if name in ("chain", "remaining"):
            return self.listed(self.word("staff_role", role) for role in value)
        if section := _SECTIONS.get(name):
            return self.word(section, int(value) if name == "severity" else value) if value else ""
        return value

    def _details(self, event: e.TicketEvent) -> dict[str, Any]:
        own = type(event).model_fields.keys() - e.TicketEvent.model_fields.keys()
        details = {name: self._detail(name, getattr(event, name)) for name in own}
        match event:
            case e.TicketClassified(classification=said):
                matter = f"{said.primary}.{said.sub}" if said.sub else str(said.primary)
                details |= {
                    "matter": self.word("matter", matter),
                    "severity": self.word("severity", int(said.severity)),
                }
            case e.TicketSeverityChanged():
                details["before_severity"] = self.word("severity", int(event.before))
            case e.TicketReopened() | e.TicketAppealed():
                details["before"] = self.word("state", event.before)
            case e.TicketEvidenceAdded():
                details["evidence_count"] = len(event.evidence)
            case e.TicketLiabilityShared():
                details["shares"] = self.listed(f"{s.unit} {s.percent}%" for s in event.shares)
            case e.TicketCommandRefused():
                details["why"] = in_words(event.why, self.language)
        return details


def speaker_for(person: Person) -> Speaker:
    """Who speaks to a member of staff."""
    return Speaker(person.language, person.time_zone)


@cache
def _template(event: str, language: Language) -> Template:
    return _PLAIN.from_string(WORDS["event"][event][_PLACE[language]])
