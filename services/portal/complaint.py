"""The public form: what it carries, the body that the intake takes, and where the intake's problems belong. Pure."""

import functools
import hashlib
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Self
from uuid import UUID
from zoneinfo import available_timezones

from schemas.codes import Language
from services.portal.wording import Wording

FIELDS: Final = ("description", "waybills", "remedy", "name", "phone", "email", "role", "time_zone")
"""What is typed or chosen, in the order of the page."""
NOT_HELD: Final = UUID(int=0)
"""Stands for a file that was refused: the intake then refuses the complaint, and says what else is wrong with it."""
_CHARACTERS_MAX: Final = 30_000
"""Of one field, so that a page can show it again; the intake says what is too long."""
_FORM: Final = re.compile(r"[A-Za-z0-9_-]{20,64}")
_BETWEEN: Final = re.compile(r"[\s,;，；、]+")
_OF: Final = {
    "description": "description",
    "waybills": "waybills",
    "remedy": "remedy",
    "complainant": "phone",
    "complainant.name": "name",
    "complainant.phone": "phone",
    "complainant.email": "email",
    "complainant.role": "role",
    "evidence": "files",
}


@dataclass(frozen=True, slots=True)
class Kept:
    """A file that was uploaded with an earlier attempt; what was typed since goes with it."""

    sha256: str
    size: int
    name: str

    @classmethod
    def parse(cls, value: str) -> Self | None:
        """As a hidden field carries it; None when it is none."""
        found = re.fullmatch(r"([0-9a-f]{64}):(\d{1,12}):(.{0,200})", value)
        return cls(found[1], int(found[2]), found[3]) if found else None

    def __str__(self) -> str:
        return f"{self.sha256}:{self.size}:{self.name}"


@dataclass(frozen=True, slots=True)
class Trouble:
    """One thing that is wrong with one field, in the person's words."""

    field: str
    """Of the page; empty when it belongs to none."""
    text: str


@dataclass(frozen=True, slots=True)
class Draft:
    """The form as the person has filled it in."""

    form: str
    """The form's own number: of two clicks one complaint comes."""
    typed: Mapping[str, str] = field(default_factory=dict)
    kept: tuple[Kept, ...] = ()

    @classmethod
    def fresh(cls) -> Self:
        """An empty one."""
        return cls(new_form())

    @classmethod
    def of(cls, given: Mapping[str, Sequence[str]]) -> Self:
        """What a request brought; unknown fields are left out."""
        form = (given.get("form") or [""])[0]
        typed = {name: values[0].strip()[:_CHARACTERS_MAX] for name in FIELDS if (values := given.get(name))}
        kept = tuple(one for value in given.get("kept", ()) if (one := Kept.parse(value)))
        return cls(form if _FORM.fullmatch(form) else new_form(), typed, kept)

    def with_files(self, kept: Sequence[Kept]) -> Self:
        """The same with these files."""
        return replace(self, kept=tuple({one.sha256: one for one in kept}.values()))

    def key(self) -> str:
        """The intake's idempotency key. Who goes back, writes something else and sends it has complained again."""
        content = "\0".join((*(self.typed.get(name, "") for name in FIELDS), *(one.sha256 for one in self.kept)))
        return f"{self.form}.{hashlib.sha256(content.encode('utf-8', 'replace')).hexdigest()[:32]}"

    def body(self, *, language: Language, evidence: Sequence[UUID]) -> dict[str, Any]:
        """What the intake takes."""
        typed = self.typed
        complainant = {name: typed.get(name, "") for name in ("name", "phone", "email", "role")}
        if (zone := typed.get("time_zone")) in _zones():
            complainant["time_zone"] = zone
        return {
            "channel": "web",
            "language": language.value,
            # Lines end as a form sends them, CR LF; two ways to write one text are one text.
            "description": typed.get("description", "").replace("\r\n", "\n"),
            "remedy": typed.get("remedy", "").replace("\r\n", "\n"),
            "waybills": [one for one in _BETWEEN.split(typed.get("waybills", "")) if one],
            "evidence": [str(one) for one in evidence],
            "complainant": {name: value for name, value in complainant.items() if value},
        }


@functools.cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def new_form() -> str:
    """A number that nobody else has or can guess."""
    return secrets.token_urlsafe(18)


def troubles(errors: Sequence[Mapping[str, Any]], *, words: Wording) -> tuple[Trouble, ...]:
    """The intake's problems by the fields of the page; those of files that were refused are known already."""
    told = []
    for error in errors:
        if error.get("value") == str(NOT_HELD):
            continue
        name = re.sub(r"\.\d+$", "", str(error.get("field", "")))
        # The intake knows more ways to be reached than the page asks for.
        is_unreachable = error.get("code") == "contact_missing"
        said = f"{error.get('problem', '')} {error.get('todo', '')}".strip()
        told.append(Trouble(_OF.get(name, ""), words.problem("contact_missing") if is_unreachable else said))
    return tuple(dict.fromkeys(told))
