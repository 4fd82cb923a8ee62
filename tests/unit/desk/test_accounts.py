"""Names, passwords, sessions, addresses: the rules."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from schemas.codes import Language, StaffRole
from services.desk import audit
from services.desk.accounts import (
    Account,
    Membership,
    Provider,
    account_problems,
    name_problems,
    password_problems,
    person_of,
)
from services.desk.customer_request import Asked
from services.desk.oidc import ClaimNames, account_of, subject_digest
from services.desk.people_http import own_path
from services.desk.refusal import Refusal
from services.desk.session import Limits, Session, csrf_token, digest, fresh_id, is_csrf_token

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
ACCOUNT = Account(name="net-1001-desk", shown_as="柜台", role=StaffRole.OUTLET_STAFF, changed_at=NOON)
NAMES = ClaimNames(
    name="preferred_username",
    shown_as="name",
    roles="realm_access.roles",
    departments="departments",
    units="units",
    role_by_theirs={"boss": StaffRole.SUPERVISOR, "clerk": StaffRole.AGENT},
)
CLAIMS: dict[str, Any] = {
    "iss": "https://id.example",
    "sub": "42",
    "preferred_username": "Clerk-7",
    "realm_access": {"roles": ["offline", "clerk"]},
    "departments": ["complaint_centre"],
    "units": "hub-01",
}


@pytest.mark.parametrize("name", ["", "a", "Aa", "-ab", "a b", "a" * 65, "张三", "ab\n"])
def test_a_name_is_short_and_plain(name: str) -> None:
    """It stands in events and addresses."""
    assert [one.code for one in name_problems(name)] == ["account_name_invalid"]


def test_everything_wrong_with_an_account_is_told_at_once() -> None:
    """Each with its field and value."""
    problems = account_problems(
        shown_as=" ", role="king", departments=["a b"], units=["x"] * 51, language="fr", time_zone="Mars"
    )
    assert [(one.field, one.code) for one in problems] == [
        ("shown_as", "shown_as_invalid"),
        ("role", "role_unknown"),
        ("departments.0", "code_invalid"),
        ("units", "too_many"),
        ("language", "language_unknown"),
        ("time_zone", "zone_unknown"),
    ]


@pytest.mark.parametrize(
    ("password", "codes"),
    [
        ("correct horse battery", []),
        ("密码要用一句只有自己知道的话", []),
        ("short", ["password_length"]),
        ("aaaaaaaaaaaaaaaa", ["password_simple"]),
        ("qwertyuiopasdf", ["password_simple"]),
        ("my NET-1001-desk password", ["password_has_name"]),
        ("x1y2z" * 26, ["password_length"]),
    ],
)
def test_a_password_is_long_and_not_easily_thought_of(password: str, codes: list[str]) -> None:
    """Whatever characters it has; and it is never repeated."""
    problems = password_problems(password, name="net-1001-desk")
    assert [one.code for one in problems] == codes
    assert all(one.value is None for one in problems)


def test_a_person_belongs_where_directory_and_account_say() -> None:
    """Units in capitals, each once."""
    account = replace(ACCOUNT, departments=("claims", "outlets"), units=("hub-01",))
    person = person_of(account, Membership(("outlets",), ("NET-1001", "HUB-01")))
    assert person.departments == ("outlets", "claims")
    assert person.units == ("NET-1001", "HUB-01")


def test_a_hash_is_in_no_representation() -> None:
    """An account that is logged by mistake tells none."""
    assert "secret" not in repr(replace(ACCOUNT, password="secret"))


@pytest.mark.parametrize(("idle_min", "age_h", "holds"), [(59, 1, True), (60, 1, False), (0, 11, True), (0, 12, False)])
def test_a_session_ends_when_it_idles_or_is_old(idle_min: int, age_h: int, holds: bool) -> None:
    """Whichever comes first."""
    session = Session(
        digest="d",
        account="a",
        made_at=NOON - timedelta(hours=age_h),
        seen_at=NOON - timedelta(minutes=idle_min),
        ends_at=NOON + timedelta(hours=12 - age_h),
    )
    assert session.holds(NOON, Limits(idle=timedelta(hours=1), absolute=timedelta(hours=12))) is holds


def test_a_token_belongs_to_one_session() -> None:
    """And tells nothing about its id."""
    mine, theirs = fresh_id(), fresh_id()
    assert is_csrf_token(csrf_token(mine), mine)
    assert not is_csrf_token(csrf_token(theirs), mine)
    assert not is_csrf_token("ü\ud800", mine)
    assert len({mine, digest(mine), csrf_token(mine)}) == 3


@pytest.mark.parametrize(
    ("address", "coarse"),
    [
        ("203.0.113.77", "203.0.113.0/24"),
        ("::ffff:203.0.113.77", "203.0.113.0/24"),
        ("2001:db8:1:2::3", "2001:db8:1::/48"),
        ("fe80::1%eth0", "fe80::/48"),
        ("nonsense", ""),
    ],
)
def test_an_address_is_kept_coarse(address: str, coarse: str) -> None:
    """Enough to see whether two acts come from one place."""
    assert audit.coarse(address) == coarse


def test_entries_are_numbered_in_the_order_of_time() -> None:
    """So that the last id of a page is a cursor."""
    early = audit.entry("sign_in", at=NOON, by=None)
    late = audit.entry("sign_in", at=NOON + timedelta(milliseconds=1), by=None)
    assert early.id < late.id


@pytest.mark.parametrize(
    ("path", "own"),
    [
        ("/tickets?x=1", "/tickets?x=1"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("https://evil.example", "/"),
        ("/a\nb", "/"),
        ("", "/"),
    ],
)
def test_nobody_is_led_elsewhere_after_signing_in(path: str, own: str) -> None:
    """Only paths of ours are followed."""
    assert own_path(path) == own


def test_claims_become_an_account() -> None:
    """With the first role of ours that somebody has, wherever the provider puts it."""
    account = account_of(CLAIMS, NAMES, known=None, now=NOON)
    assert (account.name, account.role, account.provider) == ("clerk-7", StaffRole.AGENT, Provider.OIDC)
    assert (account.departments, account.units) == (("complaint_centre",), ("hub-01",))
    assert account_of(CLAIMS, NAMES, known=account, now=NOON + timedelta(days=1)) is account
    promoted = account_of(CLAIMS | {"realm_access": {"roles": ["clerk", "boss"]}}, NAMES, known=account, now=NOON)
    assert promoted.role is StaffRole.SUPERVISOR


def test_what_somebody_chose_here_survives_the_next_sign_in() -> None:
    """Language and time zone."""
    chosen = replace(account_of(CLAIMS, NAMES, known=None, now=NOON), language=Language.EN, time_zone="Asia/Tokyo")
    again = account_of(CLAIMS | {"units": []}, NAMES, known=chosen, now=NOON)
    assert (again.language, again.time_zone, again.units) == (Language.EN, "Asia/Tokyo", ())


@pytest.mark.parametrize(
    ("claims", "known", "kind"),
    [
        ({"realm_access": {"roles": ["cook"]}}, None, "role-unknown"),
        ({"realm_access": "nonsense"}, None, "role-unknown"),
        ({}, replace(ACCOUNT, name="clerk-7"), "account-of-another"),
        ({"sub": "43"}, "theirs", "account-of-another"),
        ({}, "disabled", "account-disabled"),
        ({"units": ["a b"]}, None, "wrong-fields"),
        ({"zoneinfo": "Mars"}, None, "wrong-fields"),
    ],
)
def test_whoever_is_nobody_here_is_not_let_in(claims: dict[str, Any], known: Account | str | None, kind: str) -> None:
    """Nor whoever was given a name that belongs to somebody else."""
    if isinstance(known, str):
        theirs = account_of(CLAIMS, NAMES, known=None, now=NOON)
        known = replace(theirs, disabled=known == "disabled")
    with pytest.raises(Refusal) as refusal:
        account_of(CLAIMS | claims, NAMES, known=known, now=NOON)
    assert refusal.value.kind == kind


def test_a_subject_is_one_of_its_issuer() -> None:
    """The same number at two providers is two people."""
    assert subject_digest(CLAIMS) != subject_digest(CLAIMS | {"iss": "https://other.example"})


def test_a_customer_is_found_however_the_number_is_written() -> None:
    """As the intake digests it."""
    asked = Asked(phone="138 0013 8000", email="Li@Example.com", wechat="o-1", reason="asked by letter")
    assert asked.digests(lambda kind, value: f"{kind}={value}") == (
        "phone=+8613800138000",
        "email=li@example.com",
        "wechat=o-1",
    )


def test_everything_wrong_with_a_request_about_a_customer_is_told_at_once() -> None:
    """Without repeating what was given."""
    with pytest.raises(Refusal) as refusal:
        Asked(phone="12", email="x", wechat="\n").digests(lambda kind, value: value)
    assert [(one.field, one.code, one.value) for one in refusal.value.problems] == [
        ("reason", "reason_missing", None),
        ("phone", "phone_invalid", None),
        ("email", "email_invalid", None),
        ("wechat", "wechat_invalid", None),
    ]
    with pytest.raises(Refusal) as refusal:
        Asked(reason="why").digests(lambda kind, value: value)
    assert [one.code for one in refusal.value.problems] == ["one_contact_needed"]


@pytest.mark.parametrize("language", list(Language))
def test_a_refusal_says_what_happened_and_what_to_do(language: Language) -> None:
    """In both languages, with the values that it names."""
    told = Refusal("too-many-attempts", retry_after_s=7).told(language)
    assert told["status"] == 429
    assert "7" in told["detail"]
    assert told["type"] == "urn:amends:problem:too-many-attempts"
