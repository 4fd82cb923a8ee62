"""Accounts of staff: what a name and a password must be like, and what an account says. Pure."""

import dataclasses
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final
from zoneinfo import available_timezones

from schemas.codes import Language, StaffRole
from services.desk.person import Person

PASSWORD_CHARACTERS_MIN: Final = 12
PASSWORD_CHARACTERS_MAX: Final = 128
_DIFFERENT_MIN: Final = 5
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_.-]{1,63}")
_CODE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,63}")
_SEQUENCES: Final = ("0123456789012345678901234567890", "abcdefghijklmnopqrstuvwxyz", "qwertyuiopasdfghjklzxcvbnm")
_SHOWN_MAX: Final = 80
_CODES_MAX: Final = 50


class Provider(StrEnum):
    """Who knows that a person is the one he or she claims to be."""

    LOCAL = "local"
    OIDC = "oidc"


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A member of staff, as the desk knows one."""

    name: str
    """Unique; the person's id in the directory where there is one. It stands in events, so it should name nobody."""
    shown_as: str
    role: StaffRole
    departments: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    """Besides what the directory says of the person."""
    language: Language = Language.ZH
    time_zone: str = "Asia/Shanghai"
    provider: Provider = Provider.LOCAL
    subject: str = ""
    """Digest of the provider's issuer and subject: a name may be given to somebody else there, a subject is not."""
    password: str = field(default="", repr=False)
    """Argon2id hash with its parameters; empty: nobody can sign in with a password."""
    disabled: bool = False
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class Membership:
    """Where somebody belongs, according to the directory."""

    departments: tuple[str, ...] = ()
    units: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Wrong:
    """One thing that is wrong with one field. The value of a password is never told."""

    field: str
    code: str
    value: str | None = None
    details: Mapping[str, Any] = dataclasses.field(default_factory=dict)


class WrongAccount(ValueError):  # noqa: N818  # said of what was given
    """What was given for an account cannot be used; `problems` are all of them."""

    def __init__(self, problems: Sequence[Wrong]) -> None:
        super().__init__("; ".join(f"{one.field}: {one.code}" for one in problems))
        self.problems = tuple(problems)


def person_of(account: Account, membership: Membership) -> Person:
    """The person who is signed in with an account."""
    departments = dict.fromkeys((*membership.departments, *account.departments))
    units = dict.fromkeys(unit.upper() for unit in (*membership.units, *account.units))
    return Person(
        id=account.name,
        name=account.shown_as,
        role=account.role,
        departments=tuple(departments),
        units=tuple(units),
        language=account.language,
        time_zone=account.time_zone,
    )


def name_problems(name: str) -> list[Wrong]:
    """What is wrong with the name of an account."""
    return [] if _NAME.fullmatch(name) else [Wrong("name", "account_name_invalid", name[:_SHOWN_MAX])]


def account_problems(
    *, shown_as: str, role: str, departments: Sequence[str], units: Sequence[str], language: str, time_zone: str
) -> list[Wrong]:
    """What is wrong with what an account says."""
    problems = []
    if not shown_as.strip() or len(shown_as) > _SHOWN_MAX or not shown_as.isprintable():
        problems.append(Wrong("shown_as", "shown_as_invalid", shown_as[:_SHOWN_MAX], {"max": _SHOWN_MAX}))
    if role not in set(StaffRole):
        problems.append(Wrong("role", "role_unknown", role[:_SHOWN_MAX], {"allowed": ", ".join(StaffRole)}))
    for field_name, codes in (("departments", departments), ("units", units)):
        if len(codes) > _CODES_MAX:
            problems.append(Wrong(field_name, "too_many", str(len(codes)), {"max": _CODES_MAX}))
        problems += [
            Wrong(f"{field_name}.{place}", "code_invalid", code[:_SHOWN_MAX])
            for place, code in enumerate(codes[:_CODES_MAX])
            if not _CODE.fullmatch(code)
        ]
    if language not in set(Language):
        problems.append(Wrong("language", "language_unknown", language[:_SHOWN_MAX], {"allowed": ", ".join(Language)}))
    if time_zone not in available_timezones():
        problems.append(Wrong("time_zone", "zone_unknown", time_zone[:_SHOWN_MAX]))
    return problems


def password_problems(password: str, *, name: str) -> list[Wrong]:
    """What is wrong with a password: length counts, and that it is not easily thought of. No rules about characters.

    Source: NIST SP 800-63B, section 3.1.1.
    """
    normal, problems = normalised(password), []
    bounds = {"min": PASSWORD_CHARACTERS_MIN, "max": PASSWORD_CHARACTERS_MAX}
    if not PASSWORD_CHARACTERS_MIN <= len(normal) <= PASSWORD_CHARACTERS_MAX:
        problems.append(Wrong("password", "password_length", None, bounds))
    if len(set(normal)) < _DIFFERENT_MIN or any(normal.casefold() in row for row in _SEQUENCES):
        problems.append(Wrong("password", "password_simple", None, {"min": _DIFFERENT_MIN}))
    if name and name.casefold() in normal.casefold():
        problems.append(Wrong("password", "password_has_name"))
    return problems


def normalised(password: str) -> str:
    """The same password, however the keyboard composed its characters."""
    return unicodedata.normalize("NFKC", password)
