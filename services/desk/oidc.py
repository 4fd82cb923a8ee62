"""What an identity provider says of a person, as an account. Pure."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from schemas.codes import Language, StaffRole
from services.desk.accounts import Account, Provider, account_problems, name_problems
from services.desk.refusal import Refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimNames:
    """Which claim says what; dots lead into objects."""

    name: str
    shown_as: str
    roles: str
    departments: str
    units: str
    role_by_theirs: Mapping[str, StaffRole]
    """In the order in which they count."""


def account_of(claims: Mapping[str, Any], names: ClaimNames, *, known: Account | None, now: datetime) -> Account:
    """The account that claims stand for, whose token was checked.

    Args:
        claims: of the ID token, with `iss` and `sub`.
        names: which of them says what.
        known: the account of that name, if there is one. What the provider does not say stays as it is there.
        now: when.

    Raises:
        Refusal: no role, a disabled account, or a name that belongs to somebody else.
    """
    theirs = _texts(claims, names.roles)
    role = next((ours for their, ours in names.role_by_theirs.items() if their in theirs), None)
    if role is None:
        raise Refusal("role-unknown", roles=", ".join(theirs)[:200] or "-")
    name, subject = account_name(claims, names), subject_digest(claims)
    if known and (known.provider is not Provider.OIDC or known.subject != subject):
        raise Refusal("account-of-another", name=name)
    if known and known.disabled:
        raise Refusal("account-disabled")
    fresh = Account(
        name=name,
        shown_as=next(iter(_texts(claims, names.shown_as)), name)[:80],
        role=role,
        departments=tuple(_texts(claims, names.departments)),
        units=tuple(_texts(claims, names.units)),
        language=Language.EN if str(claims.get("locale", "zh")).startswith("en") else Language.ZH,
        time_zone=str(claims.get("zoneinfo", "Asia/Shanghai")),
        provider=Provider.OIDC,
        subject=subject,
        changed_at=now,
    )
    account = replace(fresh, language=known.language, time_zone=known.time_zone) if known else fresh
    problems = account_problems(
        shown_as=account.shown_as,
        role=account.role,
        departments=account.departments,
        units=account.units,
        language=account.language,
        time_zone=account.time_zone,
    )
    if problems:
        raise Refusal("wrong-fields", problems=problems)
    return account if known is None or _says_more(known, account) else known


def account_name(claims: Mapping[str, Any], names: ClaimNames) -> str:
    """The name in the claims, in small letters; where it is none that an account can have, one made of the subject."""
    given = next(iter(_texts(claims, names.name)), "").lower()
    return given if not name_problems(given) else f"oidc-{subject_digest(claims)[:16]}"


def subject_digest(claims: Mapping[str, Any]) -> str:
    """Digest (hex) of issuer and subject: the only thing about a person that a provider never gives to another."""
    return hashlib.sha256(f"{claims['iss']}\0{claims['sub']}".encode()).hexdigest()


def _says_more(known: Account, fresh: Account) -> bool:
    return replace(known, changed_at=fresh.changed_at) != fresh


def _texts(claims: Mapping[str, Any], path: str) -> list[str]:
    value: Any = claims
    for step in path.split(".") if path not in claims else [path]:  # Some providers' names are addresses with dots.
        value = value.get(step) if isinstance(value, Mapping) else None
    if isinstance(value, str):
        return [value] if value else []
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []
