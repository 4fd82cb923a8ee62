"""What the pages say, in each language: `wording/<language>.yaml`. Pure but for reading its own files at the start."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files
from typing import Any, Final
from zoneinfo import ZoneInfo

from babel.dates import format_datetime, get_timezone_name
from babel.numbers import format_currency

from schemas.codes import Language
from schemas.complaint import Money
from services.runtime.written import read_yaml

_LOCALES: Final = {Language.ZH: "zh_Hans_CN", Language.EN: "en_GB"}


@dataclass(frozen=True, slots=True)
class Wording:
    """One language."""

    language: Language
    book: Mapping[str, Any]

    def __getitem__(self, section: str) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.book[section]
        return found

    def say(self, section: str, key: str, **fields: Any) -> str:
        """A sentence with its fields filled in.

        Raises:
            KeyError: there is none.
        """
        return str(self.book[section][key]).format_map(fields)

    def problem(self, code: str, **fields: Any) -> str:
        """What is wrong with a field, and what to do."""
        return self.say("problem", code, **fields)

    def refused(self, why: str, **fields: Any) -> str:
        """Why something could not be done."""
        return self.say("refused", why if why in self.book["refused"] else "other", **fields)

    def name(self, section: str, code: str) -> str:
        """A code in words; empty for one that is nobody's business or not known."""
        return str(self.book[section].get(code, ""))

    def time(self, at: datetime, zone: ZoneInfo) -> str:
        """An instant in a person's zone."""
        return format_datetime(at, self.book["time"], tzinfo=zone, locale=_LOCALES[self.language])

    def zone(self, name: str) -> str:
        """A time zone as people call it."""
        return str(get_timezone_name(ZoneInfo(name), zone_variant="standard", locale=_LOCALES[self.language]))

    def money(self, money: Money) -> str:
        """An amount with its currency."""
        return format_currency(money.amount, money.currency, locale=_LOCALES[self.language])


def load() -> dict[Language, Wording]:
    """Every language."""
    folder = files("services.portal") / "wording"
    return {
        language: Wording(language, read_yaml((folder / f"{language}.yaml").read_text("utf-8")))
        for language in Language
    }
